//! The queues of a walk over packed candidates.
//!
//! A packed candidate is one `u64`: the key's bits, made to ascend with the number, above the scrambled id, above a mark. To
//! compare two candidates is to compare two integers, and nothing is allocated per candidate. The key gives up its last bit for
//! the mark, which is a relative 1.2e-7, far below the error of an estimate. Candidates of equal keys order by their
//! scrambled ids and a salt: where many vectors are identical, walks with different salts end in different regions of them.

use std::collections::BinaryHeap;

use super::super::{IndexError, SlotId};

/// An element and the estimate of its distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The distance as a key, see [`super::super`].
    pub key: f32,
    /// The element.
    pub id: SlotId,
}

/// An odd number near 2^32 divided by the golden ratio, and its inverse modulo 2^32: multiplication scrambles an id, and back.
const SCRAMBLE: u32 = 0x9E37_79B1;
const UNSCRAMBLE: u32 = inverse(SCRAMBLE);
const EXPANDED: u64 = 1;

/// Newton's iteration for the inverse of an odd number modulo 2^32.
const fn inverse(odd: u32) -> u32 {
    let mut x = odd;
    let mut round = 0;
    while round < 5 {
        x = x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

/// The number that orders like the candidate. `salt` decides how candidates of equal keys order.
#[inline]
pub(crate) fn pack(key: f32, id: SlotId, salt: u32) -> u64 {
    let bits = key.to_bits();
    // Negative numbers order backwards and lie above the positive ones; flip them all, of the others the sign only.
    let ordered = bits ^ (((bits.cast_signed() >> 31).cast_unsigned()) | 0x8000_0000);
    (u64::from(ordered >> 1) << 33) | (u64::from(id.0.wrapping_mul(SCRAMBLE) ^ salt) << 1)
}

/// The candidate that [`pack`] packed with the same salt, its key rounded to 23 bits.
#[inline]
pub(crate) fn unpack(packed: u64, salt: u32) -> Candidate {
    // Both shifts leave numbers below 2^32.
    #[allow(clippy::cast_possible_truncation)]
    let (ordered, scrambled) = ((packed >> 33) as u32, (packed >> 1) as u32);
    let ordered = ordered << 1;
    let bits = if ordered & 0x8000_0000 != 0 {
        ordered ^ 0x8000_0000
    } else {
        !(ordered | 1)
    };
    Candidate {
        key: f32::from_bits(bits),
        id: SlotId((scrambled ^ salt).wrapping_mul(UNSCRAMBLE)),
    }
}

/// The best candidates found so far, ascending, each marked when its neighbours were looked at.
///
/// One array takes the place of the paper's two queues: what falls out of it would never be expanded in this window.
#[derive(Debug, Default)]
pub struct Window {
    sorted: Vec<u64>,
    capacity: usize,
    /// All before it are marked.
    cursor: usize,
    /// That of all its candidates.
    salt: u32,
}

impl Window {
    /// Empties it and sets how many it keeps, at least one.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn reset(&mut self, capacity: usize) -> Result<(), IndexError> {
        self.sorted.clear();
        self.cursor = 0;
        self.capacity = capacity.max(1);
        reserve(&mut self.sorted, self.capacity, "window of a search")
    }

    /// Makes it a smaller one, which hands what it has no room for to `backlog`.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn shrink(&mut self, capacity: usize, backlog: &mut Backlog) -> Result<(), IndexError> {
        let capacity = capacity.max(1);
        let excess = self.sorted.len().saturating_sub(capacity);
        backlog.reserve(excess)?;
        self.sorted
            .drain(self.sorted.len() - excess..)
            .for_each(|fallen| backlog.push(fallen));
        self.capacity = self.capacity.min(capacity);
        self.cursor = self.cursor.min(self.sorted.len());
        Ok(())
    }

    /// Makes it a larger one.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn grow(&mut self, capacity: usize) -> Result<(), IndexError> {
        let additional = capacity.saturating_sub(self.sorted.len());
        reserve(&mut self.sorted, additional, "window of a search")?;
        self.capacity = self.capacity.max(capacity);
        Ok(())
    }

    /// The candidate as this window packs it.
    #[inline]
    pub(crate) fn pack(&self, key: f32, id: SlotId) -> u64 {
        pack(key, id, self.salt)
    }

    /// Sets how candidates of equal keys order from the next [`Window::reset`] on.
    pub fn set_salt(&mut self, salt: u32) {
        self.salt = salt;
    }

    /// Only a smaller candidate than this can enter.
    #[inline]
    pub fn bound(&self) -> u64 {
        if self.sorted.len() < self.capacity {
            u64::MAX
        } else {
            self.sorted.last().copied().unwrap_or(u64::MAX)
        }
    }

    /// Adds a candidate; returns the one for which there is no room, which may be the same.
    #[inline]
    pub fn insert(&mut self, packed: u64) -> Option<u64> {
        let mut out = None;
        if self.sorted.len() == self.capacity {
            match self.sorted.last() {
                Some(last) if packed < *last => out = self.sorted.pop(),
                _ => return Some(packed),
            }
        }
        let at = self.sorted.partition_point(|other| *other < packed);
        // Within the capacity that `reset` reserved.
        self.sorted.insert(at, packed);
        self.cursor = self.cursor.min(at);
        out
    }

    /// The candidate at the cursor, which [`Window::take_nearest`] most likely takes next.
    #[inline]
    pub fn nearest(&self) -> Option<SlotId> {
        self.sorted
            .get(self.cursor)
            .map(|packed| unpack(*packed, self.salt).id)
    }

    /// The best candidate that is not marked; marks it.
    #[inline]
    pub fn take_nearest(&mut self) -> Option<Candidate> {
        while let Some(packed) = self.sorted.get_mut(self.cursor) {
            self.cursor += 1;
            if *packed & EXPANDED == 0 {
                let candidate = unpack(*packed, self.salt);
                *packed |= EXPANDED;
                return Some(candidate);
            }
        }
        None
    }

    /// The candidates, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Candidate> + '_ {
        self.sorted.iter().map(|packed| unpack(*packed, self.salt))
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// What it occupies.
    pub fn memory_bytes(&self) -> usize {
        self.sorted.capacity() * size_of::<u64>()
    }
}

