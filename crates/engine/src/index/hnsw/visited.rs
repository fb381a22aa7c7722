//! The set of elements that a walk has met.
//!
//! Few ids are a bitmap, whose words that were touched are remembered, so that emptying costs what filling did. Many ids are a
//! hash set with open addressing, whose size follows what is in it: a scan of a large index touches some thousand elements.

use super::super::{IndexError, SlotId};
use super::queue::reserve;

/// Up to this bound of the ids the set is a bitmap, of 64 KB.
const BITMAP_IDS: u32 = 1 << 19;
const FIRST_BUCKETS: usize = 1 << 12;
const EMPTY: u32 = u32::MAX;

/// The elements a walk has met.
#[derive(Debug, Default)]
pub struct VisitedSet {
    id_bound: u32,
    len: usize,
    /// Bitmap: the words; `touched` lists those that are not zero.
    words: Vec<u64>,
    touched: Vec<u32>,
    /// Hash set: ids at the bucket of their scrambled number or after it. Empty while the set is a bitmap.
    buckets: Vec<u32>,
    shift: u32,
}

impl VisitedSet {
    /// Empties the set and prepares it for ids below `id_bound`.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn reset(&mut self, id_bound: u32) -> Result<(), IndexError> {
        if id_bound <= BITMAP_IDS {
            self.reset_bitmap(id_bound)?;
        } else {
            self.reset_buckets()?;
        }
        self.id_bound = id_bound;
        self.len = 0;
        Ok(())
    }

    fn reset_bitmap(&mut self, id_bound: u32) -> Result<(), IndexError> {
        for word in self.touched.drain(..) {
            if let Some(word) = self.words.get_mut(word as usize) {
                *word = 0;
            }
        }
        self.buckets = Vec::new();
        let words = (id_bound as usize).div_ceil(64);
        if words > self.words.len() {
            let additional = words - self.words.len();
            reserve(&mut self.words, additional, "visited set")?;
            self.words.resize(words, 0);
            // No more words can be touched, so that `insert` needs no allocation.
            reserve(&mut self.touched, words, "visited set")?;
        }
        Ok(())
    }

    fn reset_buckets(&mut self) -> Result<(), IndexError> {
        self.words = Vec::new();
        self.touched = Vec::new();
        // After a scan that met very many, the next begins small again.
        if self.buckets.is_empty() || self.buckets.len() > 64 * FIRST_BUCKETS {
            self.buckets = Vec::new();
            self.buckets = self.empty_buckets(FIRST_BUCKETS)?;
        } else {
            self.buckets.fill(EMPTY);
        }
        Ok(())
    }

    fn empty_buckets(&mut self, count: usize) -> Result<Vec<u32>, IndexError> {
        let mut buckets = Vec::new();
        reserve(&mut buckets, count, "visited set")?;
        buckets.resize(count, EMPTY);
        self.shift = 32 - count.trailing_zeros();
        Ok(buckets)
    }

    /// Adds an id. Returns whether it is new; an id that is not below the bound never is.
    ///
    /// [`VisitedSet::reserve`] has made room for it.
    #[inline]
    pub fn insert(&mut self, id: SlotId) -> bool {
        if id.0 >= self.id_bound {
            return false;
        }
        let new = if self.buckets.is_empty() {
            self.insert_bit(id.0)
        } else {
            self.insert_bucket(id.0)
        };
        self.len += usize::from(new);
        new
    }

    #[inline]
    fn insert_bit(&mut self, id: u32) -> bool {
        let Some(word) = self.words.get_mut((id / 64) as usize) else {
            return false;
        };
        let bit = 1u64 << (id % 64);
        let new = *word & bit == 0;
        if *word == 0 {
            self.touched.push(id / 64);
        }
        *word |= bit;
        new
    }

    #[inline]
    fn insert_bucket(&mut self, id: u32) -> bool {
        let mask = self.buckets.len() - 1;
        let mut at = (id.wrapping_mul(0x9E37_79B1) >> self.shift) as usize;
        // Ends: `reserve` keeps half of the buckets empty.
        while let Some(bucket) = self.buckets.get_mut(at & mask) {
            if *bucket == id {
                return false;
            }
            if *bucket == EMPTY {
                *bucket = id;
                return true;
            }
            at += 1;
        }
        false
    }

    /// Makes room for `additional` ids.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    #[inline]
    pub fn reserve(&mut self, additional: usize) -> Result<(), IndexError> {
        if self.has_room(additional) {
            return Ok(());
        }
        self.grow(additional)
    }

    #[inline]
    pub(super) fn has_room(&self, additional: usize) -> bool {
        self.buckets.is_empty() || (self.len + additional) * 2 <= self.buckets.len()
    }

    /// How many buckets there will be where there is no room.
    fn grown_buckets(&self, additional: usize) -> usize {
        ((self.len + additional) * 4).next_power_of_two()
    }

    #[cold]
    fn grow(&mut self, additional: usize) -> Result<(), IndexError> {
        let count = self.grown_buckets(additional);
        let shift = self.shift;
        let new = self.empty_buckets(count).inspect_err(|_| self.shift = shift)?;
        let old = std::mem::replace(&mut self.buckets, new);
        for id in old.into_iter().filter(|id| *id != EMPTY) {
            self.insert_bucket(id);
        }
        Ok(())
    }

    /// Whether the id is in the set.
    pub fn contains(&self, id: SlotId) -> bool {
        if id.0 >= self.id_bound {
            return false;
        }
        if self.buckets.is_empty() {
            return self
                .words
                .get((id.0 / 64) as usize)
                .is_some_and(|word| word & (1 << (id.0 % 64)) != 0);
        }
        let mask = self.buckets.len() - 1;
        let start = (id.0.wrapping_mul(0x9E37_79B1) >> self.shift) as usize;
        (start..start + self.buckets.len())
            .map_while(|at| {
                self.buckets
                    .get(at & mask)
                    .copied()
                    .filter(|bucket| *bucket != EMPTY)
            })
            .any(|bucket| bucket == id.0)
    }

    /// How many ids it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What a set occupies that has held `len` ids.
    pub(super) fn estimated_bytes(id_bound: u32, len: usize) -> usize {
        if id_bound <= BITMAP_IDS {
            (id_bound as usize).div_ceil(64) * (size_of::<u64>() + size_of::<u32>())
        } else {
            (4 * len).next_power_of_two().max(FIRST_BUCKETS) * size_of::<u32>()
        }
    }

    /// What it would occupy at most while it makes room for `additional` ids.
    pub(super) fn grown_bytes(&self, additional: usize) -> usize {
        let more = if self.has_room(additional) {
            0
        } else {
            self.grown_buckets(additional)
        };
        self.memory_bytes() + more * size_of::<u32>()
    }

    /// What it occupies.
    pub fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8 + (self.touched.capacity() + self.buckets.capacity()) * 4
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_hash_set(bound in prop_oneof![1u32..5000, (BITMAP_IDS + 1)..u32::MAX], seed in any::<u64>(), rounds in 1usize..4) {
            let mut set = VisitedSet::default();
            let mut state = seed;
            for round in 0..rounds {
                set.reset(bound).unwrap();
                let mut oracle = HashSet::new();
                for _ in 0..3000 * round {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let id = ((state >> 33) as u32) % bound;
                    set.reserve(1).unwrap();
                    prop_assert_eq!(set.contains(SlotId(id)), oracle.contains(&id));
                    prop_assert_eq!(set.insert(SlotId(id)), oracle.insert(id));
                }
                prop_assert_eq!(set.len(), oracle.len());
                prop_assert!(oracle.iter().all(|id| set.contains(SlotId(*id))));
                prop_assert!(!set.insert(SlotId(bound)));
                prop_assert!(!set.contains(SlotId::NONE));
            }
        }
    }

    #[test]
    fn changes_between_bitmap_and_hash_set() {
        let mut set = VisitedSet::default();
        for bound in [100, BITMAP_IDS + 1, BITMAP_IDS, u32::MAX, 1] {
            set.reset(bound).unwrap();
            assert!(set.is_empty());
            set.reserve(1).unwrap();
            assert!(set.insert(SlotId(bound - 1)));
            assert!(!set.insert(SlotId(bound - 1)));
            assert_eq!(set.len(), 1);
        }
    }
}
