//! The code kernels for AVX2 and AVX-512 with VNNI.
//!
//! Each function has the features of its module, so that the intrinsics in it are safe; only loads from memory are not, and these
//! take references that prove how many bytes may be read.

/// AVX2.
pub(super) mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_shuffle_epi32, _mm256_add_epi16,
        _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_si128, _mm256_cvtepi8_epi16,
        _mm256_cvtepu8_epi16, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_srli_epi16,
        _mm256_unpackhi_epi8, _mm256_unpacklo_epi8,
    };

    // The compiler does well with the blocks in plain Rust here.
    use crate::kernels::code::body::{self, float_kernels, hadamard_block};
    use crate::kernels::code::{CODE_ALIGN, CodeKernels, CodeLevel, LINE, Line};

    pub(in crate::kernels::code) static KERNELS: CodeKernels = CodeKernels {
        level: CodeLevel::Avx2,
        rotate_round,
        largest,
        center_sums,
        fit,
        write_u4,
        write_u8,
        dot_u4_i8,
        dot_u8_i8,
        dot_u4_u4,
        dot_u8_u8,
        l1_u4,
        l1_u8,
        l1_u4_u4,
        l1_u8_u8,
    };

    float_kernels!(#[target_feature(enable = "avx2")]);

    /// Units whose products of 4-bit codes and query fit 16-bit sums: 4 products per unit and sum, 4 * 4 * 15 * 128 < 2^15.
    const QUERY_BLOCKS: usize = 4;
    /// The same for products of two 4-bit codes: 32 * 4 * 15 * 15 < 2^15.
    const CODE_BLOCKS: usize = 32;

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(source: &[u8; CODE_ALIGN]) -> __m256i {
        // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
        unsafe { _mm256_loadu_si256(source.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load_query(source: &[i8; CODE_ALIGN]) -> __m256i {
        // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
        unsafe { _mm256_loadu_si256(source.as_ptr().cast()) }
    }

    /// The low and the high halves of bytes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn halves(bytes: __m256i) -> [__m256i; 2] {
        let mask = _mm256_set1_epi8(15);
        [
            _mm256_and_si256(bytes, mask),
            _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask),
        ]
    }

    /// Adds 16-bit sums to 32-bit ones.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn widen(wide: __m256i, sums: __m256i) -> __m256i {
        _mm256_add_epi32(wide, _mm256_madd_epi16(sums, _mm256_set1_epi16(1)))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn total(sums: __m256i) -> i32 {
        let four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
    }

    #[target_feature(enable = "avx2")]
    fn dot_u4_i8(code: &[u8], query: &[Line]) -> i32 {
        let mut wide = _mm256_setzero_si256();
        let units = code.as_chunks::<CODE_ALIGN>().0;
        let lines = query.as_chunks::<2>().0;
        for (units, lines) in units.chunks(QUERY_BLOCKS).zip(lines.chunks(QUERY_BLOCKS / 2)) {
            let mut sums = _mm256_setzero_si256();
            for (units, [Line(low), Line(high)]) in units.chunks(2).zip(lines) {
                let queries = low
                    .as_chunks::<CODE_ALIGN>()
                    .0
                    .iter()
                    .zip(high.as_chunks::<CODE_ALIGN>().0);
                for (unit, (low, high)) in units.iter().zip(queries) {
                    let [code_low, code_high] = halves(load(unit));
                    let low = _mm256_maddubs_epi16(code_low, load_query(low));
                    let high = _mm256_maddubs_epi16(code_high, load_query(high));
                    sums = _mm256_add_epi16(sums, _mm256_add_epi16(low, high));
                }
            }
            wide = widen(wide, sums);
        }
        total(wide)
    }

    #[target_feature(enable = "avx2")]
    fn dot_u8_i8(code: &[u8], query: &[Line]) -> i32 {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn load_codes(source: &[u8; 16]) -> __m256i {
            // SAFETY: the reference is to 16 readable bytes, and the instruction needs no alignment.
            _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(source.as_ptr().cast()) })
        }
        #[target_feature(enable = "avx2")]
        #[inline]
        fn load_elements(source: &[i8; 16]) -> __m256i {
            // SAFETY: the reference is to 16 readable bytes, and the instruction needs no alignment.
            _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(source.as_ptr().cast()) })
        }
        let mut sums = [_mm256_setzero_si256(); 2];
        for (code, Line(query)) in code.chunks(LINE).zip(query) {
            let codes = code.as_chunks::<CODE_ALIGN>().0;
            for (code, query) in codes.iter().zip(query.as_chunks::<CODE_ALIGN>().0) {
                let pairs = code.as_chunks::<16>().0.iter().zip(query.as_chunks::<16>().0);
                for (sum, (code, query)) in sums.iter_mut().zip(pairs) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(load_codes(code), load_elements(query)));
                }
            }
        }
        let [first, second] = sums;
        total(_mm256_add_epi32(first, second))
    }

    #[target_feature(enable = "avx2")]
    fn dot_u4_u4(a: &[u8], b: &[u8]) -> i32 {
        let mut wide = _mm256_setzero_si256();
        let (a, b) = (a.as_chunks::<CODE_ALIGN>().0, b.as_chunks::<CODE_ALIGN>().0);
        for (a, b) in a.chunks(CODE_BLOCKS).zip(b.chunks(CODE_BLOCKS)) {
            let mut sums = _mm256_setzero_si256();
            for (a, b) in a.iter().zip(b) {
                let ([a_low, a_high], [b_low, b_high]) = (halves(load(a)), halves(load(b)));
                let low = _mm256_maddubs_epi16(a_low, b_low);
                let high = _mm256_maddubs_epi16(a_high, b_high);
                sums = _mm256_add_epi16(sums, _mm256_add_epi16(low, high));
            }
            wide = widen(wide, sums);
        }
        total(wide)
    }

    #[target_feature(enable = "avx2")]
    fn dot_u8_u8(a: &[u8], b: &[u8]) -> i32 {
        let zero = _mm256_setzero_si256();
        let mut sums = [zero; 2];
        for (a, b) in a
            .as_chunks::<CODE_ALIGN>()
            .0
            .iter()
            .zip(b.as_chunks::<CODE_ALIGN>().0)
        {
            let (a, b) = (load(a), load(b));
            let [low, high] = sums;
            let (a_low, b_low) = (_mm256_unpacklo_epi8(a, zero), _mm256_unpacklo_epi8(b, zero));
            let (a_high, b_high) = (_mm256_unpackhi_epi8(a, zero), _mm256_unpackhi_epi8(b, zero));
            sums = [
                _mm256_add_epi32(low, _mm256_madd_epi16(a_low, b_low)),
                _mm256_add_epi32(high, _mm256_madd_epi16(a_high, b_high)),
            ];
        }
        let [low, high] = sums;
        total(_mm256_add_epi32(low, high))
    }
}

