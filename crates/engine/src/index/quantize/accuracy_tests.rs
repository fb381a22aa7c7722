//! How near estimates are to exact keys: bias, spread against the promised error, and the ranking that comes of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::index::quantize::rotation::SplitMix;

/// Random numbers for test data.
pub(super) struct Random(SplitMix);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(SplitMix(seed))
    }

    fn uniform(&mut self) -> f64 {
        (self.0.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normally distributed (Box and Muller).
    pub(super) fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.uniform()).cos()) as f32
    }

    fn vector(&mut self, dims: usize) -> Vec<f32> {
        (0..dims).map(|_| self.normal()).collect()
    }
}

/// Vectors around cluster centres, on a few strong dimensions, away from the origin.
pub(super) fn clustered(count: usize, dims: usize, clusters: usize, random: &mut Random) -> Vec<Vec<f32>> {
    let centers: Vec<Vec<f32>> = (0..clusters).map(|_| random.vector(dims)).collect();
    let weights: Vec<f32> = (0..dims)
        .map(|dim| if dim % 10 == 0 { 3.0 } else { 0.5 })
        .collect();
    (0..count)
        .map(|i| {
            let elements = centers[i % clusters].iter().zip(&weights);
            elements
                .map(|(center, weight)| weight * (center + 0.7 * random.normal()) + 0.4)
                .collect()
        })
        .collect()
}

/// A quantiser with the centre of the vectors.
pub(super) fn quantizer(metric: Metric, bits: CodeBits, vectors: &[Vec<f32>]) -> Quantizer {
    let dims = vectors[0].len();
    let plain = Quantizer::new(metric, dims, bits, 42, &[]).unwrap();
    let mut center = CenterBuilder::new(dims).unwrap();
    let mut transformed = vec![0.0; dims];
    for vector in vectors {
        plain.transform(vector, &mut transformed);
        center.add(&transformed);
    }
    Quantizer::new(metric, dims, bits, 42, &center.finish()).unwrap()
}

pub(super) struct Coded {
    pub transformed: Vec<f32>,
    pub factors: Factors,
    pub code: Vec<u8>,
}

impl Coded {
    pub(super) fn new(quantizer: &Quantizer, vector: &[f32]) -> Self {
        let mut transformed = vec![0.0; quantizer.dims()];
        quantizer.transform(vector, &mut transformed);
        let mut code = vec![0xff; quantizer.code_bytes()];
        let factors = quantizer.encode(&transformed, &mut code);
        Self {
            transformed,
            factors,
            code,
        }
    }

    pub(super) fn code_ref(&self) -> CodeRef<'_> {
        CodeRef {
            factors: self.factors,
            code: &self.code,
        }
    }
}

const METRICS: [Metric; 4] = [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1];

/// Differences between estimates and exact keys.
#[derive(Default)]
struct Differences {
    count: f64,
    sum: f64,
    squares: f64,
    expected_squares: f64,
}

impl Differences {
    fn add(&mut self, difference: f64, expected: f64) {
        self.count += 1.0;
        self.sum += difference;
        self.squares += difference * difference;
        self.expected_squares += expected * expected;
    }

    /// The mean, in units of the promised error.
    fn bias(&self) -> f64 {
        self.sum / (self.count * self.expected_squares).sqrt()
    }

    /// The root of the mean square, in units of the promised error.
    fn deviation(&self) -> f64 {
        (self.squares / self.expected_squares).sqrt()
    }

    /// The root of the mean squared promised error.
    fn expected(&self) -> f64 {
        (self.expected_squares / self.count).sqrt()
    }
}

struct Accuracy {
    /// From queries to codes.
    estimate: Differences,
    /// From codes to codes, relative to the promise for queries.
    between: Differences,
    /// The mean of the absolute exact keys.
    mean_key: f64,
}

fn measure(metric: Metric, bits: CodeBits, vectors: &[Vec<f32>], queries: usize) -> Accuracy {
    let quantizer = quantizer(metric, bits, vectors);
    let coded: Vec<Coded> = vectors
        .iter()
        .map(|vector| Coded::new(&quantizer, vector))
        .collect();
    let mut accuracy = Accuracy {
        estimate: Differences::default(),
        between: Differences::default(),
        mean_key: 0.0,
    };
    let mut query = Query::default();
    for (a, a_coded) in vectors.iter().zip(&coded).take(queries) {
        query.prepare(&quantizer, &a_coded.transformed);
        for (b, b_coded) in vectors.iter().zip(&coded).skip(queries) {
            let exact = exact_key(metric, a, b);
            let expected = f64::from(query.error(&b_coded.factors));
            let estimate = f64::from(query.estimate(b_coded.code_ref()));
            let between = f64::from(quantizer.between(a_coded.code_ref(), b_coded.code_ref()));
            accuracy.estimate.add(estimate - exact, expected);
            accuracy.between.add(between - exact, expected);
            accuracy.mean_key += exact.abs();
        }
    }
    accuracy.mean_key /= accuracy.estimate.count;
    accuracy
}

