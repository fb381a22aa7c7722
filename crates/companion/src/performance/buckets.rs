//! Counts per bucket of a duration: the difference between two readings, and percentiles of it.

/// What was added between two readings of counters. A counter that fell began again from zero (the server was
/// restarted), so all of its new value was added since.
pub(super) fn added(before: &[u64], after: &[u64]) -> Vec<u64> {
    let began_again = before.len() != after.len() || before.iter().zip(after).any(|(old, new)| new < old);
    if began_again {
        return after.to_vec();
    }
    before.iter().zip(after).map(|(old, new)| new - old).collect()
}

/// The value below which the share `quantile` (0 to 1) of the durations is, interpolated linearly inside its
/// bucket, as PromQL's `histogram_quantile` does: what is past the last bound counts as the last bound.
/// `counts` has one more element than `bounds`. `None` without durations.
pub(super) fn quantile(bounds: &[f64], counts: &[u64], quantile: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = quantile * total as f64;
    let (mut below, mut lower) = (0u64, 0.0);
    for (&upper, &count) in bounds.iter().zip(counts) {
        if count > 0 && (below + count) as f64 >= rank {
            let share = (rank - below as f64) / count as f64;
            return Some(lower + (upper - lower) * share.clamp(0.0, 1.0));
        }
        below += count;
        lower = upper;
    }
    bounds.last().copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const BOUNDS: [f64; 3] = [1.0, 2.0, 10.0];

    #[test]
    fn quantiles_are_those_of_promql() {
        // histogram_quantile over le="1" 10, le="2" 20, le="10" 40, le="+Inf" 40.
        let counts = [10, 10, 20, 0];
        assert_eq!(quantile(&BOUNDS, &counts, 0.5), Some(2.0));
        assert_eq!(quantile(&BOUNDS, &counts, 0.25), Some(1.0));
        assert_eq!(quantile(&BOUNDS, &counts, 0.95), Some(9.2));
        assert_eq!(quantile(&BOUNDS, &counts, 0.125), Some(0.5));
    }

    #[test]
    fn empty_buckets_and_the_overflow() {
        assert_eq!(quantile(&BOUNDS, &[0; 4], 0.5), None);
        assert_eq!(quantile(&BOUNDS, &[], 0.5), None);
        assert_eq!(quantile(&BOUNDS, &[0, 0, 0, 7], 0.5), Some(10.0));
        assert_eq!(quantile(&BOUNDS, &[0, 0, 8, 0], 0.5), Some(6.0));
        assert_eq!(quantile(&[], &[5], 0.5), None);
    }

    #[test]
    fn counters_that_fell_began_again() {
        assert_eq!(added(&[1, 2, 3], &[2, 2, 10]), [1, 0, 7]);
        assert_eq!(added(&[5, 2, 3], &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(added(&[], &[4, 5]), [4, 5]);
    }
}
