//! Options of relations, `CREATE INDEX … WITH (name = value)`.

use core::ffi::CStr;
use pgrx::pg_sys;

/// An option that is a whole number.
pub struct Integer {
    /// Its name.
    pub name: &'static CStr,
    /// What it means.
    pub description: &'static CStr,
    /// What it is when not given.
    pub default: i32,
    /// The least value.
    pub minimum: i32,
    /// The greatest value.
    pub maximum: i32,
}

/// Registers a kind of relation options; the number that the server gives it. Once per process.
pub fn register(options: &[&Integer]) -> pg_sys::relopt_kind::Type {
    // SAFETY: called while the library is loaded; the server copies names and descriptions.
    let kind = unsafe { pg_sys::add_reloption_kind() };
    for option in options {
        // SAFETY: as above.
        unsafe {
            pg_sys::add_int_reloption(
                kind,
                option.name.as_ptr(),
                option.description.as_ptr(),
                option.default,
                option.minimum,
                option.maximum,
                pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE,
            );
        }
    }
    kind
}

/// Parses the options given to a relation into a structure of `bytes` bytes that begins with a varlena header and has an `i32` at
/// each of the offsets. Raises the server's errors for unknown names and values out of range.
pub fn parse(
    options: pg_sys::Datum,
    validate: bool,
    kind: pg_sys::relopt_kind::Type,
    bytes: usize,
    fields: &[(&Integer, usize)],
) -> *mut pg_sys::bytea {
    let table: Vec<pg_sys::relopt_parse_elt> = fields
        .iter()
        .map(|(option, offset)| pg_sys::relopt_parse_elt {
            optname: option.name.as_ptr(),
            opttype: pg_sys::relopt_type::RELOPT_TYPE_INT,
            offset: i32::try_from(*offset).unwrap_or(0),
            #[cfg(feature = "pg18")]
            isset_offset: 0,
        })
        .collect();
    // SAFETY: the table describes fields inside `bytes`; the server reads it only during the call.
    unsafe {
        pg_sys::build_reloptions(
            options,
            validate,
            kind,
            bytes,
            table.as_ptr(),
            i32::try_from(table.len()).unwrap_or(0),
        )
    }
    .cast()
}
