//! Taxicab distances of codes to queries and to codes.

use super::{LANES, total};
use crate::kernels::code::{AffineGrid, CODE_ALIGN};

/// Both halves of a unit's bytes.
#[inline(always)]
fn split_unit(unit: &[u8; CODE_ALIGN]) -> [[u8; CODE_ALIGN]; 2] {
    [unit.map(|byte| byte & 15), unit.map(|byte| byte >> 4)]
}

/// Adds the differences of codes and query, of the length that both have.
#[inline(always)]
fn add_l1_query(sums: &mut [f32; LANES], codes: &[u8], query: &[f32], grid: AffineGrid) {
    for ((sum, code), x) in sums.iter_mut().zip(codes).zip(query) {
        *sum += (x - (grid.low + grid.step * f32::from(*code))).abs();
    }
}

#[inline(always)]
pub(in crate::kernels::code) fn l1_u8(code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
    let mut sums = [0.0; LANES];
    let ((codes, _), (queries, tail)) = (code.as_chunks::<LANES>(), query.as_chunks::<LANES>());
    for (codes, query) in codes.iter().zip(queries) {
        add_l1_query(&mut sums, codes, query, grid);
    }
    if let Some(codes) = codes.get(queries.len()) {
        add_l1_query(&mut sums, codes, tail, grid);
    }
    total(sums)
}

#[inline(always)]
pub(in crate::kernels::code) fn l1_u4(code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
    let mut sums = [0.0; LANES];
    let units = code.as_chunks::<CODE_ALIGN>().0;
    let (queries, tail) = query.as_chunks::<{ 2 * CODE_ALIGN }>();
    for (unit, query) in units.iter().zip(queries) {
        let (low, high) = query.split_at(CODE_ALIGN);
        for (((sum, byte), x), y) in sums.iter_mut().zip(unit).zip(low).zip(high) {
            *sum += (x - (grid.low + grid.step * f32::from(byte & 15))).abs();
            *sum += (y - (grid.low + grid.step * f32::from(byte >> 4))).abs();
        }
    }
    if let Some(unit) = units.get(queries.len()) {
        for (codes, query) in split_unit(unit).iter().zip(tail.chunks(LANES)) {
            add_l1_query(&mut sums, codes, query, grid);
        }
    }
    total(sums)
}

/// Adds the differences of two codes, of the length that both have.
#[inline(always)]
fn add_l1_codes(sums: &mut [f32; LANES], a: &[u8], b: &[u8], [first, second]: [AffineGrid; 2]) {
    let shift = first.low - second.low;
    for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
        *sum += (shift + (first.step * f32::from(*a) - second.step * f32::from(*b))).abs();
    }
}

/// The first `count` of an array, or all.
#[inline(always)]
fn first(codes: &[u8; LANES], count: usize) -> &[u8] {
    codes.get(..count).unwrap_or(codes)
}

#[inline(always)]
pub(in crate::kernels::code) fn l1_u8_u8(a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a, b) = (a.as_chunks::<LANES>().0, b.as_chunks::<LANES>().0);
    let full = dims / LANES;
    for (a, b) in a.iter().zip(b).take(full) {
        add_l1_codes(&mut sums, a, b, grids);
    }
    if let (Some(a), Some(b)) = (a.get(full), b.get(full)) {
        add_l1_codes(&mut sums, first(a, dims % LANES), b, grids);
    }
    total(sums)
}

#[inline(always)]
pub(in crate::kernels::code) fn l1_u4_u4(a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a, b) = (a.as_chunks::<CODE_ALIGN>().0, b.as_chunks::<CODE_ALIGN>().0);
    let (full, rest) = (dims / (2 * CODE_ALIGN), dims % (2 * CODE_ALIGN));
    for (a, b) in a.iter().zip(b).take(full) {
        for (a, b) in split_unit(a).iter().zip(&split_unit(b)) {
            add_l1_codes(&mut sums, a, b, grids);
        }
    }
    if let (Some(a), Some(b)) = (a.get(full), b.get(full)) {
        let ([a_low, a_high], [b_low, b_high]) = (split_unit(a), split_unit(b));
        add_l1_codes(&mut sums, first(&a_low, rest), &b_low, grids);
        add_l1_codes(
            &mut sums,
            first(&a_high, rest.saturating_sub(LANES)),
            &b_high,
            grids,
        );
    }
    total(sums)
}
