#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::cell::Cell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::interrupt::{Interrupted, NeverInterrupted};

fn uniform(random: &mut Random) -> f64 {
    (random.next() >> 11) as f64 / (1_u64 << 53) as f64
}

fn normal(random: &mut Random) -> f32 {
    let radius = (-2.0 * (1.0 - uniform(random)).ln()).sqrt();
    (radius * (std::f64::consts::TAU * uniform(random)).cos()) as f32
}

/// Points around `kinds` random ones, so much apart, in turn.
fn mixture(count: usize, dims: usize, kinds: usize, apart: f32, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let means: Vec<f32> = (0..kinds * dims).map(|_| apart * normal(&mut random)).collect();
    (0..count * dims)
        .map(|i| means[i / dims % kinds * dims + i % dims] + normal(&mut random))
        .collect()
}

fn run(values: &[f32], dims: usize, clusters: usize, threads: usize) -> Vec<f32> {
    let options = KmeansOptions {
        clusters,
        iterations: 10,
        seed: 1,
        threads,
    };
    kmeans(Points { values, dims }, &options, &NeverInterrupted).unwrap()
}

/// How many points each centroid is nearest to, and the mean squared distance.
fn assign(values: &[f32], dims: usize, centroids: &[f32]) -> (Vec<usize>, f64) {
    let mut counts = vec![0; centroids.len() / dims];
    let mut total = 0.0;
    for point in values.chunks(dims) {
        let (nearest, distance) = points::nearest_row(point, centroids, dims);
        counts[nearest] += 1;
        total += f64::from(distance);
    }
    (counts, total / (values.len() / dims) as f64)
}

/// Lloyd's algorithm without any of the shortcuts.
fn flat(values: &[f32], dims: usize, clusters: usize, rounds: usize) -> Vec<f32> {
    let points = Points { values, dims };
    let members = (0..points.count() as u32).collect();
    let mut found = start(points, members, clusters, &mut Random(9), &NeverInterrupted).unwrap();
    for _ in 0..rounds {
        let (centroids, members, _) = found.into_parts();
        found = Clusters::around(points, centroids, members).unwrap();
        found
            .settle(1, clusters, Crew::Team(2, &NeverInterrupted))
            .unwrap();
    }
    found.into_parts().0
}

/// All of the values' rows once.
fn distinct(values: &[f32], dims: usize) -> HashSet<Vec<u32>> {
    let bits = |row: &[f32]| row.iter().map(|value| (value + 0.0).to_bits()).collect();
    values.chunks(dims).map(bits).collect()
}