/// Candidates that were not good enough for the windows so far; a later window begins with the best of them.
///
/// Most searches never come back for them, so they are only collected and ordered when the first is asked for.
#[derive(Debug, Default)]
pub struct Backlog {
    fresh: Vec<u64>,
    ordered: BinaryHeap<std::cmp::Reverse<u64>>,
}

impl Backlog {
    /// Empties it.
    pub fn clear(&mut self) {
        self.fresh.clear();
        self.ordered.clear();
    }

    /// Reserves room for `additional` candidates, so that as many [`Backlog::push`] do not allocate.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    #[inline]
    pub fn reserve(&mut self, additional: usize) -> Result<(), IndexError> {
        reserve(&mut self.fresh, additional, "backlog of a search")
    }

    /// Adds a candidate with its mark.
    #[inline]
    pub fn push(&mut self, packed: u64) {
        self.fresh.push(packed);
    }

    /// Moves the best candidates to the window until that is full.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn refill(&mut self, window: &mut Window) -> Result<(), IndexError> {
        let additional = self.fresh.len();
        // Not doubled, for a limit of memory may be near: it is done once a window, and moves all of what is new.
        self.ordered
            .try_reserve_exact(additional)
            .map_err(|_| IndexError::OutOfMemory {
                what: "backlog of a search",
                bytes: (self.ordered.len() + additional) * size_of::<u64>(),
            })?;
        self.ordered.extend(self.fresh.drain(..).map(std::cmp::Reverse));
        while window.len() < window.capacity {
            match self.ordered.pop() {
                Some(std::cmp::Reverse(packed)) => window.insert(packed),
                None => break,
            };
        }
        Ok(())
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.fresh.len() + self.ordered.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it occupies.
    pub fn memory_bytes(&self) -> usize {
        (self.fresh.capacity() + self.ordered.capacity()) * size_of::<u64>()
    }

    /// Whether there is room for `additional` more.
    #[inline]
    pub fn has_room(&self, additional: usize) -> bool {
        self.fresh.capacity() - self.fresh.len() >= additional
    }

