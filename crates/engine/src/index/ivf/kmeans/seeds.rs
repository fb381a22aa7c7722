//! The points that a clustering starts from: k-means++ (Arthur and Vassilvitskii 2007).
//!
//! A next seed is drawn by its squared distance from those there are; of several drawn, the one is taken that leaves the points
//! nearest to the seeds. That costs as much as a round of the clustering that follows, over a sample, and saves several.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use super::points::{Points, distance, filled, room};
use crate::index::IndexError;
use crate::interrupt::Interrupt;

/// Points that seeds are chosen from, for each seed.
const SAMPLE: usize = 16;
/// Points drawn for each seed.
const DRAWN: usize = 3;

/// Random numbers: splitmix64 (Steele, Lea, Flood 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

/// At most so many of the members, one from each of as many equal stretches of them: points that came in order are not all of one
/// kind, and points whose kinds take turns neither.
pub(super) fn sample(members: &[u32], size: usize, random: &mut Random) -> Result<Vec<u32>, IndexError> {
    let size = size.min(members.len());
    let mut chosen = room(size)?;
    let border = |stretch: usize| (members.len() as u128 * stretch as u128 / size.max(1) as u128) as usize;
    for stretch in 0..size {
        let (start, end) = (border(stretch), border(stretch + 1));
        chosen.push(members[start + random.below(end - start)]);
    }
    Ok(chosen)
}

/// Chooses at most `wanted` members, all different as points: fewer where there are no more in the sample.
///
/// # Errors
/// [`IndexError::Interrupted`], [`IndexError::OutOfMemory`].
pub(super) fn seeds(
    points: Points<'_>,
    members: &[u32],
    wanted: usize,
    random: &mut Random,
    interrupt: &dyn Interrupt,
) -> Result<Vec<u32>, IndexError> {
    let sample = sample(members, wanted.saturating_mul(SAMPLE), random)?;
    let mut seeds = room(wanted.min(sample.len()))?;
    // How far each point is from the nearest seed.
    let mut near = filled(sample.len(), f64::INFINITY)?;
    let (mut with, mut best) = (filled(sample.len(), 0.0)?, filled(sample.len(), 0.0)?);
    let mut total = 0.0;
    while seeds.len() < wanted.min(sample.len()) {
        let mut chosen = (f64::INFINITY, 0);
        for _ in 0..if seeds.is_empty() { 1 } else { DRAWN } {
            interrupt.check()?;
            let drawn = if seeds.is_empty() {
                random.below(sample.len())
            } else {
                draw(&near, random.unit() * total)
            };
            let seed = points.get(sample[drawn]);
            let mut left = 0.0;
            for ((with, near), other) in with.iter_mut().zip(&near).zip(&sample) {
                *with = near.min(distance(seed, points.get(*other)));
                left += *with;
            }
            if left < chosen.0 {
                chosen = (left, drawn);
                std::mem::swap(&mut with, &mut best);
            }
        }
        seeds.push(sample[chosen.1]);
        std::mem::swap(&mut near, &mut best);
        total = chosen.0;
        if total <= 0.0 {
            break;
        }
    }
    Ok(seeds)
}

/// The place where the sum of the weights up to there exceeds `at`; one with a weight.
fn draw(weights: &[f64], mut at: f64) -> usize {
    let mut last = 0;
    for (place, weight) in weights.iter().enumerate() {
        if *weight > 0.0 {
            last = place;
            if at < *weight {
                return place;
            }
            at -= weight;
        }
    }
    last
}
