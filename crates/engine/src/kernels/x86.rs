//! The operations of AVX2 and AVX-512 that the kernels are made of.
//!
//! Each function has the features of its module, so within the kernels the intrinsics are safe; only the
//! loads from memory are not, and these take references that prove how many bytes may be read.

/// AVX2 with FMA and F16C: 8 lanes.
pub(super) mod avx2 {
    use std::arch::x86_64::{
        __m256, __m256d, _mm_add_pd, _mm_add_sd, _mm_cvtsd_f64, _mm_unpackhi_pd, _mm256_add_pd,
        _mm256_add_ps, _mm256_andnot_ps, _mm256_castpd256_pd128, _mm256_castps256_ps128, _mm256_cvtps_pd,
        _mm256_extractf128_pd, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_pd,
        _mm256_setzero_ps, _mm256_sub_ps,
    };

    const LANES: usize = 8;
    type Lanes = __m256;
    type Wide = [__m256d; 2];

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn zero() -> Lanes {
        _mm256_setzero_ps()
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn add(a: Lanes, b: Lanes) -> Lanes {
        _mm256_add_ps(a, b)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn sub(a: Lanes, b: Lanes) -> Lanes {
        _mm256_sub_ps(a, b)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn abs(a: Lanes) -> Lanes {
        _mm256_andnot_ps(_mm256_set1_ps(-0.0), a)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn fused(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        _mm256_fmadd_ps(a, b, c)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn wide_zero() -> Wide {
        [_mm256_setzero_pd(); 2]
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn widen([low, high]: Wide, lanes: Lanes) -> Wide {
        [
            _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(lanes))),
            _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(lanes))),
        ]
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    fn wide_total([low, high]: Wide) -> f64 {
        let four = _mm256_add_pd(low, high);
        let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
        _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
    }

    /// Kernels for `f32`.
    pub(in crate::kernels) mod single {
        use std::arch::x86_64::_mm256_loadu_ps;

        use super::{LANES, Lanes, abs, add, fused, sub, wide_total, wide_zero, widen, zero};
        use crate::kernels::{Level, body::define_kernels};

        define_kernels!(Level::Avx2, f32, #[target_feature(enable = "avx2,fma,f16c")]);

        #[target_feature(enable = "avx2,fma,f16c")]
        #[inline]
        fn load(source: &[f32; LANES]) -> Lanes {
            // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
            unsafe { _mm256_loadu_ps(source.as_ptr()) }
        }

        #[target_feature(enable = "avx2,fma,f16c")]
        #[inline]
        fn load_tail(source: &[f32]) -> Lanes {
            let mut lanes = [0.0; LANES];
            lanes
                .iter_mut()
                .zip(source)
                .for_each(|(lane, value)| *lane = *value);
            load(&lanes)
        }
    }

    /// Kernels for `f16`.
    pub(in crate::kernels) mod half {
        use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps};

        use ::half::f16;

        use super::{LANES, Lanes, abs, add, fused, sub, wide_total, wide_zero, widen, zero};
        use crate::kernels::{Level, body::define_kernels};

        define_kernels!(Level::Avx2, f16, #[target_feature(enable = "avx2,fma,f16c")]);

        #[target_feature(enable = "avx2,fma,f16c")]
        #[inline]
        fn load(source: &[f16; LANES]) -> Lanes {
            // SAFETY: the reference is to 16 readable bytes, and the instruction needs no alignment.
            let halves = unsafe { _mm_loadu_si128(source.as_ptr().cast()) };
            _mm256_cvtph_ps(halves)
        }

        #[target_feature(enable = "avx2,fma,f16c")]
        #[inline]
        fn load_tail(source: &[f16]) -> Lanes {
            let mut lanes = [f16::ZERO; LANES];
            lanes
                .iter_mut()
                .zip(source)
                .for_each(|(lane, value)| *lane = *value);
            load(&lanes)
        }
    }
}

/// AVX-512 F, BW, VL and DQ: 16 lanes.
pub(super) mod avx512 {
    use std::arch::x86_64::{
        __m512, __m512d, _mm512_abs_ps, _mm512_add_pd, _mm512_add_ps, _mm512_castps512_ps256,
        _mm512_cvtps_pd, _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_reduce_add_pd, _mm512_setzero_pd,
        _mm512_setzero_ps, _mm512_sub_ps,
    };

    const LANES: usize = 16;
    type Lanes = __m512;
    type Wide = [__m512d; 2];

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    fn zero() -> Lanes {
        _mm512_setzero_ps()
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    fn add(a: Lanes, b: Lanes) -> Lanes {
        _mm512_add_ps(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    fn sub(a: Lanes, b: Lanes) -> Lanes {
        _mm512_sub_ps(a, b)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    fn abs(a: Lanes) -> Lanes {
        _mm512_abs_ps(a)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    fn fused(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        _mm512_fmadd_ps(a, b, c)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    fn wide_zero() -> Wide {
        [_mm512_setzero_pd(); 2]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    fn widen([low, high]: Wide, lanes: Lanes) -> Wide {
        [
            _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(lanes))),
            _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(lanes))),
        ]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    #[inline]
    fn wide_total([low, high]: Wide) -> f64 {
        _mm512_reduce_add_pd(_mm512_add_pd(low, high))
    }

    /// Kernels for `f32`.
    pub(in crate::kernels) mod single {
        use std::arch::x86_64::{_mm512_loadu_ps, _mm512_maskz_loadu_ps};

        use super::{LANES, Lanes, abs, add, fused, sub, wide_total, wide_zero, widen, zero};
        use crate::kernels::{Level, body::define_kernels};

        define_kernels!(Level::Avx512, f32, #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]);

        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        #[inline]
        fn load(source: &[f32; LANES]) -> Lanes {
            // SAFETY: the reference is to 64 readable bytes, and the instruction needs no alignment.
            unsafe { _mm512_loadu_ps(source.as_ptr()) }
        }

        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        #[inline]
        fn load_tail(source: &[f32]) -> Lanes {
            let mask = (1_u32 << source.len().min(LANES)) - 1;
            // SAFETY: the mask has one bit per element of the slice, and lanes without a bit are not read.
            unsafe { _mm512_maskz_loadu_ps(mask as u16, source.as_ptr()) }
        }
    }

    /// Kernels for `f16`.
    pub(in crate::kernels) mod half {
        use std::arch::x86_64::{_mm256_loadu_si256, _mm256_maskz_loadu_epi16, _mm512_cvtph_ps};

        use ::half::f16;

        use super::{LANES, Lanes, abs, add, fused, sub, wide_total, wide_zero, widen, zero};
        use crate::kernels::{Level, body::define_kernels};

        define_kernels!(Level::Avx512, f16, #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]);

        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        #[inline]
        fn load(source: &[f16; LANES]) -> Lanes {
            // SAFETY: the reference is to 32 readable bytes, and the instruction needs no alignment.
            let halves = unsafe { _mm256_loadu_si256(source.as_ptr().cast()) };
            _mm512_cvtph_ps(halves)
        }

        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        #[inline]
        fn load_tail(source: &[f16]) -> Lanes {
            let mask = (1_u32 << source.len().min(LANES)) - 1;
            // SAFETY: the mask has one bit per element of the slice, and lanes without a bit are not read.
            let halves = unsafe { _mm256_maskz_loadu_epi16(mask as u16, source.as_ptr().cast()) };
            _mm512_cvtph_ps(halves)
        }
    }
}
