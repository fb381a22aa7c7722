//! The loops between the matrix products: activation, layer normalisation, softmax.
//!
//! Written so that the compiler vectorises them: no calls, no branches, sums kept in as many lanes as the widest
//! register. Accuracy of each is tested against f64.

use super::{Activation, Kernels, dispatch};

/// Partial sums per reduction: the lanes of the widest register.
const LANES: usize = 16;

impl Kernels {
    /// Applies the activation to every number.
    pub(in crate::model) fn activate(self, activation: Activation, values: &mut [f32]) {
        match activation {
            Activation::Gelu => dispatch!(self, gelu(values: &mut [f32])),
            Activation::GeluTanh => dispatch!(self, gelu_tanh(values: &mut [f32])),
            Activation::Relu => values.iter_mut().for_each(|value| *value = value.max(0.0)),
        }
    }

    /// Normalises each row of `weight.len()` numbers to mean 0 and variance 1, then scales and shifts it.
    pub(in crate::model) fn layer_norm(self, values: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
        dispatch!(self, layer_norm(values: &mut [f32], weight: &[f32], bias: &[f32], eps: f32));
    }

    /// Replaces the first `columns` numbers of each row by softmax(scale × number); rows are `stride` apart.
    pub(in crate::model) fn softmax(self, values: &mut [f32], stride: usize, columns: usize, scale: f32) {
        dispatch!(self, softmax(values: &mut [f32], stride: usize, columns: usize, scale: f32));
    }
}

/// e^x within 2 units in the last place; at least e^-80, so that nothing computed from it is subnormal, and at most e^88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 × 2^23 rounds to an integer, which the low bits of the sum hold.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has few digits, so that its product with the integer is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-80.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let exponent = rounded - ROUND;
    let rest = (x - exponent * LN_2_HIGH) - exponent * LN_2_LOW;
    // The Taylor polynomial; |rest| <= ln(2)/2, so the first term left out is below 6e-9.
    let mut power = 1.0 / 5040.0;
    power = power * rest + 1.0 / 720.0;
    power = power * rest + 1.0 / 120.0;
    power = power * rest + 1.0 / 24.0;
    power = power * rest + 1.0 / 6.0;
    power = power * rest + 0.5;
    power = power * rest + 1.0;
    power = power * rest + 1.0;
    power * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

/// x Φ(x) with Abramowitz and Stegun 7.1.26 for the error function, absolute error below 2e-7 × |x|.
#[inline(always)]
fn gelu(values: &mut [f32]) {
    for value in values {
        let x = *value;
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (0.327_591_1 * z + 1.0);
        let mut series = 1.061_405_4;
        series = series * t - 1.453_152;
        series = series * t + 1.421_413_8;
        series = series * t - 0.284_496_74;
        series = series * t + 0.254_829_6;
        // 1 - erf(z) for z >= 0; Φ(x) is half of it below zero and one minus that above.
        let half_tail = 0.5 * series * t * exp(-z * z);
        *value = x.max(0.0) - x.abs() * half_tail;
    }
}

/// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), written with the logistic function.
#[inline(always)]
fn gelu_tanh(values: &mut [f32]) {
    const MINUS_2_SQRT_2_BY_PI: f32 = -1.595_769;
    for value in values {
        let x = *value;
        *value = x / (1.0 + exp(MINUS_2_SQRT_2_BY_PI * (x + 0.044_715 * x * x * x)));
    }
}

/// Folds a slice in [`LANES`] independent lanes, `start` being neutral for `step`.
#[inline(always)]
fn fold(values: &[f32], start: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, value);
    }
    lanes.into_iter().fold(start, join)
}

#[inline(always)]
fn layer_norm(values: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let len = weight.len() as f32;
    for row in values.chunks_exact_mut(weight.len().max(1)) {
        let mean = fold(row, 0.0, |sum, x| sum + x, |a, b| a + b) / len;
        let variance = fold(row, 0.0, |sum, x| sum + (x - mean) * (x - mean), |a, b| a + b) / len;
        let scale = 1.0 / (variance + eps).sqrt();
        for ((x, &weight), &bias) in row.iter_mut().zip(weight).zip(bias) {
            *x = (*x - mean) * scale * weight + bias;
        }
    }
}

#[inline(always)]
fn softmax(values: &mut [f32], stride: usize, columns: usize, scale: f32) {
    for row in values.chunks_mut(stride.max(1)) {
        let end = columns.min(row.len());
        let row = &mut row[..end];
        let max = fold(row, f32::NEG_INFINITY, |a, b| if b > a { b } else { a }, f32::max);
        for x in row.iter_mut() {
            *x = exp((*x - max) * scale);
        }
        let reciprocal = 1.0 / fold(row, 0.0, |sum, x| sum + x, |a, b| a + b);
        for x in row.iter_mut() {
            *x *= reciprocal;
        }
    }
}

#[cfg(test)]
#[path = "pointwise_tests.rs"]
mod tests;
