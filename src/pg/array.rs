//! One-dimensional PostgreSQL arrays: numbers into Rust, datums into an array.

use crate::error::{Result, error, null_argument, unsupported};
use core::ptr::NonNull;
use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// An argument of an array type.
pub struct ArrayArg {
    array: NonNull<pg_sys::ArrayType>,
}

pgrx::impl_sql_translatable!(ArrayArg, "anyarray");

// SAFETY: a by-reference argument is detoasted into an ArrayType; the SQL declarations name array types only.
unsafe impl<'fcx> ArgAbi<'fcx> for ArrayArg {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller guarantees an argument that is not NULL; the datum is taken as it is.
        let datum = unsafe { arg.unbox_arg_using_from_datum::<pg_sys::Datum>() };
        let Some(datum) = datum else {
            null_argument("array").report_error()
        };
        // SAFETY: the SQL declarations name array types only.
        match unsafe { Self::from_datum(datum) } {
            Some(array) => array,
            None => null_argument("array").report_error(),
        }
    }
}

/// Raising a report outside a function that could return it.
pub trait ReportError {
    /// Raises the report as an ERROR.
    fn report_error(self) -> !;
}

impl ReportError for pgrx::pg_sys::panic::ErrorReport {
    fn report_error(self) -> ! {
        self.report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }
}

impl ArrayArg {
    /// Reads a datum of an array type.
    ///
    /// # Safety
    /// The datum must be a non-NULL array, alive as long as the result is used.
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> Option<Self> {
        // SAFETY: array datums are varlenas.
        let array = unsafe { pg_sys::pg_detoast_datum(datum.cast_mut_ptr()) };
        NonNull::new(array.cast()).map(|array| Self { array })
    }

    /// The elements of all dimensions as they are stored, none for NULL.
    pub fn datums(&self) -> Vec<Option<pg_sys::Datum>> {
        let (datums, nulls) = self.deconstruct(self.element_type());
        let element = |(&datum, &is_null): (&pg_sys::Datum, &bool)| (!is_null).then_some(datum);
        datums.iter().zip(nulls).map(element).collect()
    }

    /// The elements of a real-number array as `f32`, as PostgreSQL's own casts to real convert them; out of range becomes
    /// infinite.
    ///
    /// # Errors
    /// 22000 for more than one dimension, 22004 for NULL elements, 0A000 for another element type.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let convert = converter(self.element_type())?;
        self.numbers(convert)
    }

    /// The elements of a double precision array.
    ///
    /// # Errors
    /// As for [`Self::to_f32`].
    pub fn to_f64(&self) -> Result<Vec<f64>> {
        if self.element_type() != pg_sys::FLOAT8OID {
            return Err(unsupported("unsupported array type"));
        }
        self.numbers(|datum| f64::from_bits(datum.value() as u64))
    }

    /// The elements of a text array; NULL elements are `None`.
    ///
    /// # Errors
    /// 22000 for more than one dimension.
    pub fn to_texts(&self) -> Result<Vec<Option<&str>>> {
        self.require_one_dimension()?;
        if self.element_type() != pg_sys::TEXTOID {
            return Err(unsupported("unsupported array type"));
        }
        let (datums, nulls) = self.deconstruct(pg_sys::TEXTOID);
        Ok(datums
            .iter()
            .zip(nulls)
            // SAFETY: elements of a text array are text datums.
            .map(|(&datum, &is_null)| unsafe { <&str>::from_datum(datum, is_null) })
            .collect())
    }

    fn numbers<T>(&self, convert: impl Fn(pg_sys::Datum) -> T) -> Result<Vec<T>> {
        self.require_one_dimension()?;
        let (datums, nulls) = self.deconstruct(self.element_type());
        if nulls.iter().any(|&is_null| is_null) {
            return Err(error(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "array must not contain nulls",
            ));
        }
        Ok(datums.iter().map(|&datum| convert(datum)).collect())
    }

    /// The type of the elements.
    pub fn element_type(&self) -> pg_sys::Oid {
        // SAFETY: a detoasted array (type invariant).
        unsafe { self.array.as_ref() }.elemtype
    }

    fn require_one_dimension(&self) -> Result<()> {
        // SAFETY: a detoasted array (type invariant).
        let dimensions = unsafe { self.array.as_ref() }.ndim;
        if dimensions <= 1 {
            return Ok(());
        }
        Err(error(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("array must have one dimension, not {dimensions}"),
        ))
    }

    fn deconstruct(&self, element_type: pg_sys::Oid) -> (&[pg_sys::Datum], &[bool]) {
        let (mut length, mut by_value, mut align) = (0_i16, false, 0);
        // SAFETY: out-pointers are valid; the element type comes from the array itself.
        unsafe { pg_sys::get_typlenbyvalalign(element_type, &mut length, &mut by_value, &mut align) };
        let (mut datums, mut nulls, mut count) = (core::ptr::null_mut(), core::ptr::null_mut(), 0);
        // SAFETY: the array is detoasted and the element's storage properties are its type's own.
        unsafe {
            pg_sys::deconstruct_array(
                self.array.as_ptr(),
                element_type,
                i32::from(length),
                by_value,
                align,
                &mut datums,
                &mut nulls,
                &mut count,
            )
        };
        let count = usize::try_from(count).unwrap_or(0);
        if count == 0 {
            return (&[], &[]);
        }
        // SAFETY: deconstruct_array palloc'ed `count` datums in the current memory context, which outlives the call.
        let datums = unsafe { core::slice::from_raw_parts(datums, count) };
        // SAFETY: likewise for the null flags.
        let nulls = unsafe { core::slice::from_raw_parts(nulls, count) };
        (datums, nulls)
    }
}

