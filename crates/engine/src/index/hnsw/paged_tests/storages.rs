//! Storages that make life hard for their users.

use super::*;
use crate::index::storage::{Change, Place, Position};

/// A storage whose peeks are garbage now and then.
pub struct Torn {
    pub inner: MemoryStorage,
    pub random: Random,
    /// Of so many peeked places, one is garbage.
    pub one_in: usize,
}

/// Passes the calls that are not changed on to `$self.inner`.
macro_rules! pass_on_reads {
    () => {
        fn blocks(&mut self) -> Result<u32, IndexError> {
            self.inner.blocks()
        }

        fn check_interrupts(&mut self) -> Result<(), IndexError> {
            self.inner.check_interrupts()
        }
    };
}

macro_rules! pass_on_hints {
    () => {
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
    };
}

impl Torn {
    fn tear(&mut self, bytes: &mut [u8]) {
        match self.random.below(4) {
            0 => bytes.fill_with(|| self.random.next() as u8),
            1 => bytes.fill([0, 1, 2, 0xff][self.random.below(4)]),
            // Small ids, which may exist, on pages of any kind.
            2 => {
                for place in bytes.as_chunks_mut::<4>().0 {
                    *place = ((self.random.next() % 5_000) as u32).to_le_bytes();
                }
            }
            _ => {
                let from = self.random.below(bytes.len());
                let to = self.random.below(bytes.len() + 1);
                if let Some(part) = bytes.get_mut(from..to) {
                    part.fill_with(|| self.random.next() as u8);
                }
            }
        }
    }
}

impl PageRead for Torn {
    pass_on_reads!();

    fn peek(&mut self, places: &[Place], length: usize, out: &mut [u8]) -> Result<(), IndexError> {
        self.inner.peek(places, length, out)?;
        for bytes in out.chunks_exact_mut(length.max(1)) {
            if self.random.below(self.one_in) == 0 {
                self.tear(bytes);
            }
        }
        Ok(())
    }

    fn read<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError> {
        self.inner.read(block, look)
    }
}

impl PageWrite for Torn {
    pass_on_hints!();

    fn update<R>(
        &mut self,
        block: u32,
        change: impl FnOnce(&mut [u8]) -> (Change, R),
    ) -> Result<R, IndexError> {
        self.inner.update(block, change)
    }

    fn extend<R>(&mut self, fill: impl FnOnce(u32, &mut [u8]) -> R) -> Result<(u32, R), IndexError> {
        self.inner.extend(fill)
    }
}

/// A storage in which others do something between any two calls.
pub struct Busy<F> {
    pub inner: MemoryStorage,
    pub others: F,
}

impl<F: FnMut(&mut MemoryStorage)> PageRead for Busy<F> {
    pass_on_reads!();

    fn peek(&mut self, places: &[Place], length: usize, out: &mut [u8]) -> Result<(), IndexError> {
        (self.others)(&mut self.inner);
        self.inner.peek(places, length, out)
    }

    fn read<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError> {
        (self.others)(&mut self.inner);
        self.inner.read(block, look)
    }
}

impl<F: FnMut(&mut MemoryStorage)> PageWrite for Busy<F> {
    pass_on_hints!();

    fn update<R>(
        &mut self,
        block: u32,
        change: impl FnOnce(&mut [u8]) -> (Change, R),
    ) -> Result<R, IndexError> {
        (self.others)(&mut self.inner);
        self.inner.update(block, change)
    }

    fn extend<R>(&mut self, fill: impl FnOnce(u32, &mut [u8]) -> R) -> Result<(u32, R), IndexError> {
        (self.others)(&mut self.inner);
        self.inner.extend(fill)
    }
}
