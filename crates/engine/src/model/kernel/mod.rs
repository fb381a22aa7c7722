//! The arithmetic of the model: matrix products against packed weights and the loops between them.
//!
//! Each kernel is written once over [`Vector`](vector::Vector) or as a plain loop, and compiled three times: for
//! AVX-512, for AVX2 with FMA, and for the target's baseline (SSE2, NEON). [`Kernels`] is the only way in: it can
//! only be obtained for instruction sets that this processor has, which is what makes the calls sound. All
//! functions are single-threaded. Used by `forward`; measured in docs/design/embedding.md.
#![allow(unsafe_code)]

mod matmul;
mod pointwise;
mod vector;

pub(super) use matmul::{Init, PackedMatrix, Rows};

use std::fmt;

/// The non-linearity between the two feed-forward products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// x Φ(x), with the error function.
    Gelu,
    /// The approximation of [`Activation::Gelu`] by tanh.
    GeluTanh,
    /// max(x, 0)
    Relu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InstructionSet {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Baseline,
}

/// The kernels for one instruction set of this processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kernels {
    // Private, and set only in `available`: the processor has these instructions.
    set: InstructionSet,
}

impl Kernels {
    /// The kernels that this processor can run, fastest first; never empty.
    pub(super) fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                sets.push(Self {
                    set: InstructionSet::Avx512,
                });
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Self {
                    set: InstructionSet::Avx2,
                });
            }
        }
        sets.push(Self {
            set: InstructionSet::Baseline,
        });
        sets
    }

    /// The fastest kernels of this processor.
    pub(super) fn fastest() -> Self {
        Self::available().first().copied().unwrap_or(Self {
            set: InstructionSet::Baseline,
        })
    }

    /// f32 lanes of a vector register.
    pub(super) fn lanes(self) -> usize {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => 8,
            InstructionSet::Baseline => 4,
        }
    }
}

impl Kernels {
    /// Vector registers per row of a panel, see [`matmul`].
    fn panel_vectors(self) -> usize {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => <std::arch::x86_64::__m512 as vector::Vector>::PANEL_VECTORS,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => <std::arch::x86_64::__m256 as vector::Vector>::PANEL_VECTORS,
            InstructionSet::Baseline => <[f32; 4] as vector::Vector>::PANEL_VECTORS,
        }
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Baseline => "baseline",
        })
    }
}

/// Compiles `$body(arguments)` once per instruction set and calls the copy that `$kernels` stands for.
///
/// `$body` must be `#[inline(always)]`, so that it takes the features of the function it is expanded into.
macro_rules! dispatch {
    ($kernels:expr, $body:ident ( $($argument:ident : $type:ty),* )) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        fn avx512($($argument: $type),*) {
            $body($($argument),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2($($argument: $type),*) {
            $body($($argument),*)
        }
        match $kernels.set {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this set is only made by `Kernels::available` after it detected avx512f.
            $crate::model::kernel::InstructionSet::Avx512 => unsafe { avx512($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this set is only made by `Kernels::available` after it detected avx2 and fma.
            $crate::model::kernel::InstructionSet::Avx2 => unsafe { avx2($($argument),*) },
            $crate::model::kernel::InstructionSet::Baseline => $body($($argument),*),
        }
    }};
}
use dispatch;
