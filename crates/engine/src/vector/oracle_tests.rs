#![allow(clippy::unwrap_used)]

//! Every distance of every type, and every level of its kernels, against double precision, on 10,000 random pairs each.

use std::collections::BTreeMap;

use half::f16;

use super::sparse::{self, SparseVector};
use super::{Element, VectorError, bits, distance};
use crate::kernels;

const PAIRS: usize = 10_000;

/// Relative to the result, or to what its parts add up to.
const TOLERANCE: f64 = 1e-6;

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Between -1 and 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// A length: mostly a few hundred, sometimes thousands.
    fn length(&mut self) -> usize {
        let most = if self.below(20) == 0 { 5_000 } else { 400 };
        1 + self.below(most)
    }

    /// The magnitude of a pair's elements, sometimes near the ends of the type.
    fn magnitude(&mut self, exponents: std::ops::RangeInclusive<i32>) -> f64 {
        let (low, high) = exponents.into_inner();
        let exponent = if self.below(3) > 0 {
            0
        } else {
            low + self.below((high - low + 1) as usize) as i32
        };
        f64::from(exponent).exp2()
    }
}

/// The sums that distances are made of, in double precision.
#[derive(Default)]
struct Sums {
    l2_squared: f64,
    product: f64,
    absolute_products: f64,
    l1: f64,
    squares: [f64; 2],
}

impl Sums {
    fn of(pairs: impl Iterator<Item = (f64, f64)>) -> Sums {
        let mut sums = Sums::default();
        for (x, y) in pairs {
            sums.l2_squared += (x - y) * (x - y);
            sums.product += x * y;
            sums.absolute_products += (x * y).abs();
            sums.l1 += (x - y).abs();
            sums.squares = [sums.squares[0] + x * x, sums.squares[1] + y * y];
        }
        sums
    }

    fn cosine(&self) -> f64 {
        1.0 - self.product / (self.squares[0] * self.squares[1]).sqrt()
    }
}

#[track_caller]
fn assert_close(metric: &str, actual: Result<f64, VectorError>, expected: f64, scale: f64) {
    let (actual, allowed) = (actual.unwrap(), TOLERANCE * scale);
    assert!(
        (actual - expected).abs() <= allowed || actual.is_nan() && expected.is_nan(),
        "{metric}: {actual:e} instead of {expected:e}, allowed {allowed:e}"
    );
}

fn check_dense<T: Element>(seed: u64, exponents: std::ops::RangeInclusive<i32>) {
    let mut random = Random(seed);
    for _ in 0..PAIRS {
        let (length, magnitude) = (random.length(), random.magnitude(exponents.clone()));
        let mut vector = || -> Vec<T> {
            (0..length)
                .map(|_| T::from_f32((random.unit() * magnitude) as f32))
                .collect()
        };
        let (a, b) = (vector(), vector());
        kernels::tests::check_levels(&a, &b);
        let sums = Sums::of(
            a.iter()
                .zip(&b)
                .map(|(x, y)| (f64::from(x.to_f32()), f64::from(y.to_f32()))),
        );
        assert_close(
            "l2",
            distance::l2(&a, &b),
            sums.l2_squared.sqrt(),
            sums.l2_squared.sqrt(),
        );
        assert_close(
            "l2_squared",
            distance::l2_squared(&a, &b),
            sums.l2_squared,
            sums.l2_squared,
        );
        assert_close(
            "ip",
            distance::inner_product(&a, &b),
            sums.product,
            sums.absolute_products,
        );
        assert_close(
            "-ip",
            distance::negative_inner_product(&a, &b),
            -sums.product,
            sums.absolute_products,
        );
        assert_close("cosine", distance::cosine(&a, &b), sums.cosine(), 1.0);
        assert_close("l1", distance::l1(&a, &b), sums.l1, sums.l1);
        assert_close(
            "norm",
            Ok(distance::norm(&a)),
            sums.squares[0].sqrt(),
            sums.squares[0].sqrt(),
        );
        let angle = sums.product.clamp(-1.0, 1.0).acos() / std::f64::consts::PI;
        // The arc cosine is steep at the ends: there the error of the product counts by its root.
        let slack = (2.0 * TOLERANCE * sums.absolute_products).sqrt() / TOLERANCE;
        assert_close("spherical", distance::spherical(&a, &b), angle, slack);
    }
}

