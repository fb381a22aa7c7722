#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::vector::MAX_DIMENSIONS;

fn levels() -> impl Iterator<Item = &'static CodeKernels> {
    CodeLevel::ALL.into_iter().filter_map(CodeKernels::for_level)
}

fn portable() -> &'static CodeKernels {
    CodeKernels::for_level(CodeLevel::Portable).unwrap()
}

/// The lines of a query given in the order of 8-bit codes, or of 4-bit ones: low and high halves of 64 bytes in turn.
fn lines(elements: &[i8]) -> Vec<Line> {
    let padded = elements.len().next_multiple_of(2 * LINE).max(2 * LINE);
    let mut lines = vec![Line::ZERO; padded / LINE];
    for (line, elements) in lines.iter_mut().zip(elements.chunks(LINE)) {
        line.0[..elements.len()].copy_from_slice(elements);
    }
    lines
}

fn check_dots(a: &[u8], b: &[u8], query: &[i8]) {
    let lines = lines(query);
    let set = portable();
    let pairs = || a.iter().zip(b).map(|(a, b)| (i32::from(*a), i32::from(*b)));
    assert_eq!(set.dot_u8_u8(a, b), pairs().map(|(a, b)| a * b).sum::<i32>());
    assert_eq!(
        set.dot_u4_u4(a, b),
        pairs()
            .map(|(a, b)| (a & 15) * (b & 15) + (a >> 4) * (b >> 4))
            .sum::<i32>()
    );
    let flat: Vec<i8> = lines.iter().flat_map(|line| line.0).collect();
    let expected: i32 = a
        .iter()
        .zip(&flat)
        .map(|(a, q)| i32::from(*a) * i32::from(*q))
        .sum();
    assert_eq!(set.dot_u8_i8(a, &lines), expected);
    let expected: i32 = (0..a.len())
        .map(|j| {
            let low = j / LINE * 2 * LINE + j % LINE;
            let of = |i: usize| flat.get(i).copied().map_or(0, i32::from);
            i32::from(a[j] & 15) * of(low) + i32::from(a[j] >> 4) * of(low + LINE)
        })
        .sum();
    assert_eq!(set.dot_u4_i8(a, &lines), expected);
    for other in levels() {
        assert_eq!(other.dot_u8_u8(a, b), set.dot_u8_u8(a, b), "{:?}", other.level());
        assert_eq!(other.dot_u4_u4(a, b), set.dot_u4_u4(a, b), "{:?}", other.level());
        assert_eq!(
            other.dot_u8_i8(a, &lines),
            set.dot_u8_i8(a, &lines),
            "{:?}",
            other.level()
        );
        assert_eq!(
            other.dot_u4_i8(a, &lines),
            set.dot_u4_i8(a, &lines),
            "{:?}",
            other.level()
        );
    }
}

/// Two codes of a multiple of 32 bytes, and a query of any length.
fn codes_and_query() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, Vec<i8>)> {
    (0..20_usize, 0..20_usize, 0..1300_usize).prop_flat_map(|(a, b, query)| {
        (
            prop::collection::vec(any::<u8>(), a * CODE_ALIGN),
            prop::collection::vec(any::<u8>(), b * CODE_ALIGN),
            prop::collection::vec(any::<i8>(), query),
        )
    })
}

fn any_float() -> impl Strategy<Value = f32> + Clone {
    prop_oneof![4 => -2.0_f32..2.0, 1 => any::<u32>().prop_map(f32::from_bits)]
}

fn any_grid() -> impl Strategy<Value = SymmetricGrid> {
    (any_float(), prop::bool::ANY).prop_map(|(inverse_step, four)| SymmetricGrid {
        inverse_step,
        top: if four { 15.0 } else { 255.0 },
    })
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn dot_kernels_agree((a, b, query) in codes_and_query()) {
        check_dots(&a, &b, &query);
    }

    #[test]
    fn quantising_kernels_agree_to_the_bit(
        vector in prop::collection::vec(any_float(), 1..300),
        center in prop::collection::vec(any_float(), 300),
        grid in any_grid(),
        bytes in 0..12_usize,
    ) {
        let set = portable();
        let center = &center[..vector.len()];
        let (mut expected, mut actual) = (vec![1; 32 * bytes], vec![2; 32 * bytes]);
        for other in levels() {
            let level = other.level();
            assert_eq!(other.largest(&vector, center).to_bits(), set.largest(&vector, center).to_bits());
            let (a, b) = (other.fit(&vector, center, grid), set.fit(&vector, center, grid));
            assert!(same(a.product, b.product) && same(a.square, b.square), "{level:?} {a:?} {b:?}");
            let (a, b) = (other.center_sums(&vector, center), set.center_sums(&vector, center));
            assert!(same(a.norm_squared, b.norm_squared) && same(a.center_product, b.center_product));
            let sum = set.write_u8(&vector, center, grid, &mut expected);
            assert_eq!(other.write_u8(&vector, center, grid, &mut actual), sum);
            assert_eq!(actual, expected, "{level:?}");
            let sum = set.write_u4(&vector, center, SymmetricGrid { top: 15.0, ..grid }, &mut expected);
            assert_eq!(other.write_u4(&vector, center, SymmetricGrid { top: 15.0, ..grid }, &mut actual), sum);
            assert_eq!(actual, expected, "{level:?}");
        }
    }

    #[test]
    fn taxicab_kernels_agree_to_the_bit(
        (a, b, _) in codes_and_query(),
        query in prop::collection::vec(any_float(), 0..700),
        grids in [any_float(), any_float(), any_float(), any_float()],
    ) {
        let [low, step, other_low, other_step] = grids;
        let grid = AffineGrid { low, step };
        let grids = [grid, AffineGrid { low: other_low, step: other_step }];
        let set = portable();
        let dims = query.len();
        for other in levels() {
            let pairs = [
                (other.l1_u8(&a, &query, grid), set.l1_u8(&a, &query, grid)),
                (other.l1_u4(&a, &query, grid), set.l1_u4(&a, &query, grid)),
                (other.l1_u8_u8(&a, &b, dims, grids), set.l1_u8_u8(&a, &b, dims, grids)),
                (other.l1_u4_u4(&a, &b, dims, grids), set.l1_u4_u4(&a, &b, dims, grids)),
            ];
            for (actual, expected) in pairs {
                assert!(same(f64::from(actual), f64::from(expected)), "{:?} {actual} {expected}", other.level());
            }
        }
    }

    #[test]
    fn rotations_agree_to_the_bit(
        vector in prop::collection::vec(-3.0_f32..3.0, 1..600),
        signs in prop::collection::vec(prop_oneof![Just(-0.25_f32), Just(1.0)], 600),
        start in 0..100_usize,
        log_length in 4..9_u32,
        turn_halves in prop::bool::ANY,
    ) {
        let round = Round { start, length: 1 << log_length, turn_halves };
        let mut expected = vector.clone();
        portable().rotate_round(&mut expected, &signs, round);
        for other in levels() {
            let mut actual = vector.clone();
            other.rotate_round(&mut actual, &signs, round);
            assert_eq!(actual, expected, "{:?}", other.level());
        }
    }
}

