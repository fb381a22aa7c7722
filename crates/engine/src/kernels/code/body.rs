//! The code kernels in plain Rust, always inlined so that each level compiles them for its instruction set.
//!
//! Floats are summed in a fixed number of lanes, which the compiler turns into vector registers of whatever width there is; the
//! order of additions is therefore part of the source and the same at every level.

use super::{AffineGrid, CODE_ALIGN, CenterSums, GridFit, LINE, Line, Round, SymmetricGrid};

/// Lanes that floats are summed in, two registers of AVX-512.
const LANES: usize = 32;
/// Adding this and subtracting it again rounds a number between 0 and 2^22 to an integer, and leaves the integer in the low bits.
const ROUNDER: f32 = 8_388_608.0;

/// Expands to the kernels over floats for one instruction set.
macro_rules! float_kernels {
    ($(#[$features:meta])*) => {
        use $crate::kernels::code::{AffineGrid, CenterSums, GridFit, Round, SymmetricGrid};

        $(#[$features])*
        fn rotate_round(vector: &mut [f32], signs: &[f32], round: Round) {
            body::rotate_round(vector, signs, round);
        }
        $(#[$features])*
        fn largest(vector: &[f32], center: &[f32]) -> f32 {
            body::largest(vector, center)
        }
        $(#[$features])*
        fn center_sums(vector: &[f32], center: &[f32]) -> CenterSums {
            body::center_sums(vector, center)
        }
        $(#[$features])*
        fn fit(vector: &[f32], center: &[f32], grid: SymmetricGrid) -> GridFit {
            body::fit(vector, center, grid)
        }
        $(#[$features])*
        fn write_u4(vector: &[f32], center: &[f32], grid: SymmetricGrid, out: &mut [u8]) -> u32 {
            body::write_u4(vector, center, grid, out)
        }
        $(#[$features])*
        fn write_u8(vector: &[f32], center: &[f32], grid: SymmetricGrid, out: &mut [u8]) -> u32 {
            body::write_u8(vector, center, grid, out)
        }
        $(#[$features])*
        fn l1_u4(code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
            body::l1_u4(code, query, grid)
        }
        $(#[$features])*
        fn l1_u8(code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
            body::l1_u8(code, query, grid)
        }
        $(#[$features])*
        fn l1_u4_u4(a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
            body::l1_u4_u4(a, b, dims, grids)
        }
        $(#[$features])*
        fn l1_u8_u8(a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
            body::l1_u8_u8(a, b, dims, grids)
        }
    };
}
pub(super) use float_kernels;

// ---- Rotation ----

#[inline(always)]
pub(super) fn rotate_round(vector: &mut [f32], signs: &[f32], round: Round) {
    vector.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
    let dims = vector.len();
    if let Some(window) = vector
        .get_mut(round.start..)
        .and_then(|rest| rest.get_mut(..round.length))
    {
        hadamard(window);
    }
    if round.turn_halves {
        let (first, second) = vector.split_at_mut(dims.div_ceil(2));
        for (x, y) in first.iter_mut().zip(second) {
            (*x, *y) = (
                (*x + *y) * std::f32::consts::FRAC_1_SQRT_2,
                (*x - *y) * std::f32::consts::FRAC_1_SQRT_2,
            );
        }
    }
}

/// The fast Walsh-Hadamard transform, not normalised. The length is a power of two and at least 16.
#[inline(always)]
fn hadamard(vector: &mut [f32]) {
    for block in vector.as_chunks_mut::<16>().0 {
        *block = hadamard_step::<8>(hadamard_step::<4>(hadamard_step::<2>(hadamard_step::<1>(*block))));
    }
    let mut half = 16;
    while half < vector.len() {
        for block in vector.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            let pairs = low.as_chunks_mut::<16>().0.iter_mut();
            for (low, high) in pairs.zip(high.as_chunks_mut::<16>().0) {
                for (x, y) in low.iter_mut().zip(high) {
                    (*x, *y) = (*x + *y, *x - *y);
                }
            }
        }
        half *= 2;
    }
}

/// The butterflies of elements `HALF` apart.
#[inline(always)]
fn hadamard_step<const HALF: usize>(block: [f32; 16]) -> [f32; 16] {
    std::array::from_fn(|i| {
        let (x, y) = (block.get(i & !HALF), block.get(i | HALF));
        let (x, y) = (x.copied().unwrap_or(0.0), y.copied().unwrap_or(0.0));
        if i & HALF == 0 { x + y } else { x - y }
    })
}

// ---- Quantising ----

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
pub(super) fn largest(vector: &[f32], center: &[f32]) -> f32 {
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
pub(super) fn center_sums(vector: &[f32], center: &[f32]) -> CenterSums {
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
pub(super) fn fit(vector: &[f32], center: &[f32], grid: SymmetricGrid) -> GridFit {
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
        product: products.into_iter().map(f64::from).sum(),
        square: squares.into_iter().map(f64::from).sum::<f64>() - 0.25 * padding as f64,
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
pub(super) fn write_u8(vector: &[f32], center: &[f32], grid: SymmetricGrid, out: &mut [u8]) -> u32 {
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
pub(super) fn write_u4(vector: &[f32], center: &[f32], grid: SymmetricGrid, out: &mut [u8]) -> u32 {
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

// ---- Inner products ----

pub(super) fn dot_u4_i8(code: &[u8], query: &[Line]) -> i32 {
    let mut total = 0;
    for (code, [Line(low), Line(high)]) in code.chunks(LINE).zip(query.as_chunks::<2>().0) {
        for ((byte, low), high) in code.iter().zip(low).zip(high) {
            total += i32::from(byte & 15) * i32::from(*low) + i32::from(byte >> 4) * i32::from(*high);
        }
    }
    total
}

pub(super) fn dot_u8_i8(code: &[u8], query: &[Line]) -> i32 {
    let mut total = 0;
    for (code, Line(query)) in code.chunks(LINE).zip(query) {
        for (byte, query) in code.iter().zip(query) {
            total += i32::from(*byte) * i32::from(*query);
        }
    }
    total
}

pub(super) fn dot_u4_u4(a: &[u8], b: &[u8]) -> i32 {
    let products = a
        .iter()
        .zip(b)
        .map(|(a, b)| i32::from(a & 15) * i32::from(b & 15) + i32::from(a >> 4) * i32::from(b >> 4));
    products.sum()
}

pub(super) fn dot_u8_u8(a: &[u8], b: &[u8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

// ---- Taxicab distances ----

/// Both halves of a unit's bytes.
#[inline(always)]
fn split_unit(unit: &[u8; CODE_ALIGN]) -> [[u8; CODE_ALIGN]; 2] {
    [unit.map(|byte| byte & 15), unit.map(|byte| byte >> 4)]
}

#[inline(always)]
fn total(lanes: [f32; LANES]) -> f32 {
    lanes.into_iter().map(f64::from).sum::<f64>() as f32
}

#[inline(always)]
fn add_l1_query(sums: &mut [f32; LANES], codes: &[u8; LANES], query: &[f32], grid: AffineGrid) {
    let mut add = |query: &[f32]| {
        for ((sum, code), x) in sums.iter_mut().zip(codes).zip(query) {
            *sum += (x - (grid.low + grid.step * f32::from(*code))).abs();
        }
    };
    match query.as_array::<LANES>() {
        Some(query) => add(query),
        None => add(query),
    }
}

#[inline(always)]
pub(super) fn l1_u8(code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
    let mut sums = [0.0; LANES];
    for (codes, query) in code.as_chunks::<LANES>().0.iter().zip(query.chunks(LANES)) {
        add_l1_query(&mut sums, codes, query, grid);
    }
    total(sums)
}

#[inline(always)]
pub(super) fn l1_u4(code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
    let mut sums = [0.0; LANES];
    for (unit, query) in code
        .as_chunks::<CODE_ALIGN>()
        .0
        .iter()
        .zip(query.chunks(2 * CODE_ALIGN))
    {
        for (codes, query) in split_unit(unit).iter().zip(query.chunks(LANES)) {
            add_l1_query(&mut sums, codes, query, grid);
        }
    }
    total(sums)
}

#[inline(always)]
fn add_l1_codes(
    sums: &mut [f32; LANES],
    [a, b]: [&[u8; LANES]; 2],
    count: usize,
    [first, second]: [AffineGrid; 2],
) {
    let shift = first.low - second.low;
    let mut add = |count: usize| {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b).take(count) {
            *sum += (shift + (first.step * f32::from(*a) - second.step * f32::from(*b))).abs();
        }
    };
    if count >= LANES { add(LANES) } else { add(count) }
}

#[inline(always)]
pub(super) fn l1_u8_u8(a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
    let mut sums = [0.0; LANES];
    let pairs = a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0);
    for ((a, b), start) in pairs.zip((0..dims).step_by(LANES)) {
        add_l1_codes(&mut sums, [a, b], dims - start, grids);
    }
    total(sums)
}

#[inline(always)]
pub(super) fn l1_u4_u4(a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
    let mut sums = [0.0; LANES];
    let pairs = a
        .as_chunks::<CODE_ALIGN>()
        .0
        .iter()
        .zip(b.as_chunks::<CODE_ALIGN>().0);
    for ((a, b), start) in pairs.zip((0..dims).step_by(2 * CODE_ALIGN)) {
        let ([a_low, a_high], [b_low, b_high]) = (split_unit(a), split_unit(b));
        add_l1_codes(&mut sums, [&a_low, &b_low], dims - start, grids);
        add_l1_codes(
            &mut sums,
            [&a_high, &b_high],
            (dims - start).saturating_sub(LANES),
            grids,
        );
    }
    total(sums)
}
