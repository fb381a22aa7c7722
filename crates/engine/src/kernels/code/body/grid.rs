//! Rounding vectors to a grid.

use super::{LANES, total};
use crate::kernels::code::{CODE_ALIGN, CenterSums, GridFit, SymmetricGrid};

/// Adding this and subtracting it again rounds a number between 0 and 2^22 to an integer, and leaves the integer in the low bits.
const ROUNDER: f32 = 8_388_608.0;

/// Calls `visit` with `LANES` elements of `vector - center` at a time, the last ones filled up with zeros, and how many are real.
#[inline(always)]
fn for_each_centered(vector: &[f32], center: &[f32], mut visit: impl FnMut([f32; LANES], usize)) {
    let (vectors, vector_tail) = vector.as_chunks::<LANES>();
    let (centers, center_tail) = center.as_chunks::<LANES>();
    for (x, c) in vectors.iter().zip(centers) {
        visit(std::array::from_fn(|i| lane(x, i) - lane(c, i)), LANES);
    }
    if !vector_tail.is_empty() {
        let mut values = [0.0; LANES];
        for (value, (x, c)) in values.iter_mut().zip(vector_tail.iter().zip(center_tail)) {
            *value = x - c;
        }
        visit(values, vector_tail.len());
    }
}

/// Element `i` of an array, which the compiler sees to exist.
#[inline(always)]
fn lane<T: Copy + Default, const N: usize>(values: &[T; N], i: usize) -> T {
    values.get(i).copied().unwrap_or_default()
}

#[inline(always)]
pub(in crate::kernels::code) fn largest(vector: &[f32], center: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for_each_centered(vector, center, |values, _| {
        for (largest, value) in lanes.iter_mut().zip(values) {
            *largest = if value.abs() > *largest {
                value.abs()
            } else {
                *largest
            };
        }
    });
    lanes.into_iter().fold(0.0, f32::max)
}

#[inline(always)]
pub(in crate::kernels::code) fn center_sums(vector: &[f32], center: &[f32]) -> CenterSums {
    const WIDE: usize = 16;
    let (mut norms, mut products) = ([0.0_f64; WIDE], [0.0_f64; WIDE]);
    let mut add = |vector: &[f32], center: &[f32]| {
        for ((norm, product), (v, c)) in norms.iter_mut().zip(&mut products).zip(vector.iter().zip(center)) {
            let x = f64::from(v - c);
            *norm += x * x;
            *product += f64::from(*c) * x;
        }
    };
    let (vectors, vector_tail) = vector.as_chunks::<WIDE>();
    let (centers, center_tail) = center.as_chunks::<WIDE>();
    vectors.iter().zip(centers).for_each(|(v, c)| add(v, c));
    add(vector_tail, center_tail);
    CenterSums {
        norm_squared: norms.into_iter().sum(),
        center_product: products.into_iter().sum(),
    }
}

/// The code of a value, as a number: in 0..=top, rounded to the nearest, ties to even. NaN gives 0.
#[inline(always)]
fn round_to_grid(value: f32, top: f32) -> f32 {
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < top { value } else { top };
    value + ROUNDER
}

#[inline(always)]
pub(in crate::kernels::code) fn fit(vector: &[f32], center: &[f32], grid: SymmetricGrid) -> GridFit {
    let half = grid.top * 0.5;
    let (mut products, mut squares) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let mut padding = 0;
    for_each_centered(vector, center, |values, count| {
        for ((product, square), x) in products.iter_mut().zip(&mut squares).zip(values) {
            let v = x * grid.inverse_step;
            let u = round_to_grid(v + half, grid.top) - ROUNDER - half;
            *product += u * v;
            *square += u * u;
        }
        padding = LANES - count;
    });
    // A padding element is 0, midway between two values of the grid, of which either has the square 1/4.
    GridFit {
        product: f64::from(total(products)),
        square: f64::from(total(squares)) - 0.25 * padding as f64,
    }
}

/// The codes of `LANES` values.
#[inline(always)]
fn codes(values: [f32; LANES], grid: SymmetricGrid) -> [u8; LANES] {
    let half = grid.top * 0.5;
    values.map(|x| round_to_grid(x * grid.inverse_step + half, grid.top).to_bits() as u8)
}

/// The sum of codes; bytes past `count` are made zero.
#[inline(always)]
fn cut_and_sum(codes: &mut [u8; LANES], count: usize) -> u32 {
    codes.iter_mut().skip(count).for_each(|code| *code = 0);
    codes.iter().map(|code| u32::from(*code)).sum()
}

#[inline(always)]
pub(in crate::kernels::code) fn write_u8(
    vector: &[f32],
    center: &[f32],
    grid: SymmetricGrid,
    out: &mut [u8],
) -> u32 {
    let (mut sum, mut chunks) = (0, out.as_chunks_mut::<LANES>().0.iter_mut());
    for_each_centered(vector, center, |values, count| {
        let mut codes = codes(values, grid);
        sum += cut_and_sum(&mut codes, count);
        if let Some(chunk) = chunks.next() {
            *chunk = codes;
        }
    });
    chunks.for_each(|chunk| chunk.fill(0));
    sum
}

#[inline(always)]
pub(in crate::kernels::code) fn write_u4(
    vector: &[f32],
    center: &[f32],
    grid: SymmetricGrid,
    out: &mut [u8],
) -> u32 {
    let (mut sum, mut is_high) = (0, false);
    let mut units = out.as_chunks_mut::<CODE_ALIGN>().0.iter_mut();
    let mut unit: Option<&mut [u8; CODE_ALIGN]> = None;
    for_each_centered(vector, center, |values, count| {
        let mut codes = codes(values, grid);
        sum += cut_and_sum(&mut codes, count);
        if is_high {
            if let Some(unit) = unit.as_deref_mut() {
                unit.iter_mut()
                    .zip(codes)
                    .for_each(|(byte, code)| *byte |= code << 4);
            }
        } else {
            unit = units.next();
            if let Some(unit) = unit.as_deref_mut() {
                *unit = codes;
            }
        }
        is_high = !is_high;
    });
    units.for_each(|unit| unit.fill(0));
    sum
}
