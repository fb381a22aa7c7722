//! Values that go into an SPI statement as parameters.

use crate::error::{Result, invalid_argument};
use crate::pg::setting::with_settings;
use core::ffi::CStr;
use pgrx::IntoDatum;
use pgrx::pg_sys;
use std::ffi::CString;

/// A parameter: a type and a value of it, or NULL.
#[derive(Clone, Copy)]
pub struct Value {
    /// Type of the parameter.
    pub type_oid: pg_sys::Oid,
    /// The value; `None` is NULL. By-reference data lives in the memory context that was current at creation.
    pub datum: Option<pg_sys::Datum>,
}

impl Value {
    /// A value of a type that pgrx knows.
    pub fn of<T: IntoDatum>(value: T) -> Self {
        Self {
            type_oid: T::type_oid(),
            datum: value.into_datum(),
        }
    }

    /// A relation, bound as `oid`.
    pub fn oid(oid: pg_sys::Oid) -> Self {
        Self::of(oid)
    }

    /// A datum of the given type, as it is.
    pub fn datum(type_oid: pg_sys::Oid, datum: Option<pg_sys::Datum>) -> Self {
        Self { type_oid, datum }
    }

    /// A value read from its text form by the type's own input function.
    ///
    /// # Errors
    /// 22023 for a NUL character. Text that the type does not accept raises the type's own error.
    pub fn parse(type_oid: pg_sys::Oid, text: &str) -> Result<Self> {
        let text = CString::new(text)
            .map_err(|_| invalid_argument("a value in a filter contains a NUL character"))?;
        let mut input_function = pg_sys::InvalidOid;
        let mut parameter = pg_sys::InvalidOid;
        // SAFETY: both out-pointers are valid; an unknown type raises an ERROR.
        unsafe { pg_sys::getTypeInputInfo(type_oid, &mut input_function, &mut parameter) };
        // SAFETY: the string is NUL-terminated and outlives the call; -1 means no type modifier.
        let datum =
            unsafe { pg_sys::OidInputFunctionCall(input_function, text.as_ptr().cast_mut(), parameter, -1) };
        Ok(Self {
            type_oid,
            datum: Some(datum),
        })
    }
}

/// The text form of a datum that any session reads back as the same value, whatever its settings.
pub fn to_portable_text(type_oid: pg_sys::Oid, datum: pg_sys::Datum) -> String {
    // SAFETY: plain globals of the backend.
    let (date_style, interval_style) = unsafe { (pg_sys::DateStyle, pg_sys::IntervalStyle) };
    if date_style == pg_sys::USE_ISO_DATES as i32 && interval_style == pg_sys::INTSTYLE_POSTGRES as i32 {
        return to_text(type_oid, datum);
    }
    with_settings(&[(c"datestyle", c"ISO"), (c"intervalstyle", c"postgres")], || {
        to_text(type_oid, datum)
    })
}

/// The text form of a datum, by its type's own output function.
pub fn to_text(type_oid: pg_sys::Oid, datum: pg_sys::Datum) -> String {
    let mut output_function = pg_sys::InvalidOid;
    let mut is_varlena = false;
    // SAFETY: both out-pointers are valid; an unknown type raises an ERROR.
    unsafe { pg_sys::getTypeOutputInfo(type_oid, &mut output_function, &mut is_varlena) };
    // SAFETY: the caller's datum is of that type.
    let text = unsafe { pg_sys::OidOutputFunctionCall(output_function, datum) };
    // SAFETY: output functions return a NUL-terminated palloc'ed string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
