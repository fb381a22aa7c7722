//! The columns that are filtered by, the conditions on them, and the exact answers under each.

use std::collections::BinaryHeap;

use crate::Error;
use crate::data::Data;
use crate::data::exact::Metric;
use crate::data::matrix::Matrix;
use crate::index::method::K;

/// Values of `part`; a row has one of them at random.
const PARTS: u32 = 10_000;
/// Clusters: a row belongs to the nearest of so many rows.
const CLUSTERS: usize = 64;
/// The words, and up to which remainder of [`PARTS`] a row has each: shares of 0.01 %, 0.1 %, 1 %, 10 % and 50 %.
const WORDS: [(&str, u32); 6] = [
    ("rarest", 1),
    ("rare", 11),
    ("scarce", 111),
    ("common", 1_111),
    ("half", 6_111),
    ("rest", PARTS),
];

/// What the rows have beside their vectors.
#[derive(Debug)]
pub(crate) struct Columns {
    /// A number at random.
    pub(super) part: Vec<u32>,
    /// A word at random, by its place in [`WORDS`].
    word: Vec<usize>,
    /// The cluster of the vector.
    pub(super) cluster: Vec<u32>,
    /// For each query the nearest cluster and the farthest.
    of_queries: Vec<(u32, u32)>,
}

impl Columns {
    /// Those of a data set; the same for the same rows.
    pub(crate) fn new(data: &Data, metric: Metric) -> Self {
        let rows = data.base.len();
        let mut state = 0x6361_7374;
        let mut next = || {
            state = splitmix(state);
            state
        };
        let part = (0..rows).map(|_| (next() % u64::from(PARTS)) as u32).collect();
        let word = (0..rows)
            .map(|_| {
                let number = (next() % u64::from(PARTS)) as u32;
                WORDS.iter().position(|&(_, end)| number < end).unwrap_or(0)
            })
            .collect();
        let centers: Vec<usize> = (0..CLUSTERS)
            .map(|_| (next() % rows.max(1) as u64) as usize)
            .collect();
        let ranked = |vector: &[f32]| {
            let distances = centers
                .iter()
                .map(|&center| metric.distance(vector, data.base.row(center)));
            let mut order: Vec<(f64, u32)> = distances.zip(0..).collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0));
            order
        };
        let nearest = |vector: &[f32]| ranked(vector).first().map_or(0, |&(_, cluster)| cluster);
        let cluster = (0..rows).map(|row| nearest(data.base.row(row))).collect();
        let of_queries = (0..data.queries.len())
            .map(|query| {
                let order = ranked(data.queries.row(query));
                let at = |place: Option<&(f64, u32)>| place.map_or(0, |&(_, cluster)| cluster);
                (at(order.first()), at(order.last()))
            })
            .collect();
        Self {
            part,
            word,
            cluster,
            of_queries,
        }
    }

    /// The word of a row.
    pub(super) fn word(&self, row: usize) -> &'static str {
        let place = self.word.get(row).copied().unwrap_or(0);
        WORDS.get(place).map_or("", |&(word, _)| word)
    }

    /// The condition's value for a query, if it has one.
    pub(crate) fn value(&self, condition: Condition, query: usize) -> Option<i32> {
        let (nearest, farthest) = self.of_queries.get(query).copied().unwrap_or_default();
        match condition {
            Condition::OwnCluster => i32::try_from(nearest).ok(),
            Condition::FarCluster => i32::try_from(farthest).ok(),
            Condition::Part(_) | Condition::Word(_) => None,
        }
    }

    /// Whether a row satisfies a condition for a query.
    fn holds(&self, condition: Condition, query: usize, row: usize) -> bool {
        match condition {
            Condition::Part(end) => self.part.get(row).is_some_and(|&part| part < end),
            Condition::Word(word) => self.word(row) == word,
            Condition::OwnCluster | Condition::FarCluster => {
                let cluster = self
                    .cluster
                    .get(row)
                    .and_then(|&cluster| i32::try_from(cluster).ok());
                cluster == self.value(condition, query)
            }
        }
    }
}

fn splitmix(state: u64) -> u64 {
    let mut x = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A condition of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `part < end`
    Part(u32),
    /// `word = …`
    Word(&'static str),
    /// The cluster that the query is in: the condition leaves what the walk meets first.
    OwnCluster,
    /// The cluster farthest from the query: it leaves what the walk meets last.
    FarCluster,
}

impl Condition {
    /// All, those that leave most first.
    pub(crate) const ALL: [Self; 12] = [
        Self::Part(5_000),
        Self::Part(1_000),
        Self::Part(100),
        Self::Part(10),
        Self::Part(1),
        Self::Word("half"),
        Self::Word("common"),
        Self::Word("scarce"),
        Self::Word("rare"),
        Self::Word("rarest"),
        Self::OwnCluster,
        Self::FarCluster,
    ];

    /// As SQL; `$2` is its value for the query.
    pub(crate) fn sql(self) -> String {
        match self {
            Self::Part(end) => format!("part < {end}"),
            Self::Word(word) => format!("word = '{word}'"),
            Self::OwnCluster | Self::FarCluster => "cluster = $2".to_owned(),
        }
    }

    /// For people.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Part(_) | Self::Word(_) => self.sql(),
            Self::OwnCluster => "nearest cluster".to_owned(),
            Self::FarCluster => "farthest cluster".to_owned(),
        }
    }
}

