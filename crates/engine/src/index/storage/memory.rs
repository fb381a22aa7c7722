//! Pages in memory: the storage of tests and benchmarks.
//!
//! It counts log records, can fail before the n-th of them as a crash would, and can interrupt at the n-th check. It also watches
//! its caller: a page that changes although the closure said that it did not, and a changed page header, are errors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Change, PageRead, PageWrite, Place, Position};
use crate::index::IndexError;
use crate::index::page::{HEADER_BYTES, PAGE_BYTES, PageBytes, PageKind};
use crate::interrupt::Interrupted;

/// Pages in memory. A clone is an independent copy.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    pages: Vec<Page>,
    position: u64,
    positions_unknown: bool,
    room: BTreeMap<(PageKind, u32), u16>,
    max_blocks: Option<u32>,
    /// Records that still succeed; stays at 0 until [`MemoryStorage::recover`].
    records_left: Option<u64>,
    failed: bool,
    /// Checks that still succeed.
    checks_left: Option<u64>,
    counts: StorageCounts,
}

#[derive(Debug, Clone)]
struct Page {
    bytes: Box<PageBytes>,
    changed: u64,
}

/// What a [`MemoryStorage`] was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StorageCounts {
    /// Log records: updates that made a change, and extensions.
    pub records: u64,
    /// Places copied by peeks.
    pub peeked: u64,
    /// Calls of peek.
    pub peeks: u64,
    /// Pages read under a shared lock.
    pub reads: u64,
    /// Pages locked exclusively, changed or not.
    pub updates: u64,
    /// Checks for interrupts.
    pub checks: u64,
}

impl MemoryStorage {
    /// What an update or extension returns from the injected failure on.
    pub const FAILURE: IndexError = IndexError::OutOfMemory {
        what: "injected failure",
        bytes: 0,
    };

    /// No pages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `records` more log records succeed. The next one fails and changes nothing, as do all after it, until
    /// [`MemoryStorage::recover`]: what a crash between two records leaves.
    pub fn fail_after(&mut self, records: u64) {
        self.records_left = Some(records);
    }

    /// Ends the failure as a restart does: pages stay, hints of room are lost.
    pub fn recover(&mut self) {
        self.records_left = None;
        self.failed = false;
        self.room.clear();
    }

    /// Whether the injected failure has happened.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Lets `checks` more checks for interrupts succeed; the next one interrupts, once.
    pub fn interrupt_after(&mut self, checks: u64) {
        self.checks_left = Some(checks);
    }

    /// Makes every page count as changed, as in an unlogged index.
    pub fn forget_positions(&mut self) {
        self.positions_unknown = true;
    }

    /// Refuses to grow beyond so many blocks.
    pub fn set_max_blocks(&mut self, blocks: u32) {
        self.max_blocks = Some(blocks);
    }

    /// What it was asked for since its creation.
    #[must_use]
    pub fn counts(&self) -> StorageCounts {
        self.counts
    }

    /// The bytes of a page.
    #[must_use]
    pub fn page(&self, block: u32) -> Option<&PageBytes> {
        self.pages.get(position_of(block)).map(|page| &*page.bytes)
    }

    /// The bytes of a page, to damage them: nothing is counted or checked.
    pub fn page_mut(&mut self, block: u32) -> Option<&mut PageBytes> {
        self.pages
            .get_mut(position_of(block))
            .map(|page| &mut *page.bytes)
    }

    /// Adds a finished page, as a build does. Returns its block.
    ///
    /// # Errors
    /// [`IndexError::Limit`] when the storage is full.
    pub fn push_page(&mut self, bytes: &PageBytes) -> Result<u32, IndexError> {
        self.extend(|_, page| page.copy_from_slice(bytes))
            .map(|(block, ())| block)
    }

    fn page_or_error(&self, block: u32) -> Result<&Page, IndexError> {
        self.pages.get(position_of(block)).ok_or(IndexError::Corrupt {
            block,
            what: "block is outside the index",
        })
    }

    /// Takes one log record: fails if it is the one that the injected failure precedes.
    fn take_record(&mut self) -> Result<u64, IndexError> {
        match &mut self.records_left {
            Some(0) => {
                self.failed = true;
                return Err(Self::FAILURE);
            }
            Some(left) => *left = left.saturating_sub(1),
            None => {}
        }
        self.counts.records = self.counts.records.saturating_add(1);
        self.position = self.position.saturating_add(1);
        Ok(self.position)
    }

    fn block_count(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }
}

fn position_of(block: u32) -> usize {
    usize::try_from(block).unwrap_or(usize::MAX)
}

impl PageRead for MemoryStorage {
    fn blocks(&mut self) -> Result<u32, IndexError> {
        Ok(self.block_count())
    }

    fn peek(&mut self, places: &[Place], length: usize, out: &mut [u8]) -> Result<(), IndexError> {
        self.counts.peeks = self.counts.peeks.saturating_add(1);
        if length == 0 {
            return Ok(());
        }
        for (place, out) in places.iter().zip(out.chunks_exact_mut(length)) {
            self.counts.peeked = self.counts.peeked.saturating_add(1);
            let offset = usize::from(place.offset);
            let bytes = self
                .pages
                .get(position_of(place.block))
                .and_then(|page| page.bytes.get(offset..).and_then(|rest| rest.get(..length)));
            match bytes {
                Some(bytes) => out.copy_from_slice(bytes),
                None => out.fill(0),
            }
        }
        Ok(())
    }

