//! The free space map of an index: which pages have room. Only hints, not logged; vacuum renews them.

use super::relation::Relation;
use pgrx::pg_sys;

/// The map knows 255 steps of BLCKSZ / 256 bytes; we count entries in these steps.
const STEP_BYTES: usize = pg_sys::BLCKSZ as usize / 256;

/// A block that probably has room for `entries`.
pub fn find(relation: Relation, entries: u16) -> Option<u32> {
    // SAFETY: an open relation.
    let block = unsafe { pg_sys::GetPageWithFreeSpace(relation.as_ptr(), bytes(entries)) };
    (block != pg_sys::InvalidBlockNumber).then_some(block)
}

/// Notes how many entries a block has room for.
pub fn note(relation: Relation, block: u32, entries: u16) {
    // SAFETY: an open relation.
    unsafe { pg_sys::RecordPageWithFreeSpace(relation.as_ptr(), block, bytes(entries)) };
}

/// Makes the notes visible to searches from the top of the map.
pub fn propagate(relation: Relation) {
    // SAFETY: an open relation.
    unsafe { pg_sys::FreeSpaceMapVacuum(relation.as_ptr()) };
}

fn bytes(entries: u16) -> usize {
    usize::from(entries.min(254)) * STEP_BYTES
}