#[test]
fn sums_do_not_overflow_at_the_dimension_limit() {
    let code = vec![255; MAX_DIMENSIONS];
    for element in [i8::MIN, -127, 127] {
        check_dots(&code, &code, &vec![element; MAX_DIMENSIONS]);
        check_dots(&code[..8000], &code[..8000], &vec![element; MAX_DIMENSIONS]);
    }
}

#[test]
fn codes_are_the_nearest_grid_values_in_their_places() {
    // 70 dimensions: one full unit of 64 and a part of a second.
    let vector: Vec<f32> = (0..70).map(|dim| (dim % 16) as f32 - 7.5).collect();
    let grid = SymmetricGrid {
        inverse_step: 1.0,
        top: 15.0,
    };
    let zero = [0.0; 70];
    for set in levels() {
        let mut code = [0xff; 64];
        let sum = set.write_u4(&vector, &zero, grid, &mut code);
        assert_eq!(sum, (0..70).map(|dim| dim % 16).sum::<u32>());
        for dim in 0..128_usize {
            let byte = code[dim / 64 * 32 + dim % 32];
            let nibble = if dim % 64 < 32 { byte & 15 } else { byte >> 4 };
            assert_eq!(
                usize::from(nibble),
                if dim < 70 { dim % 16 } else { 0 },
                "dimension {dim}"
            );
        }
        let fit = set.fit(&vector, &zero, grid);
        let norm: f64 = vector.iter().map(|x| f64::from(x * x)).sum();
        assert_eq!((fit.product, fit.square), (norm, norm));
        let mut code = [0xff; 96];
        let grid = SymmetricGrid {
            inverse_step: 17.0,
            top: 255.0,
        };
        set.write_u8(&vector, &zero, grid, &mut code);
        for (dim, code) in code.into_iter().enumerate() {
            let expected = if dim < 70 { 17 * (dim % 16) } else { 0 };
            assert_eq!(usize::from(code), expected, "dimension {dim}");
        }
    }
}

#[test]
fn taxicab_distances_are_sums_over_the_dimensions() {
    let query: Vec<f32> = (0..70).map(|dim| dim as f32).collect();
    let grid = AffineGrid { low: -1.0, step: 2.0 };
    let other = AffineGrid { low: 3.0, step: 0.5 };
    let code: Vec<u8> = (0..96).map(|dim| dim % 16 * 7 % 16).collect();
    let mut packed = [0; 64];
    for (dim, code) in code.iter().enumerate() {
        packed[dim / 64 * 32 + dim % 32] |= if dim % 64 < 32 { *code } else { code << 4 };
    }
    let value = |grid: AffineGrid, code: u8| grid.low + grid.step * f32::from(code);
    let to_query: f32 = query
        .iter()
        .zip(&code)
        .map(|(x, code)| (x - value(grid, *code)).abs())
        .sum();
    let to_code: f32 = code[..70]
        .iter()
        .map(|code| (value(grid, *code) - value(other, *code)).abs())
        .sum();
    for set in levels() {
        assert_eq!(set.l1_u8(&code, &query, grid), to_query);
        assert_eq!(set.l1_u4(&packed, &query, grid), to_query);
        assert_eq!(set.l1_u8_u8(&code, &code, 70, [grid, other]), to_code);
        assert_eq!(set.l1_u4_u4(&packed, &packed, 70, [grid, other]), to_code);
    }
}

#[test]
fn the_best_level_is_selected() {
    assert_eq!(code_kernels().level(), CodeLevel::detect());
    for level in CodeLevel::ALL {
        assert_eq!(CodeKernels::for_level(level).is_some(), level.is_available());
        assert!(!level.is_available() || level <= CodeLevel::detect());
    }
}
