//! Vectors as datums: the on-disk form that castmatch shares with pgvector 0.8.
//!
//! ```text
//! offset  bytes  what
//! 0       4      varlena header (the whole length in bytes)
//! 4       2      number of dimensions, 1..=16000
//! 6       2      unused, zero
//! 8       4 * n  elements, native byte order (2 * n for halfvec)
//! ```

use crate::error::{Result, internal, vector_error};
use crate::pg::array::{self, ReportError};
use crate::pg::spi::Rows;
use crate::pg::varlena::{self, Varlena};
use castmatch_engine::index::ElementKind;
use castmatch_engine::vector::{Element, MAX_DIMENSIONS, f16, ops};
use core::marker::PhantomData;
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::pg_sys;

/// Bytes of the dimension count and the unused field.
const HEADER_BYTES: usize = 4;

/// A vector argument: the detoasted value, checked once, its elements borrowed from it.
pub struct VectorArg<T: Element> {
    value: Varlena,
    element: PhantomData<T>,
}

/// A vector to return.
pub struct VectorOut<T: Element>(pub Vec<T>);

impl<T: Element> VectorArg<T> {
    /// Reads a datum of a vector type.
    ///
    /// # Errors
    /// XX001 if the bytes are not a vector.
    ///
    /// # Safety
    /// The datum must be a non-NULL value of vector type `T`.
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> Result<Self> {
        // SAFETY: the caller's promise.
        let value = unsafe { Varlena::from_datum(datum) };
        let Some(value) = value else {
            return Err(corrupted::<T>(0));
        };
        let payload = value.payload();
        let dimensions = payload
            .first_chunk::<2>()
            .map(|bytes| i16::from_ne_bytes(*bytes))
            .unwrap_or(0);
        let expected = usize::try_from(dimensions)
            .ok()
            .filter(|&dimensions| (1..=MAX_DIMENSIONS).contains(&dimensions))
            .map(|dimensions| HEADER_BYTES + dimensions * T::SIZE);
        if expected != Some(payload.len()) {
            return Err(corrupted::<T>(payload.len()));
        }
        Ok(Self {
            value,
            element: PhantomData,
        })
    }

    /// The elements.
    pub fn elements(&self) -> &[T] {
        let bytes = self.value.payload().get(HEADER_BYTES..).unwrap_or_default();
        // SAFETY: f32 and f16 accept any bits; the types' alignment (int4) keeps the elements aligned for both. align_to
        // would return a non-empty head otherwise, which the check below turns into an error instead of wrong numbers.
        let (head, elements, tail) = unsafe { bytes.align_to::<T>() };
        if !head.is_empty() || !tail.is_empty() {
            corrupted::<T>(bytes.len()).report_error();
        }
        elements
    }
}

/// A cell of the given type, whose values are laid out as those elements; `None` for NULL.
///
/// # Errors
/// XX000 if there is no such cell or it is of another type, XX001 if its bytes are not a vector.
pub fn cell(
    rows: &Rows,
    row: usize,
    column: usize,
    (wanted, element): (pg_sys::Oid, ElementKind),
) -> Result<Option<Vec<f32>>> {
    let (type_oid, datum) = rows.cell(row, column)?;
    if type_oid != wanted {
        return Err(internal(format!(
            "column {column} has type {type_oid:?}, not {wanted:?}"
        )));
    }
    let Some(datum) = datum else { return Ok(None) };
    let elements = if element == ElementKind::Halfvec {
        // SAFETY: a value of the type, checked above; its bytes are checked.
        let value = unsafe { VectorArg::<f16>::from_datum(datum) }?;
        value.elements().iter().map(|&half| half.to_f32()).collect()
    } else {
        // SAFETY: as above.
        unsafe { VectorArg::<f32>::from_datum(datum) }?
            .elements()
            .to_vec()
    };
    Ok(Some(elements))
}

fn corrupted<T: Element>(bytes: usize) -> pgrx::pg_sys::panic::ErrorReport {
    varlena::corrupted(T::TYPE_NAME, bytes)
}