/// The exact answers under one condition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    /// For each query the distances of its nearest rows, at most [`K`], ascending.
    pub(crate) distances: Vec<Vec<f32>>,
    /// Mean share of the rows that satisfy the condition.
    pub(crate) selectivity: f64,
}

/// A distance that orders.
#[derive(PartialEq)]
struct Distance(f64);

impl Eq for Distance {}

impl PartialOrd for Distance {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Distance {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The exact answers under every condition of [`Condition::ALL`]: every query is compared with every row once.
pub(crate) fn truths(
    base: &Matrix<f32>,
    queries: &Matrix<f32>,
    columns: &Columns,
    metric: Metric,
    threads: usize,
) -> Result<Vec<Truth>, Error> {
    let numbers: Vec<usize> = (0..queries.len()).collect();
    let share = numbers.len().div_ceil(threads.max(1)).max(1);
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = numbers
            .chunks(share)
            .map(|numbers| {
                scope.spawn(move || {
                    let of = |&number: &usize| nearest(base, queries.row(number), number, columns, metric);
                    numbers.iter().map(of).collect::<Vec<_>>()
                })
            })
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
    let mut truths = vec![Truth::default(); Condition::ALL.len()];
    let all = (base.len() * queries.len()).max(1) as f64;
    for of_query in found {
        for (truth, (distances, rows)) in truths.iter_mut().zip(of_query) {
            truth.distances.push(distances);
            truth.selectivity += rows as f64 / all;
        }
    }
    Ok(truths)
}

/// For each condition the nearest rows of a query, and how many rows satisfy it.
fn nearest(
    base: &Matrix<f32>,
    query: &[f32],
    number: usize,
    columns: &Columns,
    metric: Metric,
) -> Vec<(Vec<f32>, usize)> {
    let mut heaps: Vec<(BinaryHeap<Distance>, usize)> = Vec::new();
    heaps.resize_with(Condition::ALL.len(), Default::default);
    for row in 0..base.len() {
        let distance = metric.distance(query, base.row(row));
        for (&condition, (heap, rows)) in Condition::ALL.iter().zip(&mut heaps) {
            if !columns.holds(condition, number, row) {
                continue;
            }
            *rows += 1;
            if heap.len() < K {
                heap.push(Distance(distance));
            } else if let Some(mut farthest) = heap.peek_mut()
                && distance < farthest.0
            {
                *farthest = Distance(distance);
            }
        }
    }
    let sorted = |heap: BinaryHeap<Distance>| {
        let distances = heap.into_sorted_vec();
        distances.into_iter().map(|distance| distance.0 as f32).collect()
    };
    heaps
        .into_iter()
        .map(|(heap, rows)| (sorted(heap), rows))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Columns, Condition, truths};
    use crate::data::Data;
    use crate::data::exact::Metric;
    use crate::data::matrix::Matrix;

    fn data(rows: usize) -> Data {
        let base: Vec<f32> = (0..rows).map(|row| (row as f32 * 0.37).sin()).collect();
        Data {
            base: Matrix::new(1, base),
            queries: Matrix::new(1, vec![0.5, -0.9]),
            distances: Matrix::new(1, vec![0.0; 2]),
            ids: Matrix::new(1, vec![0; 2]),
        }
    }

    #[test]
    fn shares_are_about_what_they_are_named_for() {
        let data = data(30_000);
        let columns = Columns::new(&data, Metric::L2);
        let truths = truths(&data.base, &data.queries, &columns, Metric::L2, 2).unwrap();
        for (truth, wanted) in truths.iter().zip([0.5, 0.1, 0.01, 0.001, 0.0001].repeat(2)) {
            assert!(
                (truth.selectivity - wanted).abs() < 0.3 * wanted + 0.0002,
                "{wanted}"
            );
            assert_eq!(truth.distances.len(), 2);
        }
    }

    #[test]
    fn the_exact_answers_satisfy_the_condition() {
        let data = data(500);
        let columns = Columns::new(&data, Metric::L2);
        let truths = truths(&data.base, &data.queries, &columns, Metric::L2, 1).unwrap();
        for (condition, truth) in Condition::ALL.into_iter().zip(truths) {
            for (query, distances) in truth.distances.iter().enumerate() {
                let mut all: Vec<f32> = (0..500)
                    .filter(|&row| columns.holds(condition, query, row))
                    .map(|row| Metric::L2.distance(data.queries.row(query), data.base.row(row)) as f32)
                    .collect();
                all.sort_by(f32::total_cmp);
                all.truncate(10);
                assert_eq!(*distances, all);
            }
        }
    }
}