    fn read<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError> {
        self.counts.reads = self.counts.reads.saturating_add(1);
        Ok(look(&*self.page_or_error(block)?.bytes))
    }

    fn check_interrupts(&mut self) -> Result<(), IndexError> {
        self.counts.checks = self.counts.checks.saturating_add(1);
        match self.checks_left {
            Some(0) => {
                self.checks_left = None;
                Err(Interrupted.into())
            }
            Some(left) => {
                self.checks_left = Some(left.saturating_sub(1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl PageWrite for MemoryStorage {
    fn update<R>(
        &mut self,
        block: u32,
        change: impl FnOnce(&mut [u8]) -> (Change, R),
    ) -> Result<R, IndexError> {
        self.counts.updates = self.counts.updates.saturating_add(1);
        // The change is made to a copy, so that a failure leaves the page as it was.
        let mut copy = *self.page_or_error(block)?.bytes;
        let (made, result) = change(&mut copy);
        let before = &self.page_or_error(block)?.bytes;
        if before.first_chunk::<HEADER_BYTES>() != copy.first_chunk() {
            return Err(IndexError::Corrupt {
                block,
                what: "page header was changed",
            });
        }
        if made == Change::None {
            return if **before == copy {
                Ok(result)
            } else {
                Err(IndexError::Corrupt {
                    block,
                    what: "page was changed without saying so",
                })
            };
        }
        let changed = self.take_record()?;
        if let Some(page) = self.pages.get_mut(position_of(block)) {
            *page.bytes = copy;
            page.changed = changed;
        }
        Ok(result)
    }

    fn extend<R>(&mut self, fill: impl FnOnce(u32, &mut [u8]) -> R) -> Result<(u32, R), IndexError> {
        let block = self.block_count();
        let limit = self.max_blocks.unwrap_or(u32::MAX);
        if block >= limit {
            let value = u64::from(block).saturating_add(1);
            return Err(IndexError::Limit {
                what: "number of index pages",
                value,
                limit: u64::from(limit),
            });
        }
        self.pages.try_reserve(1).map_err(|_| IndexError::OutOfMemory {
            what: "pages in memory",
            bytes: PAGE_BYTES,
        })?;
        let mut bytes = Box::new([0; PAGE_BYTES]);
        let result = fill(block, &mut *bytes);
        let changed = self.take_record()?;
        self.pages.push(Page { bytes, changed });
        Ok((block, result))
    }

    fn find_room(&mut self, kind: PageKind, needed: u16) -> Result<Option<u32>, IndexError> {
        let of_kind = self.room.range((kind, 0)..=(kind, u32::MAX));
        Ok(of_kind
            .filter(|(_, free)| **free >= needed)
            .map(|((_, block), _)| *block)
            .next())
    }

    fn note_room(&mut self, block: u32, kind: PageKind, free: u16) -> Result<(), IndexError> {
        if free == 0 {
            self.room.remove(&(kind, block));
        } else {
            self.room.insert((kind, block), free);
        }
        Ok(())
    }

    fn position(&mut self) -> Position {
        Position(self.position)
    }

    fn changed_since(&mut self, block: u32, since: Position) -> Result<bool, IndexError> {
        Ok(self.positions_unknown || self.page_or_error(block)?.changed > since.0)
    }
}

/// One [`MemoryStorage`] for several threads; clones share it. Every call locks all of it, for the length of the call.
#[derive(Debug, Clone, Default)]
pub struct SharedMemoryStorage(Arc<Mutex<MemoryStorage>>);

impl SharedMemoryStorage {
    /// Shares a storage.
    #[must_use]
    pub fn new(storage: MemoryStorage) -> Self {
        Self(Arc::new(Mutex::new(storage)))
    }

    /// The storage itself, locked.
    pub fn lock(&self) -> MutexGuard<'_, MemoryStorage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageRead for SharedMemoryStorage {
    fn blocks(&mut self) -> Result<u32, IndexError> {
        self.lock().blocks()
    }

    fn peek(&mut self, places: &[Place], length: usize, out: &mut [u8]) -> Result<(), IndexError> {
        self.lock().peek(places, length, out)
    }

    fn read<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError> {
        self.lock().read(block, look)
    }

    fn check_interrupts(&mut self) -> Result<(), IndexError> {
        self.lock().check_interrupts()
    }
}

impl PageWrite for SharedMemoryStorage {
    fn update<R>(
        &mut self,
        block: u32,
        change: impl FnOnce(&mut [u8]) -> (Change, R),
    ) -> Result<R, IndexError> {
        self.lock().update(block, change)
    }

    fn extend<R>(&mut self, fill: impl FnOnce(u32, &mut [u8]) -> R) -> Result<(u32, R), IndexError> {
        self.lock().extend(fill)
    }

    fn find_room(&mut self, kind: PageKind, needed: u16) -> Result<Option<u32>, IndexError> {
        self.lock().find_room(kind, needed)
    }

    fn note_room(&mut self, block: u32, kind: PageKind, free: u16) -> Result<(), IndexError> {
        self.lock().note_room(block, kind, free)
    }

    fn position(&mut self) -> Position {
        self.lock().position()
    }

    fn changed_since(&mut self, block: u32, since: Position) -> Result<bool, IndexError> {
        self.lock().changed_since(block, since)
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
