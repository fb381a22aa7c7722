//! The scan kernels in plain Rust, always inlined so that each level compiles them for its instruction set.
//!
//! Floats are summed in a fixed number of lanes and nothing is fused, so that each level gives the same bits.

use super::layout::{BLOCK_ROWS, code_bytes};
use super::tables::{LINE_DIMS, Line};
use super::{KeyForm, SignSums};

/// Lanes that products with centroids are summed in, two registers of AVX-512.
pub(super) const LANES: usize = 32;
/// Lanes of a row's distance, of which four are summed at once.
const ROW_LANES: usize = 16;
/// Bits that are packed at once.
pub(super) const PACK: usize = 16;

/// Expands to the kernels that are compiled from this file for one instruction set. The macro's caller
/// has `sums`, `sign_lanes` and `pack`.
macro_rules! body_kernels {
    ($(#[$features:meta])*) => {
        use $crate::kernels::scan::{KeyForm, SignSums};

        $(#[$features])*
        fn keys(
            lines: &[Line],
            codes: &[u8],
            factors: &[u8],
            lanes: usize,
            form: KeyForm,
            out: &mut [f32; BLOCK_ROWS],
        ) {
            body::keys(lines, codes, factors, lanes, form, out, |lines, codes, lanes| sums(lines, codes, lanes));
        }
        $(#[$features])*
        fn sign_code(x: &[f32], c: &[f32], bits: &mut [u8]) -> SignSums {
            body::sign_code(x, c, bits, |x, c| sign_lanes(x, c), |x, c| pack(x, c))
        }
        $(#[$features])*
        fn nearest_row(x: &[f32], rows: &[f32], dims: usize) -> (usize, f32) {
            body::nearest_row(x, rows, dims)
        }
    };
}
pub(super) use body_kernels;

/// The keys of a block, given how to sum the entries of its rows.
#[inline(always)]
pub(super) fn keys(
    lines: &[Line],
    codes: &[u8],
    factors: &[u8],
    lanes: usize,
    form: KeyForm,
    out: &mut [f32; BLOCK_ROWS],
    sums: impl Fn(&[Line], &[u8], usize) -> [i32; BLOCK_ROWS],
) {
    *out = [f32::INFINITY; BLOCK_ROWS];
    let Some(codes) = codes.get(..code_bytes(LINE_DIMS * lines.len(), lanes)) else {
        return;
    };
    match lanes {
        BLOCK_ROWS => finish::<BLOCK_ROWS>(factors, form, out, || sums(lines, codes, BLOCK_ROWS)),
        16 => finish::<16>(factors, form, out, || sums(lines, codes, 16)),
        8 => finish::<8>(factors, form, out, || sums(lines, codes, 8)),
        _ => {}
    }
}

#[inline(always)]
fn finish<const ROWS: usize>(
    factors: &[u8],
    form: KeyForm,
    out: &mut [f32; BLOCK_ROWS],
    sums: impl Fn() -> [i32; BLOCK_ROWS],
) {
    let factors = factors.as_chunks::<4>().0;
    let Some((scales, addends)) = factors.split_first_chunk::<ROWS>() else {
        return;
    };
    let Some(addends) = addends.first_chunk::<ROWS>() else {
        return;
    };
    let sums = sums();
    for (((key, sum), scale), addend) in out.iter_mut().zip(&sums).zip(scales).zip(addends) {
        let estimate = form.a + form.b * *sum as f32;
        let value = (form.shift + f32::from_le_bytes(*addend)) - f32::from_le_bytes(*scale) * estimate;
        *key = if value.is_nan() { f32::INFINITY } else { value };
    }
}

/// The sums of the entries that each row of a block selects. `codes` has the codes of `lanes` rows.
#[inline(always)]
pub(super) fn sums(lines: &[Line], codes: &[u8], lanes: usize) -> [i32; BLOCK_ROWS] {
    let mut sums = [0; BLOCK_ROWS];
    let half = lanes / 2;
    let tables = lines.iter().flat_map(|line| line.0.as_chunks::<16>().0);
    for (codes, table) in codes.chunks_exact(half).zip(tables) {
        let (low, high) = sums.split_at_mut(half);
        let entry = |index: u8| table.get(usize::from(index)).copied().map_or(0, i32::from);
        for ((low, high), byte) in low.iter_mut().zip(high).zip(codes) {
            *low += entry(byte & 15);
            *high += entry(byte >> 4);
        }
    }
    sums
}

/// `PACK` bits: which elements of x are greater than those of c, which is which differences are positive.
#[inline(always)]
pub(super) fn pack(x: &[f32; PACK], c: &[f32; PACK]) -> u16 {
    let bits = x.iter().zip(c).enumerate();
    bits.fold(0, |bits, (i, (x, c))| bits | u16::from(x > c) << i)
}

/// The start of an array are the elements of a slice, and its rest is zeros.
#[inline(always)]
fn padded<T: Copy + Default, const N: usize>(slice: &[T]) -> [T; N] {
    let mut array = [T::default(); N];
    array
        .iter_mut()
        .zip(slice)
        .for_each(|(place, item)| *place = *item);
    array
}

/// Lanes that the sums of a sign code are made in.
pub(super) const WIDE: usize = 8;

/// The lanes of the sums of a sign code: `|r|`, `r * r`, `u * c` and `r * c`.
pub(super) type SignLanes = [[f64; WIDE]; 4];

/// Adds to the lanes of the sums of a sign code.
#[inline(always)]
pub(super) fn add_signs(lanes: &mut SignLanes, x: &[f32; WIDE], c: &[f32; WIDE]) {
    let [absolute, norm, code_center, product] = lanes;
    let sums = absolute.iter_mut().zip(norm).zip(code_center).zip(product);
    for ((((absolute, norm), code_center), product), (x, c)) in sums.zip(x.iter().zip(c)) {
        let (r, wide) = (f64::from(x - c), f64::from(*c));
        *absolute += r.abs();
        *norm += r * r;
        *code_center += if x > c { wide } else { -wide };
        *product += r * wide;
    }
}

/// The lanes of the sums of a sign code.
#[inline(always)]
pub(super) fn sign_lanes(x: &[[f32; WIDE]], c: &[[f32; WIDE]]) -> SignLanes {
    let mut lanes = [[0.0; WIDE]; 4];
    for (x, c) in x.iter().zip(c) {
        add_signs(&mut lanes, x, c);
    }
    lanes
}

#[inline(always)]
pub(super) fn sign_code(
    x: &[f32],
    c: &[f32],
    bits: &mut [u8],
    sign_lanes: impl Fn(&[[f32; WIDE]], &[[f32; WIDE]]) -> SignLanes,
    pack: impl Fn(&[f32; PACK], &[f32; PACK]) -> u16,
) -> SignSums {
    let dims = x.len().min(c.len());
    let (x, c) = (x.split_at(dims).0, c.split_at(dims).0);
    let ((xs, x_tail), (cs, c_tail)) = (x.as_chunks(), c.as_chunks());
    let mut lanes = sign_lanes(xs, cs);
    if !x_tail.is_empty() {
        add_signs(&mut lanes, &padded(x_tail), &padded(c_tail));
    }

    let ((xs, x_tail), (cs, c_tail)) = (x.as_chunks::<PACK>(), c.as_chunks::<PACK>());
    let (places, odd) = bits.as_chunks_mut::<{ PACK / 8 }>();
    for ((x, c), place) in xs.iter().zip(cs).zip(places.iter_mut()) {
        *place = pack(x, c).to_le_bytes();
    }
    if let ([place], Some(x), Some(c)) = (odd, xs.get(places.len()), cs.get(places.len())) {
        [*place, _] = pack(x, c).to_le_bytes();
    }
    if let Some(rest) = bits.get_mut(PACK / 8 * xs.len()..) {
        let tail = pack(&padded(x_tail), &padded(c_tail));
        rest.fill(0);
        rest.iter_mut()
            .zip(tail.to_le_bytes())
            .for_each(|(place, byte)| *place = byte);
    }
    let [absolute, norm_squared, code_center, center_product] = lanes.map(|lanes| lanes.into_iter().sum());
    SignSums {
        absolute,
        norm_squared,
        code_center,
        center_product,
    }
}

/// Calls `visit` with `LANES` elements of a vector and of a centroid at a time, the last ones filled up with zeros.
#[inline(always)]
pub(super) fn for_each_chunk(x: &[f32], c: &[u8], mut visit: impl FnMut(&[f32; LANES], &[u8; 2 * LANES])) {
    let dims = x.len().min(c.len() / 2);
    let (x, c) = (x.split_at(dims).0, c.split_at(2 * dims).0);
    let ((xs, x_tail), (cs, c_tail)) = (x.as_chunks(), c.as_chunks());
    xs.iter().zip(cs).for_each(|(x, c)| visit(x, c));
    if !x_tail.is_empty() {
        visit(&padded(x_tail), &padded(c_tail));
    }
}

/// The value of half precision, exactly, without branches so that it can be done for many at once.
#[inline(always)]
pub(super) fn half_to_single(bytes: [u8; 2]) -> f32 {
    /// The difference of the exponents' biases, as a factor.
    const REBIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    let bits = u32::from(u16::from_le_bytes(bytes));
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * REBIAS;
    // The greatest exponent stands for infinity and NaN in both.
    let special = if magnitude >= 65536.0 { 0xff << 23 } else { 0 };
    f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16)
}

#[inline(always)]
pub(super) fn centroid_l2_squared(x: &[f32], c: &[u8], scale: f32) -> f32 {
    let mut sums = [0.0; LANES];
    for_each_chunk(x, c, |x, c| {
        for ((sum, x), c) in sums.iter_mut().zip(x).zip(c.as_chunks().0) {
            let difference = x - half_to_single(*c) * scale;
            *sum += difference * difference;
        }
    });
    total(sums)
}

#[inline(always)]
pub(super) fn centroid_inner_product(x: &[f32], c: &[u8], scale: f32) -> f32 {
    let mut sums = [0.0; LANES];
    for_each_chunk(x, c, |x, c| {
        for ((sum, x), c) in sums.iter_mut().zip(x).zip(c.as_chunks().0) {
            *sum += x * (half_to_single(*c) * scale);
        }
    });
    total(sums)
}

#[inline(always)]
pub(super) fn decode_centroid(c: &[u8], scale: f32, out: &mut [f32]) {
    for (out, c) in out.iter_mut().zip(c.as_chunks().0) {
        *out = half_to_single(*c) * scale;
    }
}

/// The sum of the lanes, by halves.
#[inline(always)]
pub(super) fn total<const N: usize>(mut lanes: [f32; N]) -> f32 {
    let mut half = N / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(x, y)| *x += *y);
        half /= 2;
    }
    lanes.first().copied().unwrap_or(0.0)
}

#[inline(always)]
fn add_squares(sums: &mut [f32; ROW_LANES], x: &[f32; ROW_LANES], row: &[f32; ROW_LANES]) {
    for ((sum, x), y) in sums.iter_mut().zip(x).zip(row) {
        *sum += (x - y) * (x - y);
    }
}

/// The squared distances of four rows, so that each part of x is loaded once for them.
#[inline(always)]
fn four_distances(x: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    let [mut first, mut second, mut third, mut fourth] = [[0.0; ROW_LANES]; 4];
    let (xs, x_tail) = x.as_chunks();
    let [a, b, c, d] = rows.map(|row| row.as_chunks().0);
    for ((((x, a), b), c), d) in xs.iter().zip(a).zip(b).zip(c).zip(d) {
        add_squares(&mut first, x, a);
        add_squares(&mut second, x, b);
        add_squares(&mut third, x, c);
        add_squares(&mut fourth, x, d);
    }
    let mut sums = [first, second, third, fourth];
    if !x_tail.is_empty() {
        for (sums, row) in sums.iter_mut().zip(rows) {
            add_squares(sums, &padded(x_tail), &padded(row.as_chunks::<ROW_LANES>().1));
        }
    }
    sums.map(total)
}

#[inline(always)]
pub(super) fn nearest_row(x: &[f32], rows: &[f32], dims: usize) -> (usize, f32) {
    let mut nearest = (0, f32::INFINITY);
    let (true, Some(x)) = (dims > 0, x.get(..dims)) else {
        return nearest;
    };
    let mut first = 0;
    for rows in rows.chunks(4 * dims) {
        let count = rows.len() / dims;
        // Of fewer than four rows the missing ones are the last again, which is not nearer than itself.
        let row = |i: usize| {
            let start = i.min(count.saturating_sub(1)) * dims;
            rows.get(start..start + dims)
        };
        let (Some(a), Some(b), Some(c), Some(d)) = (row(0), row(1), row(2), row(3)) else {
            break;
        };
        for (i, distance) in four_distances(x, [a, b, c, d]).into_iter().enumerate() {
            if distance < nearest.1 {
                nearest = (first + i, distance);
            }
        }
        first += 4;
    }
    nearest
}
