//! What a backend remembers of indexes between calls.

use crate::pg::relation::Locator;
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;

/// Indexes that a backend remembers, of each access method.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// A scan that occupies more is not kept for the next one.
const SPARE_BYTES: usize = 4 << 20;

/// Indexes, by their files.
pub struct Indexes<T>(RefCell<LruCache<Locator, T>>);

impl<T: Clone> Indexes<T> {
    /// None yet.
    pub fn new() -> Self {
        Self(RefCell::new(LruCache::new(REMEMBERED)))
    }

    /// What is known of an index.
    pub fn get(&self, locator: Locator) -> Option<T> {
        self.0.borrow_mut().get(&locator).cloned()
    }

    /// Remembers an index.
    pub fn put(&self, locator: Locator, known: T) {
        self.0.borrow_mut().put(locator, known);
    }
}

/// The memory of a scan that has ended, for the next one.
pub struct Spare<S>(Rc<Cell<Option<S>>>);

impl<S> Clone for Spare<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S> Default for Spare<S> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<S> Spare<S> {
    /// The scan that was kept.
    pub fn take(&self) -> Option<S> {
        self.0.take()
    }

    /// Keeps a scan that has ended, unless it has grown large.
    pub fn keep(&self, scan: S, memory_bytes: usize) {
        if memory_bytes <= SPARE_BYTES {
            self.0.set(Some(scan));
        }
    }
}
