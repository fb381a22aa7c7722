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
const BITS: [CodeBits; 3] = [CodeBits::Four, CodeBits::Eight, CodeBits::ThirtyTwo];

struct Spread {
    /// Mean difference, in units of the root of the mean squared promised error.
    bias: f64,
    /// Root of the mean squared difference, in the same units.
    deviation: f64,
    /// The root of the mean squared promised error, relative to the mean key.
    error: f64,
}

fn spread(differences: &[(f64, f64)], keys: f64) -> Spread {
    let count = differences.len() as f64;
    let error = (differences.iter().map(|(_, error)| error * error).sum::<f64>() / count).sqrt();
    let mean = differences.iter().map(|(difference, _)| difference).sum::<f64>() / count;
    let square = differences
        .iter()
        .map(|(difference, _)| difference * difference)
        .sum::<f64>()
        / count;
    Spread {
        bias: mean / error,
        deviation: square.sqrt() / error,
        error: error / (keys / count),
    }
}

#[test]
fn probe() {
    let random = &mut Random::new(1);
    for dims in [3, 17, 33, 100, 384, 768, 1536] {
        for (name, vectors) in [
            (
                "random",
                (0..600).map(|_| random.vector(dims)).collect::<Vec<_>>(),
            ),
            ("clustered", clustered(600, dims, 12, random)),
        ] {
            for metric in METRICS {
                for bits in BITS {
                    let quantizer = quantizer(metric, bits, &vectors);
                    let coded: Vec<Coded> = vectors.iter().map(|v| Coded::new(&quantizer, v)).collect();
                    let (mut estimates, mut betweens, mut keys) = (Vec::new(), Vec::new(), 0.0);
                    for (v, c) in vectors.iter().zip(&coded).take(100) {
                        let query = quantizer.query(&c.transformed);
                        for (w, d) in vectors.iter().zip(&coded).skip(100) {
                            let exact = exact_key(metric, v, w);
                            let error = f64::from(query.error(&d.factors));
                            estimates.push((f64::from(query.estimate(d.code_ref())) - exact, error));
                            betweens.push((
                                f64::from(quantizer.between(c.code_ref(), d.code_ref())) - exact,
                                error,
                            ));
                            keys += exact.abs();
                        }
                    }
                    let (e, b) = (spread(&estimates, keys), spread(&betweens, keys));
                    println!(
                        "{dims:>5} {name:<10} {:<14} {bits:?} error {:.5} bias {:.3} dev {:.3} | between bias {:.3} dev {:.3}",
                        metric.name(),
                        e.error,
                        e.bias,
                        e.deviation,
                        b.bias,
                        b.deviation
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
        for (dims, scale) in [(1, 1.0), (3, 1.0), (30, 1e-22), (30, 1e3), (130, 1e18), (2000, 1.0)] {
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
                assert!(f64::from(lower) <= exact, "{metric:?} {dims} {scale}: {lower} {key} {exact}");
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
        assert_eq!(query.lower_bound(key, &coded.factors, 3.0), f32::NEG_INFINITY, "{vector:?}");
    }
}
