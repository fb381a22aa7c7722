//! Recall, and what is read off the curve of recall and speed.

use crate::data::exact::Metric;
use crate::data::matrix::Matrix;

/// Distances that differ by less than this, relatively, are equal: two programs round differently.
const TOLERANCE: f64 = 1e-6;

/// The share of the exact `k` nearest rows that an answer has.
///
/// A row counts if it is as near as the k-th exact one: rows at equal distances are equally good. A row that an answer
/// has twice counts once.
pub(crate) fn recall(
    base: &Matrix<f32>,
    query: &[f32],
    exact_distances: &[f32],
    metric: Metric,
    k: usize,
    answer: &[usize],
) -> f64 {
    let k = k.min(exact_distances.len());
    let Some(&farthest) = k.checked_sub(1).and_then(|last| exact_distances.get(last)) else {
        return 1.0;
    };
    let farthest = f64::from(farthest);
    let limit = farthest + TOLERANCE * farthest.abs().max(TOLERANCE);
    let mut distinct = answer.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let good = distinct
        .iter()
        .map(|&id| base.row(id))
        .filter(|row| !row.is_empty() && metric.distance(query, row) <= limit)
        .count();
    good.min(k) as f64 / k as f64
}

/// The fastest of the points whose recall is at least `wanted`.
pub(crate) fn fastest<T>(
    points: &[T],
    wanted: f64,
    recall: impl Fn(&T) -> f64,
    speed: impl Fn(&T) -> f64,
) -> Option<&T> {
    points
        .iter()
        .filter(|point| recall(point) >= wanted)
        .max_by(|a, b| speed(a).total_cmp(&speed(b)))
}

#[cfg(test)]
mod tests {
    use super::{fastest, recall};
    use crate::data::exact::Metric;
    use crate::data::matrix::Matrix;

    #[test]
    fn recall_counts_what_is_near_enough() {
        let base = Matrix::new(1, vec![0.0, 1.0, 2.0, 3.0, 4.0]);
        let of =
            |k, answer: &[usize]| recall(&base, &[0.0], &[0.0, 1.0, 2.0, 3.0, 4.0], Metric::L2, k, answer);
        assert_eq!(of(2, &[0, 1]), 1.0);
        assert_eq!(of(2, &[1, 2]), 0.5);
        assert_eq!(of(4, &[0, 0, 0, 0]), 0.25);
        assert_eq!(of(2, &[]), 0.0);
        assert_eq!(of(2, &[0, 99]), 0.5);
        assert_eq!(of(0, &[]), 1.0);
        // A query asked for more than there is.
        assert_eq!(of(9, &[4, 3, 2, 1, 0]), 1.0);
    }

    #[test]
    fn rows_at_the_distance_of_the_last_are_as_good() {
        let base = Matrix::new(1, vec![1.0, -1.0, 1.0 + 1e-7, 1.1]);
        let exact = [1.0, 1.0, 1.0, 1.1];
        let of = |k, answer: &[usize]| recall(&base, &[0.0], &exact, Metric::L2, k, answer);
        assert_eq!(of(1, &[1]), 1.0);
        assert_eq!(of(2, &[1, 2]), 1.0);
        // More good rows than asked for are not more than all.
        assert_eq!(of(1, &[0, 1, 2]), 1.0);
        assert_eq!(of(2, &[0, 3]), 0.5);
    }

    #[test]
    fn the_fastest_of_those_that_are_good_enough() {
        let points = [(0.90, 900.0), (0.95, 500.0), (0.97, 520.0), (0.992, 100.0)];
        let at = |wanted| fastest(&points, wanted, |point| point.0, |point| point.1).map(|point| point.1);
        assert_eq!(at(0.95), Some(520.0));
        assert_eq!(at(0.99), Some(100.0));
        assert_eq!(at(0.0), Some(900.0));
        assert_eq!(at(0.999), None);
    }
}
