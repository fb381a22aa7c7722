//! Random numbers of the tests: from a fixed seed, so that a failing run can be repeated.

use std::ops::Range;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range, evenly but for a bias of no weight here.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn within(&mut self, range: Range<i64>) -> i64 {
        assert!(range.start < range.end, "{range:?} is empty");
        let span = range.end.abs_diff(range.start);
        let offset = i64::try_from(self.bits() % span).unwrap();
        range.start.checked_add(offset).unwrap()
    }

    /// True in that many of a hundred cases.
    pub fn percent(&mut self, chance: i64) -> bool {
        self.within(0..100) < chance
    }

    /// One of the items.
    ///
    /// # Panics
    /// If there is none.
    pub fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let number = self.within(0..i64::try_from(items.len()).unwrap());
        &items[usize::try_from(number).unwrap()]
    }
}
