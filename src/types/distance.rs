//! Distances, norms and dimension counts.

use crate::error::{Result, vector_error};
use crate::pg::vector::VectorArg;
use castmatch_engine::vector::{distance, f16};
use pgrx::prelude::*;

/// Exports an engine function of two vectors for both types.
macro_rules! distances {
    ($($engine:ident: $vector:ident, $halfvec:ident;)*) => {$(
        #[pg_extern(sql = false)]
        fn $vector(left: VectorArg<f32>, right: VectorArg<f32>) -> Result<f64> {
            distance::$engine(left.elements(), right.elements()).map_err(vector_error)
        }

        #[pg_extern(sql = false)]
        fn $halfvec(left: VectorArg<f16>, right: VectorArg<f16>) -> Result<f64> {
            distance::$engine(left.elements(), right.elements()).map_err(vector_error)
        }
    )*};
}

distances! {
    l2: vector_l2_distance, halfvec_l2_distance;
    l2_squared: vector_l2_squared_distance, halfvec_l2_squared_distance;
    inner_product: vector_inner_product, halfvec_inner_product;
    negative_inner_product: vector_negative_inner_product, halfvec_negative_inner_product;
    cosine: vector_cosine_distance, halfvec_cosine_distance;
    spherical: vector_spherical_distance, halfvec_spherical_distance;
    l1: vector_l1_distance, halfvec_l1_distance;
}

macro_rules! measures {
    ($element:ty, $norm:ident, $dims:ident) => {
        #[pg_extern(sql = false)]
        fn $norm(value: VectorArg<$element>) -> f64 {
            distance::norm(value.elements())
        }

        #[pg_extern(sql = false)]
        fn $dims(value: VectorArg<$element>) -> i32 {
            value.elements().len() as i32
        }
    };
}

measures!(f32, vector_norm, vector_dims);
measures!(f16, halfvec_norm, halfvec_dims);
