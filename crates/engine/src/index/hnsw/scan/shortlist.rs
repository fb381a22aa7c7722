//! Rows ranked by estimate, exact keys fetched only as far as their order needs.
//!
//! An estimate comes with an error, so `estimate - epsilon * error` is, but for rare cases, below the exact key. A row can be
//! handed out when its exact key is not above this lower bound of any row whose key is not fetched yet; mostly that is the case after a
//! few more fetches than rows asked for.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::index::hnsw::queue::{pack, reserve, unpack};
use crate::index::{HeapTid, IndexError, SlotId};

/// That of all candidates on lists, see [`pack`].
const SALT: u32 = 0;

/// Exact keys that there is room for at first.
const FIRST_FETCHED: usize = 16;

/// A row of the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    /// Estimate and id, see [`crate::index::hnsw::queue`].
    pub packed: u64,
    /// The row.
    pub tid: HeapTid,
    /// Probably below its exact key; after [`Shortlist::seal`], below that of all rows from here on.
    pub lower: f32,
}

/// A row whose exact key was fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetched {
    pub key: f64,
    pub id: SlotId,
    pub tid: HeapTid,
}

/// Ordered so that the greatest is the nearest, and not a number the least.
impl Ord for Fetched {
    fn cmp(&self, other: &Self) -> Ordering {
        let ordered = |key: f64| if key.is_nan() { f64::NAN.abs() } else { key };
        ordered(other.key)
            .total_cmp(&ordered(self.key))
            .then_with(|| other.id.cmp(&self.id))
    }
}

impl PartialOrd for Fetched {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Fetched {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Fetched {}

/// What is to be done next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// This is the nearest of all rows left.
    Emit(Fetched),
    /// The exact key of this row is needed.
    Fetch(Listed),
    /// The list is used up.
    Drained,
}

/// A list of rows that are handed out in the order of their exact keys.
#[derive(Debug, Default)]
pub(super) struct Shortlist {
    listed: Vec<Listed>,
    cursor: usize,
    fetched: BinaryHeap<Fetched>,
    /// Whether the list is complete; nothing is taken from it before.
    sealed: bool,
}

impl Shortlist {
    pub fn clear(&mut self) {
        self.listed.clear();
        self.cursor = 0;
        self.fetched.clear();
        self.sealed = false;
    }

    pub fn reserve(&mut self, additional: usize) -> Result<(), IndexError> {
        reserve(&mut self.listed, additional, "rows of a search")
    }

    /// Makes room for `rows` rows in all, and no more.
    pub fn reserve_all(&mut self, rows: usize) -> Result<(), IndexError> {
        let additional = rows.saturating_sub(self.listed.len());
        self.listed
            .try_reserve_exact(additional)
            .map_err(|_| out_of_memory(rows * size_of::<Listed>()))
    }

    /// Adds a row in a place that [`Shortlist::reserve`] made.
    pub fn push(&mut self, listed: Listed) {
        self.listed.push(listed);
    }

    /// How many rows were added.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Drops all but the `count` nearest by estimate. Returns the farthest of them, if there were more.
    pub fn keep_nearest(&mut self, count: usize) -> Option<u64> {
        if self.listed.len() <= count {
            return None;
        }
        let (_, last, _) = self
            .listed
            .select_nth_unstable_by_key(count.checked_sub(1)?, |listed| listed.packed);
        let last = last.packed;
        self.listed.truncate(count);
        Some(last)
    }

    /// Orders the list; nothing can be added from here on. Returns the last one's estimate and id.
    pub fn seal(&mut self) -> Option<u64> {
        self.sealed = true;
        self.listed.sort_unstable_by_key(|listed| listed.packed);
        let mut lowest = f32::INFINITY;
        for listed in self.listed.iter_mut().rev() {
            // An error that is not a number promises nothing.
            let lower = if listed.lower.is_nan() {
                f32::NEG_INFINITY
            } else {
                listed.lower
            };
            lowest = lowest.min(lower);
            listed.lower = lowest;
        }
        self.listed.last().map(|listed| listed.packed)
    }

    /// What is to be done next; a row that is returned is no longer in the list.
    pub fn step(&mut self) -> Step {
        if !self.sealed {
            return Step::Drained;
        }
        let next = self.listed.get(self.cursor).copied();
        if let Some(best) = self.fetched.peek()
            && next.is_none_or(|next| best.key <= f64::from(next.lower))
            && let Some(best) = self.fetched.pop()
        {
            return Step::Emit(best);
        }
        match next {
            Some(next) => {
                self.cursor += 1;
                Step::Fetch(next)
            }
            None => Step::Drained,
        }
    }

    /// Takes in an exact key.
    pub fn fetched(&mut self, fetched: Fetched) -> Result<(), IndexError> {
        if self.fetched.len() == self.fetched.capacity() {
            // There are never more than were listed.
            let room = (2 * self.fetched.len()).clamp(FIRST_FETCHED, self.listed.len().max(FIRST_FETCHED));
            let additional = room.saturating_sub(self.fetched.len()).max(1);
            self.fetched
                .try_reserve_exact(additional)
                .map_err(|_| out_of_memory(room * size_of::<Fetched>()))?;
        }
        self.fetched.push(fetched);
        Ok(())
    }

    /// What the list occupies.
    pub fn memory_bytes(&self) -> usize {
        self.listed.capacity() * size_of::<Listed>() + self.fetched.capacity() * size_of::<Fetched>()
    }
}

fn out_of_memory(bytes: usize) -> IndexError {
    IndexError::OutOfMemory {
        what: "rows of a search",
        bytes,
    }
}

impl Listed {
    /// Estimate and id as a list packs them.
    pub fn pack(key: f32, id: SlotId) -> u64 {
        pack(key, id, SALT)
    }

    pub fn id(&self) -> SlotId {
        unpack(self.packed, SALT).id
    }
}
