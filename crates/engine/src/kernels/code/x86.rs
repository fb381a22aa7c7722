//! The code kernels for AVX2 and AVX-512 with VNNI.

/// AVX2.
pub(super) mod avx2 {
    use crate::kernels::code::body::{self, float_kernels};
    use crate::kernels::code::{CodeKernels, CodeLevel};

    pub(in crate::kernels::code) static KERNELS: CodeKernels = CodeKernels {
        level: CodeLevel::Avx2,
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

    float_kernels!(#[target_feature(enable = "avx2")]);
}

/// AVX-512 F, BW, VL, DQ and VNNI.
pub(super) mod avx512 {
    use crate::kernels::code::body::{self, float_kernels};
    use crate::kernels::code::{CodeKernels, CodeLevel};

    pub(in crate::kernels::code) static KERNELS: CodeKernels = CodeKernels {
        level: CodeLevel::Avx512Vnni,
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

    float_kernels!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]);
}
