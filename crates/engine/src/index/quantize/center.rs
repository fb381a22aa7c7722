//! The centre of the vectors, which is subtracted before they are coded.

use super::super::IndexError;
use super::rotation::SplitMix;

/// Groups whose means the median is taken of.
const GROUPS: usize = 16;

/// Collects [transformed](super::Quantizer::transform) vectors (by a quantiser without a centre) and gives their centre.
///
/// The centre is the median of means per dimension: the vectors are dealt to 16 groups, and the median of the groups' means is
/// taken. A plain mean would let a single vector of huge elements move the centre so far away that all others get the same code.
#[derive(Debug)]
pub struct CenterBuilder {
    dims: usize,
    /// Vectors per group.
    counts: [u64; GROUPS],
    /// Sums of the groups, one after the other.
    sums: Vec<f64>,
    random: SplitMix,
}

impl CenterBuilder {
    /// An empty collection.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn new(dims: usize) -> Result<Self, IndexError> {
        let mut sums = Vec::new();
        sums.try_reserve_exact(GROUPS * dims)
            .map_err(|_| IndexError::OutOfMemory {
                what: "centre of the vectors",
                bytes: GROUPS * dims * size_of::<f64>(),
            })?;
        sums.resize(GROUPS * dims, 0.0);
        Ok(Self {
            dims,
            counts: [0; GROUPS],
            sums,
            random: SplitMix(0),
        })
    }

    /// Adds one vector.
    pub fn add(&mut self, transformed: &[f32]) {
        // At random, because vectors may come in an order that repeats.
        let group = (self.random.next() % GROUPS as u64) as usize;
        if let Some(count) = self.counts.get_mut(group) {
            *count += 1;
        }
        let sums = self.sums.get_mut(group * self.dims..).unwrap_or_default();
        for (sum, x) in sums.iter_mut().zip(transformed.iter().take(self.dims)) {
            *sum += f64::from(*x);
        }
    }

    /// How many vectors were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The centre; zero if nothing was added.
    #[must_use]
    pub fn finish(&self) -> Vec<f32> {
        (0..self.dims).map(|dim| self.median(dim)).collect()
    }

    /// The median of the groups' means in one dimension.
    fn median(&self, dim: usize) -> f32 {
        let mut means = [0.0; GROUPS];
        let sums = self.sums.iter().skip(dim).step_by(self.dims.max(1));
        let groups = self.counts.iter().zip(sums).filter(|(count, _)| **count > 0);
        let mut used = 0;
        for (mean, (count, sum)) in means.iter_mut().zip(groups) {
            *mean = sum / *count as f64;
            used += 1;
        }
        let means = means.get_mut(..used).unwrap_or_default();
        means.sort_by(f64::total_cmp);
        match (means.get(used.saturating_sub(1) / 2), means.get(used / 2)) {
            (Some(below), Some(above)) => super::saturate((below + above) / 2.0),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_centre_is_near_the_mean() {
        let mut builder = CenterBuilder::new(2).unwrap();
        assert_eq!(builder.finish(), [0.0, 0.0]);
        builder.add(&[1.0, 3.0]);
        assert_eq!(builder.finish(), [1.0, 3.0]);
        builder.add(&[2.0, 4.0]);
        assert_eq!(builder.finish(), [1.5, 3.5]);
        for i in 0..1600_u16 {
            builder.add(&[f32::from(i % 3), f32::from(i % 5)]);
        }
        let center = builder.finish();
        assert!(
            center
                .iter()
                .zip([1.0, 2.0])
                .all(|(x, mean)| (x - mean).abs() < 0.1),
            "{center:?}"
        );
        assert_eq!(builder.count(), 1602);
    }

    #[test]
    fn a_few_huge_vectors_do_not_move_the_centre() {
        let mut builder = CenterBuilder::new(1).unwrap();
        for i in 0..1000_u16 {
            let huge = [10, 200, 301, 555, 777].contains(&i);
            builder.add(&[if huge { 3e38 } else { f32::from(i % 2) }]);
        }
        assert!(builder.finish().iter().all(|x| (0.4..0.6).contains(x)));
    }
}
