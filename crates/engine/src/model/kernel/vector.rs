//! The few vector operations that the matrix product is made of, per instruction set.

/// A vector register of f32.
///
/// # Safety
/// The methods of an implementation may only run on a processor that has its instruction set, and only become
/// single instructions when inlined into a function compiled for it.
pub(super) trait Vector: Copy {
    /// f32 per register.
    const LANES: usize;
    /// Columns of the register tile, in registers.
    const PANEL_VECTORS: usize;
    /// Rows of the register tile: as many as the registers hold, next to one row of columns and a left-hand number.
    const TILE_ROWS: usize;

    /// # Safety
    /// See the trait.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// See the trait; `from` must be valid for reading `LANES` floats, at any alignment.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// See the trait; `to` must be valid for writing `LANES` floats, at any alignment.
    unsafe fn store(self, to: *mut f32);
    /// self + other
    ///
    /// # Safety
    /// See the trait.
    unsafe fn add(self, other: Self) -> Self;
    /// self × factor + addend, fused where the processor can.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($register:ty, $lanes:literal, $vectors:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $fma:ident) => {
            impl Vector for $register {
                const LANES: usize = $lanes;
                const PANEL_VECTORS: usize = $vectors;
                const TILE_ROWS: usize = $rows;

                #[inline(always)]
                unsafe fn splat(value: f32) -> Self {
                    // SAFETY: the trait's contract, the processor has the instruction.
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: the trait's contract, instruction present and pointer valid.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: the trait's contract, instruction present and pointer valid.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: the trait's contract, the processor has the instruction.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                    // SAFETY: the trait's contract, the processor has the instruction.
                    unsafe { $fma(self, factor, addend) }
                }
            }
        };
    }

    // 8 x 3 accumulators, 3 columns and 1 number of 32 registers.
    vector!(
        __m512,
        16,
        3,
        8,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_fmadd_ps
    );
    // 6 x 2 accumulators, 2 columns and 1 number of 16 registers; 4 x 3 made the compiler spill.
    vector!(
        __m256,
        8,
        2,
        6,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_fmadd_ps
    );
}

impl Vector for [f32; 4] {
    const LANES: usize = 4;
    const PANEL_VECTORS: usize = 3;
    const TILE_ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's contract, four floats are readable; the read is unaligned.
        unsafe { from.cast::<Self>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's contract, four floats are writable; the write is unaligned.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + other[lane])
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // Where the baseline has no fused instruction, f32::mul_add is a call of libm.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            std::array::from_fn(|lane| self[lane].mul_add(factor[lane], addend[lane]))
        } else {
            std::array::from_fn(|lane| self[lane] * factor[lane] + addend[lane])
        }
    }
}