/// AVX-512 F, BW, VL, DQ and VNNI.
pub(super) mod avx512 {
    use std::arch::x86_64::{
        __m512, __m512i, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_dpbusd_epi32,
        _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_xor_ps, _mm512_maskz_loadu_epi8, _mm512_permute_ps,
        _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_set1_ps, _mm512_setzero_si512,
        _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_srli_epi16, _mm512_storeu_ps, _mm512_sub_epi32,
        _mm512_xor_si512,
    };

    use crate::kernels::code::body::{self, float_kernels};
    use crate::kernels::code::{CodeKernels, CodeLevel, LINE, Line};

    pub(in crate::kernels::code) static KERNELS: CodeKernels = CodeKernels {
        level: CodeLevel::Avx512Vnni,
        rotate_round,
        largest,
        center_sums,
        fit,
        write_u4,
        write_u8,
        dot_u4_i8,
        dot_u8_i8,
        dot_u4_u4,
        dot_u8_u8,
        l1_u4,
        l1_u8,
        l1_u4_u4,
        l1_u8_u8,
    };

    float_kernels!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]);

    /// Butterflies: `swapped` has each element's partner, and `second` a bit for each second element of a pair.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn butterflies(block: __m512, swapped: __m512, second: u16) -> __m512 {
        _mm512_add_ps(
            swapped,
            _mm512_mask_xor_ps(block, second, block, _mm512_set1_ps(-0.0)),
        )
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn hadamard_block(elements: &mut [f32; 16]) {
        // SAFETY: the reference is to 64 readable bytes, and the instruction needs no alignment.
        let block = unsafe { _mm512_loadu_ps(elements.as_ptr()) };
        let block = butterflies(block, _mm512_permute_ps::<0b10_11_00_01>(block), 0xaaaa);
        let block = butterflies(block, _mm512_permute_ps::<0b01_00_11_10>(block), 0xcccc);
        let block = butterflies(block, _mm512_shuffle_f32x4::<0b10_11_00_01>(block, block), 0xf0f0);
        let block = butterflies(block, _mm512_shuffle_f32x4::<0b01_00_11_10>(block, block), 0xff00);
        // SAFETY: the reference is to 64 writable bytes, and the instruction needs no alignment.
        unsafe { _mm512_storeu_ps(elements.as_mut_ptr(), block) };
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn load(source: &[u8; LINE]) -> __m512i {
        // SAFETY: the reference is to 64 readable bytes, and the instruction needs no alignment.
        unsafe { _mm512_loadu_si512(source.as_ptr().cast()) }
    }

    /// Up to 64 bytes, filled up with zeros.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn load_tail(source: &[u8]) -> __m512i {
        let mask = u64::MAX
            .checked_shr(64 - source.len().min(LINE) as u32)
            .unwrap_or(0);
        // SAFETY: the mask has one bit per byte of the slice, and bytes without a bit are not read.
        unsafe { _mm512_maskz_loadu_epi8(mask, source.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn load_query(Line(source): &Line) -> __m512i {
        // SAFETY: the reference is to 64 readable bytes, and the instruction needs no alignment.
        unsafe { _mm512_loadu_si512(source.as_ptr().cast()) }
    }

    /// The low and the high halves of bytes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn halves(bytes: __m512i) -> [__m512i; 2] {
        let mask = _mm512_set1_epi8(15);
        [
            _mm512_and_si512(bytes, mask),
            _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask),
        ]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn add_u4_i8(
        [low, high]: [__m512i; 2],
        code: __m512i,
        [line_low, line_high]: &[Line; 2],
    ) -> [__m512i; 2] {
        let [code_low, code_high] = halves(code);
        [
            _mm512_dpbusd_epi32(low, code_low, load_query(line_low)),
            _mm512_dpbusd_epi32(high, code_high, load_query(line_high)),
        ]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn dot_u4_i8(code: &[u8], query: &[Line]) -> i32 {
        let (blocks, tail) = code.as_chunks::<LINE>();
        let lines = query.as_chunks::<2>().0;
        let mut sums = [_mm512_setzero_si512(); 2];
        for (block, lines) in blocks.iter().zip(lines) {
            sums = add_u4_i8(sums, load(block), lines);
        }
        if let (false, Some(lines)) = (tail.is_empty(), lines.get(blocks.len())) {
            sums = add_u4_i8(sums, load_tail(tail), lines);
        }
        let [low, high] = sums;
        _mm512_reduce_add_epi32(_mm512_add_epi32(low, high))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn dot_u8_i8(code: &[u8], query: &[Line]) -> i32 {
        let (blocks, tail) = code.as_chunks::<LINE>();
        let [mut first, mut second] = [_mm512_setzero_si512(); 2];
        let (pairs, single) = blocks.as_chunks::<2>();
        let (line_pairs, _) = query.as_chunks::<2>();
        for ([a, b], [a_line, b_line]) in pairs.iter().zip(line_pairs) {
            first = _mm512_dpbusd_epi32(first, load(a), load_query(a_line));
            second = _mm512_dpbusd_epi32(second, load(b), load_query(b_line));
        }
        if let ([block], Some(line)) = (single, query.get(2 * pairs.len())) {
            first = _mm512_dpbusd_epi32(first, load(block), load_query(line));
        }
        if let (false, Some(line)) = (tail.is_empty(), query.get(blocks.len())) {
            second = _mm512_dpbusd_epi32(second, load_tail(tail), load_query(line));
        }
        _mm512_reduce_add_epi32(_mm512_add_epi32(first, second))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn add_u4_u4([low, high]: [__m512i; 2], a: __m512i, b: __m512i) -> [__m512i; 2] {
        let ([a_low, a_high], [b_low, b_high]) = (halves(a), halves(b));
        [
            _mm512_dpbusd_epi32(low, a_low, b_low),
            _mm512_dpbusd_epi32(high, a_high, b_high),
        ]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn dot_u4_u4(a: &[u8], b: &[u8]) -> i32 {
        let length = a.len().min(b.len());
        let (a_blocks, a_tail) = a.split_at(length).0.as_chunks::<LINE>();
        let (b_blocks, b_tail) = b.split_at(length).0.as_chunks::<LINE>();
        let mut sums = [_mm512_setzero_si512(); 2];
        for (a, b) in a_blocks.iter().zip(b_blocks) {
            sums = add_u4_u4(sums, load(a), load(b));
        }
        if !a_tail.is_empty() {
            sums = add_u4_u4(sums, load_tail(a_tail), load_tail(b_tail));
        }
        let [low, high] = sums;
        _mm512_reduce_add_epi32(_mm512_add_epi32(low, high))
    }

    /// The instruction takes one factor signed: it adds a * (b - 128), and a itself is summed to make up for that.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn add_u8_u8([products, bytes]: [__m512i; 2], a: __m512i, b: __m512i) -> [__m512i; 2] {
        let signed = _mm512_xor_si512(b, _mm512_set1_epi8(-128));
        [
            _mm512_dpbusd_epi32(products, a, signed),
            // -a: the bytes of the signed factor are all -1.
            _mm512_dpbusd_epi32(bytes, a, _mm512_set1_epi8(-1)),
        ]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn dot_u8_u8(a: &[u8], b: &[u8]) -> i32 {
        let length = a.len().min(b.len());
        let (a_blocks, a_tail) = a.split_at(length).0.as_chunks::<LINE>();
        let (b_blocks, b_tail) = b.split_at(length).0.as_chunks::<LINE>();
        let mut sums = [_mm512_setzero_si512(); 2];
        for (a, b) in a_blocks.iter().zip(b_blocks) {
            sums = add_u8_u8(sums, load(a), load(b));
        }
        if !a_tail.is_empty() {
            sums = add_u8_u8(sums, load_tail(a_tail), load_tail(b_tail));
        }
        let [products, bytes] = sums;
        _mm512_reduce_add_epi32(_mm512_sub_epi32(products, _mm512_slli_epi32::<7>(bytes)))
    }
}
