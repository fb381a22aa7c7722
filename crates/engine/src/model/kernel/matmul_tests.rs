#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::Kernels;
use super::{Init, PackedMatrix, Rows};

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
        })
        .collect()
}

/// left (rows × depth, stride) × right (depth × columns, row-major) in f64.
fn reference(
    left: &[f32],
    stride: usize,
    rows: usize,
    right: &[f32],
    depth: usize,
    columns: usize,
) -> Vec<f64> {
    let mut output = vec![0.0; rows * columns];
    for r in 0..rows {
        for c in 0..columns {
            output[r * columns + c] = (0..depth)
                .map(|k| f64::from(left[r * stride + k]) * f64::from(right[k * columns + c]))
                .sum();
        }
    }
    output
}

#[test]
fn every_shape_matches_the_plain_product_on_every_instruction_set() {
    for kernels in Kernels::available() {
        let mut packed = PackedMatrix::new(kernels);
        for rows in 1..=18 {
            for columns in [
                1, 2, 3, 4, 5, 11, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 97,
            ] {
                for depth in [0, 1, 7, 32] {
                    let (left_stride, output_stride) = (depth + 3, columns + 2);
                    let left = numbers(rows * left_stride, 1);
                    let right = numbers(depth * columns, 2);
                    let bias = numbers(columns, 3);
                    let before = numbers(rows * output_stride, 4);
                    packed
                        .pack(depth, columns, |k, first, target| {
                            target.copy_from_slice(&right[k * columns + first..][..target.len()]);
                        })
                        .unwrap();
                    let expected = reference(&left, left_stride, rows, &right, depth, columns);
                    for (init, with_bias, with_old) in [
                        (Init::Zero, 0.0, 0.0),
                        (Init::Bias(&bias), 1.0, 0.0),
                        (Init::BiasAndOutput(&bias), 1.0, 1.0),
                    ] {
                        let mut output = before.clone();
                        let left = Rows {
                            data: &left,
                            stride: left_stride,
                            count: rows,
                        };
                        kernels.matmul(left, &packed, init, &mut output, output_stride);
                        for r in 0..rows {
                            for c in 0..output_stride {
                                let (got, old) =
                                    (output[r * output_stride + c], before[r * output_stride + c]);
                                if c >= columns {
                                    assert_eq!(
                                        got, old,
                                        "written outside: {kernels} {rows}x{depth}x{columns}"
                                    );
                                    continue;
                                }
                                let wanted = expected[r * columns + c]
                                    + with_bias * f64::from(bias[c])
                                    + with_old * f64::from(old);
                                assert!(
                                    (f64::from(got) - wanted).abs() < 1e-5,
                                    "{kernels} {rows}x{depth}x{columns} at {r},{c}: {got} for {wanted}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_matrix_too_large_for_memory_is_refused() {
    let mut packed = PackedMatrix::new(Kernels::fastest());
    assert!(packed.pack(usize::MAX / 2, 3, |_, _, _| {}).is_err());
    assert!(packed.pack(1 << 40, 1 << 20, |_, _, _| {}).is_err());
}

#[test]
#[should_panic(expected = "left side too short")]
fn a_short_slice_is_caught_before_the_unsafe_code() {
    let kernels = Kernels::fastest();
    let mut packed = PackedMatrix::new(kernels);
    packed.pack(4, 4, |_, _, target| target.fill(1.0)).unwrap();
    kernels.matmul(
        Rows {
            data: &[0.0; 7],
            stride: 4,
            count: 2,
        },
        &packed,
        Init::Zero,
        &mut [0.0; 8],
        4,
    );
}
