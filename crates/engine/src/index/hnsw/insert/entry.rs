//! The new element as one at which searches begin.

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::{PagedScratch, peek_entries};
use crate::index::page::{ENTRY_COUNT, Entry, EntrySet, Meta, ROW_BYTES, SlotState, parse_row};
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{IndexError, SlotId};

use super::own::change_or_error;

/// How often an entry set that changed is looked at again.
const ROUNDS: usize = 4;

/// Offers the element to the entry set. The meta page is locked only if that would change it, which becomes rare as the index
/// grows.
pub(super) fn offer_entry<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    id: SlotId,
    level: u8,
    scratch: &mut PagedScratch,
) -> Result<(), IndexError> {
    for _ in 0..ROUNDS {
        let seen = peek_entries(storage)?;
        let wanted = with_element(index, storage, &seen, Entry { id, level }, scratch)?;
        if wanted == seen {
            return Ok(());
        }
        let mut changed = false;
        let done = storage.update(0, |bytes| {
            change_or_error((|| {
                let mut meta = Meta::parse(bytes)?;
                changed = meta.entries != seen;
                if changed {
                    return Ok(Change::None);
                }
                meta.entries = wanted;
                meta.write(bytes)?;
                Ok(Change::Made)
            })())
        })?;
        done.map_err(|error| error.at(0))?;
        if !changed {
            return Ok(());
        }
    }
    Ok(())
}

/// The entry set as it should be with this element.
///
/// An entry that is gone makes room for any element. A dead one is still a way into the graph until vacuum replaces it: it makes room
/// for an element that is as high, or for any if no live entry is left, for then the new element may be reachable in no other way.
fn with_element<S: PageRead>(
    index: &Index,
    storage: &mut S,
    seen: &EntrySet,
    element: Entry,
    scratch: &mut PagedScratch,
) -> Result<EntrySet, IndexError> {
    let mut wanted = *seen;
    if wanted.contains(element.id) || wanted.len() < ENTRY_COUNT {
        wanted.offer(element.id, element.level);
        return Ok(wanted);
    }
    let places = seen.iter().map(|entry| index.layout.head_place(entry.id));
    let mut buffer = [index.layout.head_place(element.id); ENTRY_COUNT];
    for (place, entry) in buffer.iter_mut().zip(places) {
        *place = entry;
    }
    let rows = scratch.peek(storage, buffer.into_iter(), ROW_BYTES)?;
    let states = rows
        .chunks_exact(ROW_BYTES)
        .map(|row| parse_row(row).map_or(SlotState::Free, |(state, _)| state));
    let no_live = states.clone().all(|state| state != SlotState::Live);
    let replaced = seen
        .iter()
        .zip(states)
        .filter(|(entry, state)| match state {
            SlotState::Live => false,
            SlotState::Dead => no_live || entry.level <= element.level,
            SlotState::Free | SlotState::Unranked => true,
        })
        .min_by_key(|(entry, state)| (*state == SlotState::Dead, entry.level));
    if let Some((entry, _)) = replaced {
        wanted.remove(entry.id);
    }
    wanted.offer(element.id, element.level);
    Ok(wanted)
}
