//! Taking deleted rows out of the index.
//!
//! [`bulk_delete`] makes the elements of deleted rows dead, in one pass. [`cleanup`] then repairs the lists that name dead
//! elements, page by page and without a search, renews the entry set, looks at what was written meanwhile, links again what
//! became unreachable, and frees the dead. No lock outlasts the change of one page; scans and insertions go on all the time.
//!
//! A vacuum that is interrupted or crashes between any two records leaves an index that works: dead elements lead on until
//! they are freed, and they are freed only after nothing names them. The next cleanup begins with a census of the pages,
//! not with what the last one knew, and completes what was left, also what crashed insertions left.
//!
//! Memory: five bits for each slot of the index, 60 MB for 100 million.

mod adopt;
mod census;
mod delete;
mod entries;
mod free;
mod mend;
mod relink;
mod repair;
#[cfg(test)]
pub(super) mod tests;

pub use delete::bulk_delete;

use crate::index::IndexError;
use crate::index::page::EntrySet;
use crate::index::storage::PageWrite;

use super::Index;
use super::idset::IdSet;
use super::paged::PagedScratch;
use super::reach::Reach;
use census::Census;
use relink::Relinker;
use repair::Repair;

/// What a vacuum did and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VacuumStats {
    /// Rows that were taken out, by all passes of [`bulk_delete`].
    pub rows_removed: u64,
    /// Rows in the index after the last pass.
    pub rows_remaining: u64,
    /// Lists of neighbours that were repaired.
    pub lists_repaired: u64,
    /// Elements to which nothing led any more and that were linked again.
    pub elements_relinked: u64,
    /// Slots that became free.
    pub slots_freed: u64,
    /// The length of the index in blocks.
    pub blocks: u32,
}

/// Repairs the graph after [`bulk_delete`], or after a crash, and frees what is dead. Without either it is one pass of reading.
///
/// # Errors
/// Those of the storage, [`IndexError::Corrupt`], [`IndexError::OutOfMemory`]. The index works on, and the next cleanup completes
/// this one.
pub fn cleanup<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    stats: &mut VacuumStats,
) -> Result<(), IndexError> {
    let census = Census::take(index, storage)?;
    stats.blocks = census.blocks;
    stats.rows_remaining = census.unranked.saturating_add(census.live.len() as u64);
    let damaged = !census.dead.is_empty() || census.has_dangling();
    let mut repair = Repair::new(index, storage, &census)?;
    let began = storage.position();
    if damaged {
        repair.pass(storage, None, stats)?;
    }
    let entries = entries::renew_entries(index, storage, &census, &mut PagedScratch::default())?;
    if damaged {
        // Insertions that were under way in the first pass may have written the name of a dead element since. Those that do so
        // later look at their neighbours again and see that it is dead.
        repair.pass(storage, Some(began), stats)?;
    }
    if census.has_lost_records() {
        adopt::adopt_records(index, storage, &census)?;
    }
    if damaged || census.has_orphans(&entries) {
        link_again(index, storage, [&census.live, repair.arrived()], entries, stats)?;
    }
    if !census.dead.is_empty() {
        free::free_records(index, storage, &census)?;
        free::free_slots(index, storage, &census, stats)?;
    }
    Ok(())
}

/// Makes the highest elements the entries, and links every element that a search cannot come to, for a build on pages. Returns how many
/// those were.
///
/// # Errors
/// Those of the storage, [`IndexError::Corrupt`], [`IndexError::OutOfMemory`].
pub(super) fn connect<S: PageWrite>(index: &Index, storage: &mut S) -> Result<u64, IndexError> {
    let census = Census::take(index, storage)?;
    let entries = entries::renew_entries(index, storage, &census, &mut PagedScratch::default())?;
    let mut stats = VacuumStats::default();
    let none = IdSet::default();
    link_again(index, storage, [&census.live, &none], entries, &mut stats)?;
    Ok(stats.elements_relinked)
}

/// Links the live elements again that cannot be come to: from the highest entry over level 0, unless insertions would not keep it so. A
/// search begins at all entries, and on upper levels; but a set of entries that is full gives up its lowest for a higher element, an upper list drops members that nothing else
/// leads to, and what only those led to would be out of reach then. The ways of level 0 outlast all insertions (see
/// [`super::insert`]), and the highest entry is the last to be given up.
fn link_again<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    live: [&IdSet; 2],
    entries: EntrySet,
    stats: &mut VacuumStats,
) -> Result<(), IndexError> {
    let mut reach = Reach::new(index, storage)?;
    match entries.highest() {
        Some(entry) if index.keeps_reachable() => reach.spread_at_level_0(storage, entry.id)?,
        _ => reach.spread_from_entries(storage, &entries)?,
    }
    let mut relinker = Relinker::new(index, &entries);
    for live in live {
        let mut from = 0;
        while let Some(id) = live.next_not_in(reach.met(), from) {
            if relinker.relink(storage, id, reach.met())? {
                stats.elements_relinked = stats.elements_relinked.saturating_add(1);
                reach.spread_from_element(storage, id)?;
            }
            from = id.0.saturating_add(1);
        }
    }
    Ok(())
}
