//! Casts: PostgreSQL's number arrays to and from the vector types, and between the vector types.

use crate::error::{Result, vector_error};
use crate::pg::array::ArrayArg;
use crate::pg::simplify;
use crate::pg::sparsevec::{SparseArg, SparseOut};
use crate::pg::vector::{VectorArg, VectorOut};
use crate::types::io::check_typmod;
use castmatch_engine::vector::{Element, f16, ops, sparse};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

fn convert<T: Element, U: Element>(elements: &[T], typmod: i32) -> Result<VectorOut<U>> {
    check_typmod(elements, typmod)?;
    ops::convert::<T, U>(elements)
        .map(VectorOut)
        .map_err(vector_error)
}

fn from_array<T: Element>(array: &ArrayArg, typmod: i32) -> Result<VectorOut<T>> {
    let numbers = array.to_f32()?;
    check_typmod(&numbers, typmod)?;
    ops::from_f32_slice::<T>(&numbers)
        .map(VectorOut)
        .map_err(vector_error)
}

fn to_array<T: Element>(value: VectorArg<T>) -> Vec<f32> {
    value.elements().iter().map(|element| element.to_f32()).collect()
}

fn to_sparse<T: Element>(elements: &[T], typmod: i32) -> Result<SparseOut> {
    check_typmod(elements, typmod)?;
    sparse::ops::from_dense(elements)
        .map(SparseOut)
        .map_err(vector_error)
}

fn from_sparse<T: Element>(value: &SparseArg, typmod: i32) -> Result<VectorOut<T>> {
    let value = value.value();
    ops::check_length::<T>(value.dimensions()).map_err(vector_error)?;
    ops::check_dimensions(typmod, value.dimensions()).map_err(vector_error)?;
    sparse::ops::to_dense(value).map(VectorOut).map_err(vector_error)
}

#[pg_extern(sql = false)]
fn array_to_sparsevec(array: ArrayArg, typmod: i32, _explicit: bool) -> Result<SparseOut> {
    to_sparse(&array.to_f32()?, typmod)
}

macro_rules! casts {
    ($element:ty, $other:ty, $from_array:ident, $to_array:ident, $to_other:ident, $to_sparse:ident, $from_sparse:ident) => {
        #[pg_extern(sql = false)]
        fn $from_array(array: ArrayArg, typmod: i32, _explicit: bool) -> Result<VectorOut<$element>> {
            from_array::<$element>(&array, typmod)
        }

        #[pg_extern(sql = false)]
        fn $to_array(value: VectorArg<$element>, _typmod: i32, _explicit: bool) -> Vec<f32> {
            to_array(value)
        }

        #[pg_extern(sql = false)]
        fn $to_other(value: VectorArg<$element>, typmod: i32, _explicit: bool) -> Result<VectorOut<$other>> {
            convert::<$element, $other>(value.elements(), typmod)
        }

        #[pg_extern(sql = false)]
        fn $to_sparse(value: VectorArg<$element>, typmod: i32, _explicit: bool) -> Result<SparseOut> {
            to_sparse(value.elements(), typmod)
        }

        #[pg_extern(sql = false)]
        fn $from_sparse(value: SparseArg, typmod: i32, _explicit: bool) -> Result<VectorOut<$element>> {
            from_sparse(&value, typmod)
        }
    };
}

/// Support function of the casts of a type to itself, which check the number of dimensions.
#[pg_extern(sql = false)]
#[allow(unsafe_code)]
fn type_modifier_support(request: Internal) -> Internal {
    let request = request.unwrap().map(|datum| datum.cast_mut_ptr::<pg_sys::Node>());
    let simpler = request.filter(|request| !request.is_null()).map_or(
        core::ptr::null_mut(),
        // SAFETY: the server alone can pass a value of type internal, and gives a support function its request.
        |request| unsafe { simplify::without_needless_check(request) },
    );
    Internal::from(Some(pg_sys::Datum::from(simpler)))
}

casts!(
    f32,
    f16,
    array_to_vector,
    vector_to_float4,
    vector_to_halfvec,
    vector_to_sparsevec,
    sparsevec_to_vector
);
casts!(
    f16,
    f32,
    array_to_halfvec,
    halfvec_to_float4,
    halfvec_to_vector,
    halfvec_to_sparsevec,
    sparsevec_to_halfvec
);
