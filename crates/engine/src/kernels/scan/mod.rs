//! Kernels for the lists of an inverted file: scanning blocks of 1-bit codes, and comparing vectors with centroids.
//!
//! A code has a bit per dimension, the sign of a vector's difference from its centre. The inner product of a query and a code is
//! estimated from a table of 16 entries per group of four dimensions, which the group's bits select from; for 32 rows at a time
//! shuffles of bytes do that (FastScan: André et al., "Quicker ADC", arXiv 1812.09162, as section 3.3.2 of RaBitQ, arXiv 2405.12497,
//! uses it). [`Tables`] are a query's tables, [`ScanKernels::keys`] scans a block.
//!
//! [`scan_kernels`] selects a [`ScanKernels`] once per process. Sums of entries are integers; sums of floats have a fixed order and
//! no fused operations. Both are the same at every level, so neither a list nor what is found in it depends on the machine.
//!
//! Layout of a block of `lanes` rows (32, or 16 or 8 if 32 are too long for a page). Codes: for each group t of four dimensions
//! `lanes / 2` bytes; byte j has in its low half the bits of row j, dimension 4t + i in bit i, and in its high half those of row
//! j + lanes / 2. Factors: `lanes` scales and then `lanes` addends, f32 in little-endian order.

mod body;
mod layout;
mod tables;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use super::Level;
use tables::Line;

pub use layout::{BLOCK_ROWS, DIMS_ALIGN, code_bytes, move_row, read_row, write_row};
pub use tables::Tables;

/// Sums over the elements of a vector x, its centre c, their difference r = x - c and its code u of ±1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignSums {
    /// The inner product of u and r, which is the sum of `|r_i|`.
    pub absolute: f64,
    /// The squared norm of r.
    pub norm_squared: f64,
    /// The inner product of u and c.
    pub code_center: f64,
    /// The inner product of r and c.
    pub center_product: f64,
}

/// What makes a row's key of its factors and its sum: `shift + addend - scale * (a + b * sum)`.
#[derive(Debug, Clone, Copy)]
struct KeyForm {
    shift: f32,
    a: f32,
    b: f32,
}

type Keys = unsafe fn(&[Line], &[u8], &[u8], usize, KeyForm, &mut [f32; BLOCK_ROWS]);
type NearestRow = unsafe fn(&[f32], &[f32], usize) -> (usize, f32);

/// The kernels of one level.
///
/// Of slices of different lengths the kernels use what all of them have, unless they say otherwise.
#[derive(Debug)]
pub struct ScanKernels {
    level: Level,
    // Unsafe because they need the instruction set of `level`. A set is given out only by `of`, after `Level::is_available`.
    keys: Keys,
    sign_code: unsafe fn(&[f32], &[f32], &mut [u8]) -> SignSums,
    centroid_l2_squared: unsafe fn(&[f32], &[u8], f32) -> f32,
    centroid_inner_product: unsafe fn(&[f32], &[u8], f32) -> f32,
    decode_centroid: unsafe fn(&[u8], f32, &mut [f32]),
    nearest_row: NearestRow,
}

impl ScanKernels {
    /// The kernels of one level, or `None` if this machine lacks it.
    #[must_use]
    pub fn of(level: Level) -> Option<&'static ScanKernels> {
        if !level.is_available() {
            return None;
        }
        Some(match level {
            Level::Portable => &portable::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &x86::avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &x86::avx512::KERNELS,
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => return None,
        })
    }

    /// The instruction set these kernels use.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The keys of the rows of a block: `shift + addend - scale * (a + b * sum)`, where `sum` is that of the entries which the row's
    /// code selects from `tables`.
    ///
    /// Places from `lanes` on, and keys that are not a number, are infinite; all are if `codes` or `factors` are too short for `lanes`
    /// rows, or blocks never have so many.
    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "what differs from block to block, and from list to list"
    )]
    pub fn keys(
        &self,
        tables: &Tables,
        codes: &[u8],
        factors: &[u8],
        lanes: usize,
        shift: f32,
        a: f32,
        b: f32,
        out: &mut [f32; BLOCK_ROWS],
    ) {
        // SAFETY: `of` gave out this set, so `self.level` is available.
        unsafe {
            (self.keys)(
                tables.lines(),
                codes,
                factors,
                lanes,
                KeyForm { shift, a, b },
                out,
            )
        }
    }

    /// Writes the code of `x - c`, packed as [`write_row`] takes it: a bit is 1 where the difference is positive. The rest of `bits`
    /// is made zero.
    pub fn sign_code(&self, x: &[f32], c: &[f32], bits: &mut [u8]) -> SignSums {
        // SAFETY: `of` gave out this set, so `self.level` is available.
        unsafe { (self.sign_code)(x, c, bits) }
    }

    /// The squared distance of a vector and a centroid, which is stored as f16 in little-endian order times `scale`.
    #[inline]
    pub fn centroid_l2_squared(&self, x: &[f32], c: &[u8], scale: f32) -> f32 {
        // SAFETY: `of` gave out this set, so `self.level` is available.
        unsafe { (self.centroid_l2_squared)(x, c, scale) }
    }

    /// The inner product of a vector and a centroid stored likewise.
    #[inline]
    pub fn centroid_inner_product(&self, x: &[f32], c: &[u8], scale: f32) -> f32 {
        // SAFETY: `of` gave out this set, so `self.level` is available.
        unsafe { (self.centroid_inner_product)(x, c, scale) }
    }

    /// The elements of a centroid stored likewise. What `out` has beyond them is left alone.
    pub fn decode_centroid(&self, c: &[u8], scale: f32, out: &mut [f32]) {
        // SAFETY: `of` gave out this set, so `self.level` is available.
        unsafe { (self.decode_centroid)(c, scale, out) }
    }

    /// Which of the rows of `dims` elements that lie one after the other in `rows` is nearest to `x`, and its squared distance. Of rows
    /// equally near it is the first; if no distance is finite, for want of a row too, it is `(0, f32::INFINITY)`.
    #[inline]
    #[must_use]
    pub fn nearest_row(&self, x: &[f32], rows: &[f32], dims: usize) -> (usize, f32) {
        // SAFETY: `of` gave out this set, so `self.level` is available.
        unsafe { (self.nearest_row)(x, rows, dims) }
    }
}

/// The best scan kernels this machine has.
#[inline]
#[must_use]
pub fn scan_kernels() -> &'static ScanKernels {
    static BEST: OnceLock<&'static ScanKernels> = OnceLock::new();
    BEST.get_or_init(|| ScanKernels::of(Level::detect()).unwrap_or(&portable::KERNELS))
}

/// The kernels as the compiler makes them for the target's baseline: the reference for the others.
mod portable {
    use super::body::{self, body_kernels, pack, sign_lanes, sums};
    use super::{BLOCK_ROWS, Level, Line, ScanKernels};

    pub(super) static KERNELS: ScanKernels = ScanKernels {
        level: Level::Portable,
        keys,
        sign_code,
        centroid_l2_squared: body::centroid_l2_squared,
        centroid_inner_product: body::centroid_inner_product,
        decode_centroid: body::decode_centroid,
        nearest_row,
    };

    body_kernels!();
}
