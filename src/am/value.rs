//! Values of the indexed column, whatever its type.
#![allow(unsafe_code)]

use super::rows::Transform;
use crate::error::{Result, error, vector_error};
use crate::pg::bits::BitArg;
use crate::pg::sparsevec::SparseArg;
use crate::pg::vector::VectorArg;
use castmatch_engine::index::Metric;
use castmatch_engine::index::project::Projection;
use castmatch_engine::index::quantize::{Rankable, exact_key};
use castmatch_engine::index::value::{Bits, Value, bits_key, sparse_key};
use castmatch_engine::vector::sparse::SparseVec;
use castmatch_engine::vector::{Element, VectorError};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// A value of one type of columns.
pub trait ColumnValue: Value + Sized {
    /// A query of that type, apart from the server's memory.
    type Query: 'static;

    /// Reads a datum.
    ///
    /// # Errors
    /// XX001 if the bytes are not a value of the type.
    ///
    /// # Safety
    /// A non-NULL value of the type.
    unsafe fn from_datum(datum: pg_sys::Datum) -> Result<Self>;

    /// Says that two values have different dimensions.
    fn mismatch(expected: usize, found: usize) -> ErrorReport;

    /// The value as a query.
    fn to_query(&self) -> Self::Query;

    /// The exact key between a query and the value, which has its dimensions.
    fn key(&self, metric: Metric, query: &Self::Query) -> f64;
}

/// Runs a block with a type that stands for the [`ColumnValue`] of an element kind.
macro_rules! with_column_value {
    ($element:expr, $value:ident => $body:expr) => {
        match $element {
            castmatch_engine::index::ElementKind::Vector => {
                type $value = $crate::pg::vector::VectorArg<f32>;
                $body
            }
            castmatch_engine::index::ElementKind::Halfvec => {
                type $value = $crate::pg::vector::VectorArg<castmatch_engine::vector::f16>;
                $body
            }
            castmatch_engine::index::ElementKind::Bit => {
                type $value = $crate::pg::bits::BitArg;
                $body
            }
            castmatch_engine::index::ElementKind::Sparsevec => {
                type $value = $crate::pg::sparsevec::SparseArg;
                $body
            }
        }
    };
}
pub(super) use with_column_value;

/// Reads a value that must have the dimensions of the column.
///
/// # Errors
/// 22000 for other dimensions, XX001 if the bytes are not a value of the type.
///
/// # Safety
/// A non-NULL value of the type.
unsafe fn read<V: ColumnValue>(dims: usize, datum: pg_sys::Datum) -> Result<V> {
    // SAFETY: the caller's promise.
    let value = unsafe { V::from_datum(datum)? };
    if value.dims() == dims {
        Ok(value)
    } else {
        Err(V::mismatch(dims, value.dims()))
    }
}

/// Transforms a value of an index's column.
///
/// # Errors
/// 22000 for other dimensions, XX001 if the bytes are not a value of the type.
///
/// # Safety
/// A non-NULL value of the column's type.
pub unsafe fn transform(index: &impl Transform, datum: pg_sys::Datum, out: &mut [f32]) -> Result<Rankable> {
    with_column_value!(index.element(), V => {
        // SAFETY: the caller's promise; the element kind is that of the column.
        let value = unsafe { read::<V>(index.dims(), datum)? };
        Ok(index.transform(&value, out))
    })
}

/// A query, for exact keys to values of a column.
pub trait Query {
    /// The exact key to a value.
    ///
    /// # Errors
    /// 22000 for other dimensions, XX001 if the bytes are not a value of the type.
    ///
    /// # Safety
    /// A non-NULL value of the column's type.
    unsafe fn key(&self, metric: Metric, datum: pg_sys::Datum) -> Result<f64>;
}

struct Typed<V: ColumnValue> {
    dims: usize,
    query: V::Query,
}

