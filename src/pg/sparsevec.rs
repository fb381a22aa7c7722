//! Sparse vectors as datums: the on-disk form that castmatch shares with pgvector 0.8.
//!
//! ```text
//! offset      bytes  what
//! 0           4      varlena header (the whole length in bytes)
//! 4           4      number of dimensions, 1..=1000000000
//! 8           4      number of elements that are not zero, 0..=16000
//! 12          4      unused, zero
//! 16          4 * n  indices of the elements, from 0, ascending
//! 16 + 4 * n  4 * n  their values
//! ```
//!
//! All in native byte order.

use crate::error::Result;
use crate::pg::array::ReportError;
use crate::pg::varlena::{self, Varlena};
use castmatch_engine::vector::sparse::{SparseVec, SparseVector, TYPE_NAME};
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::pg_sys;

/// Bytes of the counts and the unused field.
const HEADER_BYTES: usize = 12;
/// Bytes of an index and of a value.
const FIELD_BYTES: usize = 4;

/// A sparse vector argument: the detoasted value, checked once, its elements borrowed from it.
pub struct SparseArg {
    value: Varlena,
    dims: i32,
}

impl SparseArg {
    /// Reads a datum of type `sparsevec`.
    ///
    /// # Errors
    /// XX001 if the bytes are not a sparse vector: a length that is not what the number of elements says, or an index out of order or
    /// out of bounds.
    ///
    /// # Safety
    /// The datum must be a non-NULL value of type `sparsevec`, alive as long as the result is used.
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> Result<Self> {
        // SAFETY: the caller's promise.
        let value = unsafe { Varlena::from_datum(datum) };
        let Some(value) = value else {
            return Err(varlena::corrupted(TYPE_NAME, 0));
        };
        let bytes = value.payload().len();
        let dims = checked_dims(value.payload()).ok_or_else(|| varlena::corrupted(TYPE_NAME, bytes))?;
        Ok(Self { value, dims })
    }

    /// The vector.
    pub fn value(&self) -> SparseVec<'_> {
        let (indices, values) = parts(self.value.payload()).unwrap_or_default();
        SparseVec {
            dims: self.dims,
            indices,
            values,
        }
    }
}

/// The dimensions of a stored value, if it is a sparse vector.
fn checked_dims(payload: &[u8]) -> Option<i32> {
    let (header, body) = payload.split_first_chunk::<HEADER_BYTES>()?;
    let (fields, _) = header.as_chunks::<FIELD_BYTES>();
    let [dims, count, _] = fields else { return None };
    let dims = i32::from_ne_bytes(*dims);
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    if body.len() != count.checked_mul(2 * FIELD_BYTES)? {
        return None;
    }
    let (indices, values) = parts(payload)?;
    SparseVec::new(dims, indices, values).ok()?;
    Some(dims)
}

/// The indices and the values, which are equally many.
fn parts(payload: &[u8]) -> Option<(&[i32], &[f32])> {
    let body = payload.get(HEADER_BYTES..)?;
    let (indices, values) = body.split_at_checked(body.len() / 2)?;
    // SAFETY: i32 accepts any bits; the type's alignment (int4) keeps the fields aligned. align_to would return a non-empty head
    // otherwise, which is refused below.
    let (index_head, indices, index_tail) = unsafe { indices.align_to::<i32>() };
    // SAFETY: likewise for f32.
    let (value_head, values, value_tail) = unsafe { values.align_to::<f32>() };
    let whole = [index_head, index_tail, value_head, value_tail]
        .iter()
        .all(|rest| rest.is_empty());
    whole.then_some((indices, values))
}

/// A sparse vector to return.
pub struct SparseOut(pub SparseVector);

impl SparseOut {
    /// The value as a datum in the current memory context.
    ///
    /// # Errors
    /// 53200 if there is no memory for it.
    pub fn to_datum(&self) -> Result<pg_sys::Datum> {
        let vector = self.0.view();
        let count = vector.non_zero();
        varlena::build(HEADER_BYTES + count * 2 * FIELD_BYTES, |payload| {
            let fields = [
                vector.dims.to_ne_bytes(),
                (count as i32).to_ne_bytes(),
                [0; FIELD_BYTES],
            ];
            let indices = vector.indices.iter().map(|index| index.to_ne_bytes());
            let values = vector.values.iter().map(|value| value.to_ne_bytes());
            let places = payload.as_chunks_mut::<FIELD_BYTES>().0.iter_mut();
            for (place, field) in places.zip(fields.into_iter().chain(indices).chain(values)) {
                *place = field;
            }
        })
    }
}

pgrx::impl_sql_translatable!(SparseArg, "sparsevec");
pgrx::impl_sql_translatable!(SparseOut, "sparsevec");

// SAFETY: the SQL declarations give this type to arguments of type sparsevec only; the value is checked.
unsafe impl<'fcx> ArgAbi<'fcx> for SparseArg {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller guarantees a non-NULL argument.
        let datum = unsafe { arg.unbox_arg_using_from_datum::<pg_sys::Datum>() };
        // SAFETY: a non-NULL value of type sparsevec, per the SQL declaration.
        match unsafe { Self::from_datum(datum.unwrap_or(pg_sys::Datum::null())) } {
            Ok(value) => value,
            Err(report) => report.report_error(),
        }
    }
}

// SAFETY: returns a datum of type sparsevec.
unsafe impl BoxRet for SparseOut {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        match self.to_datum() {
            // SAFETY: the datum was built for this call and has the declared type.
            Ok(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            Err(report) => report.report_error(),
        }
    }
}
