//! Quantiles: of a histogram, whose values are known by bucket only, and of single values.

/// The value below which the share `quantile` (0 to 1) of a histogram's values lies, in the unit of `bounds`; `None` of an empty one.
///
/// Linear inside a bucket, the first of which begins at 0; a value in the last bucket, which has no upper bound, counts as the highest
/// bound. That is what PromQL's `histogram_quantile` does, so that both tell the same.
#[allow(clippy::cast_precision_loss)] // Counts of calls and bounds of buckets are far below 2^53.
#[must_use]
pub fn of_histogram(bounds: &[u64], counts: &[u64], quantile: f64) -> Option<f64> {
    let total = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let highest = *bounds.last()? as f64;
    if total == 0 {
        return None;
    }
    let rank = quantile.clamp(0.0, 1.0) * total as f64;
    let mut below = 0.0;
    let mut lower = 0.0;
    for (&bound, &count) in bounds.iter().zip(counts) {
        let (upper, inside) = (bound as f64, count as f64);
        if count > 0 && below + inside >= rank {
            let share = ((rank - below) / inside).clamp(0.0, 1.0);
            return Some(lower + (upper - lower) * share);
        }
        below += inside;
        lower = upper;
    }
    Some(highest)
}

/// The value below which the share `quantile` (0 to 1) of the values lies, linear between two of them; `None` of none. Of 5 values the
/// quantile 0.5 is the third.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // A position in a slice.
#[must_use]
pub fn of_values(values: &[f64], quantile: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = quantile.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (
        *sorted.get(place.floor() as usize)?,
        *sorted.get(place.ceil() as usize)?,
    );
    Some(below + (above - below) * place.fract())
}

/// The mean; `None` of none.
#[allow(clippy::cast_precision_loss)] // Numbers of values are far below 2^53.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: [u64; 3] = [10, 20, 40];

    #[test]
    fn values_lie_evenly_in_their_bucket() {
        // Ten values up to 10, ten from 10 to 20.
        let counts = [10, 10, 0, 0];
        assert_eq!(of_histogram(&BOUNDS, &counts, 0.25), Some(5.0));
        assert_eq!(of_histogram(&BOUNDS, &counts, 0.5), Some(10.0));
        assert_eq!(of_histogram(&BOUNDS, &counts, 0.75), Some(15.0));
        assert_eq!(of_histogram(&BOUNDS, &counts, 1.0), Some(20.0));
    }

    #[test]
    fn empty_buckets_before_the_first_value_count_for_nothing() {
        assert_eq!(of_histogram(&BOUNDS, &[0, 0, 4, 0], 0.0), Some(20.0));
        assert_eq!(of_histogram(&BOUNDS, &[0, 0, 4, 0], 0.5), Some(30.0));
    }

    #[test]
    fn the_open_bucket_ends_at_the_highest_bound() {
        assert_eq!(of_histogram(&BOUNDS, &[1, 0, 0, 9], 0.99), Some(40.0));
        assert_eq!(of_histogram(&BOUNDS, &[0, 0, 0, 1], 0.5), Some(40.0));
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(of_histogram(&BOUNDS, &[0; 4], 0.5), None);
        assert_eq!(of_histogram(&[], &[3], 0.5), None);
        assert_eq!(of_values(&[], 0.5), None);
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn single_values_are_interpolated() {
        let values = [4.0, 1.0, 3.0, 2.0, 5.0];
        assert_eq!(of_values(&values, 0.0), Some(1.0));
        assert_eq!(of_values(&values, 0.5), Some(3.0));
        assert_eq!(of_values(&values, 0.9), Some(4.6));
        assert_eq!(of_values(&values, 1.0), Some(5.0));
        assert_eq!(of_values(&[7.0], 0.99), Some(7.0));
        assert_eq!(mean(&values), Some(3.0));
    }

    proptest! {
        #[test]
        fn a_quantile_lies_in_the_bucket_of_its_value(
            values in prop::collection::vec(0_u64..60, 1..200), quantile in 0.0..=1.0_f64
        ) {
            let mut counts = [0_u64; 4];
            for value in &values {
                counts[BOUNDS.partition_point(|bound| bound < value)] += 1;
            }
            let found = of_histogram(&BOUNDS, &counts, quantile).unwrap();
            let mut sorted = values.clone();
            sorted.sort_unstable();
            // The value of that rank, as histogram_quantile counts ranks.
            let rank = ((quantile * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
            let bucket = BOUNDS.partition_point(|&bound| bound < sorted[rank - 1]);
            let lower = if bucket == 0 { 0 } else { BOUNDS[bucket - 1] };
            let upper = BOUNDS.get(bucket).copied().unwrap_or(40);
            prop_assert!((lower as f64..=upper as f64).contains(&found), "{found} of {lower}..={upper}");
        }
    }
}
