//! What the builds of both access methods need of the server.

use crate::pg::relation::Relation;
use crate::pg::signals::check_for_interrupts;
use crate::pg::thread::SignalBlock;
use crate::pg::{buffer, progress};
use castmatch_engine::index::IndexError;
use castmatch_engine::index::hnsw::build::{PageSink, Supervisor};
use castmatch_engine::index::page::PageBytes;
use castmatch_engine::interrupt::{Interrupt, Interrupted};

/// Rows of the table and of the index.
pub struct Counts {
    /// Rows that were read.
    pub heap_rows: f64,
    /// Rows that are in the index.
    pub index_rows: f64,
}

/// The backend that builds: it answers cancel requests, and shows how far the threads are.
#[derive(Default)]
pub struct Backend {
    signals: SignalBlock,
}

impl Interrupt for Backend {
    fn check(&self) -> Result<(), Interrupted> {
        check_for_interrupts();
        Ok(())
    }
}

impl Supervisor for Backend {
    fn progress(&self, done: u64, total: u64) {
        progress::rows_total(i64::try_from(total).unwrap_or(i64::MAX));
        progress::rows_done(i64::try_from(done).unwrap_or(i64::MAX));
    }

    fn before_spawn(&self) {
        self.signals.block();
    }

    fn after_spawn(&self) {
        self.signals.restore();
    }
}

/// The index's file, written from its front.
pub struct File {
    /// The index.
    pub relation: Relation,
}

impl PageSink for File {
    fn page(&mut self, block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        check_for_interrupts();
        buffer::append_unlogged(self.relation, block, bytes);
        Ok(())
    }
}

/// Pages in memory, for the init fork.
#[derive(Default)]
pub struct Pages(Vec<Box<PageBytes>>);

impl Pages {
    /// The pages, by block.
    pub fn as_slice(&self) -> &[Box<PageBytes>] {
        &self.0
    }
}

impl PageSink for Pages {
    fn page(&mut self, _block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        self.0.push(Box::new(*bytes));
        Ok(())
    }
}
