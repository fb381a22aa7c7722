//! Where a new element is stored: a free slot, and free upper records in a row.
//!
//! Hints of room may be wrong either way; the page decides under its lock. Each function here makes one log record, and another
//! only to correct the hint.

use crate::index::hnsw::Index;
use crate::index::page::{
    Layout, NewSlot, NodePageMut, PageError, PageKind, UpperId, UpperPageMut, init_page, page_kind,
};
use crate::index::storage::{Change, PageWrite};
use crate::index::{IndexError, SlotId};

/// How many hints of room are tried.
const HINTS: usize = 4;

/// Where something was stored on a page, and the room that is left.
struct Stored {
    at: u16,
    room: u16,
}

/// Writes the slot to a free place. `entropy` chooses a page to look at before the index grows, where no hint tells of room.
pub(super) fn store_slot<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    slot: &NewSlot<'_>,
    entropy: u64,
) -> Result<SlotId, IndexError> {
    let layout = &index.layout;
    let write = |bytes: &mut [u8]| write_slot(bytes, layout, slot);
    let (block, at) = store(index, storage, PageKind::Node, 1, entropy, write)?;
    layout.id(block, at).ok_or(IndexError::Limit {
        what: "number of index pages",
        value: u64::from(block).saturating_add(1),
        limit: u64::from(layout.max_blocks()),
    })
}

/// Writes the lists of the levels from 1 to free records in a row. Returns the first.
pub(super) fn store_uppers<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    owner: SlotId,
    lists: &[Vec<SlotId>],
    entropy: u64,
) -> Result<UpperId, IndexError> {
    let layout = &index.layout;
    let needed = u16::try_from(lists.len()).unwrap_or(u16::MAX);
    let write = |bytes: &mut [u8]| write_uppers(bytes, layout, owner, lists);
    let (block, at) = store(index, storage, PageKind::Upper, needed, entropy, write)?;
    layout.upper_id(block, at).ok_or(IndexError::Limit {
        what: "number of index pages",
        value: u64::from(block).saturating_add(1),
        limit: u64::from(layout.max_blocks()),
    })
}

fn write_slot(bytes: &mut [u8], layout: &Layout, slot: &NewSlot<'_>) -> Result<Option<Stored>, PageError> {
    let mut page = NodePageMut::open(bytes, layout)?;
    let Some(at) = page.as_ref().first_free() else {
        return Ok(None);
    };
    page.write_slot(at, slot)?;
    let room = u16::from(page.as_ref().first_free().is_some());
    Ok(Some(Stored { at, room }))
}

fn write_uppers(
    bytes: &mut [u8],
    layout: &Layout,
    owner: SlotId,
    lists: &[Vec<SlotId>],
) -> Result<Option<Stored>, PageError> {
    let mut page = UpperPageMut::open(bytes, layout)?;
    let needed = u16::try_from(lists.len()).unwrap_or(u16::MAX);
    let Some(at) = page.as_ref().find_free(needed) else {
        return Ok(None);
    };
    for ((level, list), at) in (1..).zip(lists).zip(at..) {
        page.write(at, owner, level, list)?;
    }
    let room = page.as_ref().longest_free_run();
    Ok(Some(Stored { at, room }))
}

/// Stores something by `write` on a page with room: one that a hint names, one looked at by chance, or a new one.
fn store<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    kind: PageKind,
    needed: u16,
    entropy: u64,
    write: impl Fn(&mut [u8]) -> Result<Option<Stored>, PageError>,
) -> Result<(u32, u16), IndexError> {
    for _ in 0..HINTS {
        let Some(block) = storage.find_room(kind, needed)? else {
            break;
        };
        if let Some(at) = store_on(index, storage, kind, block, &write)? {
            return Ok((block, at));
        }
    }
    let blocks = storage.blocks()?;
    if let Some(block) = page_by_chance(index, blocks, entropy)
        && let Some(at) = store_on(index, storage, kind, block, &write)?
    {
        return Ok((block, at));
    }
    // Refuses before the index grows beyond what ids can number.
    index.layout.id_bound(blocks.saturating_add(1))?;
    let (block, stored) = storage.extend(|_, bytes| {
        init_page(bytes, kind)?;
        write(bytes)
    })?;
    let stored = stored
        .map_err(|error| error.at(block))?
        .ok_or(IndexError::Corrupt {
            block,
            what: "new page has no room",
        })?;
    storage.note_room(block, kind, room_of_new(index, kind, needed))?;
    Ok((block, stored.at))
}

/// How many entries a new page has room for after the first ones were stored.
fn room_of_new(index: &Index, kind: PageKind, stored: u16) -> u16 {
    let entries = match kind {
        PageKind::Upper => index.layout.uppers_per_page(),
        _ => index.layout.slots_per_page(),
    };
    entries.saturating_sub(stored)
}

/// A page among those of elements and upper records.
fn page_by_chance(index: &Index, blocks: u32, entropy: u64) -> Option<u32> {
    let first = index.first_node_block();
    let count = u64::from(blocks.checked_sub(first)?);
    let offset = u32::try_from(entropy.checked_rem(count)?).ok()?;
    first.checked_add(offset)
}

/// Stores something on this page, if it is of the kind, or new, and has room. A hint that proves wrong is corrected.
fn store_on<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    kind: PageKind,
    block: u32,
    write: impl Fn(&mut [u8]) -> Result<Option<Stored>, PageError>,
) -> Result<Option<u16>, IndexError> {
    if block < index.first_node_block() || block >= storage.blocks()? {
        storage.note_room(block, kind, 0)?;
        return Ok(None);
    }
    let stored = storage.update(block, |bytes| {
        let mut work = || {
            match page_kind(bytes)? {
                // What a crash left of an extension.
                None => init_page(bytes, kind)?,
                Some(found) if found != kind => return Ok(None),
                Some(_) => {}
            }
            write(bytes)
        };
        let stored = work();
        let change = match stored {
            Ok(Some(_)) => Change::Made,
            _ => Change::None,
        };
        (change, stored)
    })?;
    let stored = stored.map_err(|error| error.at(block))?;
    let room = stored.as_ref().map_or(0, |stored| stored.room);
    // Upper records are asked for in rows of several lengths, so their room is always noted; a node page only when it is full.
    if room == 0 || kind == PageKind::Upper {
        storage.note_room(block, kind, room)?;
    }
    Ok(stored.map(|stored| stored.at))
}
