//! Numbers from a seed, the same on every machine.

/// A generator of numbers: xorshift (Marsaglia 2003, 64 bits).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator of a seed; an even seed gives the numbers of the odd one after it.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `bound`; zero if that is zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    /// `count` different numbers below `bound`, or all of them, in the order in which they were drawn.
    pub(crate) fn sample(&mut self, bound: usize, count: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..bound).collect();
        let count = count.min(bound);
        for place in 0..count {
            // Fisher and Yates: what was drawn stands in front.
            let drawn = place + self.below(bound - place);
            numbers.swap(place, drawn);
        }
        numbers.truncate(count);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_sample_has_different_numbers_of_the_whole_range() {
        let mut random = Random::new(7);
        let sample = random.sample(1000, 400);
        let mut sorted = sample.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 400);
        assert!(sorted.iter().all(|&number| number < 1000));
        assert!((400..600).contains(&(sorted.iter().sum::<usize>() / 400)));
        assert_eq!(sample, Random::new(7).sample(1000, 400));
        assert_ne!(sample, random.sample(1000, 400));
        assert_eq!(random.sample(3, 9).len(), 3);
        assert!(random.sample(0, 9).is_empty());
    }
}
