//! Whether one system is better than another over the same queries: bootstrap intervals of the mean of paired differences (Efron and
//! Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3, the percentile interval).

use crate::measure::nearest_rank;
use crate::random::Random;

/// Share of the resamples on each side of an interval of 95 %.
const TAIL: f64 = 0.025;

/// A mean and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Interval {
    /// The mean itself.
    pub(crate) mean: f64,
    /// The lower bound.
    pub(crate) low: f64,
    /// The upper bound.
    pub(crate) high: f64,
}

/// The mean; zero of none.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The intervals of several series over the same queries. Each resample draws as many queries as there are, with replacement, and all
/// series see the same ones.
pub(crate) fn intervals(series: &[Vec<f64>], resamples: usize, seed: u64) -> Vec<Interval> {
    let queries = series.iter().map(Vec::len).min().unwrap_or(0);
    let mut random = Random::new(seed);
    let mut means = vec![Vec::with_capacity(resamples); series.len()];
    for _ in 0..resamples {
        let mut sums = vec![0.0; series.len()];
        for _ in 0..queries {
            let query = random.below(queries);
            for (sum, values) in sums.iter_mut().zip(series) {
                *sum += values.get(query).copied().unwrap_or(0.0);
            }
        }
        for (means, sum) in means.iter_mut().zip(sums) {
            means.push(sum / queries.max(1) as f64);
        }
    }
    series
        .iter()
        .zip(means)
        .map(|(values, mut means)| {
            means.sort_by(f64::total_cmp);
            let mean = mean(values);
            Interval {
                mean,
                low: nearest_rank(&means, TAIL).unwrap_or(mean),
                high: nearest_rank(&means, 1.0 - TAIL).unwrap_or(mean),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Interval, intervals, mean};

    const SEED: u64 = 0x5eed_0123_4567_89ab;

    fn one(values: &[f64], resamples: usize, seed: u64) -> Interval {
        *intervals(&[values.to_vec()], resamples, seed).first().unwrap()
    }

    #[test]
    fn equal_differences_leave_no_doubt() {
        let sure = Interval {
            mean: 0.25,
            low: 0.25,
            high: 0.25,
        };
        assert_eq!(one(&[0.25; 40], 200, SEED), sure);
        let none = one(&[0.0; 40], 200, SEED);
        assert_eq!((none.low, none.high), (0.0, 0.0));
        assert_eq!(one(&[], 10, SEED).mean, 0.0);
    }

    #[test]
    fn the_interval_is_about_two_standard_errors_wide() {
        // 300 of 1,000 are 1: the standard error of the mean is sqrt(0.3 × 0.7 / 1000) = 0.01449.
        let values: Vec<f64> = (0..1000)
            .map(|number| f64::from(u8::from(number % 10 < 3)))
            .collect();
        let interval = one(&values, 10_000, SEED);
        assert!((interval.mean - 0.3).abs() < 1e-12);
        assert!(
            (interval.low - (0.3 - 1.96 * 0.01449)).abs() < 0.002,
            "{interval:?}"
        );
        assert!(
            (interval.high - (0.3 + 1.96 * 0.01449)).abs() < 0.002,
            "{interval:?}"
        );
    }

    #[test]
    fn a_difference_that_pairs_show_is_found() {
        // Queries differ far more from each other than the systems do on one query.
        let ours: Vec<f64> = (0..500).map(|number| f64::from(number % 7)).collect();
        let difference: Vec<f64> = (0..500)
            .map(|number| if number % 5 == 0 { 0.0 } else { 0.1 })
            .collect();
        let bounds = intervals(&[ours, difference], 2000, SEED);
        let (spread, paired) = (bounds.first().unwrap(), bounds.last().unwrap());
        assert!(spread.high - spread.low > 0.3);
        assert!(paired.low > 0.07 && paired.high < 0.09, "{paired:?}");
    }

    #[test]
    fn the_seed_decides() {
        let values: Vec<f64> = (0..100).map(|number| f64::from(number).sin()).collect();
        assert_eq!(one(&values, 500, SEED), one(&values, 500, SEED));
        assert_ne!(one(&values, 500, SEED), one(&values, 500, SEED + 2));
        assert!((mean(&values) - one(&values, 500, SEED).mean).abs() < 1e-12);
    }
}
