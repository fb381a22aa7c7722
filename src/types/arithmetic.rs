//! Element-wise arithmetic, concatenation, normalisation, parts and signs.

use crate::error::{Result, vector_error};
use crate::pg::bits::BitString;
use crate::pg::vector::{VectorArg, VectorOut};
use castmatch_engine::vector::{f16, ops};
use pgrx::prelude::*;

/// Exports an engine function of two vectors that gives a vector, for both types.
macro_rules! binary_operations {
    ($($engine:ident: $vector:ident, $halfvec:ident;)*) => {$(
        #[pg_extern(sql = false)]
        fn $vector(left: VectorArg<f32>, right: VectorArg<f32>) -> Result<VectorOut<f32>> {
            ops::$engine(left.elements(), right.elements()).map(VectorOut).map_err(vector_error)
        }

        #[pg_extern(sql = false)]
        fn $halfvec(left: VectorArg<f16>, right: VectorArg<f16>) -> Result<VectorOut<f16>> {
            ops::$engine(left.elements(), right.elements()).map(VectorOut).map_err(vector_error)
        }
    )*};
}

binary_operations! {
    add: vector_add, halfvec_add;
    sub: vector_sub, halfvec_sub;
    mul: vector_mul, halfvec_mul;
    concat: vector_concat, halfvec_concat;
}

macro_rules! unary_operations {
    ($element:ty, $normalize:ident, $subvector:ident, $quantize:ident) => {
        #[pg_extern(sql = false)]
        fn $normalize(value: VectorArg<$element>) -> Result<VectorOut<$element>> {
            ops::l2_normalize(value.elements())
                .map(VectorOut)
                .map_err(vector_error)
        }

        #[pg_extern(sql = false)]
        fn $subvector(value: VectorArg<$element>, start: i32, count: i32) -> Result<VectorOut<$element>> {
            ops::subvector(value.elements(), start, count)
                .map(VectorOut)
                .map_err(vector_error)
        }

        #[pg_extern(sql = false)]
        fn $quantize(value: VectorArg<$element>) -> BitString {
            BitString {
                bytes: ops::binary_quantize(value.elements()),
                bits: value.elements().len(),
            }
        }
    };
}

unary_operations!(f32, vector_l2_normalize, vector_subvector, vector_binary_quantize);
unary_operations!(
    f16,
    halfvec_l2_normalize,
    halfvec_subvector,
    halfvec_binary_quantize
);
