//! The operations of AVX2 and AVX-512 that the bit kernels are made of.
//!
//! Each function has the features of its module, so within the kernels the intrinsics are safe; only the loads from memory are not, and
//! these take references that prove how many bytes may be read.

/// AVX2: 32 bytes, whose bits a table of half bytes counts (Muła, Kurz and Lemire, arXiv 1611.07612).
pub(super) mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_add_epi64, _mm_cvtsi128_si64, _mm_unpackhi_epi64, _mm256_add_epi8, _mm256_add_epi64,
        _mm256_and_si256, _mm256_castsi256_si128, _mm256_cmpeq_epi64, _mm256_cmpgt_epi64,
        _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_maskload_epi64, _mm256_or_si256,
        _mm256_sad_epu8, _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setr_epi64x,
        _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_xor_si256,
    };

    use crate::kernels::bits::body::bit_kernels;
    use crate::kernels::bits::{WORD, last_word};

    const BYTES: usize = 32;
    type Register = __m256i;

    bit_kernels!(crate::kernels::bits::BitLevel::Avx2, #[target_feature(enable = "avx2")]);

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(source: &[u8; BYTES]) -> Register {
        // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
        unsafe { _mm256_loadu_si256(source.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load_tail(source: &[u8]) -> Register {
        // Not by way of a copy filled up with zeros: a load that follows stores narrower than itself waits for them, for longer than the
        // rest of the kernel takes.
        let words = _mm256_set1_epi64x((source.len() / WORD) as i64);
        let places = _mm256_setr_epi64x(0, 1, 2, 3);
        let mask = _mm256_cmpgt_epi64(words, places);
        // SAFETY: the mask has one place per whole word of the slice, and places without are not read.
        let whole = unsafe { _mm256_maskload_epi64(source.as_ptr().cast(), mask) };
        let rest = _mm256_set1_epi64x(last_word(source.as_chunks::<WORD>().1) as i64);
        _mm256_or_si256(whole, _mm256_and_si256(rest, _mm256_cmpeq_epi64(words, places)))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn zero() -> Register {
        _mm256_setzero_si256()
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn xor(a: Register, b: Register) -> Register {
        _mm256_xor_si256(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn and(a: Register, b: Register) -> Register {
        _mm256_and_si256(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn or(a: Register, b: Register) -> Register {
        _mm256_or_si256(a, b)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn add_count(sums: Register, bits: Register) -> Register {
        // How many bits each number from 0 to 15 has set, in both halves of the register.
        let ones = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let low_half = _mm256_set1_epi8(0x0f);
        let low = _mm256_shuffle_epi8(ones, _mm256_and_si256(bits, low_half));
        let high = _mm256_shuffle_epi8(ones, _mm256_and_si256(_mm256_srli_epi16::<4>(bits), low_half));
        let of_bytes = _mm256_add_epi8(low, high);
        _mm256_add_epi64(sums, _mm256_sad_epu8(of_bytes, _mm256_setzero_si256()))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn total(sums: Register) -> u64 {
        let two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) as u64
    }
}

/// AVX-512 with VPOPCNTDQ: 64 bytes, counted by one instruction.
pub(super) mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_loadu_si512, _mm512_maskz_loadu_epi8,
        _mm512_or_si512, _mm512_popcnt_epi64, _mm512_reduce_add_epi64, _mm512_setzero_si512,
        _mm512_xor_si512,
    };

    use crate::kernels::bits::body::bit_kernels;

    const BYTES: usize = 64;
    type Register = __m512i;

    bit_kernels!(
        crate::kernels::bits::BitLevel::Avx512Popcount,
        #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    );

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    #[inline]
    fn load(source: &[u8; BYTES]) -> Register {
        // SAFETY: the reference is to 64 readable bytes, and the instruction needs no alignment.
        unsafe { _mm512_loadu_si512(source.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    #[inline]
    fn load_tail(source: &[u8]) -> Register {
        let mask = (1_u64 << source.len().min(BYTES - 1)) - 1;
        // SAFETY: the mask has one bit per byte of the slice, and bytes without a bit are not read.
        unsafe { _mm512_maskz_loadu_epi8(mask, source.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    #[inline]
    fn zero() -> Register {
        _mm512_setzero_si512()
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    #[inline]
    fn xor(a: Register, b: Register) -> Register {
        _mm512_xor_si512(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    #[inline]
    fn and(a: Register, b: Register) -> Register {
        _mm512_and_si512(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    #[inline]
    fn or(a: Register, b: Register) -> Register {
        _mm512_or_si512(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    #[inline]
    fn add_count(sums: Register, bits: Register) -> Register {
        _mm512_add_epi64(sums, _mm512_popcnt_epi64(bits))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
    #[inline]
    fn total(sums: Register) -> u64 {
        _mm512_reduce_add_epi64(sums) as u64
    }
}
