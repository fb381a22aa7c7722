#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use half::f16;
use proptest::prelude::*;

use super::*;
use crate::vector::{Element, MAX_DIMENSIONS};

const TOLERANCE: f64 = 1e-6;

fn reference_pairs<T: Element>(a: &[T], b: &[T]) -> Vec<(f64, f64)> {
    a.iter()
        .zip(b)
        .map(|(x, y)| (f64::from(x.to_f32()), f64::from(y.to_f32())))
        .collect()
}

/// `actual` is within 1e-6 of `expected`, relative to `scale`.
fn assert_close(level: Level, metric: &str, actual: f64, expected: f64, scale: f64) {
    let allowed = TOLERANCE * scale;
    assert!(
        (actual - expected).abs() <= allowed,
        "{level:?} {metric}: {actual:e} instead of {expected:e}, allowed {allowed:e}"
    );
}

/// Compares all kernels of all available levels with sums in f64.
pub(crate) fn check_levels<T: Element>(a: &[T], b: &[T]) {
    let pairs = reference_pairs(a, b);
    let l2_squared: f64 = pairs.iter().map(|(x, y)| (x - y) * (x - y)).sum();
    let inner_product: f64 = pairs.iter().map(|(x, y)| x * y).sum();
    let products: f64 = pairs.iter().map(|(x, y)| (x * y).abs()).sum();
    let norm_a: f64 = pairs.iter().map(|(x, _)| x * x).sum();
    let norm_b: f64 = pairs.iter().map(|(_, y)| y * y).sum();
    let l1: f64 = pairs.iter().map(|(x, y)| (x - y).abs()).sum();
    for level in Level::ALL {
        let Some(set) = T::kernel_set(level) else { continue };
        assert_eq!(set.level(), level);
        assert_close(level, "l2_squared", set.l2_squared(a, b), l2_squared, l2_squared);
        assert_close(
            level,
            "inner_product",
            set.inner_product(a, b),
            inner_product,
            products,
        );
        assert_close(level, "l1", set.l1(a, b), l1, l1);
        let parts = set.cosine_parts(a, b);
        assert_close(level, "norm of a", parts.norm_a_squared, norm_a, norm_a);
        assert_close(level, "norm of b", parts.norm_b_squared, norm_b, norm_b);
        assert_close(
            level,
            "cosine product",
            parts.inner_product,
            inner_product,
            (norm_a * norm_b).sqrt(),
        );
    }
}

