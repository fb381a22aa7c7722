//! The last passes of a cleanup: what nothing leads to any more becomes room for new elements.
//!
//! Upper records are freed before the slots of their owners. A crash in between leaves dead elements without lists above level 0,
//! to which nothing leads and which the next vacuum frees.

use crate::index::page::{NodePageMut, PageError, PageKind, SlotState, UpperPage, UpperPageMut};
use crate::index::storage::{Change, PageWrite};
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::sweep::{Content, PageCopy};
use super::VacuumStats;
use super::census::Census;

/// Frees the upper records of dead elements.
///
/// # Errors
/// Those of the storage, [`IndexError::Corrupt`].
pub(super) fn free_records<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    census: &Census,
) -> Result<(), IndexError> {
    let mut copy = PageCopy::new();
    // A dead element was inserted long before the census, and its lists were.
    for block in census.upper_blocks.iter() {
        let block = block.0;
        storage.check_interrupts()?;
        copy.load(storage, block)?;
        let Content::Uppers(page) = copy.content(index)? else {
            continue;
        };
        let dead = dead_records(&page, census).map_err(|error| error.at(block))?;
        if dead.is_empty() {
            continue;
        }
        let free = storage.update(block, |bytes| {
            let result = clear_records(index, bytes, &dead);
            (
                if result.is_ok() {
                    Change::Made
                } else {
                    Change::None
                },
                result,
            )
        })?;
        storage.note_room(block, PageKind::Upper, free.map_err(|error| error.at(block))?)?;
    }
    Ok(())
}

fn dead_records(page: &UpperPage<'_>, census: &Census) -> Result<Vec<(u16, SlotId)>, PageError> {
    let mut dead = Vec::new();
    for (number, record) in page.records() {
        let record = record?;
        if record.used && census.dead.contains(record.owner) {
            dead.push((number, record.owner));
        }
    }
    Ok(dead)
}

/// Returns the longest run of free records.
fn clear_records(index: &Index, bytes: &mut [u8], dead: &[(u16, SlotId)]) -> Result<u16, PageError> {
    let mut page = UpperPageMut::open(bytes, &index.layout)?;
    for (number, owner) in dead {
        let record = page.as_ref().record(*number)?;
        if record.used && record.owner == *owner {
            page.clear(*number)?;
        }
    }
    Ok(page.as_ref().longest_free_run())
}

/// Frees the slots of dead elements.
///
/// # Errors
/// Those of the storage, [`IndexError::Corrupt`].
pub(super) fn free_slots<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    census: &Census,
    stats: &mut VacuumStats,
) -> Result<(), IndexError> {
    let mut from = 0;
    while let Some(id) = census.dead.next_from(from) {
        storage.check_interrupts()?;
        let (block, _) = index.layout.slot(id);
        let freed = storage.update(block, |bytes| {
            let result = clear_slots(index, bytes, block, census);
            let made = matches!(result, Ok((freed, _)) if freed > 0);
            (if made { Change::Made } else { Change::None }, result)
        })?;
        let (freed, free) = freed.map_err(|error| error.at(block))?;
        stats.slots_freed = stats.slots_freed.saturating_add(u64::from(freed));
        storage.note_room(block, PageKind::Node, free)?;
        let slots = u32::from(index.layout.slots_per_page());
        from = block.saturating_add(1).saturating_mul(slots);
    }
    Ok(())
}

/// Returns how many slots were freed and how many are free now.
fn clear_slots(
    index: &Index,
    bytes: &mut [u8],
    block: u32,
    census: &Census,
) -> Result<(u16, u16), PageError> {
    let mut page = NodePageMut::open(bytes, &index.layout)?;
    let mut freed = 0u16;
    for number in 0..index.layout.slots_per_page() {
        let dead = index
            .layout
            .id(block, number)
            .is_some_and(|id| census.dead.contains(id));
        if dead && page.as_ref().slot(number)?.head.state == SlotState::Dead {
            page.clear_slot(number)?;
            freed = freed.saturating_add(1);
        }
    }
    Ok((freed, page.as_ref().counts().free))
}
