//! Reading a GIN index over bigint keys, page by page.
//!
//! As the server's own scans do (src/backend/access/gin/README): one page locked at a time, to the right where a split has moved
//! what is looked for. Pages of the entry tree are never deleted. Those of a posting tree are, by a VACUUM that must have
//! the tree's root for itself: the root stays pinned while its leaves are read, and the entry page is unlocked before. What is
//! inserted meanwhile belongs to rows that no snapshot taken before can see.

use super::buffer;
use super::index::count_scan;
use super::relation::Relation;
use super::signals::check_for_interrupts;
use super::snapshot::in_recovery;
use crate::error::{Result, error, not_in_state};
use castmatch_engine::text::gin::{Damage, META_BLOCK, Page, PostingPage, Postings, ROOT_BLOCK, Step};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::TryReserveError;

unsafe extern "C-unwind" {
    /// Notes that a serializable transaction has read the relation. Not bound by pgrx; the same since PostgreSQL 9.1.
    fn PredicateLockRelation(relation: pg_sys::Relation, snapshot: pg_sys::Snapshot);
}

/// An open index, locked as a query that reads it does, until the transaction ends.
pub struct OpenGin(Relation);

/// The error for scores that find no room.
pub fn no_memory() -> pgrx::pg_sys::panic::ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        "out of memory while rows are searched by their text",
    )
}

/// What is done with the keys of an index.
pub trait Visit {
    /// Looks at a key and its rows. The page is locked: nothing of the server may be called.
    ///
    /// # Errors
    /// Ends the visit.
    fn entry(&mut self, key: i64, postings: Postings<'_>) -> Result<(), Damage>;

    /// Runs after each page, with nothing locked.
    ///
    /// # Errors
    /// Ends the visit.
    fn page_done(&mut self, _index: &OpenGin) -> Result<()> {
        Ok(())
    }
}

/// Why looking at a page ended.
#[derive(Debug)]
pub enum Stopped {
    /// The page is damaged.
    Damaged(Damage),
    /// There is no memory for what stands on it.
    NoMemory,
}

impl From<Damage> for Stopped {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl From<TryReserveError> for Stopped {
    fn from(_: TryReserveError) -> Self {
        Self::NoMemory
    }
}

impl OpenGin {
    /// Opens an index, whose table is locked. Counts as a scan of it.
    ///
    /// # Errors
    /// 55000 for an unlogged one on a standby, and for one with a pending list, which castmatch does not read.
    pub fn open(oid: pg_sys::Oid) -> Result<Self> {
        // SAFETY: raises an ERROR if it is gone by now; closed when the result goes.
        let index = unsafe {
            Relation::from_raw(pg_sys::index_open(
                oid,
                pg_sys::AccessShareLock as pg_sys::LOCKMODE,
            ))
        };
        let opened = Self(index);
        if index.is_unlogged() && in_recovery() {
            return Err(not_in_state(format!(
                "index \"{}\" is unlogged and cannot be read during recovery",
                index.name()
            )));
        }
        // A serializable transaction sees what would change the result: insertions into any part of the index.
        // SAFETY: an open relation and the snapshot of the calling query.
        unsafe {
            let snapshot = pg_sys::GetActiveSnapshot();
            pg_sys::ffi::pg_guard_ffi_boundary(|| PredicateLockRelation(index.as_ptr(), snapshot));
        }
        if opened.page(META_BLOCK, |page| Ok(page.has_pending()?))? {
            return Err(not_in_state(format!(
                "text index \"{}\" keeps new rows in a pending list",
                index.name()
            ))
            .set_hint(format!(
                "Run ALTER INDEX {name} SET (fastupdate = off), then VACUUM.",
                name = index.qualified_name()
            )));
        }
        count_scan(index);
        Ok(opened)
    }

    /// Visits the keys from `first` to `last`, in their order.
    ///
    /// # Errors
    /// XX002 for a damaged index, and those of the visitor.
    pub fn visit(&self, first: i64, last: i64, visitor: &mut impl Visit) -> Result<()> {
        let mut block = ROOT_BLOCK;
        let mut at_leaf = false;
        loop {
            check_for_interrupts();
            let next = self.page(block, |page| {
                let step = if at_leaf {
                    Step::Here
                } else {
                    page.entry_step(first)?
                };
                if step != Step::Here {
                    return Ok((step, None));
                }
                let more =
                    page.entries::<Damage>(first, last, |key, postings| visitor.entry(key, postings))?;
                Ok((step, page.right().filter(|_| more)))
            })?;
            match next {
                (Step::Down(next) | Step::Right(next), _) => block = next,
                (Step::Here, right) => {
                    visitor.page_done(self)?;
                    let Some(right) = right else { return Ok(()) };
                    at_leaf = true;
                    block = right;
                }
            }
        }
    }

    /// Shows the posting lists of each leaf of a posting tree to `look`, until it returns false. The page is locked: nothing of the server
    /// may be called.
    ///
    /// # Errors
    /// XX002 for a damaged index, 53200 when `look` finds no memory.
    pub fn read_tree(&self, root: u32, mut look: impl FnMut(&[u8]) -> Result<bool, Stopped>) -> Result<()> {
        buffer::keep_pinned(self.0, root, || {
            let mut block = root;
            loop {
                check_for_interrupts();
                let next = self.page(block, |page| match page.postings()? {
                    PostingPage::Inner(below) => Ok(Some(below)),
                    PostingPage::Leaf(lists) => Ok(if look(lists)? { page.right() } else { None }),
                })?;
                let Some(next) = next else { return Ok(()) };
                block = next;
            }
        })
    }

    fn page<R>(&self, block: u32, look: impl FnOnce(Page<'_>) -> Result<R, Stopped>) -> Result<R> {
        let (result, _) = buffer::read(self.0, block, |bytes| look(Page::new(bytes)?));
        result.map_err(|stopped| match stopped {
            Stopped::Damaged(damage) => error(
                PgSqlErrorCode::ERRCODE_INDEX_CORRUPTED,
                format!("index \"{}\", block {block}: {damage}", self.0.name()),
            )
            .set_hint(format!("REINDEX INDEX {}", self.0.qualified_name())),
            Stopped::NoMemory => no_memory(),
        })
    }
}

impl Drop for OpenGin {
    fn drop(&mut self) {
        // An abort closes it by itself.
        if !std::thread::panicking() {
            // SAFETY: opened in `open`; the lock stays until the transaction ends.
            unsafe { pg_sys::index_close(self.0.as_ptr(), pg_sys::NoLock as i32) };
        }
    }
}
