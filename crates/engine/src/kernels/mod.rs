//! Distance kernels for slices of `f32` and [`struct@f16`], for the best instruction set the processor has; [`bits`] has those for bit
//! strings.
//!
//! A [`KernelSet`] holds one function per metric; [`kernels`] selects the set once per process and element
//! type. Each set is made from the same algorithm (body.rs) over other vector registers. Sums run in `f32`
//! lanes for a few hundred elements and then widen to `f64`, and an `f32` result that may have overflowed or
//! lost small terms is computed again in `f64` (exact.rs), so every result is within 1e-6 of what double
//! precision gives: relative to the result, or for the inner product to the sum of the products' absolute
//! values, or within the cosine parts to the product of the norms. README.md says how that bound comes about.
//!
//! This is the only module of the crate with `unsafe` code: loads into vector registers, and calls of
//! functions that need an instruction set, which the detection in [`Level::is_available`] guards.

#![allow(unsafe_code)]
#![deny(clippy::indexing_slicing)]

pub mod bits;
mod body;
pub mod code;
mod exact;
mod portable;
mod prefetch;
pub mod scan;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::OnceLock;

use half::f16;

pub use prefetch::prefetch;

/// An instruction set that kernels exist for, from the least to the most capable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the compiler may assume: SSE2 on x86-64, NEON on AArch64.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, VL and DQ.
    Avx512,
}

impl Level {
    /// All levels, best first.
    pub const ALL: [Level; 3] = [Level::Avx512, Level::Avx2, Level::Portable];

    /// Whether this processor and operating system have the instruction set.
    pub fn is_available(self) -> bool {
        match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => false,
        }
    }

    /// The best level that is available here.
    pub fn detect() -> Level {
        Level::ALL
            .into_iter()
            .find(|level| level.is_available())
            .unwrap_or(Level::Portable)
    }
}

/// The three sums of which the cosine is made, from one pass over both vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineParts {
    /// The sum of `a_i * b_i`.
    pub inner_product: f64,
    /// The sum of `a_i²`.
    pub norm_a_squared: f64,
    /// The sum of `b_i²`.
    pub norm_b_squared: f64,
}

/// Kernels of one level for one element type.
///
/// The functions expect slices of the same length; of a longer one they ignore the end.
#[derive(Debug)]
pub struct KernelSet<T> {
    level: Level,
    // Unsafe because they need the instruction set of `level`. A set is given out only by
    // `KernelElement::kernel_set`, after `Level::is_available`.
    l2_squared: unsafe fn(&[T], &[T]) -> f64,
    inner_product: unsafe fn(&[T], &[T]) -> f64,
    cosine_parts: unsafe fn(&[T], &[T]) -> CosineParts,
    l1: unsafe fn(&[T], &[T]) -> f64,
}

impl<T> KernelSet<T> {
    /// The instruction set these kernels use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The sum of `(a_i - b_i)²`.
    #[inline]
    pub fn l2_squared(&self, a: &[T], b: &[T]) -> f64 {
        // SAFETY: `kernel_set` gave out this set, so `self.level` is available.
        unsafe { (self.l2_squared)(a, b) }
    }

    /// The sum of `a_i * b_i`.
    #[inline]
    pub fn inner_product(&self, a: &[T], b: &[T]) -> f64 {
        // SAFETY: `kernel_set` gave out this set, so `self.level` is available.
        unsafe { (self.inner_product)(a, b) }
    }

    /// The inner product and both squared norms.
    #[inline]
    pub fn cosine_parts(&self, a: &[T], b: &[T]) -> CosineParts {
        // SAFETY: `kernel_set` gave out this set, so `self.level` is available.
        unsafe { (self.cosine_parts)(a, b) }
    }

    /// The sum of `|a_i - b_i|`.
    #[inline]
    pub fn l1(&self, a: &[T], b: &[T]) -> f64 {
        // SAFETY: `kernel_set` gave out this set, so `self.level` is available.
        unsafe { (self.l1)(a, b) }
    }
}

mod sealed {
    /// Keeps `KernelElement` to the types that kernels exist for.
    pub trait Sealed {
        /// An f32 sum of squares or products below this may have lost terms to underflow and is computed
        /// again in f64.
        const SMALLEST_RELIABLE_SUM: f64;
    }
    impl Sealed for f32 {
        // 16,000 terms lose up to 2^-150 each, 1.2e-41 in all, which is less than 1e-6 of anything above.
        const SMALLEST_RELIABLE_SUM: f64 = 1e-34;
    }
    impl Sealed for half::f16 {
        // The least product, 2^-48, is far from underflow.
        const SMALLEST_RELIABLE_SUM: f64 = 0.0;
    }
}

/// A type that kernels exist for: `f32` or [`struct@f16`].
pub trait KernelElement: Copy + sealed::Sealed + 'static {
    /// The kernels of one level, or `None` if this machine lacks it.
    fn kernel_set(level: Level) -> Option<&'static KernelSet<Self>>;

    /// The kernels of the best level, selected on the first call.
    fn best_kernel_set() -> &'static KernelSet<Self>;
}

macro_rules! kernel_element {
    ($element:ty, $module:ident) => {
        impl KernelElement for $element {
            fn kernel_set(level: Level) -> Option<&'static KernelSet<Self>> {
                if !level.is_available() {
                    return None;
                }
                Some(match level {
                    Level::Portable => &portable::$module::KERNELS,
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => &x86::avx2::$module::KERNELS,
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => &x86::avx512::$module::KERNELS,
                    #[cfg(not(target_arch = "x86_64"))]
                    Level::Avx2 | Level::Avx512 => return None,
                })
            }

            fn best_kernel_set() -> &'static KernelSet<Self> {
                static BEST: OnceLock<&'static KernelSet<$element>> = OnceLock::new();
                BEST.get_or_init(|| Self::kernel_set(Level::detect()).unwrap_or(&portable::$module::KERNELS))
            }
        }
    };
}

kernel_element!(f32, single);
kernel_element!(f16, half);

/// The best kernels this machine has for `T`.
#[inline]
pub fn kernels<T: KernelElement>() -> &'static KernelSet<T> {
    T::best_kernel_set()
}
