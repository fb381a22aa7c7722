//! AVX-512 F, BW, VL and DQ.

use std::arch::x86_64::{
    __m256, __m512, __m512i, _CMP_GT_OQ, _mm_loadu_si128, _mm256_cmp_ps_mask, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_sub_ps, _mm512_abs_pd, _mm512_add_epi16, _mm512_add_epi32, _mm512_add_pd,
    _mm512_add_ps, _mm512_and_si512, _mm512_castsi128_si512, _mm512_castsi256_si512, _mm512_cmp_ps_mask,
    _mm512_cvtph_ps, _mm512_cvtps_pd, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_xor_pd, _mm512_mul_pd,
    _mm512_mul_ps, _mm512_permutexvar_epi32, _mm512_permutexvar_epi64, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_set1_pd, _mm512_set1_ps, _mm512_set4_epi32, _mm512_setr_epi32, _mm512_setr_epi64,
    _mm512_setzero_pd, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i32x4,
    _mm512_slli_epi16, _mm512_srli_epi16, _mm512_srli_epi32, _mm512_srlv_epi32, _mm512_srlv_epi64,
    _mm512_storeu_pd, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_epi16, _mm512_sub_ps,
};

use crate::kernels::Level;
use crate::kernels::scan::body::{self, LANES, PACK, SignLanes, WIDE, body_kernels};
use crate::kernels::scan::tables::Line;
use crate::kernels::scan::{BLOCK_ROWS, ScanKernels};

pub(in crate::kernels::scan) static KERNELS: ScanKernels = ScanKernels {
    level: Level::Avx512,
    keys,
    sign_code,
    centroid_l2_squared,
    centroid_inner_product,
    decode_centroid,
    nearest_row,
};

body_kernels!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]);

