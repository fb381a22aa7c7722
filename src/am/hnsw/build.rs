//! CREATE INDEX and REINDEX: the table is read, the graph linked in memory by threads, the pages written and logged as a whole.

use crate::am::opclass::{self, OpClass};
use crate::am::{index_error, storage};
use crate::error::{Result, error, invalid_argument};
use crate::pg::index::{Part, TableRow, planned_workers, scan_table};
use crate::pg::memory::{RowMemory, maintenance_work_mem_bytes};
use crate::pg::relation::Relation;
use crate::pg::thread::SignalBlock;
use crate::pg::vector::VectorArg;
use crate::pg::{buffer, progress, random, xact};
use castmatch_engine::index::hnsw::build::{Builder, PageSink, Supervisor, empty_index};
use castmatch_engine::index::hnsw::index::{Index, IndexParameters};
use castmatch_engine::index::hnsw::level_of;
use castmatch_engine::index::page::PageBytes;
use castmatch_engine::index::quantize::{CenterBuilder, CodeBits, Quantizer, Rankable};
use castmatch_engine::index::{ElementKind, HeapTid, IndexError};
use castmatch_engine::interrupt::{Interrupt, Interrupted};
use castmatch_engine::vector::f16;
use core::ffi::CStr;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::options;

/// Rows of the table and of the index.
pub struct Counts {
    /// Rows that were read.
    pub heap_rows: f64,
    /// Rows that are in the index.
    pub index_rows: f64,
}

const PHASE_SAMPLING: i64 = 2;
const PHASE_READING: i64 = 3;
const PHASE_LINKING: i64 = 4;
const PHASE_WRITING: i64 = 5;

/// The name of a phase, for pg_stat_progress_create_index.
pub fn phase_name(phase: i64) -> Option<&'static CStr> {
    match phase {
        1 => Some(c"initializing"),
        PHASE_SAMPLING => Some(c"sampling rows"),
        PHASE_READING => Some(c"reading rows"),
        PHASE_LINKING => Some(c"linking rows"),
        PHASE_WRITING => Some(c"writing pages"),
        _ => None,
    }
}

/// The seed of rotation and levels: the same for every index, so that the same rows give the same index.
const SEED: u64 = 0x6361_7374_6d61_7463;