fn data_sets(dims: usize) -> [(&'static str, Vec<Vec<f32>>); 2] {
    let random = &mut Random::new(dims as u64);
    [
        ("random", (0..400).map(|_| random.vector(dims)).collect()),
        ("clustered", clustered(400, dims, 12, random)),
    ]
}

#[test]
fn estimates_are_unbiased_and_as_exact_as_promised() {
    for dims in [3, 17, 100, 384, 768, 1536] {
        for (name, vectors) in data_sets(dims) {
            for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
                for bits in [CodeBits::Four, CodeBits::Eight] {
                    let Accuracy {
                        estimate,
                        between,
                        mean_key,
                    } = measure(metric, bits, &vectors, 60);
                    let case = format!("{dims} {name} {metric:?} {bits:?}");
                    assert!(estimate.bias().abs() < 0.04, "{case}: bias {}", estimate.bias());
                    assert!(
                        estimate.deviation() < 1.08,
                        "{case}: deviation {}",
                        estimate.deviation()
                    );
                    // Two roundings instead of one, unless the query's own is as coarse.
                    assert!(
                        between.bias().abs() < 0.04,
                        "{case}: bias between {}",
                        between.bias()
                    );
                    assert!(
                        between.deviation() < 1.52,
                        "{case}: deviation between {}",
                        between.deviation()
                    );
                    // And the promise is worth something: 4 bits err by a tenth of a vector, in one of D dimensions.
                    if metric != Metric::InnerProduct {
                        let bound = if bits == CodeBits::Four { 0.13 } else { 0.013 } / (dims as f64).sqrt();
                        let relative = estimate.expected() / mean_key;
                        assert!(relative < bound, "{case}: error {relative}");
                    }
                }
            }
        }
    }
}

#[test]
fn near_vectors_are_estimated_better() {
    let dims = 384;
    let random = &mut Random::new(5);
    for distance in [0.1, 0.3, 1.0] {
        let mut vectors = Vec::new();
        for _ in 0..400 {
            let vector = random.vector(dims);
            vectors.push(vector.iter().map(|x| x + distance * random.normal()).collect());
            vectors.push(vector);
        }
        for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
            let quantizer = quantizer(metric, CodeBits::Four, &vectors);
            let (mut near, mut promised) = (Differences::default(), 0.0);
            for (a, b) in vectors.iter().zip(vectors.iter().skip(1)).step_by(2) {
                let query = quantizer.query(&Coded::new(&quantizer, a).transformed);
                let coded = Coded::new(&quantizer, b);
                let estimate = query.estimate(coded.code_ref());
                let difference = f64::from(estimate) - exact_key(metric, a, b);
                near.add(difference, f64::from(query.error_at(&coded.factors, estimate)));
                promised += f64::from(query.error(&coded.factors)).powi(2);
            }
            let case = format!("{metric:?} at {distance}");
            let deviation = near.deviation();
            assert!((0.65..1.1).contains(&deviation), "{case}: deviation {deviation}");
            let gain = (promised / near.expected_squares).sqrt();
            assert!(
                gain > if distance < 0.5 { 2.0 } else { 1.2 },
                "{case}: gain {gain}"
            );
        }
    }
}

#[test]
fn taxicab_estimates_are_as_exact_as_promised() {
    for dims in [3, 17, 100, 384, 768, 1536] {
        for (name, vectors) in data_sets(dims) {
            let Accuracy {
                estimate,
                between,
                mean_key,
            } = measure(Metric::L1, CodeBits::Eight, &vectors, 60);
            let case = format!("{dims} {name}");
            // Differences below half a step come out too great, which adds to a bias with the number of dimensions.
            assert!(estimate.bias().abs() < 0.5, "{case}: bias {}", estimate.bias());
            assert!(
                estimate.deviation() < 1.2,
                "{case}: deviation {}",
                estimate.deviation()
            );
            assert!(
                between.bias().abs() < 1.1,
                "{case}: bias between {}",
                between.bias()
            );
            assert!(
                between.deviation() < 1.9,
                "{case}: deviation between {}",
                between.deviation()
            );
            assert!(estimate.expected() / mean_key < 0.002, "{case}");
            let Accuracy {
                estimate,
                between,
                mean_key,
            } = measure(Metric::L1, CodeBits::Four, &vectors, 60);
            let relative =
                |differences: &Differences| (differences.squares / differences.count).sqrt() / mean_key;
            assert!(relative(&estimate) < 0.08, "{case}: {}", relative(&estimate));
            assert!(relative(&between) < 0.16, "{case}: {}", relative(&between));
        }
    }
}

#[test]
fn codes_of_32_bits_are_exact() {
    for dims in [1, 3, 17, 32, 100] {
        for (name, vectors) in data_sets(dims) {
            for metric in METRICS {
                let Accuracy {
                    estimate,
                    between,
                    mean_key,
                } = measure(metric, CodeBits::ThirtyTwo, &vectors, 60);
                for differences in [estimate, between] {
                    let relative = (differences.squares / differences.count).sqrt() / mean_key;
                    assert!(relative < 1e-6, "{dims} {name} {metric:?}: {relative}");
                    assert_eq!(differences.expected(), 0.0);
                }
            }
        }
    }
}