/// What holds of every result.
fn check(values: &[f32], dims: usize, clusters: usize, centroids: &[f32]) {
    assert_eq!(centroids.len() % dims, 0);
    let count = centroids.len() / dims;
    assert!(
        (1..=clusters.min(distinct(values, dims).len())).contains(&count),
        "{count}"
    );
    assert!(centroids.iter().all(|value| value.is_finite()));
    let (counts, _) = assign(values, dims, centroids);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
fn finds_clusters_that_are_far_apart() {
    for kinds in [2, 8, 30] {
        let (count, dims) = (3000, 8);
        let values = mixture(count, dims, kinds, 100.0, 5);
        let centroids = run(&values, dims, kinds, 2);
        check(&values, dims, kinds, &centroids);
        let (counts, mean) = assign(&values, dims, &centroids);
        assert_eq!(counts, vec![count / kinds; kinds]);
        assert!(mean < dims as f64 * 1.1, "{mean}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let values = mixture(6000, 24, 40, 1.0, 6);
    for clusters in [1, 20, 100, 300] {
        let alone = run(&values, 24, clusters, 0);
        check(&values, 24, clusters, &alone);
        assert_eq!(alone.len() / 24, clusters);
        for threads in [1, 3] {
            assert_eq!(run(&values, 24, clusters, threads), alone);
        }
    }
}

#[test]
fn another_seed_gives_other_clusters() {
    let values = mixture(2000, 8, 1, 0.0, 7);
    let of = |seed| {
        let options = KmeansOptions {
            clusters: 10,
            iterations: 3,
            seed,
            threads: 0,
        };
        kmeans(
            Points {
                values: &values,
                dims: 8,
            },
            &options,
            &NeverInterrupted,
        )
        .unwrap()
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn fewer_different_points_than_clusters_are_the_centroids() {
    let kinds: Vec<f32> = (0..5 * 3).map(|i| (i * i) as f32 * 0.1).collect();
    let values: Vec<f32> = (0..4000).flat_map(|i| kinds[i % 5 * 3..][..3].to_vec()).collect();
    for clusters in [5, 6, 30, 64, 1000] {
        let centroids = run(&values, 3, clusters, 1);
        assert_eq!(distinct(&centroids, 3), distinct(&kinds, 3));
        assert_eq!(centroids.len(), kinds.len());
    }
}

#[test]
fn many_duplicates_leave_the_clusters_to_the_others() {
    let mut values = mixture(4000, 4, 1, 0.0, 8);
    values[..3600 * 4].fill(0.5);
    for clusters in [20, 64, 200] {
        let centroids = run(&values, 4, clusters, 2);
        check(&values, 4, clusters, &centroids);
        assert!(centroids.len() / 4 > clusters * 9 / 10, "{}", centroids.len() / 4);
    }
}

#[test]
fn small_inputs() {
    assert!(run(&[], 3, 4, 0).is_empty());
    assert!(run(&[1.0, 2.0], 2, 0, 0).is_empty());
    assert_eq!(run(&[1.0, 2.0], 2, 40, 2), [1.0, 2.0]);
    assert_eq!(run(&[1.0, 3.0], 1, 1, 2), [2.0]);
    // What is behind the last whole vector is no vector.
    assert_eq!(run(&[1.0, 2.0, 3.0], 2, 4, 0), [1.0, 2.0]);
    let options = KmeansOptions {
        clusters: 3,
        iterations: 0,
        seed: 0,
        threads: 0,
    };
    let none = Points {
        values: &[1.0],
        dims: 0,
    };
    assert!(kmeans(none, &options, &NeverInterrupted).unwrap().is_empty());
}

#[test]
fn equal_points_are_one_cluster() {
    let values = [0.1, -3.7, 1e-40].repeat(5000);
    for clusters in [1, 2, 32, 33, 4000] {
        assert_eq!(run(&values, 3, clusters, 2), [0.1, -3.7, 1e-40]);
    }
}

#[test]
fn huge_values_give_finite_centroids() {
    for scale in [1e18, 1e30, f32::MAX] {
        let mut random = Random(4);
        let values: Vec<f32> = (0..1000 * 6)
            .map(|_| scale * (2.0 * uniform(&mut random) as f32 - 1.0))
            .collect();
        for clusters in [3, 20, 100] {
            check(&values, 6, clusters, &run(&values, 6, clusters, 2));
        }
        let extremes: Vec<f32> = (0..600)
            .map(|i| if i % 2 == 0 { scale } else { -scale })
            .collect();
        check(&extremes, 1, 50, &run(&extremes, 1, 50, 1));
        assert!(run(&extremes, 2, 50, 0) == [scale, -scale]);
    }
}

/// Cancels at the n-th question.
struct Cancel(Cell<usize>);

impl Interrupt for Cancel {
    fn check(&self) -> Result<(), Interrupted> {
        let left = self.0.get().checked_sub(1).ok_or(Interrupted)?;
        self.0.set(left);
        Ok(())
    }
}

impl Supervisor for Cancel {}

#[test]
fn a_cancelled_run_ends_soon() {
    let values = mixture(20_000, 64, 50, 1.0, 2);
    let points = Points {
        values: &values,
        dims: 64,
    };
    for (threads, questions) in [(0, 0), (0, 1), (0, 100), (0, 1000), (2, 0), (2, 3), (2, 70)] {
        let options = KmeansOptions {
            clusters: 2000,
            iterations: 1000,
            seed: 1,
            threads,
        };
        let begin = Instant::now();
        let outcome = kmeans(points, &options, &Cancel(Cell::new(questions)));
        assert_eq!(outcome, Err(IndexError::Interrupted(Interrupted)));
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn shortcuts_cost_little_quality() {
    let (count, dims, clusters) = (8000, 32, 64);
    for (kinds, apart) in [(1, 0.0), (30, 1.0), (64, 2.0), (300, 1.0)] {
        let values = mixture(count, dims, kinds, apart, 11);
        let centroids = run(&values, dims, clusters, 2);
        check(&values, dims, clusters, &centroids);
        assert_eq!(centroids.len(), clusters * dims);
        let (_, mean) = assign(&values, dims, &centroids);
        let (_, reference) = assign(&values, dims, &flat(&values, dims, clusters, 10));
        assert!(
            mean < 1.05 * reference,
            "{kinds} kinds: {mean} against {reference}"
        );
    }
}

#[test]
fn shares_are_in_proportion_to_points() {
    assert_eq!(shares(&[100, 400, 400, 401], 8).unwrap(), [2, 5, 0, 1]);
    assert_eq!(shares(&[3, 5], 9).unwrap(), [3, 2]);
    assert_eq!(shares(&[1, 1000], 2).unwrap(), [1, 1]);
}

proptest! {
    #[test]
    fn few_points_with_duplicates(
        dims in 1_usize..4,
        numbers in prop::collection::vec(-3_i8..=3, 4..400),
        clusters in 1_usize..90,
        seed: u64,
    ) {
        let mut values: Vec<f32> = numbers.iter().map(|number| f32::from(*number) * 0.7).collect();
        values.truncate(values.len() / dims * dims);
        let of = |threads| {
            let options = KmeansOptions { clusters, iterations: 8, seed, threads };
            kmeans(Points { values: &values, dims }, &options, &NeverInterrupted).unwrap()
        };
        let centroids = of(0);
        check(&values, dims, clusters, &centroids);
        prop_assert_eq!(centroids, of(2));
    }
}

#[test]
#[ignore = "measures: run it with --release --nocapture"]
fn time_and_quality() {
    let (count, dims, clusters) = (20_000, 384, 460);
    for (kinds, apart) in [(1, 0.0), (200, 0.3), (460, 3.0)] {
        let values = mixture(count, dims, kinds, apart, 3);
        let begin = Instant::now();
        let reference = flat(&values, dims, clusters, 10);
        let (took, (_, mean)) = (begin.elapsed(), assign(&values, dims, &reference));
        println!("{kinds} kinds, 10 rounds over all centroids: {took:?}, mean squared distance {mean:.3}");
        for (threads, iterations) in [(0, 10), (2, 2), (2, 4), (2, 10)] {
            let options = KmeansOptions {
                clusters,
                iterations,
                seed: 1,
                threads,
            };
            let points = Points {
                values: &values,
                dims,
            };
            let begin = Instant::now();
            let centroids = kmeans(points, &options, &NeverInterrupted).unwrap();
            let (took, (counts, mean)) = (begin.elapsed(), assign(&values, dims, &centroids));
            println!(
                "{threads} threads, {iterations} rounds: {took:?}, mean {mean:.3}, {} clusters of at most {:?}",
                counts.len(),
                counts.iter().max(),
            );
        }
    }
}
