#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Instant;

use super::*;
use crate::interrupt::NeverInterrupted;

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

#[test]
#[ignore = "measures"]
fn timing() {
    let (count, dims, clusters) = (20_000, 384, 460);
    for (kinds, apart) in [(1, 0.0), (200, 0.3), (2000, 0.5), (460, 3.0)] {
        let values = mixture(count, dims, kinds, apart, 3);
        let begin = Instant::now();
        let reference = flat(&values, dims, clusters, 10);
        let reference = (begin.elapsed(), assign(&values, dims, &reference));
        let once = |threads: usize, iterations| {
            let begin = Instant::now();
            let options = KmeansOptions {
                clusters,
                iterations,
                seed: 1,
                threads,
            };
            let found = kmeans(
                Points {
                    values: &values,
                    dims,
                },
                &options,
                &NeverInterrupted,
            )
            .unwrap();
            let time = begin.elapsed();
            let (counts, mean) = assign(&values, dims, &found);
            let squares: usize = counts.iter().map(|c| c * c).sum();
            println!(
                "kinds {kinds} threads {threads} iterations {iterations}: {time:?}, {} clusters, mean {mean:.3} of {:.3}, size max {} \
                 imbalance {:.3} of {:.3} ({:?})",
                counts.len(),
                reference.1.1,
                counts.iter().max().unwrap(),
                squares as f64 * counts.len() as f64 / (count * count) as f64,
                reference.1.0.iter().map(|c| c * c).sum::<usize>() as f64 * clusters as f64
                    / (count * count) as f64,
                reference.0,
            );
        };
        once(0, 10);
        for iterations in [1, 2, 4, 10, 20] {
            once(2, iterations);
        }
    }
}
