//! An index takes shape: in memory as long as maintenance_work_mem allows, on its pages from then on. What is on pages is linked in
//! the end, part by part.
//!
//! Nobody else sees the index yet, so its pages are written without WAL; the build logs them as a whole in the end.

use super::{PHASE_LINKING, PHASE_READING, PHASE_WRITING};
use crate::am::backend::{Backend, File};
use crate::am::hints::Hints;
use crate::am::storage::RelationStorage;
use crate::pg::progress;
use crate::pg::relation::Relation;
use crate::pg::signals::check_for_interrupts;
use crate::pg::tempfile::TempFile;
use castmatch_engine::index::hnsw::Index;
use castmatch_engine::index::hnsw::build::{Builder, Means, Pushed, Sharded, link_pages};
use castmatch_engine::index::hnsw::insert::{Inserter, NewElement};
use castmatch_engine::index::key::RowKeys;
use castmatch_engine::index::quantize::{CodeRef, Rankable};
use castmatch_engine::index::{HeapTid, IndexError};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::rc::Rc;

/// One of so many elements that a build in parts could not link with the others is worth a warning.
const NOTABLE: u64 = 50;

/// Where the index is.
enum Stage<'a> {
    Memory(Builder<'a>),
    Pages {
        storage: RelationStorage,
        inserter: Box<Inserter>,
        rows: u64,
    },
    /// Between the two, and after the end.
    Moving,
}

/// An index under construction.
pub struct Assembly<'a> {
    relation: Relation,
    index: &'a Index,
    stage: Stage<'a>,
    means: Means,
    code: Vec<u8>,
}

impl<'a> Assembly<'a> {
    /// An empty one, that may use so much memory and so many threads beside this one.
    pub fn new(relation: Relation, index: &'a Index, means: Means) -> Self {
        Self {
            relation,
            index,
            stage: Stage::Memory(Builder::new(index, means.memory_bytes, means.threads)),
            means,
            code: vec![0; index.quantizer.code_bytes()],
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn add(
        &mut self,
        transformed: &[f32],
        rankable: Rankable,
        keys: &RowKeys,
        tid: HeapTid,
    ) -> Result<(), IndexError> {
        if let Stage::Memory(builder) = &mut self.stage {
            let factors = self.index.quantizer.encode(transformed, &mut self.code);
            let code = CodeRef {
                factors,
                code: &self.code,
            };
            if builder.push(code, keys.as_bytes(), tid, rankable)? == Pushed::Stored {
                return Ok(());
            }
            self.move_to_pages()?;
        }
        if let Stage::Pages {
            storage,
            inserter,
            rows,
        } = &mut self.stage
        {
            let element = NewElement {
                transformed,
                rankable,
                tid,
                level: self.index.level(tid),
                keys: keys.as_bytes(),
            };
            check_for_interrupts();
            inserter.store_unlinked(self.index, storage, &element, *rows)?;
            *rows += 1;
        }
        Ok(())
    }

    /// Finishes the index. Returns its rows and its blocks.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn finish(mut self) -> Result<(f64, u32), IndexError> {
        match core::mem::replace(&mut self.stage, Stage::Moving) {
            Stage::Memory(builder) => {
                let rows = f64::from(builder.count());
                Ok((rows, write(self.relation, builder)?))
            }
            Stage::Pages {
                mut storage, rows, ..
            } => {
                progress::phase(PHASE_LINKING);
                let mut tape = TempFile::new();
                let sharded = link_pages(
                    self.index,
                    &mut storage,
                    &mut tape,
                    self.means,
                    &Backend::default(),
                )?;
                tape.close();
                if sharded.relinked.saturating_mul(NOTABLE) > sharded.elements {
                    self.warn_of(sharded);
                }
                Ok((rows as f64, self.relation.blocks()))
            }
            Stage::Moving => Ok((0.0, self.relation.blocks())),
        }
    }

    /// Says that the memory did not even suffice for parts.
    fn warn_of(&self, sharded: Sharded) {
        let Sharded {
            relinked, elements, ..
        } = sharded;
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            format!(
                "{relinked} of {elements} rows of index \"{}\" did not fit into maintenance_work_mem ({} MB) even in parts: searches may find fewer of them",
                self.relation.name(),
                self.means.memory_bytes >> 20
            ),
            function_name!(),
        )
        .set_hint("Increase maintenance_work_mem and REINDEX.")
        .report(PgLogLevel::WARNING);
    }

    /// Writes what is in memory, and goes on with the pages.
    fn move_to_pages(&mut self) -> Result<(), IndexError> {
        let Stage::Memory(builder) = core::mem::replace(&mut self.stage, Stage::Moving) else {
            return Ok(());
        };
        let rows = u64::from(builder.count());
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!(
                "index \"{}\" needs more than maintenance_work_mem ({} MB, reached after {rows} rows): it is built in parts, which takes about twice as long",
                self.relation.name(),
                self.means.memory_bytes >> 20
            ),
            function_name!(),
        )
        .set_hint("Increase maintenance_work_mem to build it in one piece.")
        .report(PgLogLevel::NOTICE);
        progress::phase(PHASE_WRITING);
        builder.write_unlinked(&mut File {
            relation: self.relation,
        })?;
        drop(builder);
        progress::phase(PHASE_READING);
        self.stage = Stage::Pages {
            storage: RelationStorage::new(self.relation, Rc::<Hints>::default()).without_wal(),
            inserter: Box::default(),
            rows,
        };
        Ok(())
    }
}

/// Links the elements and writes the pages. Returns the number of blocks.
fn write(relation: Relation, builder: Builder<'_>) -> Result<u32, IndexError> {
    progress::phase(PHASE_LINKING);
    let built = builder.finish(&Backend::default())?;
    progress::phase(PHASE_WRITING);
    let written = built.write_index(&mut File { relation })?;
    Ok(written.end_block)
}
