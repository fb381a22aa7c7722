//! A set of element numbers as a bitmap.
//!
//! Vacuum and verification mark elements in passes over the whole index: one bit an element, 12.5 MB for 100 million. Growth is
//! fallible, for the size comes from the length of the relation. A number beyond the bitmap is not in the set; inserting one
//! grows the set.

use crate::index::{IndexError, SlotId};

/// A set of element numbers.
#[derive(Debug, Default)]
pub struct IdSet {
    words: Vec<u64>,
    count: usize,
}

/// The word and the bit that stand for a number.
fn position(id: SlotId) -> (usize, u64) {
    ((id.0 >> 6) as usize, 1u64 << (id.0 & 63))
}

impl IdSet {
    /// An empty set that holds the numbers below `bound` without growing.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn with_bound(bound: u32) -> Result<Self, IndexError> {
        let mut set = Self::default();
        set.grow((bound as usize).div_ceil(64))?;
        Ok(set)
    }

    fn grow(&mut self, words: usize) -> Result<(), IndexError> {
        let missing = words.saturating_sub(self.words.len());
        if missing > 0 {
            let bytes = words.saturating_mul(8);
            self.words
                .try_reserve(missing)
                .map_err(|_| IndexError::OutOfMemory {
                    what: "a bitmap of elements",
                    bytes,
                })?;
            self.words.resize(words, 0);
        }
        Ok(())
    }

    /// Adds a number; true if it is new.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`] when the set has to grow and cannot.
    pub fn insert(&mut self, id: SlotId) -> Result<bool, IndexError> {
        let (word, bit) = position(id);
        if word >= self.words.len() {
            self.grow(word.saturating_add(1))?;
        }
        let Some(slot) = self.words.get_mut(word) else {
            return Ok(false);
        };
        let new = *slot & bit == 0;
        *slot |= bit;
        self.count += usize::from(new);
        Ok(new)
    }

    /// Whether the number is in the set.
    #[must_use]
    pub fn contains(&self, id: SlotId) -> bool {
        let (word, bit) = position(id);
        self.words.get(word).is_some_and(|slot| slot & bit != 0)
    }

    /// How many numbers the set holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the set holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The smallest number at or above `from`.
    #[must_use]
    pub fn next_from(&self, from: u32) -> Option<SlotId> {
        self.next_not_in(&IdSet::default(), from)
    }

    /// The smallest number at or above `from` that is in this set and not in the other.
    #[must_use]
    pub fn next_not_in(&self, other: &IdSet, from: u32) -> Option<SlotId> {
        let (mut index, bit) = position(SlotId(from));
        let mut mask = !bit.wrapping_sub(1);
        loop {
            let word = *self.words.get(index)? & !other.words.get(index).copied().unwrap_or(0) & mask;
            if word != 0 {
                let id = (index as u64) * 64 + u64::from(word.trailing_zeros());
                return u32::try_from(id).ok().map(SlotId);
            }
            mask = u64::MAX;
            index += 1;
        }
    }

    /// The numbers in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = SlotId> + '_ {
        let mut from = Some(0u32);
        std::iter::from_fn(move || {
            let id = self.next_from(from?)?;
            from = id.0.checked_add(1);
            Some(id)
        })
    }

    /// The numbers that are in none of the others, in ascending order.
    pub fn difference<'a, const N: usize>(
        &'a self,
        others: [&'a IdSet; N],
    ) -> impl Iterator<Item = SlotId> + 'a {
        self.words.iter().enumerate().flat_map(move |(index, word)| {
            let known = others
                .iter()
                .fold(0, |all, set| all | set.words.get(index).copied().unwrap_or(0));
            let mut rest = word & !known;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let id = (index as u64) * 64 + u64::from(rest.trailing_zeros());
                rest &= rest - 1;
                u32::try_from(id).ok().map(SlotId)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The bitmap behaves as a set of numbers does.
        #[test]
        fn behaves_as_a_set(ids in proptest::collection::vec(0u32..2000, 0..300), from in 0u32..2100) {
            let mut set = IdSet::with_bound(100).unwrap();
            let mut model = BTreeSet::new();
            for id in ids {
                prop_assert_eq!(set.insert(SlotId(id)).unwrap(), model.insert(id));
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.iter().map(|id| id.0).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.next_from(from).map(|id| id.0), model.range(from..).next().copied());
            prop_assert_eq!(set.contains(SlotId(from)), model.contains(&from));
            let mut low = IdSet::default();
            for id in 0..500 {
                low.insert(SlotId(id)).unwrap();
            }
            let above = model.range(from.max(500)..).next().copied();
            prop_assert_eq!(set.next_not_in(&low, from).map(|id| id.0), above);
            prop_assert_eq!(
                set.difference([&low, &IdSet::default()]).map(|id| id.0).collect::<Vec<_>>(),
                model.range(500..).copied().collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn the_largest_number_ends_an_iteration() {
        let mut set = IdSet::default();
        assert_eq!(set.next_from(u32::MAX), None);
        assert!(!set.contains(SlotId(u32::MAX)));
        assert!(set.insert(SlotId(64)).unwrap());
        assert_eq!(set.iter().collect::<Vec<_>>(), vec![SlotId(64)]);
        assert!(!set.is_empty());
    }
}