fn converter(element_type: pg_sys::Oid) -> Result<fn(pg_sys::Datum) -> f32> {
    match element_type {
        pg_sys::INT4OID => Ok(|datum| datum.value() as u32 as i32 as f32),
        pg_sys::FLOAT4OID => Ok(|datum| f32::from_bits(datum.value() as u32)),
        pg_sys::FLOAT8OID => Ok(|datum| f64::from_bits(datum.value() as u64) as f32),
        pg_sys::NUMERICOID => Ok(|datum| {
            // SAFETY: numeric_float4 takes one numeric, which the element is.
            unsafe { pgrx::direct_function_call::<f32>(pg_sys::numeric_float4, &[Some(datum)]) }
                .unwrap_or(f32::NAN)
        }),
        _ => Err(unsupported("unsupported array type")),
    }
}

/// An array of by-reference values of a varlena type; `None` elements are NULL.
pub fn build(element_type: pg_sys::Oid, elements: &[Option<pg_sys::Datum>]) -> Result<pg_sys::Datum> {
    let (mut length, mut by_value, mut align) = (0_i16, false, 0);
    // SAFETY: out-pointers are valid; an unknown type raises an ERROR.
    unsafe { pg_sys::get_typlenbyvalalign(element_type, &mut length, &mut by_value, &mut align) };
    let mut datums: Vec<pg_sys::Datum> = elements
        .iter()
        .map(|element| element.unwrap_or(pg_sys::Datum::null()))
        .collect();
    let mut nulls: Vec<bool> = elements.iter().map(Option::is_none).collect();
    let count = i32::try_from(elements.len()).map_err(|_| {
        error(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            "too many array elements",
        )
    })?;
    let (mut dimensions, mut lower_bounds) = ([count], [1]);
    // SAFETY: datums and flags have `count` entries; the element's storage properties are its type's own.
    let array = unsafe {
        pg_sys::construct_md_array(
            datums.as_mut_ptr(),
            nulls.as_mut_ptr(),
            i32::from(count > 0),
            dimensions.as_mut_ptr(),
            lower_bounds.as_mut_ptr(),
            element_type,
            i32::from(length),
            by_value,
            align,
        )
    };
    Ok(pg_sys::Datum::from(array))
}