/// Lines of tables whose entries fit 16-bit sums: a lane sums one entry of each, 256 * 255 < 2^16.
const LINES: usize = 256;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn load(source: &[u8; 64]) -> __m512i {
    // SAFETY: the reference is to 64 readable bytes, and the instruction needs no alignment.
    unsafe { _mm512_loadu_si512(source.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn load_floats(source: &[f32; 16]) -> __m512 {
    // SAFETY: the reference is to 64 readable bytes, and the instruction needs no alignment.
    unsafe { _mm512_loadu_ps(source.as_ptr()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn load_eight(source: &[f32; WIDE]) -> __m256 {
    // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
    unsafe { _mm256_loadu_ps(source.as_ptr()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn store_floats(place: &mut [f32; 16], floats: __m512) {
    // SAFETY: the reference is to 64 writable bytes, and the instruction needs no alignment.
    unsafe { _mm512_storeu_ps(place.as_mut_ptr(), floats) };
}

/// The indices of four groups of 32 rows: those of the first 16 rows, and of the others.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn indices_32(codes: &[u8; 64]) -> [__m512i; 2] {
    let (codes, mask) = (load(codes), _mm512_set1_epi8(15));
    [
        _mm512_and_si512(codes, mask),
        _mm512_and_si512(_mm512_srli_epi16::<4>(codes), mask),
    ]
}

/// The indices of four groups of 16 rows: each group's eight bytes are brought into both halves of a lane.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn indices_16(codes: &[u8; 32]) -> [__m512i; 1] {
    // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
    let codes = unsafe { _mm256_loadu_si256(codes.as_ptr().cast()) };
    let places = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    let codes = _mm512_permutexvar_epi64(places, _mm512_castsi256_si512(codes));
    let codes = _mm512_srlv_epi64(codes, _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4));
    [_mm512_and_si512(codes, _mm512_set1_epi8(15))]
}

/// The indices of four groups of 8 rows, twice: each group's four bytes are brought into all quarters of a lane.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn indices_8(codes: &[u8; 16]) -> [__m512i; 1] {
    // SAFETY: the reference is to 16 readable bytes, and the instruction needs no alignment.
    let codes = unsafe { _mm_loadu_si128(codes.as_ptr().cast()) };
    let places = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    let codes = _mm512_permutexvar_epi32(places, _mm512_castsi128_si512(codes));
    let codes = _mm512_srlv_epi32(codes, _mm512_set4_epi32(4, 0, 4, 0));
    [_mm512_and_si512(codes, _mm512_set1_epi8(15))]
}

/// The 32-bit sums of 16 rows, in order, over the lanes of the 16-bit sums of their bytes: in pairs, and the second ones.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn rows([pairs, seconds]: [__m512i; 2]) -> __m512i {
    let firsts = _mm512_sub_epi16(pairs, _mm512_slli_epi16::<8>(seconds));
    let mask = _mm512_set1_epi32(0xffff);
    // Of each four bytes.
    let (a, c) = (_mm512_and_si512(firsts, mask), _mm512_srli_epi32::<16>(firsts));
    let (b, d) = (_mm512_and_si512(seconds, mask), _mm512_srli_epi32::<16>(seconds));
    let ab = _mm512_add_epi32(
        _mm512_shuffle_i32x4::<0b01_00_01_00>(a, b),
        _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b),
    );
    let cd = _mm512_add_epi32(
        _mm512_shuffle_i32x4::<0b01_00_01_00>(c, d),
        _mm512_shuffle_i32x4::<0b11_10_11_10>(c, d),
    );
    let abcd = _mm512_add_epi32(
        _mm512_shuffle_i32x4::<0b10_00_10_00>(ab, cd),
        _mm512_shuffle_i32x4::<0b11_01_11_01>(ab, cd),
    );
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_permutexvar_epi32(order, abcd)
}

/// The sums of 16 rows for each register of indices that `N` bytes of codes, of the four groups of a line of tables, make.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn scan<const N: usize, const H: usize>(
    lines: &[Line],
    codes: &[u8],
    indices: impl Fn(&[u8; N]) -> [__m512i; H],
) -> [__m512i; H] {
    let mut totals = [_mm512_setzero_si512(); H];
    for (lines, codes) in lines.chunks(LINES).zip(codes.as_chunks::<N>().0.chunks(LINES)) {
        let mut sums = [[_mm512_setzero_si512(); 2]; H];
        for (Line(tables), codes) in lines.iter().zip(codes) {
            let tables = load(tables);
            for ([pairs, seconds], indices) in sums.iter_mut().zip(indices(codes)) {
                let entries = _mm512_shuffle_epi8(tables, indices);
                *pairs = _mm512_add_epi16(*pairs, entries);
                *seconds = _mm512_add_epi16(*seconds, _mm512_srli_epi16::<8>(entries));
            }
        }
        for (total, sums) in totals.iter_mut().zip(sums) {
            *total = _mm512_add_epi32(*total, rows(sums));
        }
    }
    totals
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn sums(lines: &[Line], codes: &[u8], lanes: usize) -> [i32; BLOCK_ROWS] {
    let mut sums = [0; BLOCK_ROWS];
    let totals = match lanes {
        BLOCK_ROWS => scan(lines, codes, |codes| indices_32(codes)),
        16 => {
            let [total] = scan(lines, codes, |codes| indices_16(codes));
            [total, _mm512_setzero_si512()]
        }
        _ => {
            let [total] = scan(lines, codes, |codes| indices_8(codes));
            [total, _mm512_setzero_si512()]
        }
    };
    for (place, total) in sums.as_chunks_mut::<16>().0.iter_mut().zip(totals) {
        // SAFETY: the reference is to 64 writable bytes, and the instruction needs no alignment.
        unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), total) };
    }
    sums
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn sign_lanes(x: &[[f32; WIDE]], c: &[[f32; WIDE]]) -> SignLanes {
    let mut sums = [_mm512_setzero_pd(); 4];
    for (x, c) in x.iter().zip(c) {
        let (x, c) = (load_eight(x), load_eight(c));
        let (r, wide) = (_mm512_cvtps_pd(_mm256_sub_ps(x, c)), _mm512_cvtps_pd(c));
        let negative = !_mm256_cmp_ps_mask::<_CMP_GT_OQ>(x, c);
        let terms = [
            _mm512_abs_pd(r),
            _mm512_mul_pd(r, r),
            _mm512_mask_xor_pd(wide, negative, wide, _mm512_set1_pd(-0.0)),
            _mm512_mul_pd(r, wide),
        ];
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum = _mm512_add_pd(*sum, term);
        }
    }
    let mut lanes = [[0.0; WIDE]; 4];
    for (place, sum) in lanes.iter_mut().zip(sums) {
        // SAFETY: the reference is to 64 writable bytes, and the instruction needs no alignment.
        unsafe { _mm512_storeu_pd(place.as_mut_ptr(), sum) };
    }
    lanes
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn pack(x: &[f32; PACK], c: &[f32; PACK]) -> u16 {
    _mm512_cmp_ps_mask::<_CMP_GT_OQ>(load_floats(x), load_floats(c))
}

/// 16 elements of a centroid.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn decode(source: &[u8; 32], scale: f32) -> __m512 {
    // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
    let halves = unsafe { _mm256_loadu_si256(source.as_ptr().cast()) };
    _mm512_mul_ps(_mm512_cvtph_ps(halves), _mm512_set1_ps(scale))
}

/// The total of what `term` makes of 16 elements of a vector and of a centroid.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn sum_terms(x: &[f32], c: &[u8], scale: f32, term: impl Fn(__m512, __m512) -> __m512) -> f32 {
    let mut sums = [_mm512_setzero_ps(); LANES / 16];
    body::for_each_chunk(x, c, |x, c| {
        let parts = x.as_chunks().0.iter().zip(c.as_chunks().0);
        for (sum, (x, c)) in sums.iter_mut().zip(parts) {
            *sum = _mm512_add_ps(*sum, term(load_floats(x), decode(c, scale)));
        }
    });
    let mut lanes = [0.0; LANES];
    for (place, sum) in lanes.as_chunks_mut().0.iter_mut().zip(sums) {
        store_floats(place, sum);
    }
    body::total(lanes)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn centroid_l2_squared(x: &[f32], c: &[u8], scale: f32) -> f32 {
    sum_terms(x, c, scale, |x, c| {
        let difference = _mm512_sub_ps(x, c);
        _mm512_mul_ps(difference, difference)
    })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn centroid_inner_product(x: &[f32], c: &[u8], scale: f32) -> f32 {
    sum_terms(x, c, scale, |x, c| _mm512_mul_ps(x, c))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn decode_centroid(c: &[u8], scale: f32, out: &mut [f32]) {
    let dims = out.len().min(c.len() / 2);
    let (places, tail) = out.split_at_mut(dims).0.as_chunks_mut();
    let (sources, source_tail) = c.split_at(2 * dims).0.as_chunks();
    for (place, source) in places.iter_mut().zip(sources) {
        store_floats(place, decode(source, scale));
    }
    body::decode_centroid(source_tail, scale, tail);
}
