//! Taking deleted rows out, and keeping the lists fit.
//!
//! [`bulk_delete`] takes rows out, page by page. [`cleanup`] first finishes or undoes what an earlier one left, gives back the pages of
//! lists that nobody can see any more, counts the rows of all lists, and then replaces those that have grown too long, too short or too
//! empty by new ones, as long as there is time: so an index that grew from nothing comes to have the lists that a build would
//! give it, and needs no REINDEX.
//!
//! # A replacement
//!
//! Some lists close to each other are replaced together, which gives almost the lists of a build (`replace`):
//!
//! 1. Their rows are copied to new lists, which nobody sees yet. Rows are added meanwhile; those are copied in further passes.
//! 2. The old lists become closing ones, the *leader* among them first; their last pages are closed. What was added until then is copied.
//! 3. The leader is retired: with this one record the old lists are no longer searched, and the new ones are.
//! 4. The new lists become active, the old ones retired. Their pages stay until no scan can know them.
//!
//! A crash before step 3 leaves closing lists, which the next cleanup opens again, and pending ones, whose pages it gives back; after it,
//! it completes step 4. The version of the directory is odd meanwhile, so that no backend keeps what it read of it.

mod census;
mod delete;
mod finish;
mod plan;
mod replace;
mod writer;

pub use delete::bulk_delete;

use crate::index::IndexError;
use crate::index::storage::{Change, PageWrite};

use super::index::Index;
use super::page::Meta;
use crate::index::HeapTid;
use crate::index::hnsw::build::Supervisor;
use census::Census;

/// What a vacuum did and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VacuumStats {
    /// Rows that were taken out, by all passes of [`bulk_delete`].
    pub rows_removed: u64,
    /// Rows in the index after the last pass.
    pub rows_remaining: u64,
    /// Lists that were replaced.
    pub lists_replaced: u64,
    /// Lists that took their place.
    pub lists_made: u64,
    /// Lists that are left for the next vacuum, for want of time.
    pub lists_left: u64,
    /// Pages that became unused.
    pub pages_freed: u64,
    /// The length of the index in blocks.
    pub blocks: u32,
}

/// The table and the transactions, as far as a cleanup needs them.
pub trait Surroundings: Supervisor {
    /// Writes the vector of a row to `out`, by [`Index::transform`], whatever version of the row there is. False if it cannot be had.
    ///
    /// # Errors
    /// Those of the table.
    fn vector(&mut self, tid: HeapTid, out: &mut [f32]) -> Result<bool, IndexError>;

    /// The number of the next transaction.
    fn next_transaction(&mut self) -> u64;

    /// Whether all transactions that could see what was so before this one have ended.
    fn is_past(&mut self, transaction: u64) -> bool;

    /// Whether there is time for more.
    fn has_time(&mut self) -> bool;

    /// What may be occupied, in bytes.
    fn memory_bytes(&self) -> usize;
}

/// Keeps the lists fit.
///
/// # Errors
/// Those of the storage and of the table, [`IndexError::Corrupt`], [`IndexError::OutOfMemory`]. The index works on, and the next cleanup
/// completes this one.
pub fn cleanup<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    around: &mut impl Surroundings,
    stats: &mut VacuumStats,
) -> Result<(), IndexError> {
    finish::finish(index, storage, around)?;
    stats.pages_freed += finish::recycle(index, storage, around)?;
    let mut census = Census::take(index, storage)?;
    stats.pages_freed += census.pages_freed;
    stats.rows_remaining = census.rows();
    let mut planner = plan::Planner::new(index, &census);
    let mut begun = false;
    let outcome = loop {
        if !planner.has_work(&census) {
            break Ok(());
        }
        if !around.has_time() {
            stats.lists_left = planner.left(&census);
            break Ok(());
        }
        if !begun {
            begun = true;
            set_replacing(storage, true)?;
        }
        match replace::replace(index, storage, around, &mut planner, &mut census, stats) {
            Ok(()) => {}
            Err(error) => break Err(error),
        }
    };
    if begun && outcome.is_ok() {
        set_replacing(storage, false)?;
    }
    outcome?;
    stats.blocks = storage.blocks()?;
    Ok(())
}

/// Makes the version of the directory odd or even, always another one.
fn set_replacing<S: PageWrite>(storage: &mut S, replacing: bool) -> Result<(), IndexError> {
    let changed = storage.update(0, |page| {
        let meta = match Meta::parse(page) {
            Ok(meta) => meta,
            Err(error) => return (Change::None, Err(error)),
        };
        let odd = meta.version % 2 == 1;
        let version = meta.version.wrapping_add(if odd == replacing { 2 } else { 1 });
        match Meta::write_version(page, version, meta.generation) {
            Ok(()) => (Change::Made, Ok(())),
            Err(error) => (Change::None, Err(error)),
        }
    })?;
    changed.map_err(|error| error.at(0))
}
