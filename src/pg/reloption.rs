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

/// An option that is a word or a number, and read as text.
pub struct Text {
    /// Its name.
    pub name: &'static CStr,
    /// What it means.
    pub description: &'static CStr,
    /// Raises an error for a text that means nothing; called with a text that ends in zero.
    pub validate: unsafe extern "C-unwind" fn(*const core::ffi::c_char),
}

/// Registers a kind of relation options; the number that the server gives it. Once per process.
pub fn register(options: &[&Integer], texts: &[&Text]) -> pg_sys::relopt_kind::Type {
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
    for option in texts {
        // SAFETY: as above; the function stays as long as the library.
        unsafe {
            pg_sys::add_string_reloption(
                kind,
                option.name.as_ptr(),
                option.description.as_ptr(),
                core::ptr::null(),
                Some(option.validate),
                pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE,
            );
        }
    }
    kind
}

/// Parses the options given to a relation into a structure of `bytes` bytes that begins with a varlena header and has an `i32` at
/// each of the offsets: the number, or where a text begins in the structure, see [`text`]. Raises the server's errors for unknown names and
/// values out of range.
pub fn parse(
    options: pg_sys::Datum,
    validate: bool,
    kind: pg_sys::relopt_kind::Type,
    bytes: usize,
    fields: &[(&Integer, usize)],
    texts: &[(&Text, usize)],
) -> *mut pg_sys::bytea {
    let element = |name: &CStr, opttype, offset: usize| pg_sys::relopt_parse_elt {
        optname: name.as_ptr(),
        opttype,
        offset: i32::try_from(offset).unwrap_or(0),
        #[cfg(feature = "pg18")]
        isset_offset: 0,
    };
    let numbers = fields
        .iter()
        .map(|(option, offset)| element(option.name, pg_sys::relopt_type::RELOPT_TYPE_INT, *offset));
    let words = texts
        .iter()
        .map(|(option, offset)| element(option.name, pg_sys::relopt_type::RELOPT_TYPE_STRING, *offset));
    let table: Vec<pg_sys::relopt_parse_elt> = numbers.chain(words).collect();
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

/// The text of an option in the structure that [`parse`] made; none where the option was not given.
///
/// # Safety
/// `stored` points to such a structure, and `offset` is the number in the field of a [`Text`].
pub unsafe fn text<'a, T>(stored: *const T, offset: i32) -> Option<&'a CStr> {
    let offset = usize::try_from(offset).ok().filter(|&offset| offset > 0)?;
    // SAFETY: the server copies the text behind the fields and puts its place into the field.
    unsafe { Some(CStr::from_ptr(stored.cast::<u8>().add(offset).cast())) }
}