/// A pair of vectors and an offset to misalign them by.
fn vector_pair<T: Element>(
    element: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = (Vec<T>, Vec<T>, usize)> {
    (1..=300_usize, 0..8_usize).prop_flat_map(move |(length, offset)| {
        let vector = || prop::collection::vec(element.clone(), length + offset);
        (vector(), vector(), Just(offset))
    })
}

fn check_unaligned<T: Element>((a, b, offset): (Vec<T>, Vec<T>, usize)) {
    check_levels(&a[offset..], &b[offset / 2..b.len() - (offset - offset / 2)]);
}

fn half_bits() -> impl Strategy<Value = f16> + Clone {
    any::<u16>()
        .prop_map(f16::from_bits)
        .prop_filter("finite", |value| value.is_finite())
}

/// Elements of one magnitude, so that sums neither cancel nor are carried by one term.
fn scaled(exponent: i32) -> impl Strategy<Value = f32> + Clone {
    (-1.0_f32..1.0).prop_map(move |value| (f64::from(value) * 2.0_f64.powi(exponent)) as f32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn f32_kernels_agree_with_f64(case in vector_pair(-10.0_f32..10.0)) {
        check_unaligned(case);
    }

    #[test]
    fn f32_kernels_agree_with_f64_at_any_magnitude(
        case in (-148..128_i32).prop_flat_map(|exponent| vector_pair(scaled(exponent)))
    ) {
        check_unaligned(case);
    }

    #[test]
    fn f32_kernels_agree_with_f64_for_any_bits(case in vector_pair(
        any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |value| value.is_finite())
    )) {
        check_unaligned(case);
    }

    #[test]
    fn f16_kernels_agree_with_f64(case in vector_pair((-10.0_f32..10.0).prop_map(f16::from_f32))) {
        check_unaligned(case);
    }

    #[test]
    fn f16_kernels_agree_with_f64_for_any_bits(case in vector_pair(half_bits())) {
        check_unaligned(case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn kernels_agree_with_f64_at_the_dimension_limit(
        a in prop::collection::vec(0.0_f32..1.0, MAX_DIMENSIONS),
        b in prop::collection::vec(0.0_f32..1.0, MAX_DIMENSIONS),
    ) {
        check_levels(&a, &b);
        let half = |vector: &[f32]| vector.iter().map(|value| f16::from_f32(*value)).collect::<Vec<_>>();
        check_levels(&half(&a), &half(&b));
    }
}

#[test]
fn same_sign_rounding_errors_do_not_pile_up() {
    // Each addition of these to a single f32 sum would round the same way; 16,000 of them would be off by far
    // more than the tolerance.
    for value in [0.1_f32, 1.000_000_1, 16_777_215.0, 0.333_333_34] {
        for length in [511, 512, 513, 4096, MAX_DIMENSIONS] {
            check_levels(&vec![value; length], &vec![-value; length]);
        }
    }
}

#[test]
fn sums_beyond_f32_are_computed_in_f64() {
    for value in [1e19_f32, 1e20, 1e30, f32::MAX] {
        for length in [1, 7, 64, 1000] {
            let a = vec![value; length];
            let b: Vec<f32> = (0..length)
                .map(|i| if i % 2 == 0 { value } else { -value })
                .collect();
            check_levels(&a, &b);
            check_levels(&b, &b);
        }
    }
    let set = kernels::<f32>();
    assert_eq!(
        set.inner_product(&[1e30], &[1e30]),
        f64::from(1e30_f32) * f64::from(1e30_f32)
    );
    assert_eq!(set.l1(&[f32::MAX], &[f32::MIN]), 2.0 * f64::from(f32::MAX));
}

#[test]
fn sums_below_f32_are_computed_in_f64() {
    for value in [
        1e-18_f32,
        1e-20,
        1e-23,
        1e-30,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
    ] {
        for length in [1, 33, MAX_DIMENSIONS] {
            check_levels(&vec![value; length], &vec![-value; length]);
            // The cosine of a vector of tiny elements with one of ordinary ones, as well.
            check_levels(&vec![value; length], &vec![0.5; length]);
        }
    }
}

#[test]
fn cancelling_products_stay_within_the_bound() {
    let a: Vec<f32> = (0..1000)
        .map(|i| if i % 2 == 0 { 1.0 + i as f32 } else { -(i as f32) })
        .collect();
    let b: Vec<f32> = (0..1000)
        .map(|i| {
            if i % 2 == 0 {
                i as f32 + 1.0
            } else {
                i as f32 + 2.0
            }
        })
        .collect();
    check_levels(&a, &b);
    // Disjoint supports: the product is exactly zero.
    let set = kernels::<f32>();
    assert_eq!(set.inner_product(&[1.0, 0.0, 3.0], &[0.0, 2.0, 0.0]), 0.0);
}

#[test]
fn zero_vectors_have_zero_sums() {
    for length in [1, 16, 17, 384] {
        check_levels(&vec![0.0_f32; length], &vec![-0.0_f32; length]);
        check_levels(&vec![f16::ZERO; length], &vec![f16::NEG_ZERO; length]);
    }
}

#[test]
fn the_longer_slice_is_cut() {
    for level in Level::ALL {
        let Some(set) = f32::kernel_set(level) else {
            continue;
        };
        let (a, b) = ([1.0_f32; 100], [2.0_f32; 37]);
        assert_eq!(set.inner_product(&a, &b), 74.0);
        assert_eq!(set.l2_squared(&b, &a), 37.0);
        assert_eq!(set.l1(&a, &b), 37.0);
        let parts = set.cosine_parts(&a, &b);
        assert_eq!((parts.norm_a_squared, parts.norm_b_squared), (37.0, 148.0));
        assert_eq!(set.l1(&[], &b), 0.0);
    }
}

#[test]
fn the_best_level_is_selected() {
    assert_eq!(kernels::<f32>().level(), Level::detect());
    assert_eq!(kernels::<f16>().level(), Level::detect());
    for level in Level::ALL {
        assert_eq!(f32::kernel_set(level).is_some(), level.is_available());
        assert!(!level.is_available() || level <= Level::detect());
    }
}
