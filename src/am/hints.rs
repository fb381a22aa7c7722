//! Where a backend last saw the pages of an index.

use castmatch_engine::index::IndexError;
use std::cell::{Cell, RefCell};

/// Where a backend last saw the pages of an index.
#[derive(Default)]
pub struct Hints {
    /// The buffer that each block was in; 0 where that is unknown.
    buffers: RefCell<Vec<i32>>,
    /// The page that this backend adds elements to.
    target: Cell<Option<u32>>,
    /// Reads without a pin, from scan to scan.
    reads: Cell<u32>,
}

impl Hints {
    /// Counts reads without a pin. Returns whether one of them is the next of each `every`.
    pub fn count_reads(&self, count: usize, every: u32) -> bool {
        let before = self.reads.get();
        let after = before.wrapping_add(count as u32);
        self.reads.set(after);
        before / every != after / every
    }

    /// The buffer of a block, if one is known.
    pub fn get(&self, block: u32) -> Option<i32> {
        let hints = self.buffers.borrow();
        hints.get(block as usize).copied().filter(|&buffer| buffer > 0)
    }

    /// Notes the buffer of a block.
    ///
    /// # Errors
    /// Out of memory.
    pub fn set(&self, block: u32, buffer: i32) -> Result<(), IndexError> {
        let mut hints = self.buffers.borrow_mut();
        let needed = block as usize + 1;
        if hints.len() < needed {
            let more = needed - hints.len();
            hints.try_reserve(more).map_err(|_| IndexError::OutOfMemory {
                what: "the table of buffers of an index",
                bytes: needed.saturating_mul(size_of::<i32>()),
            })?;
            hints.resize(needed, 0);
        }
        if let Some(hint) = hints.get_mut(block as usize) {
            *hint = buffer;
        }
        Ok(())
    }

    /// All hints, by block.
    pub fn with<R>(&self, look: impl FnOnce(&[i32]) -> R) -> R {
        look(&self.buffers.borrow())
    }

    /// The page that this backend adds elements to, while it has room.
    pub fn target(&self) -> Option<u32> {
        self.target.get()
    }

    /// Notes how much room a node page has.
    pub fn note_target(&self, block: u32, free: u16) {
        if free > 0 {
            self.target.set(Some(block));
        } else if self.target.get() == Some(block) {
            self.target.set(None);
        }
    }
}
