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

/// The text of a value of type `type_name`.
///
/// # Errors
/// 22P02 for bytes that are no UTF-8, of which no type here has a use.
pub fn input_text<'a>(input: &'a CStr, type_name: &str) -> Result<&'a str> {
    input.to_str().map_err(|_| {
        error(
            PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {type_name}"),
        )
    })
}

/// Text that an output function returns.
///
/// # Errors
/// 53200; the text of a vector has no NUL in it.
pub fn output_text(text: String) -> Result<CString> {
    CString::new(text).map_err(|_| out_of_memory("a vector as text", 0))
}

/// The bytes of the message that a receive function is called with.
///
/// # Errors
/// 22023 if it was called otherwise.
pub fn message(message: &mut Internal) -> Result<&[u8]> {
    // SAFETY: PostgreSQL calls receive functions with a StringInfo as their internal argument.
    #[allow(unsafe_code)]
    let buffer = unsafe { message.get_mut::<pg_sys::StringInfoData>() };
    let Some(buffer) = buffer else {
        return Err(invalid_argument(
            "a receive function is called by the server only",
        ));
    };
    Ok(crate::pg::varlena::take_message_bytes(buffer))
}

/// The numbers of a type modifier.
///
/// # Errors
/// 22023 for what is no integer.
pub fn modifiers(modifiers: &Array<'_, &CStr>, type_name: &str) -> Result<Vec<i32>> {
    modifiers
        .iter()
        .map(|modifier| {
            modifier
                .and_then(|text| text.to_str().ok())
                .and_then(|text| text.trim().parse().ok())
        })
        .collect::<Option<Vec<i32>>>()
        .ok_or_else(|| {
            invalid_argument(format!(
                "the type modifier of {type_name} must be a number of dimensions"
            ))
        })
}

fn input<T: Element>(input: &CStr, typmod: i32) -> Result<VectorOut<T>> {
    let elements = text::parse::<T>(input_text(input, T::TYPE_NAME)?).map_err(vector_error)?;
    check_typmod(&elements, typmod)?;
    Ok(VectorOut(elements))
}

fn output<T: Element>(value: VectorArg<T>) -> Result<CString> {
    let mut out = String::new();
    text::format(value.elements(), &mut out);
    output_text(out)
}

fn receive<T: Element>(mut internal: Internal, typmod: i32) -> Result<VectorOut<T>> {
    let elements = binary::decode::<T>(message(&mut internal)?).map_err(vector_error)?;
    check_typmod(&elements, typmod)?;
    Ok(VectorOut(elements))
}

fn send<T: Element>(value: VectorArg<T>) -> Vec<u8> {
    let mut out = Vec::new();
    binary::encode(value.elements(), &mut out);
    out
}

fn typmod_in<T: Element>(declared: Array<'_, &CStr>) -> Result<i32> {
    ops::check_type_modifier::<T>(&modifiers(&declared, T::TYPE_NAME)?).map_err(vector_error)
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
        fn $recv(internal: Internal, _type: pg_sys::Oid, typmod: i32) -> Result<VectorOut<$element>> {
            receive::<$element>(internal, typmod)
        }

        #[pg_extern(sql = false)]
        fn $send(value: VectorArg<$element>) -> Vec<u8> {
            send(value)
        }

        #[pg_extern(sql = false)]
        fn $typmod_in(declared: Array<'_, &CStr>) -> Result<i32> {
            typmod_in::<$element>(declared)
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
