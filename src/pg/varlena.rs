//! Variable-length values: detoasting and building them.

use crate::error::{Result, error, out_of_memory};
use core::ptr::NonNull;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Largest value that PostgreSQL allocates in one piece (MaxAllocSize).
const MAX_ALLOC_BYTES: usize = 0x3fff_ffff;

/// A detoasted value, with a four-byte length header, aligned to eight bytes or (in a tuple) to its type's alignment.
#[derive(Clone, Copy)]
pub struct Varlena {
    start: NonNull<pg_sys::varlena>,
}

impl Varlena {
    /// Detoasts a datum of a varlena type; a value that is plain already is not copied.
    ///
    /// # Safety
    /// The datum must be a non-NULL value of a varlena type, alive as long as the result is used.
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> Option<Self> {
        // SAFETY: the caller's promise.
        let start = unsafe { pg_sys::pg_detoast_datum(datum.cast_mut_ptr()) };
        NonNull::new(start).map(|start| Self { start })
    }

    /// The bytes after the length header.
    pub fn payload(&self) -> &[u8] {
        // SAFETY: detoasted, so the header is the four-byte form (type invariant).
        let bytes = unsafe { pgrx::varlena::varsize_4b(self.start.as_ptr()) };
        // SAFETY: the value is `bytes` long including its header of four bytes.
        unsafe {
            core::slice::from_raw_parts(
                self.start.as_ptr().cast::<u8>().add(pg_sys::VARHDRSZ),
                bytes.saturating_sub(pg_sys::VARHDRSZ),
            )
        }
    }
}

/// The bytes of a value. What is stored compressed or outside its row is copied into the current memory context, the rest is not.
///
/// # Safety
/// The datum must be a non-NULL value of a varlena type, alive as long as the result is used.
pub unsafe fn bytes<'a>(datum: pg_sys::Datum) -> &'a [u8] {
    // SAFETY: the caller's promise; the result has a header of one or of four bytes.
    unsafe { pgrx::varlena::varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr())) }
}

/// A new varlena in the current memory context whose payload of `bytes` bytes `fill` writes (it starts zeroed).
///
/// # Errors
/// 53200 beyond the server's limit for one value; running out of memory raises the server's own ERROR.
pub fn build(bytes: usize, fill: impl FnOnce(&mut [u8])) -> Result<pg_sys::Datum> {
    let total = bytes.saturating_add(pg_sys::VARHDRSZ);
    if total > MAX_ALLOC_BYTES {
        return Err(out_of_memory("a value", total));
    }
    // SAFETY: the size is within palloc's limit.
    let start = unsafe { pg_sys::palloc0(total) }.cast::<pg_sys::varlena>();
    // SAFETY: `start` has room for the header.
    unsafe { pgrx::varlena::set_varsize_4b(start, total as i32) };
    // SAFETY: `bytes` zeroed bytes follow the header.
    let payload = unsafe { core::slice::from_raw_parts_mut(start.cast::<u8>().add(pg_sys::VARHDRSZ), bytes) };
    fill(payload);
    Ok(pg_sys::Datum::from(start))
}

/// A stored value whose bytes are none of its type (SQLSTATE XX001).
pub fn corrupted(type_name: &str, bytes: usize) -> ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("invalid {type_name} of {bytes} bytes"),
    )
}

/// Whether the value is a pointer to chunks in the table's TOAST table.
///
/// # Safety
/// The datum must be a non-NULL value of a varlena type.
pub unsafe fn is_stored_outside(datum: pg_sys::Datum) -> bool {
    // A first byte of 1 marks an external value (VARATT_IS_EXTERNAL on little-endian machines).
    // SAFETY: the caller's promise; every varlena has at least one byte.
    unsafe { *datum.cast_mut_ptr::<u8>() == 1 }
}

/// Whether two values of one varlena type have the same bytes.
///
/// # Safety
/// Both datums must be non-NULL values of a varlena type.
pub unsafe fn equal(left: pg_sys::Datum, right: pg_sys::Datum) -> bool {
    // SAFETY: the caller's promise.
    let left = unsafe { Varlena::from_datum(left) };
    // SAFETY: the caller's promise.
    let right = unsafe { Varlena::from_datum(right) };
    match (left, right) {
        (Some(left), Some(right)) => left.payload() == right.payload(),
        _ => false,
    }
}

/// The unread bytes of a message buffer, which are marked as read.
pub fn take_message_bytes(buffer: &mut pg_sys::StringInfoData) -> &[u8] {
    let length = usize::try_from(buffer.len).unwrap_or(0);
    let cursor = usize::try_from(buffer.cursor).unwrap_or(0).min(length);
    buffer.cursor = buffer.len;
    if buffer.data.is_null() {
        return &[];
    }
    // SAFETY: a StringInfo holds `len` bytes at `data`; cursor and length are in range.
    unsafe { core::slice::from_raw_parts(buffer.data.cast::<u8>().add(cursor), length - cursor) }
}
