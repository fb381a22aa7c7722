//! How the index algorithms reach their pages.
//!
//! [`PageRead`] and [`PageWrite`] are implemented by the glue over shared buffers and WAL, and by [`MemoryStorage`] for tests.
//! An algorithm holds at most one page lock at a time, by construction: the closures get the page and not the storage.

mod memory;

pub use memory::{MemoryStorage, SharedMemoryStorage, StorageCounts};

use super::IndexError;
use super::page::PageKind;
use core::ops::Range;

/// Some bytes of a page: the block and the offset of the first byte in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The block.
    pub block: u32,
    /// The offset in the page, in bytes.
    pub offset: u16,
}

/// Whether a closure changed the page that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The page is as it was.
    None,
    /// The page is to be marked dirty and logged.
    Made,
}

/// A position in the log of changes, ascending with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// Reading the pages of an index.
pub trait PageRead {
    /// The number of blocks now.
    ///
    /// # Errors
    /// Those of the storage.
    fn blocks(&mut self) -> Result<u32, IndexError>;

    /// Copies `length` bytes from each place to `out`, which has `places.len() * length` bytes.
    ///
    /// This only steers a search: what it gives may be torn or slightly out of date. A place outside the index gives zeros.
    ///
    /// # Errors
    /// Those of the storage.
    fn peek(&mut self, places: &[Place], length: usize, out: &mut [u8]) -> Result<(), IndexError>;

    /// Says that the page will be read soon.
    fn prefetch(&mut self, _block: u32) {}

    /// Says that the pages of this range are read next, in ascending order, most of them. Takes the place of what was said before.
    fn read_in_order(&mut self, _blocks: Range<u32>) {}

    /// Shows the page, under a shared lock, to `look`.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] for a block outside the index, and those of the storage.
    fn read<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError>;

    /// Whether the work may go on.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`] when it is to stop.
    fn check_interrupts(&mut self) -> Result<(), IndexError>;
}

/// Changing the pages of an index.
pub trait PageWrite: PageRead {
    /// Gives the page, under an exclusive lock, to `change`; if that makes a change, it becomes one record of the log.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] for a block outside the index, and those of the storage.
    fn update<R>(
        &mut self,
        block: u32,
        change: impl FnOnce(&mut [u8]) -> (Change, R),
    ) -> Result<R, IndexError>;

    /// Adds a page of zeros, has `fill` write it, and logs it as one record. Returns its block, unlocked again.
    ///
    /// # Errors
    /// [`IndexError::Limit`] when the index is full, and those of the storage.
    fn extend<R>(&mut self, fill: impl FnOnce(u32, &mut [u8]) -> R) -> Result<(u32, R), IndexError>;

    /// A block of this kind that probably has room for `needed` entries. Only a hint: look before you write.
    ///
    /// # Errors
    /// Those of the storage.
    fn find_room(&mut self, kind: PageKind, needed: u16) -> Result<Option<u32>, IndexError>;

    /// Notes how many entries a block has room for. A hint that a crash may lose.
    ///
    /// # Errors
    /// Those of the storage.
    fn note_room(&mut self, block: u32, kind: PageKind, free: u16) -> Result<(), IndexError>;

    /// Where the log is now.
    fn position(&mut self) -> Position;

    /// Whether the page may have changed since `since`; true where that is not known.
    ///
    /// # Errors
    /// Those of the storage.
    fn changed_since(&mut self, block: u32, since: Position) -> Result<bool, IndexError>;
}
