//! AVX2 and F16C.

use std::arch::x86_64::{
    __m128, __m256, __m256i, _CMP_GT_OQ, _mm_castps_si128, _mm_cmp_ps, _mm_loadl_epi64, _mm_loadu_ps,
    _mm_loadu_si128, _mm_sub_ps, _mm256_add_epi16, _mm256_add_epi32, _mm256_add_pd, _mm256_add_ps,
    _mm256_and_si256, _mm256_andnot_pd, _mm256_castsi128_si256, _mm256_castsi256_pd, _mm256_cmp_ps,
    _mm256_cvtepi32_epi64, _mm256_cvtph_ps, _mm256_cvtps_pd, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_movemask_ps, _mm256_mul_pd, _mm256_mul_ps, _mm256_permute2x128_si256, _mm256_permute4x64_epi64,
    _mm256_permutevar8x32_epi32, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_set1_pd, _mm256_set1_ps,
    _mm256_setr_epi32, _mm256_setr_epi64x, _mm256_setzero_pd, _mm256_setzero_ps, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srli_epi16, _mm256_srli_epi32, _mm256_srlv_epi32,
    _mm256_srlv_epi64, _mm256_storeu_pd, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi16,
    _mm256_sub_ps, _mm256_xor_pd,
};

use crate::kernels::Level;
use crate::kernels::scan::body::{self, LANES, PACK, SignLanes, WIDE, body_kernels};
use crate::kernels::scan::tables::Line;
use crate::kernels::scan::{BLOCK_ROWS, ScanKernels};

pub(in crate::kernels::scan) static KERNELS: ScanKernels = ScanKernels {
    level: Level::Avx2,
    keys,
    sign_code,
    centroid_l2_squared,
    centroid_inner_product,
    decode_centroid,
    nearest_row,
};

body_kernels!(#[target_feature(enable = "avx2,f16c")]);

/// Lines of tables whose entries fit 16-bit sums: a lane sums two entries of each, 128 * 2 * 255 < 2^16.
const LINES: usize = 128;

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn load(source: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
    unsafe { _mm256_loadu_si256(source.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn load_floats(source: &[f32; 8]) -> __m256 {
    // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
    unsafe { _mm256_loadu_ps(source.as_ptr()) }
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn load_four(source: &[f32; 4]) -> __m128 {
    // SAFETY: the reference is to 16 readable bytes, and the instruction needs no alignment.
    unsafe { _mm_loadu_ps(source.as_ptr()) }
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn store_floats(place: &mut [f32; 8], floats: __m256) {
    // SAFETY: the reference is to 32 writable bytes, and the instruction needs no alignment.
    unsafe { _mm256_storeu_ps(place.as_mut_ptr(), floats) };
}

/// The indices of two groups of 32 rows: those of the first 16 rows, and of the others.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn indices_32(codes: &[u8; 32]) -> [__m256i; 2] {
    let (codes, mask) = (load(codes), _mm256_set1_epi8(15));
    [
        _mm256_and_si256(codes, mask),
        _mm256_and_si256(_mm256_srli_epi16::<4>(codes), mask),
    ]
}

/// The indices of two groups of 16 rows: each group's eight bytes are brought into both halves of a lane.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn indices_16(codes: &[u8; 16]) -> [__m256i; 1] {
    // SAFETY: the reference is to 16 readable bytes, and the instruction needs no alignment.
    let codes = unsafe { _mm_loadu_si128(codes.as_ptr().cast()) };
    let codes = _mm256_permute4x64_epi64::<0b01_01_00_00>(_mm256_castsi128_si256(codes));
    let codes = _mm256_srlv_epi64(codes, _mm256_setr_epi64x(0, 4, 0, 4));
    [_mm256_and_si256(codes, _mm256_set1_epi8(15))]
}

/// The indices of two groups of 8 rows, twice: each group's four bytes are brought into all quarters of a lane.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn indices_8(codes: &[u8; 8]) -> [__m256i; 1] {
    // SAFETY: the reference is to 8 readable bytes, which are all that the instruction reads, and it needs no alignment.
    let codes = unsafe { _mm_loadl_epi64(codes.as_ptr().cast()) };
    let places = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    let codes = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(codes), places);
    let codes = _mm256_srlv_epi32(codes, _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4));
    [_mm256_and_si256(codes, _mm256_set1_epi8(15))]
}

/// The 32-bit sums of 16 rows over the lanes of the 16-bit sums of their bytes: in pairs, and the second ones. First those of every
/// fourth row from the first, then from the second and so on.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn rows([pairs, seconds]: [__m256i; 2]) -> [__m256i; 2] {
    let firsts = _mm256_sub_epi16(pairs, _mm256_slli_epi16::<8>(seconds));
    let mask = _mm256_set1_epi32(0xffff);
    // Of each four bytes.
    let (a, c) = (_mm256_and_si256(firsts, mask), _mm256_srli_epi32::<16>(firsts));
    let (b, d) = (_mm256_and_si256(seconds, mask), _mm256_srli_epi32::<16>(seconds));
    let ab = _mm256_add_epi32(
        _mm256_permute2x128_si256::<0x20>(a, b),
        _mm256_permute2x128_si256::<0x31>(a, b),
    );
    let cd = _mm256_add_epi32(
        _mm256_permute2x128_si256::<0x20>(c, d),
        _mm256_permute2x128_si256::<0x31>(c, d),
    );
    [ab, cd]
}

