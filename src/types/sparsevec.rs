//! Input and output, distances, order and normalisation of `sparsevec`; its casts are with those of the other types.

use crate::error::{Result, vector_error};
use crate::pg::sparsevec::{SparseArg, SparseOut};
use crate::types::io;
use castmatch_engine::vector::ops::check_dimensions;
use castmatch_engine::vector::sparse::{SparseVec, SparseVector, TYPE_NAME, binary, distance, ops, text};
use core::cmp::Ordering;
use core::ffi::CStr;
use pgrx::prelude::*;
use pgrx::{Array, Internal, pg_sys};
use std::ffi::CString;

fn check_typmod(value: SparseVec<'_>, typmod: i32) -> Result<()> {
    check_dimensions(typmod, value.dimensions()).map_err(vector_error)
}

/// A value to return, if it fits its column.
fn checked(value: SparseVector, typmod: i32) -> Result<SparseOut> {
    check_typmod(value.view(), typmod)?;
    Ok(SparseOut(value))
}

#[pg_extern(sql = false)]
fn sparsevec_in(input_text: &CStr, _type: pg_sys::Oid, typmod: i32) -> Result<SparseOut> {
    let input = io::input_text(input_text, TYPE_NAME)?;
    checked(text::parse(input).map_err(vector_error)?, typmod)
}

#[pg_extern(sql = false)]
fn sparsevec_out(value: SparseArg) -> Result<CString> {
    let mut out = String::new();
    text::format(value.value(), &mut out);
    io::output_text(out)
}

#[pg_extern(sql = false)]
fn sparsevec_recv(mut internal: Internal, _type: pg_sys::Oid, typmod: i32) -> Result<SparseOut> {
    let message = io::message(&mut internal)?;
    checked(binary::decode(message).map_err(vector_error)?, typmod)
}

#[pg_extern(sql = false)]
fn sparsevec_send(value: SparseArg) -> Vec<u8> {
    let mut out = Vec::new();
    binary::encode(value.value(), &mut out);
    out
}

#[pg_extern(sql = false)]
fn sparsevec_typmod_in(declared: Array<'_, &CStr>) -> Result<i32> {
    ops::check_type_modifier(&io::modifiers(&declared, TYPE_NAME)?).map_err(vector_error)
}

#[pg_extern(sql = false)]
fn sparsevec_enforce_typmod(value: SparseArg, typmod: i32, _explicit: bool) -> Result<SparseOut> {
    checked(value.value().to_vector(), typmod)
}

#[pg_extern(sql = false)]
fn sparsevec_l2_normalize(value: SparseArg) -> Result<SparseOut> {
    ops::l2_normalize(value.value())
        .map(SparseOut)
        .map_err(vector_error)
}

#[pg_extern(sql = false)]
fn sparsevec_norm(value: SparseArg) -> f64 {
    distance::norm(value.value())
}

/// Exports an engine function of two vectors.
macro_rules! distances {
    ($($engine:ident: $name:ident;)*) => {$(
        #[pg_extern(sql = false)]
        fn $name(left: SparseArg, right: SparseArg) -> Result<f64> {
            distance::$engine(left.value(), right.value()).map_err(vector_error)
        }
    )*};
}

distances! {
    l2: sparsevec_l2_distance;
    l2_squared: sparsevec_l2_squared_distance;
    inner_product: sparsevec_inner_product;
    negative_inner_product: sparsevec_negative_inner_product;
    cosine: sparsevec_cosine_distance;
    l1: sparsevec_l1_distance;
}

#[pg_extern(sql = false)]
fn sparsevec_cmp(left: SparseArg, right: SparseArg) -> i32 {
    ops::compare(left.value(), right.value()) as i32
}

macro_rules! comparisons {
    ($($name:ident = $test:expr;)*) => {$(
        #[pg_extern(sql = false)]
        fn $name(left: SparseArg, right: SparseArg) -> bool {
            let test: fn(Ordering) -> bool = $test;
            test(ops::compare(left.value(), right.value()))
        }
    )*};
}

comparisons! {
    sparsevec_lt = Ordering::is_lt;
    sparsevec_le = Ordering::is_le;
    sparsevec_eq = Ordering::is_eq;
    sparsevec_ne = Ordering::is_ne;
    sparsevec_ge = Ordering::is_ge;
    sparsevec_gt = Ordering::is_gt;
}