impl<V: ColumnValue> Query for Typed<V> {
    unsafe fn key(&self, metric: Metric, datum: pg_sys::Datum) -> Result<f64> {
        // SAFETY: the caller's promise.
        let value = unsafe { read::<V>(self.dims, datum)? };
        Ok(value.key(metric, &self.query))
    }
}

/// Reads a query for an index, and transforms it.
///
/// # Errors
/// As for [`transform`].
///
/// # Safety
/// A non-NULL value of the column's type.
pub unsafe fn query(
    index: &impl Transform,
    datum: pg_sys::Datum,
    out: &mut [f32],
) -> Result<(Box<dyn Query>, Rankable)> {
    with_column_value!(index.element(), V => {
        // SAFETY: the caller's promise; the element kind is that of the column.
        let value = unsafe { read::<V>(index.dims(), datum)? };
        let rankable = index.transform(&value, out);
        let query = Typed::<V> { dims: index.dims(), query: value.to_query() };
        Ok((Box::new(query), rankable))
    })
}

impl<T: Element> Value for VectorArg<T> {
    fn dims(&self) -> usize {
        self.elements().len()
    }

    fn widen(&self, projection: Option<Projection>, out: &mut [f32]) {
        self.elements().widen(projection, out);
    }
}

impl<T: Element> ColumnValue for VectorArg<T> {
    type Query = Vec<T>;

    unsafe fn from_datum(datum: pg_sys::Datum) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::from_datum(datum) }
    }

    fn mismatch(expected: usize, found: usize) -> ErrorReport {
        different_dimensions(T::TYPE_NAME, expected, found)
    }

    fn to_query(&self) -> Vec<T> {
        self.elements().to_vec()
    }

    fn key(&self, metric: Metric, query: &Vec<T>) -> f64 {
        exact_key(metric, query, self.elements())
    }
}

fn different_dimensions(type_name: &'static str, left: usize, right: usize) -> ErrorReport {
    vector_error(VectorError::DimensionMismatch {
        type_name,
        left,
        right,
    })
}

impl BitArg {
    fn value(&self) -> Bits<'_> {
        Bits {
            count: self.bits(),
            bytes: self.bytes(),
        }
    }
}

impl Value for BitArg {
    fn dims(&self) -> usize {
        self.bits()
    }

    fn widen(&self, projection: Option<Projection>, out: &mut [f32]) {
        self.value().widen(projection, out);
    }
}

impl ColumnValue for BitArg {
    type Query = Vec<u8>;

    unsafe fn from_datum(datum: pg_sys::Datum) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::from_datum(datum) }
    }

    fn mismatch(expected: usize, found: usize) -> ErrorReport {
        error(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("different bit lengths {expected} and {found}"),
        )
    }

    fn to_query(&self) -> Vec<u8> {
        self.bytes().to_vec()
    }

    fn key(&self, metric: Metric, query: &Vec<u8>) -> f64 {
        let query = Bits {
            count: self.bits(),
            bytes: query,
        };
        bits_key(metric, query, self.value())
    }
}

impl Value for SparseArg {
    fn dims(&self) -> usize {
        self.value().dims()
    }

    fn widen(&self, projection: Option<Projection>, out: &mut [f32]) {
        self.value().widen(projection, out);
    }
}

impl ColumnValue for SparseArg {
    /// Indices and values.
    type Query = (Vec<i32>, Vec<f32>);

    unsafe fn from_datum(datum: pg_sys::Datum) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::from_datum(datum) }
    }

    fn mismatch(expected: usize, found: usize) -> ErrorReport {
        different_dimensions("sparsevec", expected, found)
    }

    fn to_query(&self) -> Self::Query {
        let value = self.value();
        (value.indices.to_vec(), value.values.to_vec())
    }

    fn key(&self, metric: Metric, (indices, values): &Self::Query) -> f64 {
        let value = self.value();
        let query = SparseVec {
            indices,
            values,
            ..value
        };
        sparse_key(metric, query, value)
    }
}
