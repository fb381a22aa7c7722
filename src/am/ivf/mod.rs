//! The access method `castmatch_ivf`: an inverted file.
#![allow(unsafe_code)]
// A callback reads or fills several fields of one structure of the server: one fact with one reason.
#![allow(clippy::multiple_unsafe_ops_per_block)]

mod build;
mod cost;
mod insert;
pub mod options;
mod scan;
mod state;
mod vacuum;

use crate::am::opclass::OpClass;
use crate::am::{raise, routine, search, upkeep, validate};
use crate::pg::index::Columns;
use crate::pg::relation::Relation;
use castmatch_engine::index::{ElementKind, Metric};
use core::ffi::{c_char, c_int, c_void};
use pgrx::pg_sys;
use pgrx::prelude::*;

pub use state::open;

/// The name of the access method.
pub const METHOD: &str = "castmatch_ivf";

/// Whether an operator class is one that the method has codes for: those of one bit say nothing of taxicab and Jaccard distances, and those
/// of sparse vectors would add their error to that of a projection.
fn serves(class: OpClass) -> bool {
    !matches!(class.metric, Metric::L1 | Metric::Jaccard) && class.element != ElementKind::Sparsevec
}

routine::access_method!(castmatch_ivf_handler);
