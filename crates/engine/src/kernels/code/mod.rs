//! Kernels for the codes of the vector index: quantising vectors, and comparing codes with queries and with each other.
//!
//! [`code_kernels`] selects a [`CodeKernels`] once per process. The integer kernels give the same number at every level. The
//! kernels over floats are one source (body.rs) compiled for each instruction set; their sums have a fixed order and no fused
//! operations, so they too give the same bits at every level, and an index does not depend on the machine that wrote it.
//!
//! Layout of codes. 8 bits: byte j is dimension j. 4 bits: units of 32 bytes hold 64 dimensions; byte j of unit u has dimension
//! 64u + j in its low half and 64u + 32 + j in its high half. Both are padded with zeros to a multiple of [`CODE_ALIGN`] bytes.

mod body;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

/// Codes take a multiple of this many bytes.
pub const CODE_ALIGN: usize = 32;

/// Bytes of a [`Line`].
pub const LINE: usize = 64;

/// 64 elements of an 8-bit query, at the alignment of a cache line.
///
/// For 8-bit codes line k holds the dimensions 64k to 64k + 63. For 4-bit codes lines 2k and 2k + 1 hold what is multiplied with
/// the low and the high halves of the code's bytes 64k to 64k + 63.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [i8; LINE]);

impl Line {
    /// All zero.
    pub const ZERO: Line = Line([0; LINE]);
}

/// An instruction set that the code kernels exist for, from the least to the most capable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodeLevel {
    /// What the compiler may assume: SSE2 on x86-64, NEON on AArch64.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512 F, BW, VL, DQ and VNNI.
    Avx512Vnni,
}

impl CodeLevel {
    /// All levels, best first.
    pub const ALL: [CodeLevel; 3] = [CodeLevel::Avx512Vnni, CodeLevel::Avx2, CodeLevel::Portable];

    /// Whether this processor and operating system have the instruction set.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            CodeLevel::Portable => true,
            #[cfg(target_arch = "x86_64")]
            CodeLevel::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            CodeLevel::Avx512Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(not(target_arch = "x86_64"))]
            CodeLevel::Avx2 | CodeLevel::Avx512Vnni => false,
        }
    }

    /// The best level that is available here.
    #[must_use]
    pub fn detect() -> CodeLevel {
        CodeLevel::ALL
            .into_iter()
            .find(|level| level.is_available())
            .unwrap_or(CodeLevel::Portable)
    }
}

/// The affine grid of an L1 code: code c stands for `low + step * c`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineGrid {
    /// The value of code 0.
    pub low: f32,
    /// The distance of neighbouring values.
    pub step: f32,
}

/// The uniform, symmetric grid that a vector is rounded to: code c stands for `c - top / 2` in units of the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SymmetricGrid {
    /// Grid units per unit of the vector.
    pub inverse_step: f32,
    /// The greatest code, 15 or 255.
    pub top: f32,
}

/// What a round of the rotation does after the signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Where the window begins that is transformed by Hadamard's matrix, not normalised.
    pub start: usize,
    /// Its length, a power of two and at least 16.
    pub length: usize,
    /// Whether then each pair of an element of the first half and one of the second is turned by 45 degrees.
    pub turn_halves: bool,
}

/// Sums over the elements of a vector x relative to a centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CenterSums {
    /// The squared norm of x.
    pub norm_squared: f64,
    /// The inner product of the centre and x.
    pub center_product: f64,
}

/// How well a grid fits a vector v, of which u is the rounded one, both in units of the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridFit {
    /// The inner product of u and v.
    pub product: f64,
    /// The squared norm of u.
    pub square: f64,
}

type RotateRound = unsafe fn(&mut [f32], &[f32], Round);
type Fit = unsafe fn(&[f32], &[f32], SymmetricGrid) -> GridFit;
type WriteCodes = unsafe fn(&[f32], &[f32], SymmetricGrid, &mut [u8]) -> u32;
type L1Query = unsafe fn(&[u8], &[f32], AffineGrid) -> f32;
type L1Codes = unsafe fn(&[u8], &[u8], usize, [AffineGrid; 2]) -> f32;

/// The kernels of one level.
///
/// Of slices of different lengths the kernels use what all of them have.
#[derive(Debug)]
pub struct CodeKernels {
    level: CodeLevel,
    // Unsafe because they need the instruction set of `level`. A set is given out only by `for_level`, after
    // `CodeLevel::is_available`.
    rotate_round: RotateRound,
    largest: unsafe fn(&[f32], &[f32]) -> f32,
    center_sums: unsafe fn(&[f32], &[f32]) -> CenterSums,
    fit: Fit,
    write_u4: WriteCodes,
    write_u8: WriteCodes,
    dot_u4_i8: unsafe fn(&[u8], &[Line]) -> i32,
    dot_u8_i8: unsafe fn(&[u8], &[Line]) -> i32,
    dot_u4_u4: unsafe fn(&[u8], &[u8]) -> i32,
    dot_u8_u8: unsafe fn(&[u8], &[u8]) -> i32,
    l1_u4: L1Query,
    l1_u8: L1Query,
    l1_u4_u4: L1Codes,
    l1_u8_u8: L1Codes,
}