/// The sums of 16 rows for each register of indices that `N` bytes of codes, of two groups, make; in the order of [`rows`].
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn scan<const N: usize, const H: usize>(
    lines: &[Line],
    codes: &[u8],
    indices: impl Fn(&[u8; N]) -> [__m256i; H],
) -> [[__m256i; 2]; H] {
    let mut totals = [[_mm256_setzero_si256(); 2]; H];
    let codes = codes.as_chunks::<N>().0.as_chunks::<2>().0;
    for (lines, codes) in lines.chunks(LINES).zip(codes.chunks(LINES)) {
        let mut sums = [[_mm256_setzero_si256(); 2]; H];
        for (Line(tables), codes) in lines.iter().zip(codes) {
            for (tables, codes) in tables.as_chunks().0.iter().zip(codes) {
                let tables = load(tables);
                for ([pairs, seconds], indices) in sums.iter_mut().zip(indices(codes)) {
                    let entries = _mm256_shuffle_epi8(tables, indices);
                    *pairs = _mm256_add_epi16(*pairs, entries);
                    *seconds = _mm256_add_epi16(*seconds, _mm256_srli_epi16::<8>(entries));
                }
            }
        }
        for (totals, sums) in totals.iter_mut().zip(sums) {
            for (total, rows) in totals.iter_mut().zip(rows(sums)) {
                *total = _mm256_add_epi32(*total, rows);
            }
        }
    }
    totals
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn sums(lines: &[Line], codes: &[u8], lanes: usize) -> [i32; BLOCK_ROWS] {
    let zero = [_mm256_setzero_si256(); 2];
    let totals = match lanes {
        BLOCK_ROWS => scan(lines, codes, |codes| indices_32(codes)),
        16 => {
            let [total] = scan(lines, codes, |codes| indices_16(codes));
            [total, zero]
        }
        _ => {
            let [total] = scan(lines, codes, |codes| indices_8(codes));
            [total, zero]
        }
    };
    let mut sums = [0; BLOCK_ROWS];
    for (sums, totals) in sums.as_chunks_mut::<16>().0.iter_mut().zip(totals) {
        let mut strided = [0; 16];
        for (place, total) in strided.as_chunks_mut::<8>().0.iter_mut().zip(totals) {
            // SAFETY: the reference is to 32 writable bytes, and the instruction needs no alignment.
            unsafe { _mm256_storeu_si256(place.as_mut_ptr().cast(), total) };
        }
        for (first, strided) in strided.as_chunks::<4>().0.iter().enumerate() {
            for (sum, strided) in sums.iter_mut().skip(first).step_by(4).zip(strided) {
                *sum = *strided;
            }
        }
    }
    sums
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn sign_lanes(x: &[[f32; WIDE]], c: &[[f32; WIDE]]) -> SignLanes {
    let mut sums = [[_mm256_setzero_pd(); 2]; 4];
    let sign = _mm256_set1_pd(-0.0);
    for (x, c) in x.iter().zip(c) {
        let halves = x.as_chunks().0.iter().zip(c.as_chunks().0);
        for (half, (x, c)) in halves.enumerate() {
            let (x, c) = (load_four(x), load_four(c));
            let (r, wide) = (_mm256_cvtps_pd(_mm_sub_ps(x, c)), _mm256_cvtps_pd(c));
            let positive = _mm256_cvtepi32_epi64(_mm_castps_si128(_mm_cmp_ps::<_CMP_GT_OQ>(x, c)));
            let flips = _mm256_andnot_pd(_mm256_castsi256_pd(positive), sign);
            let terms = [
                _mm256_andnot_pd(sign, r),
                _mm256_mul_pd(r, r),
                _mm256_xor_pd(wide, flips),
                _mm256_mul_pd(r, wide),
            ];
            for (sums, term) in sums.iter_mut().zip(terms) {
                if let Some(sum) = sums.get_mut(half) {
                    *sum = _mm256_add_pd(*sum, term);
                }
            }
        }
    }
    let mut lanes = [[0.0; WIDE]; 4];
    for (lanes, sums) in lanes.iter_mut().zip(sums) {
        for (place, sum) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
            // SAFETY: the reference is to 32 writable bytes, and the instruction needs no alignment.
            unsafe { _mm256_storeu_pd(place.as_mut_ptr(), sum) };
        }
    }
    lanes
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn pack(x: &[f32; PACK], c: &[f32; PACK]) -> u16 {
    let parts = x.as_chunks().0.iter().zip(c.as_chunks().0);
    parts.rev().fold(0, |bits, (x, c)| {
        let greater = _mm256_cmp_ps::<_CMP_GT_OQ>(load_floats(x), load_floats(c));
        bits << 8 | _mm256_movemask_ps(greater) as u16
    })
}

/// 8 elements of a centroid.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn decode(source: &[u8; 16], scale: f32) -> __m256 {
    // SAFETY: the reference is to 16 readable bytes, and the instruction needs no alignment.
    let halves = unsafe { _mm_loadu_si128(source.as_ptr().cast()) };
    _mm256_mul_ps(_mm256_cvtph_ps(halves), _mm256_set1_ps(scale))
}

/// The total of what `term` makes of 8 elements of a vector and of a centroid.
#[target_feature(enable = "avx2,f16c")]
#[inline]
fn sum_terms(x: &[f32], c: &[u8], scale: f32, term: impl Fn(__m256, __m256) -> __m256) -> f32 {
    let mut sums = [_mm256_setzero_ps(); LANES / 8];
    body::for_each_chunk(x, c, |x, c| {
        let parts = x.as_chunks().0.iter().zip(c.as_chunks().0);
        for (sum, (x, c)) in sums.iter_mut().zip(parts) {
            *sum = _mm256_add_ps(*sum, term(load_floats(x), decode(c, scale)));
        }
    });
    let mut lanes = [0.0; LANES];
    for (place, sum) in lanes.as_chunks_mut().0.iter_mut().zip(sums) {
        store_floats(place, sum);
    }
    body::total(lanes)
}

#[target_feature(enable = "avx2,f16c")]
fn centroid_l2_squared(x: &[f32], c: &[u8], scale: f32) -> f32 {
    sum_terms(x, c, scale, |x, c| {
        let difference = _mm256_sub_ps(x, c);
        _mm256_mul_ps(difference, difference)
    })
}

#[target_feature(enable = "avx2,f16c")]
fn centroid_inner_product(x: &[f32], c: &[u8], scale: f32) -> f32 {
    sum_terms(x, c, scale, |x, c| _mm256_mul_ps(x, c))
}

#[target_feature(enable = "avx2,f16c")]
fn decode_centroid(c: &[u8], scale: f32, out: &mut [f32]) {
    let dims = out.len().min(c.len() / 2);
    let (places, tail) = out.split_at_mut(dims).0.as_chunks_mut();
    let (sources, source_tail) = c.split_at(2 * dims).0.as_chunks();
    for (place, source) in places.iter_mut().zip(sources) {
        store_floats(place, decode(source, scale));
    }
    body::decode_centroid(source_tail, scale, tail);
}
