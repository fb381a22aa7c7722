//! A storage in which others do something between two calls.

use crate::index::IndexError;
use crate::index::page::PageKind;
use crate::index::storage::{Change, MemoryStorage, PageRead, PageWrite, Place, Position};

/// Calls `others` before every read and every record.
pub struct Shared<F> {
    pub inner: MemoryStorage,
    pub others: F,
}

/// What is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
}

impl<F: FnMut(&mut MemoryStorage, Call)> PageRead for Shared<F> {
    fn blocks(&mut self) -> Result<u32, IndexError> {
        self.inner.blocks()
    }

    fn peek(&mut self, places: &[Place], length: usize, out: &mut [u8]) -> Result<(), IndexError> {
        (self.others)(&mut self.inner, Call::Read);
        self.inner.peek(places, length, out)
    }

    fn read<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError> {
        (self.others)(&mut self.inner, Call::Read);
        self.inner.read(block, look)
    }

    fn check_interrupts(&mut self) -> Result<(), IndexError> {
        self.inner.check_interrupts()
    }
}

impl<F: FnMut(&mut MemoryStorage, Call)> PageWrite for Shared<F> {
    fn update<R>(
        &mut self,
        block: u32,
        change: impl FnOnce(&mut [u8]) -> (Change, R),
    ) -> Result<R, IndexError> {
        (self.others)(&mut self.inner, Call::Write);
        self.inner.update(block, change)
    }

    fn extend<R>(&mut self, fill: impl FnOnce(u32, &mut [u8]) -> R) -> Result<(u32, R), IndexError> {
        (self.others)(&mut self.inner, Call::Write);
        self.inner.extend(fill)
    }

    fn find_room(&mut self, kind: PageKind, needed: u16) -> Result<Option<u32>, IndexError> {
        self.inner.find_room(kind, needed)
    }

    fn note_room(&mut self, block: u32, kind: PageKind, free: u16) -> Result<(), IndexError> {
        self.inner.note_room(block, kind, free)
    }

    fn position(&mut self) -> Position {
        self.inner.position()
    }

    fn changed_since(&mut self, block: u32, since: Position) -> Result<bool, IndexError> {
        self.inner.changed_since(block, since)
    }
}
