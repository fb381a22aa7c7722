#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::{Activation, Kernels};
use super::exp;

/// The error function in f64 by its power series, exact to 1e-12 for |x| <= 4.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn grid(from: f32, to: f32, count: u16) -> Vec<f32> {
    (0..=count)
        .map(|i| from + (to - from) * f32::from(i) / f32::from(count))
        .collect()
}

#[test]
fn exp_is_within_two_units_in_the_last_place() {
    for x in grid(-80.0, 88.0, 50_000) {
        let exact = f64::from(x).exp();
        let error = (f64::from(exp(x)) - exact).abs() / exact;
        assert!(error < 2.5e-7, "exp({x}) off by {error:e}");
    }
    assert!(exp(-1e30) < 1e-34 && exp(-1e30) >= 0.0);
    assert!(exp(1e30).is_finite() && exp(f32::NAN).is_nan());
}

#[test]
fn gelu_matches_the_error_function() {
    for kernels in Kernels::available() {
        let inputs = grid(-5.6, 5.6, 20_000);
        let mut values = inputs.clone();
        kernels.activate(Activation::Gelu, &mut values);
        for (&x, &got) in inputs.iter().zip(&values) {
            let exact = 0.5 * f64::from(x) * (1.0 + erf(f64::from(x) / std::f64::consts::SQRT_2));
            assert!(
                (f64::from(got) - exact).abs() < 1e-6,
                "{kernels}: gelu({x}) = {got} for {exact}"
            );
        }
        let mut far = [-100.0, 100.0, -0.0, 0.0, f32::NAN];
        kernels.activate(Activation::Gelu, &mut far);
        assert!(far[0].abs() < 1e-30, "{}", far[0]);
        assert_eq!(far[1..4], [100.0, 0.0, 0.0]);
        assert!(far[4].is_nan());
    }
}

#[test]
fn gelu_tanh_and_relu_match_their_definitions() {
    for kernels in Kernels::available() {
        let inputs = grid(-8.0, 8.0, 5_000);
        let mut values = inputs.clone();
        kernels.activate(Activation::GeluTanh, &mut values);
        for (&x, &got) in inputs.iter().zip(&values) {
            let x = f64::from(x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            assert!(
                (f64::from(got) - 0.5 * x * (1.0 + inner.tanh())).abs() < 1e-6,
                "{kernels} at {x}"
            );
        }
        let mut values = [-2.0, 3.0];
        kernels.activate(Activation::Relu, &mut values);
        assert_eq!(values, [0.0, 3.0]);
    }
}

#[test]
fn layer_norm_matches_f64_at_every_width() {
    for kernels in Kernels::available() {
        for width in [1usize, 2, 15, 16, 17, 31, 48, 312, 384] {
            let values: Vec<f32> = (0..3 * width)
                .map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0 + 3.0)
                .collect();
            let weight: Vec<f32> = (0..width).map(|i| 1.0 + i as f32 / 100.0).collect();
            let bias: Vec<f32> = (0..width).map(|i| i as f32 / 50.0).collect();
            let mut got = values.clone();
            kernels.layer_norm(&mut got, &weight, &bias, 1e-12);
            for (row, got) in values.chunks(width).zip(got.chunks(width)) {
                let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
                let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
                for i in 0..width {
                    let exact = (f64::from(row[i]) - mean) / (variance + 1e-12).sqrt() * f64::from(weight[i])
                        + f64::from(bias[i]);
                    assert!(
                        (f64::from(got[i]) - exact).abs() < 1e-5,
                        "{kernels} width {width}"
                    );
                }
            }
        }
    }
}

#[test]
fn softmax_sums_to_one_and_leaves_the_padding_alone() {
    for kernels in Kernels::available() {
        for columns in [1usize, 5, 16, 17, 100, 255] {
            let stride = columns + 3;
            let values: Vec<f32> = (0..4 * stride).map(|i| (i * 29 % 83) as f32 - 40.0).collect();
            let mut got = values.clone();
            kernels.softmax(&mut got, stride, columns, 0.5);
            for (row, got) in values.chunks(stride).zip(got.chunks(stride)) {
                let exact: Vec<f64> = row[..columns]
                    .iter()
                    .map(|&x| (f64::from(x) * 0.5).exp())
                    .collect();
                let sum: f64 = exact.iter().sum();
                for (exact, &got) in exact.iter().zip(got) {
                    assert!(
                        (exact / sum - f64::from(got)).abs() < 1e-6,
                        "{kernels} of {columns}"
                    );
                }
                assert_eq!(row[columns..], got[columns..]);
            }
        }
    }
}