    /// What it would occupy with room for `additional` more.
    pub fn grown_bytes(&self, additional: usize) -> usize {
        let fresh = if self.has_room(additional) {
            self.fresh.capacity()
        } else {
            // As a vector grows.
            (self.fresh.len() + additional).max(2 * self.fresh.capacity())
        };
        (fresh + self.ordered.capacity()) * size_of::<u64>()
    }

    /// What it would occupy during [`Backlog::refill`].
    pub fn refilled_bytes(&self) -> usize {
        (self.fresh.capacity() + self.ordered.capacity().max(self.len())) * size_of::<u64>()
    }
}

/// `Vec::reserve` that fails instead of ending the process.
pub(crate) fn reserve<T>(
    vector: &mut Vec<T>,
    additional: usize,
    what: &'static str,
) -> Result<(), IndexError> {
    vector
        .try_reserve(additional)
        .map_err(|_| IndexError::OutOfMemory {
            what,
            bytes: vector
                .len()
                .saturating_add(additional)
                .saturating_mul(size_of::<T>()),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn ordered_number(key: f32) -> u64 {
        pack(key, SlotId(0), 5) >> 33
    }

    proptest! {
        #[test]
        fn packing_keeps_the_order_and_the_id(a in -1e30f32..1e30, b in -1e30f32..1e30, id in any::<u32>()) {
            prop_assert_eq!(a < b, ordered_number(a) < ordered_number(b) || (a < b && ordered_number(a) == ordered_number(b)));
            let candidate = unpack(pack(a, SlotId(id), 5), 5);
            prop_assert_eq!(candidate.id, SlotId(id));
            prop_assert!((candidate.key - a).abs() <= a.abs() * 1.2e-7);
        }

        #[test]
        fn the_window_keeps_the_best_and_hands_them_out_once(keys in prop::collection::vec(-50i32..50, 0..200), capacity in 1usize..40) {
            let mut window = Window::default();
            window.reset(capacity).unwrap();
            let mut handed_out = 0;
            let mut fallen = 0;
            let mut all = Vec::new();
            for (number, key) in keys.iter().enumerate() {
                let packed = pack(*key as f32, SlotId(number as u32), 5);
                all.push(packed);
                fallen += usize::from(window.insert(packed).is_some());
                if number % 3 == 0 && window.take_nearest().is_some() {
                    handed_out += 1;
                }
            }
            all.sort_unstable();
            all.truncate(capacity);
            let kept: Vec<u64> = window.sorted.iter().map(|packed| packed & !EXPANDED).collect();
            prop_assert_eq!(kept, all);
            prop_assert_eq!(fallen + window.len(), keys.len());
            let marked = window.sorted.iter().filter(|packed| *packed & EXPANDED != 0).count();
            let mut rest = 0;
            while window.take_nearest().is_some() {
                rest += 1;
            }
            prop_assert_eq!(marked + rest, window.len());
            prop_assert!(marked <= handed_out);
        }
    }

    #[test]
    fn infinity_and_not_a_number_order_last() {
        assert!(pack(f32::INFINITY, SlotId(1), 5) > pack(f32::MAX, SlotId(1), 5));
        assert!(pack(f32::NAN, SlotId(1), 5) > pack(f32::INFINITY, SlotId(1), 5));
        assert_eq!(unpack(pack(f32::INFINITY, SlotId(1), 5), 5).key, f32::INFINITY);
        assert_eq!(
            unpack(pack(0.0, SlotId(u32::MAX), 5), 5),
            Candidate {
                key: 0.0,
                id: SlotId::NONE
            }
        );
    }

    #[test]
    fn a_backlog_refills_in_order_with_marks() {
        let mut backlog = Backlog::default();
        let mut window = Window::default();
        backlog.reserve(5).unwrap();
        for key in [5.0, 1.0, 4.0, 2.0, 3.0] {
            backlog.push(pack(key, SlotId(key as u32), 0) | u64::from(key == 2.0));
        }
        window.reset(3).unwrap();
        backlog.refill(&mut window).unwrap();
        assert_eq!(window.iter().map(|c| c.id.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(window.take_nearest().map(|c| c.id.0), Some(1));
        assert_eq!(window.take_nearest().map(|c| c.id.0), Some(3));
        assert_eq!(backlog.len(), 2);
    }
}
