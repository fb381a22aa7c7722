//! The entry set after a deletion: no dead entries, and the best live elements in the free places.

use crate::index::page::{Entry, EntrySet, Meta, SlotState};
use crate::index::storage::{Change, PageWrite};
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::paged::{PagedScratch, peek_entries};
use super::census::Census;

/// Takes out of the entry set what is not live, sets right what has another level now, and offers it the live elements of the
/// highest levels. Entries that were added meanwhile stay. Returns the set as it is now.
///
/// # Errors
/// Those of the storage, [`IndexError::Corrupt`].
pub(super) fn renew_entries<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    census: &Census,
    scratch: &mut PagedScratch,
) -> Result<EntrySet, IndexError> {
    let known: Vec<Entry> = peek_entries(storage)?.iter().collect();
    let ids: Vec<SlotId> = known.iter().map(|entry| entry.id).collect();
    let levels: Vec<Option<u8>> = scratch
        .peek_heads(storage, &index.layout, &ids)?
        .map(|head| {
            head.filter(|head| head.state == SlotState::Live)
                .map(|head| head.level)
        })
        .collect();
    let renewed = storage.update(0, |page| {
        let mut meta = match Meta::parse(page) {
            Ok(meta) => meta,
            Err(error) => return (Change::None, Err(error)),
        };
        let before = meta.entries;
        for (entry, level) in known.iter().zip(&levels) {
            // One that somebody else changed meanwhile is that one's business.
            if !before.iter().any(|now| now == *entry) || *level == Some(entry.level) {
                continue;
            }
            meta.entries.remove(entry.id);
            if let Some(level) = level {
                meta.entries.offer(entry.id, *level);
            }
        }
        for entry in census.top.iter() {
            meta.entries.offer(entry.id, entry.level);
        }
        if meta.entries == before {
            return (Change::None, Ok(before));
        }
        match meta.write(page) {
            Ok(()) => (Change::Made, Ok(meta.entries)),
            Err(error) => (Change::None, Err(error)),
        }
    })?;
    renewed.map_err(|error| error.at(0))
}
