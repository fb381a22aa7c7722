//! The pass that takes the rows which are gone out of the index.
//!
//! The element of such a row becomes dead: it names no row any more and still leads searches to others, until
//! [`super::cleanup`] has repaired the lists that name it.

use crate::index::page::{NodePageMut, SlotState};
use crate::index::storage::{Change, PageWrite};
use crate::index::{HeapTid, IndexError};

use super::super::Index;
use super::super::sweep::{Content, PageCopy, sweep};
use super::VacuumStats;

/// Asks `is_dead` for every row in the index and makes the elements of those that are dead.
///
/// Each row that was in the index when the pass began is asked for exactly once, outside all locks: an element never moves, and
/// pages added meanwhile are visited too. (The validation of CREATE INDEX CONCURRENTLY lists the rows of an index this way.)
/// A page is locked exclusively only if something on it is dead, and is then changed by one log record.
///
/// # Errors
/// Those of the storage, and [`IndexError::Corrupt`]. What was done until then stays done, the next vacuum goes on.
pub fn bulk_delete<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    mut is_dead: impl FnMut(HeapTid) -> bool,
    stats: &mut VacuumStats,
) -> Result<(), IndexError> {
    let mut copy = PageCopy::new();
    let mut dead: Vec<(u16, HeapTid)> = Vec::new();
    let mut remaining = 0u64;
    let removed = &mut stats.rows_removed;
    sweep(index, storage, &mut copy, |storage, copy| {
        let Content::Nodes(page) = copy.content(index)? else {
            return Ok(());
        };
        dead.clear();
        for (slot, content) in page.slots() {
            let head = content.map_err(|error| error.at(copy.block()))?.head;
            if !matches!(head.state, SlotState::Live | SlotState::Unranked) {
                continue;
            }
            if is_dead(head.tid) {
                dead.push((slot, head.tid));
            } else {
                remaining = remaining.saturating_add(1);
            }
        }
        if !dead.is_empty() {
            *removed = removed.saturating_add(kill(index, storage, copy.block(), &dead)?);
        }
        Ok(())
    })?;
    stats.rows_remaining = remaining;
    Ok(())
}

/// Makes the slots dead that still hold these rows. Returns how many.
fn kill<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    block: u32,
    dead: &[(u16, HeapTid)],
) -> Result<u64, IndexError> {
    let killed = storage.update(block, |bytes| {
        let mut count = 0u64;
        let mut work = || {
            let mut page = NodePageMut::open(bytes, &index.layout)?;
            for (slot, tid) in dead {
                let head = page.as_ref().slot(*slot)?.head;
                if head.tid == *tid && matches!(head.state, SlotState::Live | SlotState::Unranked) {
                    page.set_tid(*slot, HeapTid::NONE)?;
                    page.set_state(*slot, SlotState::Dead)?;
                    count = count.saturating_add(1);
                }
            }
            Ok(())
        };
        let result = work();
        (
            if count > 0 { Change::Made } else { Change::None },
            result.map(|()| count),
        )
    })?;
    killed.map_err(|error: crate::index::page::PageError| error.at(block))
}
