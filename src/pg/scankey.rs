//! The conditions of an index scan, as the executor hands them over.

use super::array::ArrayArg;
use super::scalar::{self, Scalar};
use core::ffi::c_int;
use pgrx::pg_sys;

/// What a column is compared with.
#[derive(Debug)]
pub enum Operand<'a> {
    /// Nothing: the condition is IS NULL.
    IsNull,
    /// Nothing: the condition is IS NOT NULL.
    IsNotNull,
    /// NULL, which no strict operator is true for.
    Null,
    /// A value.
    Value(Scalar<'a>),
    /// One of these must do; a NULL is none.
    AnyOf(Vec<Scalar<'a>>),
    /// An array, the whole of which is the operand; `None` for its NULL elements.
    Array(Vec<Option<Scalar<'a>>>),
}

/// A condition on a column of the index.
#[derive(Debug)]
pub struct ScanCondition<'a> {
    /// The column, from 0.
    pub column: usize,
    /// The operator's number in its operator class; 0 where there is none.
    pub strategy: u16,
    /// What the column is compared with; `None` for a value of a type that no key column has.
    pub operand: Option<Operand<'a>>,
}

/// Reads the conditions. What detoasting allocates is in the current memory context.
///
/// # Safety
/// `keys` points to `count` scan keys that the server made for the scan, alive as long as the result.
pub unsafe fn read<'a>(keys: pg_sys::ScanKey, count: c_int) -> Vec<ScanCondition<'a>> {
    let count = usize::try_from(count).unwrap_or(0);
    if keys.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    let keys = unsafe { core::slice::from_raw_parts(keys, count) };
    keys.iter()
        .map(|key| ScanCondition {
            column: usize::from(key.sk_attno.unsigned_abs()).saturating_sub(1),
            strategy: key.sk_strategy,
            // SAFETY: the caller's promise.
            operand: unsafe { operand(key) },
        })
        .collect()
}

/// # Safety
/// A scan key of the server.
unsafe fn operand<'a>(key: &pg_sys::ScanKeyData) -> Option<Operand<'a>> {
    let has = |flag: u32| key.sk_flags & flag as c_int != 0;
    if has(pg_sys::SK_SEARCHNULL) {
        return Some(Operand::IsNull);
    }
    if has(pg_sys::SK_SEARCHNOTNULL) {
        return Some(Operand::IsNotNull);
    }
    if has(pg_sys::SK_ISNULL) {
        return Some(Operand::Null);
    }
    let (subtype, datum) = (key.sk_subtype, key.sk_argument);
    if has(pg_sys::SK_SEARCHARRAY) {
        // SAFETY: the argument is an array of the operator's right type, or of one with the same representation.
        let elements = unsafe { ArrayArg::from_datum(datum)? }.datums();
        return elements
            .into_iter()
            .flatten()
            // SAFETY: as above.
            .map(|element| unsafe { scalar::read(subtype, element) })
            .collect::<Option<_>>()
            .map(Operand::AnyOf);
    }
    if subtype == pg_sys::ANYARRAYOID {
        // SAFETY: the operator's right argument is an array.
        let array = unsafe { ArrayArg::from_datum(datum)? };
        let type_oid = array.element_type();
        return array
            .datums()
            .into_iter()
            .map(|element| match element {
                None => Some(None),
                // SAFETY: an element of the type that the array names.
                Some(element) => unsafe { scalar::read(type_oid, element) }.map(Some),
            })
            .collect::<Option<_>>()
            .map(Operand::Array);
    }
    // SAFETY: the argument is a value of the operator's right type.
    unsafe { scalar::read(subtype, datum) }.map(Operand::Value)
}
