//! Text and binary input and output, and the type modifier.

use crate::error::{Result, error, invalid_argument, out_of_memory, vector_error};
use crate::pg::vector::{VectorArg, VectorOut};
use castmatch_engine::vector::{Element, binary, f16, ops, text};
use core::ffi::CStr;
use pgrx::prelude::*;
use pgrx::{Array, Internal, pg_sys};
use std::ffi::CString;

/// Checks a value against the type modifier of its column or cast; -1 allows any number of dimensions.
///
/// # Errors
/// 22000 with both numbers.
pub fn check_typmod<T: Element>(elements: &[T], typmod: i32) -> Result<()> {
    ops::check_dimensions(typmod, elements.len()).map_err(vector_error)
}

fn input<T: Element>(input: &CStr, typmod: i32) -> Result<VectorOut<T>> {
    let input = input.to_str().map_err(|_| {
        error(
            PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {}", T::TYPE_NAME),
        )
    })?;
    let elements = text::parse::<T>(input).map_err(vector_error)?;
    check_typmod(&elements, typmod)?;
    Ok(VectorOut(elements))
}

fn output<T: Element>(value: VectorArg<T>) -> Result<CString> {
    let mut out = String::new();
    text::format(value.elements(), &mut out);
    CString::new(out).map_err(|_| out_of_memory("a vector as text", 0))
}

fn receive<T: Element>(mut message: Internal, typmod: i32) -> Result<VectorOut<T>> {
    // SAFETY: PostgreSQL calls receive functions with a StringInfo as their internal argument.
    #[allow(unsafe_code)]
    let buffer = unsafe { message.get_mut::<pg_sys::StringInfoData>() };
    let Some(buffer) = buffer else {
        return Err(invalid_argument(
            "a receive function is called by the server only",
        ));
    };
    let bytes = crate::pg::varlena::take_message_bytes(buffer);
    let elements = binary::decode::<T>(bytes).map_err(vector_error)?;
    check_typmod(&elements, typmod)?;
    Ok(VectorOut(elements))
}

fn send<T: Element>(value: VectorArg<T>) -> Vec<u8> {
    let mut out = Vec::new();
    binary::encode(value.elements(), &mut out);
    out
}

fn typmod_in<T: Element>(modifiers: Array<'_, &CStr>) -> Result<i32> {
    let modifiers = modifiers
        .iter()
        .map(|modifier| {
            modifier
                .and_then(|text| text.to_str().ok())
                .and_then(|text| text.trim().parse().ok())
        })
        .collect::<Option<Vec<i32>>>()
        .ok_or_else(|| {
            invalid_argument(format!(
                "the type modifier of {} must be a number of dimensions",
                T::TYPE_NAME
            ))
        })?;
    ops::check_type_modifier::<T>(&modifiers).map_err(vector_error)
}

fn enforce_typmod<T: Element>(value: VectorArg<T>, typmod: i32) -> Result<VectorOut<T>> {
    check_typmod(value.elements(), typmod)?;
    Ok(VectorOut(value.elements().to_vec()))
}

macro_rules! io_functions {
    ($element:ty, $in:ident, $out:ident, $recv:ident, $send:ident, $typmod_in:ident, $enforce:ident) => {
        #[pg_extern(sql = false)]
        fn $in(input_text: &CStr, _type: pg_sys::Oid, typmod: i32) -> Result<VectorOut<$element>> {
            input::<$element>(input_text, typmod)
        }

        #[pg_extern(sql = false)]
        fn $out(value: VectorArg<$element>) -> Result<CString> {
            output(value)
        }

        #[pg_extern(sql = false)]
        fn $recv(message: Internal, _type: pg_sys::Oid, typmod: i32) -> Result<VectorOut<$element>> {
            receive::<$element>(message, typmod)
        }

        #[pg_extern(sql = false)]
        fn $send(value: VectorArg<$element>) -> Vec<u8> {
            send(value)
        }

        #[pg_extern(sql = false)]
        fn $typmod_in(modifiers: Array<'_, &CStr>) -> Result<i32> {
            typmod_in::<$element>(modifiers)
        }

        #[pg_extern(sql = false)]
        fn $enforce(value: VectorArg<$element>, typmod: i32, _explicit: bool) -> Result<VectorOut<$element>> {
            enforce_typmod(value, typmod)
        }
    };
}

io_functions!(
    f32,
    vector_in,
    vector_out,
    vector_recv,
    vector_send,
    vector_typmod_in,
    vector_enforce_typmod
);
io_functions!(
    f16,
    halfvec_in,
    halfvec_out,
    halfvec_recv,
    halfvec_send,
    halfvec_typmod_in,
    halfvec_enforce_typmod
);
