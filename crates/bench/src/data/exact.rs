//! Exact neighbours by comparing every query with every row, with the engine's kernels, on all threads asked for.

use std::collections::BinaryHeap;

use castmatch_engine::kernels::{KernelSet, kernels};

use super::matrix::Matrix;
use crate::Error;

/// Rows that all queries of a thread see before the next ones: they stay in the second-level cache.
const BLOCK: usize = 128;

/// What a data set orders by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Metric {
    /// 1 − cosine.
    Cosine,
    /// The Euclidean distance.
    L2,
}

impl Metric {
    /// The distance of two vectors, as the SQL operators define it.
    pub(crate) fn distance(self, a: &[f32], b: &[f32]) -> f64 {
        self.with(kernels(), a, b)
    }

    #[inline]
    fn with(self, kernels: &KernelSet<f32>, a: &[f32], b: &[f32]) -> f64 {
        match self {
            Self::Cosine => {
                let parts = kernels.cosine_parts(a, b);
                1.0 - parts.inner_product / (parts.norm_a_squared * parts.norm_b_squared).sqrt()
            }
            Self::L2 => kernels.l2_squared(a, b).sqrt(),
        }
    }
}

/// The nearest rows of every query, nearest first, equally near ones by their number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Neighbours {
    /// Row numbers.
    pub(crate) ids: Matrix<u32>,
    /// Their distances.
    pub(crate) distances: Matrix<f32>,
}

/// A candidate; the greatest is the farthest.
#[derive(PartialEq)]
struct Candidate {
    distance: f64,
    id: u32,
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.distance
            .total_cmp(&other.distance)
            .then(self.id.cmp(&other.id))
    }
}

/// Finds the `count` nearest rows of `base` for every query.
pub(crate) fn neighbours(
    base: &Matrix<f32>,
    queries: &Matrix<f32>,
    metric: Metric,
    count: usize,
    threads: usize,
) -> Result<Neighbours, Error> {
    let count = count.min(base.len());
    if count == 0 || base.columns() != queries.columns() {
        return Err("no rows, or rows and queries of different dimensions".into());
    }
    let numbers: Vec<usize> = (0..queries.len()).collect();
    let share = numbers.len().div_ceil(threads.max(1)).max(1);
    let found: Vec<Vec<Candidate>> = std::thread::scope(|scope| {
        let threads: Vec<_> = numbers
            .chunks(share)
            .map(|numbers| scope.spawn(move || search(base, queries, numbers, metric, count)))
            .collect();
        let mut found = Vec::with_capacity(queries.len());
        for thread in threads {
            found.extend(
                thread
                    .join()
                    .map_err(|_| "a thread of the exact search panicked")?,
            );
        }
        Ok::<_, &str>(found)
    })?;
    let ids = found.iter().flatten().map(|candidate| candidate.id).collect();
    let distances = found
        .iter()
        .flatten()
        .map(|candidate| candidate.distance as f32)
        .collect();
    Ok(Neighbours {
        ids: Matrix::new(count, ids),
        distances: Matrix::new(count, distances),
    })
}

fn search(
    base: &Matrix<f32>,
    queries: &Matrix<f32>,
    numbers: &[usize],
    metric: Metric,
    count: usize,
) -> Vec<Vec<Candidate>> {
    let kernels = kernels();
    let mut heaps: Vec<BinaryHeap<Candidate>> = Vec::new();
    heaps.resize_with(numbers.len(), || BinaryHeap::with_capacity(count + 1));
    for start in (0..base.len()).step_by(BLOCK) {
        let end = (start + BLOCK).min(base.len());
        for (heap, &number) in heaps.iter_mut().zip(numbers) {
            let query = queries.row(number);
            for row in start..end {
                let candidate = Candidate {
                    distance: metric.with(kernels, query, base.row(row)),
                    id: row as u32,
                };
                if heap.len() < count {
                    heap.push(candidate);
                } else if let Some(mut farthest) = heap.peek_mut()
                    && candidate < *farthest
                {
                    *farthest = candidate;
                }
            }
        }
    }
    heaps.into_iter().map(BinaryHeap::into_sorted_vec).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Metric, neighbours};
    use crate::data::matrix::Matrix;

    fn numbers(count: usize, mut state: u64) -> Vec<f32> {
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn the_nearest_are_those_of_a_full_sort() {
        let (base, queries) = (
            Matrix::new(7, numbers(7 * 700, 1)),
            Matrix::new(7, numbers(7 * 13, 2)),
        );
        for metric in [Metric::L2, Metric::Cosine] {
            let found = neighbours(&base, &queries, metric, 20, 3).unwrap();
            assert_eq!((found.ids.len(), found.ids.columns()), (13, 20));
            for (number, query) in queries.rows().enumerate() {
                let mut all: Vec<(f64, u32)> = base
                    .rows()
                    .zip(0..)
                    .map(|(row, id)| (metric.distance(query, row), id))
                    .collect();
                all.sort_by(|a, b| a.0.total_cmp(&b.0));
                let ids: Vec<u32> = all.iter().take(20).map(|&(_, id)| id).collect();
                assert_eq!(found.ids.row(number), ids);
                assert!(found.distances.row(number).is_sorted());
            }
        }
    }

    #[test]
    fn equally_near_rows_come_by_number() {
        let base = Matrix::new(1, vec![1.0, 3.0, 1.0, 3.0, 1.0]);
        let found = neighbours(&base, &Matrix::new(1, vec![2.0]), Metric::L2, 3, 1).unwrap();
        assert_eq!(found.ids.row(0), [0, 1, 2]);
        assert_eq!(found.distances.row(0), [1.0, 1.0, 1.0]);
        let all = neighbours(&base, &Matrix::new(1, vec![2.0]), Metric::L2, 30, 2).unwrap();
        assert_eq!(all.ids.columns(), 5);
    }

    #[test]
    fn different_dimensions_are_an_error() {
        let base = Matrix::new(2, vec![1.0; 4]);
        assert!(neighbours(&base, &Matrix::new(1, vec![2.0]), Metric::L2, 3, 1).is_err());
    }
}