/// The nearest `count` of what `key` orders.
fn nearest(count: usize, of: usize, key: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut order: Vec<(f64, usize)> = (0..of).map(|i| (key(i), i)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.into_iter().take(count).map(|(_, i)| i).collect()
}

#[test]
fn the_nearest_vectors_are_among_the_first_by_estimate() {
    let random = &mut Random::new(4);
    let vectors = clustered(5040, 384, 50, random);
    let (rows, queries) = vectors.split_at(5000);
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1] {
        let bits = CodeBits::default_for(metric, 384);
        let quantizer = quantizer(metric, bits, rows);
        let coded: Vec<Coded> = rows.iter().map(|row| Coded::new(&quantizer, row)).collect();
        let (mut found, mut found_between) = (0, 0);
        for vector in queries {
            let own = Coded::new(&quantizer, vector);
            let query = quantizer.query(&own.transformed);
            let exact = nearest(10, rows.len(), |i| exact_key(metric, vector, &rows[i]));
            let estimated = nearest(40, rows.len(), |i| f64::from(query.estimate(coded[i].code_ref())));
            let between = nearest(40, rows.len(), |i| {
                f64::from(quantizer.between(own.code_ref(), coded[i].code_ref()))
            });
            found += exact.iter().filter(|i| estimated.contains(i)).count();
            found_between += exact.iter().filter(|i| between.contains(i)).count();
        }
        let all = 10 * queries.len();
        println!("{metric:?}: {found} of {all}, between codes {found_between}");
        assert!(found * 100 >= all * 99, "{metric:?}: {found} of {all}");
        assert!(
            found_between * 100 >= all * 98,
            "{metric:?}: {found_between} of {all} between codes"
        );
    }
}

/// Prints the table of README.md: `cargo test -p castmatch-engine --no-default-features accuracy_table -- --ignored --nocapture`.
#[test]
#[ignore = "prints a table"]
fn accuracy_table() {
    for dims in [384, 768, 1536] {
        for (name, vectors) in data_sets(dims) {
            for metric in METRICS {
                for bits in [CodeBits::Four, CodeBits::Eight] {
                    let Accuracy {
                        estimate,
                        between,
                        mean_key,
                    } = measure(metric, bits, &vectors, 100);
                    println!(
                        "| {dims} | {name} | {} | {} | {:.2} % | {:.3} | {:.2} | {:.2} |",
                        metric.name(),
                        bits.to_u8(),
                        100.0 * estimate.expected() / mean_key,
                        estimate.bias(),
                        estimate.deviation(),
                        between.deviation(),
                    );
                }
            }
        }
    }
}

/// The order of a scan rests on it: also where the difference is one of rounding only, or the key beyond single precision.
#[test]
fn unquantised_estimates_bound_the_exact_key_from_below() {
    let mut random = Random::new(11);
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1] {
        for (dims, scale) in [
            (1, 1.0),
            (3, 1.0),
            (30, 1e-22),
            (30, 1e3),
            (130, 1e18),
            (2000, 1.0),
        ] {
            let quantizer = Quantizer::new(metric, dims, CodeBits::ThirtyTwo, 42, &[]).unwrap();
            let center = random.vector(dims);
            let mut near = |spread: f32| -> Vec<f32> {
                let around = center.iter().map(|&x| scale * (x + spread * random.normal()));
                around.collect()
            };
            let vectors = [1.0, 1e-3, 1e-6].map(|spread| [near(spread), near(spread)]);
            for [a, b] in &vectors {
                let (coded, mut transformed) = (Coded::new(&quantizer, a), vec![0.0; dims]);
                quantizer.transform(b, &mut transformed);
                let query = quantizer.query(&transformed);
                let key = query.estimate(coded.code_ref());
                let lower = query.lower_bound(key, &coded.factors, 0.0);
                let exact = exact_key(metric, b, a);
                assert!(
                    f64::from(lower) <= exact,
                    "{metric:?} {dims} {scale}: {lower} {key} {exact}"
                );
            }
        }
    }
}

#[test]
fn estimates_beyond_single_precision_bound_nothing() {
    let quantizer = Quantizer::new(Metric::InnerProduct, 2, CodeBits::ThirtyTwo, 42, &[]).unwrap();
    let query = quantizer.query(&[3e38, -3e38]);
    for vector in [[3e38, 3e38], [2e38, -3e38], [1e20, 0.0], [-3e38, 3e38]] {
        let coded = Coded::new(&quantizer, &vector);
        let key = query.estimate(coded.code_ref());
        assert_eq!(
            query.lower_bound(key, &coded.factors, 3.0),
            f32::NEG_INFINITY,
            "{vector:?}"
        );
    }
}
