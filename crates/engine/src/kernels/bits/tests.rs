#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

fn levels() -> impl Iterator<Item = &'static BitKernels> {
    BitLevel::ALL.into_iter().filter_map(BitKernels::of)
}

/// Holds every level against counts bit by bit.
pub(crate) fn check_levels(a: &[u8], b: &[u8]) {
    let bits = |bytes: &[u8]| -> Vec<bool> {
        let of_byte = |byte: &u8| {
            (0..8)
                .map(move |place| byte >> place & 1 == 1)
                .collect::<Vec<_>>()
        };
        bytes.iter().flat_map(of_byte).collect()
    };
    let pairs: Vec<(bool, bool)> = bits(a).into_iter().zip(bits(b)).collect();
    let count = |test: fn(bool, bool) -> bool| pairs.iter().filter(|(x, y)| test(*x, *y)).count() as u64;
    let differing = count(|x, y| x != y);
    let overlap = Overlap {
        both: count(|x, y| x && y),
        either: count(|x, y| x || y),
    };
    for kernels in levels() {
        assert_eq!(kernels.differing(a, b), differing, "{:?}", kernels.level());
        assert_eq!(kernels.overlap(a, b), overlap, "{:?}", kernels.level());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_level_counts_bit_by_bit(
        (a, b, offset) in (0..300_usize, 0..8_usize).prop_flat_map(|(length, offset)| {
            let bytes = || prop::collection::vec(any::<u8>(), length + offset);
            (bytes(), bytes(), Just(offset))
        })
    ) {
        // Both misaligned, and differently.
        check_levels(&a[offset..], &b[offset / 2..b.len() - (offset - offset / 2)]);
    }
}

#[test]
fn long_strings_of_ones_do_not_overflow_a_lane() {
    for length in [255, 256, 8_000, 100_000] {
        check_levels(&vec![0xff; length], &vec![0xff; length]);
        check_levels(&vec![0xff; length], &vec![0; length]);
        check_levels(&vec![0xaa; length], &vec![0x55; length]);
    }
}

#[test]
fn the_longer_slice_is_cut() {
    for kernels in levels() {
        let (a, b) = ([0xff_u8; 200], [0x0f_u8; 77]);
        assert_eq!(kernels.differing(&a, &b), 4 * 77);
        assert_eq!(
            kernels.overlap(&b, &a),
            Overlap {
                both: 4 * 77,
                either: 8 * 77
            }
        );
        assert_eq!(kernels.differing(&[], &b), 0);
    }
}

#[test]
fn the_best_level_is_selected() {
    assert_eq!(bit_kernels().level(), BitLevel::detect());
    for level in BitLevel::ALL {
        assert_eq!(BitKernels::of(level).is_some(), level.is_available());
    }
}