impl CodeKernels {
    /// The kernels of one level, or `None` if this machine lacks it.
    #[must_use]
    pub fn for_level(level: CodeLevel) -> Option<&'static CodeKernels> {
        if !level.is_available() {
            return None;
        }
        Some(match level {
            CodeLevel::Portable => &portable::KERNELS,
            #[cfg(target_arch = "x86_64")]
            CodeLevel::Avx2 => &x86::avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            CodeLevel::Avx512Vnni => &x86::avx512::KERNELS,
            #[cfg(not(target_arch = "x86_64"))]
            CodeLevel::Avx2 | CodeLevel::Avx512Vnni => return None,
        })
    }

    /// The instruction set these kernels use.
    #[must_use]
    pub fn level(&self) -> CodeLevel {
        self.level
    }

    /// One round of the rotation: multiplies `vector` by `signs`, which hold the normalisation too, and then does what `round`
    /// says.
    pub fn rotate_round(&self, vector: &mut [f32], signs: &[f32], round: Round) {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.rotate_round)(vector, signs, round) }
    }

    /// The largest `|vector_i - center_i|`.
    pub fn largest(&self, vector: &[f32], center: &[f32]) -> f32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.largest)(vector, center) }
    }

    /// The sums over `vector - center`.
    pub fn center_sums(&self, vector: &[f32], center: &[f32]) -> CenterSums {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.center_sums)(vector, center) }
    }

    /// How well the grid fits `vector - center`.
    pub fn fit(&self, vector: &[f32], center: &[f32], grid: SymmetricGrid) -> GridFit {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.fit)(vector, center, grid) }
    }

    /// Rounds `vector - center` to the grid; writes 4-bit codes and returns their sum.
    pub fn write_u4(&self, vector: &[f32], center: &[f32], grid: SymmetricGrid, out: &mut [u8]) -> u32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.write_u4)(vector, center, grid, out) }
    }

    /// Rounds `vector - center` to the grid; writes 8-bit codes and returns their sum.
    pub fn write_u8(&self, vector: &[f32], center: &[f32], grid: SymmetricGrid, out: &mut [u8]) -> u32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.write_u8)(vector, center, grid, out) }
    }

    /// The inner product of a 4-bit code and an 8-bit query. `code` has a multiple of 32 bytes, at most 2^18.
    #[inline]
    pub fn dot_u4_i8(&self, code: &[u8], query: &[Line]) -> i32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.dot_u4_i8)(code, query) }
    }

    /// The inner product of an 8-bit code and an 8-bit query. `code` has a multiple of 32 bytes, at most 2^15.
    #[inline]
    pub fn dot_u8_i8(&self, code: &[u8], query: &[Line]) -> i32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.dot_u8_i8)(code, query) }
    }

    /// The inner product of two 4-bit codes, of a multiple of 32 bytes each.
    #[inline]
    pub fn dot_u4_u4(&self, a: &[u8], b: &[u8]) -> i32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.dot_u4_u4)(a, b) }
    }

    /// The inner product of two 8-bit codes, of a multiple of 32 bytes each, at most 2^15.
    #[inline]
    pub fn dot_u8_u8(&self, a: &[u8], b: &[u8]) -> i32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.dot_u8_u8)(a, b) }
    }

    /// The taxicab distance of a 4-bit code and a query, over the query's dimensions.
    #[inline]
    pub fn l1_u4(&self, code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.l1_u4)(code, query, grid) }
    }

    /// The taxicab distance of an 8-bit code and a query, over the query's dimensions.
    #[inline]
    pub fn l1_u8(&self, code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.l1_u8)(code, query, grid) }
    }

    /// The taxicab distance of two 4-bit codes with their grids, over the first `dims` dimensions.
    #[inline]
    pub fn l1_u4_u4(&self, a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.l1_u4_u4)(a, b, dims, grids) }
    }

    /// The taxicab distance of two 8-bit codes with their grids, over the first `dims` dimensions.
    #[inline]
    pub fn l1_u8_u8(&self, a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
        // SAFETY: `for_level` gave out this set, so `self.level` is available.
        unsafe { (self.l1_u8_u8)(a, b, dims, grids) }
    }
}

/// The best code kernels this machine has.
#[inline]
#[must_use]
pub fn code_kernels() -> &'static CodeKernels {
    static BEST: OnceLock<&'static CodeKernels> = OnceLock::new();
    BEST.get_or_init(|| CodeKernels::for_level(CodeLevel::detect()).unwrap_or(&portable::KERNELS))
}

/// The kernels as the compiler makes them for the target's baseline: the reference for the others.
mod portable {
    use super::body::{self, float_kernels, hadamard_block};
    use super::{CodeKernels, CodeLevel};

    pub(super) static KERNELS: CodeKernels = CodeKernels {
        level: CodeLevel::Portable,
        rotate_round,
        largest,
        center_sums,
        fit,
        write_u4,
        write_u8,
        dot_u4_i8: body::dot_u4_i8,
        dot_u8_i8: body::dot_u8_i8,
        dot_u4_u4: body::dot_u4_u4,
        dot_u8_u8: body::dot_u8_u8,
        l1_u4,
        l1_u8,
        l1_u4_u4,
        l1_u8_u8,
    };

    float_kernels!();
}