impl<T: Element> VectorOut<T> {
    /// The value as a datum in the current memory context.
    ///
    /// # Errors
    /// 22000 without any dimension, 54000 with too many.
    pub fn to_datum(&self) -> Result<pg_sys::Datum> {
        vector_datum(&self.0)
    }
}

/// The datum of a vector in a type of those elements.
///
/// # Errors
/// 22003 for an element that half precision cannot hold, and as for [`vector_datum`].
pub fn vector_datum_of(element: ElementKind, elements: &[f32]) -> Result<pg_sys::Datum> {
    if element == ElementKind::Halfvec {
        let halves = ops::from_f32_slice::<f16>(elements).map_err(vector_error)?;
        return vector_datum(&halves);
    }
    vector_datum(elements)
}

/// A vector as a datum in the current memory context.
///
/// # Errors
/// 22000 without any dimension, 54000 with too many.
pub fn vector_datum<T: Element>(elements: &[T]) -> Result<pg_sys::Datum> {
    ops::check_length::<T>(elements.len()).map_err(vector_error)?;
    let dimensions = elements.len() as i16;
    // SAFETY: elements are plain numbers without padding; the length in bytes is the slice's own.
    let bytes = unsafe {
        core::slice::from_raw_parts(elements.as_ptr().cast::<u8>(), core::mem::size_of_val(elements))
    };
    varlena::build(HEADER_BYTES + bytes.len(), |payload| {
        let (header, rest) = payload.split_at_mut(HEADER_BYTES);
        header[..2].copy_from_slice(&dimensions.to_ne_bytes());
        rest.copy_from_slice(bytes);
    })
}

/// An array of vectors to return; `None` elements are NULL.
pub struct VectorArrayOut(pg_sys::Datum);

impl VectorArrayOut {
    /// Builds the array of the given vector type.
    ///
    /// # Errors
    /// As for [`vector_datum`]; 54000 for more elements than an array can have.
    pub fn new(vector_type: pg_sys::Oid, vectors: &[Option<Vec<f32>>]) -> Result<Self> {
        let elements = vectors
            .iter()
            .map(|vector| vector.as_deref().map(vector_datum).transpose())
            .collect::<Result<Vec<_>>>()?;
        array::build(vector_type, &elements).map(Self)
    }
}

pgrx::impl_sql_translatable!(VectorArrayOut, "vector[]");

// SAFETY: an array of the vector type, as the SQL declarations say.
unsafe impl BoxRet for VectorArrayOut {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        // SAFETY: the datum was built for this call and has the declared type.
        unsafe { fcinfo.return_raw_datum(self.0) }
    }
}

macro_rules! vector_type {
    ($element:ty, $sql:literal) => {
        pgrx::impl_sql_translatable!(VectorArg<$element>, $sql);
        pgrx::impl_sql_translatable!(VectorOut<$element>, $sql);

        // SAFETY: the SQL declarations give this type to arguments of the vector type only; the value is checked.
        unsafe impl<'fcx> ArgAbi<'fcx> for VectorArg<$element> {
            unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
                // SAFETY: the caller guarantees a non-NULL argument.
                let datum = unsafe { arg.unbox_arg_using_from_datum::<pg_sys::Datum>() };
                // SAFETY: a non-NULL value of the vector type, per the SQL declaration.
                match unsafe { Self::from_datum(datum.unwrap_or(pg_sys::Datum::null())) } {
                    Ok(value) => value,
                    Err(report) => report.report_error(),
                }
            }
        }

        // SAFETY: returns a datum of the vector type.
        unsafe impl BoxRet for VectorOut<$element> {
            unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
                match self.to_datum() {
                    // SAFETY: the datum was built for this call and has the declared type.
                    Ok(datum) => unsafe { fcinfo.return_raw_datum(datum) },
                    Err(report) => report.report_error(),
                }
            }
        }
    };
}

vector_type!(f32, "vector");
vector_type!(f16, "halfvec");
