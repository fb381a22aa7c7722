//! Kernels that count bits, for the distances of bit strings.
//!
//! [`bit_kernels`] selects a [`BitKernels`] once per process. Each level is the same loop (body.rs) over registers of its own; counts
//! are integers, so every level gives the same.

mod body;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::OnceLock;

/// An instruction set that the bit kernels exist for, from the least to the most capable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BitLevel {
    /// What the compiler may assume: SSE2 on x86-64, NEON on AArch64.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512 F, BW and VPOPCNTDQ.
    Avx512Popcount,
}

impl BitLevel {
    /// All levels, best first.
    pub const ALL: [BitLevel; 3] = [BitLevel::Avx512Popcount, BitLevel::Avx2, BitLevel::Portable];

    /// Whether this processor and operating system have the instruction set.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            BitLevel::Portable => true,
            #[cfg(target_arch = "x86_64")]
            BitLevel::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            BitLevel::Avx512Popcount => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vpopcntdq")
            }
            #[cfg(not(target_arch = "x86_64"))]
            BitLevel::Avx2 | BitLevel::Avx512Popcount => false,
        }
    }

    /// The best level that is available here.
    #[must_use]
    pub fn detect() -> BitLevel {
        BitLevel::ALL
            .into_iter()
            .find(|level| level.is_available())
            .unwrap_or(BitLevel::Portable)
    }
}

/// How far two bit strings agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Bits that are set in both.
    pub both: u64,
    /// Bits that are set in one of them or in both.
    pub either: u64,
}

/// The kernels of one level.
///
/// The functions expect slices of the same length; of a longer one they ignore the end.
#[derive(Debug)]
pub struct BitKernels {
    level: BitLevel,
    // Unsafe because they need the instruction set of `level`. A set is given out only by `of`, after `BitLevel::is_available`.
    differing: unsafe fn(&[u8], &[u8]) -> u64,
    overlap: unsafe fn(&[u8], &[u8]) -> Overlap,
}

impl BitKernels {
    /// The kernels of one level, or `None` if this machine lacks it.
    #[must_use]
    pub fn of(level: BitLevel) -> Option<&'static BitKernels> {
        if !level.is_available() {
            return None;
        }
        Some(match level {
            BitLevel::Portable => &portable::KERNELS,
            #[cfg(target_arch = "x86_64")]
            BitLevel::Avx2 => &x86::avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            BitLevel::Avx512Popcount => &x86::avx512::KERNELS,
            #[cfg(not(target_arch = "x86_64"))]
            BitLevel::Avx2 | BitLevel::Avx512Popcount => return None,
        })
    }

    /// The instruction set these kernels use.
    #[must_use]
    pub fn level(&self) -> BitLevel {
        self.level
    }

    /// How many bits differ.
    #[inline]
    #[must_use]
    pub fn differing(&self, a: &[u8], b: &[u8]) -> u64 {
        // SAFETY: `of` gave out this set, so `self.level` is available.
        unsafe { (self.differing)(a, b) }
    }

    /// How many bits are set in both and in either.
    #[inline]
    #[must_use]
    pub fn overlap(&self, a: &[u8], b: &[u8]) -> Overlap {
        // SAFETY: `of` gave out this set, so `self.level` is available.
        unsafe { (self.overlap)(a, b) }
    }
}

/// The best bit kernels this machine has.
#[inline]
#[must_use]
pub fn bit_kernels() -> &'static BitKernels {
    static BEST: OnceLock<&'static BitKernels> = OnceLock::new();
    BEST.get_or_init(|| BitKernels::of(BitLevel::detect()).unwrap_or(&portable::KERNELS))
}

/// Bytes of a word.
const WORD: usize = 8;

/// The bytes after the last whole word of a bit string, as a word.
#[inline(always)]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The kernels in plain Rust: the reference for the others.
mod portable {
    use super::body::bit_kernels;
    use super::{WORD, last_word};

    /// Words that are counted side by side, for the compiler to use vector instructions.
    const WORDS: usize = 8;
    const BYTES: usize = WORDS * WORD;
    type Register = [u64; WORDS];

    bit_kernels!(super::BitLevel::Portable);

    #[inline(always)]
    fn zip(a: Register, b: Register, operation: impl Fn(u64, u64) -> u64) -> Register {
        let mut result = a;
        result.iter_mut().zip(b).for_each(|(x, y)| *x = operation(*x, y));
        result
    }

    #[inline(always)]
    fn load(source: &[u8; BYTES]) -> Register {
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(source.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        words
    }

    #[inline(always)]
    fn load_tail(source: &[u8]) -> Register {
        let mut words = [0; WORDS];
        let (whole, rest) = source.as_chunks::<WORD>();
        for (word, bytes) in words.iter_mut().zip(whole) {
            *word = u64::from_ne_bytes(*bytes);
        }
        if let Some(word) = words.get_mut(whole.len()) {
            *word = last_word(rest);
        }
        words
    }

    #[inline(always)]
    fn zero() -> Register {
        [0; WORDS]
    }

    #[inline(always)]
    fn xor(a: Register, b: Register) -> Register {
        zip(a, b, |x, y| x ^ y)
    }

    #[inline(always)]
    fn and(a: Register, b: Register) -> Register {
        zip(a, b, |x, y| x & y)
    }

    #[inline(always)]
    fn or(a: Register, b: Register) -> Register {
        zip(a, b, |x, y| x | y)
    }

    #[inline(always)]
    fn add_count(sums: Register, bits: Register) -> Register {
        zip(sums, bits, |sum, word| sum + u64::from(word.count_ones()))
    }

    #[inline(always)]
    fn total(sums: Register) -> u64 {
        sums.into_iter().sum()
    }
}