#[test]
fn distances_of_vectors_are_those_of_double_precision() {
    check_dense::<f32>(1, -140..=120);
}

#[test]
fn distances_of_halfvecs_are_those_of_double_precision() {
    check_dense::<f16>(2, -20..=15);
}

#[test]
fn distances_of_sparsevecs_are_those_of_double_precision() {
    let mut random = Random(3);
    for _ in 0..PAIRS {
        // From a few elements in common to all of them.
        let widest = if random.below(3) == 0 { 50 } else { 1_000_000_000 };
        let dims = 1 + random.below(widest);
        let pool: Vec<i32> = (0..random.length()).map(|_| random.below(dims) as i32).collect();
        let magnitude = random.magnitude(-140..=120);
        let mut vector = || {
            let share = 1 + random.below(4);
            let mut elements = BTreeMap::new();
            for index in &pool {
                if random.below(share) == 0 {
                    elements.insert(*index, (random.unit() * magnitude) as f32);
                }
            }
            SparseVector::from_elements(dims as i32, elements.into_iter().collect()).unwrap()
        };
        let (a, b) = (vector(), vector());
        let mut union = BTreeMap::<i32, (f64, f64)>::new();
        a.view()
            .elements()
            .for_each(|(index, x)| union.entry(index).or_default().0 = f64::from(x));
        b.view()
            .elements()
            .for_each(|(index, y)| union.entry(index).or_default().1 = f64::from(y));
        let sums = Sums::of(union.into_values());
        let (a, b) = (a.view(), b.view());
        assert_close(
            "l2",
            sparse::distance::l2(a, b),
            sums.l2_squared.sqrt(),
            sums.l2_squared.sqrt(),
        );
        assert_close(
            "l2_squared",
            sparse::distance::l2_squared(a, b),
            sums.l2_squared,
            sums.l2_squared,
        );
        assert_close(
            "ip",
            sparse::distance::inner_product(a, b),
            sums.product,
            sums.absolute_products,
        );
        assert_close(
            "-ip",
            sparse::distance::negative_inner_product(a, b),
            -sums.product,
            sums.absolute_products,
        );
        assert_close("cosine", sparse::distance::cosine(a, b), sums.cosine(), 1.0);
        assert_close("l1", sparse::distance::l1(a, b), sums.l1, sums.l1);
        assert_close(
            "norm",
            Ok(sparse::distance::norm(a)),
            sums.squares[0].sqrt(),
            sums.squares[0].sqrt(),
        );
    }
}

#[test]
fn distances_of_bits_are_those_of_double_precision() {
    let mut random = Random(4);
    for _ in 0..PAIRS {
        let length = random.length().div_ceil(8);
        let (set, mut string) = (random.next(), || -> Vec<u8> {
            (0..length).map(|_| random.next() as u8).collect()
        });
        let (mut a, b) = (string(), string());
        // Sometimes nothing in common, sometimes few bits.
        match set % 4 {
            0 => a.iter_mut().zip(&b).for_each(|(x, y)| *x &= !y),
            1 => a.iter_mut().for_each(|x| *x &= 0x11),
            _ => {}
        }
        let pairs = || {
            a.iter().zip(&b).flat_map(|(x, y)| {
                (0..8).map(move |place| (f64::from(x >> place & 1), f64::from(y >> place & 1)))
            })
        };
        let sums = Sums::of(pairs());
        kernels::bits::tests::check_levels(&a, &b);
        assert_eq!(bits::hamming(&a, &b) as f64, sums.l1);
        let either = sums.squares[0] + sums.squares[1] - sums.product;
        let jaccard = if sums.product == 0.0 {
            1.0
        } else {
            1.0 - sums.product / either
        };
        assert_eq!(bits::jaccard(&a, &b), jaccard);
    }
}
