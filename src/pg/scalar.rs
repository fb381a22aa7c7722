//! Values of the types that an index can have as key columns, read from their datums.

use super::varlena;
use pgrx::pg_sys;

/// A value that is not NULL.
#[derive(Debug)]
pub enum Scalar<'a> {
    /// boolean.
    Bool(bool),
    /// smallint, integer, bigint.
    Integer(i64),
    /// real and double precision.
    Float(f64),
    /// numeric, as the nearest double precision number, infinite beyond its range. The order of values is kept.
    Numeric(f64),
    /// date: days since 2000-01-01, the ends of `i32` for the infinities.
    Date(i32),
    /// timestamp: microseconds since 2000-01-01, the ends of `i64` for the infinities.
    Timestamp(i64),
    /// timestamp with time zone, likewise in UTC.
    Timestamptz(i64),
    /// oid, or an enum's label.
    Oid(u32),
    /// uuid.
    Uuid([u8; 16]),
    /// The bytes of text and its like.
    Bytes(&'a [u8]),
}

/// Reads a value of `type_oid`; `None` for a type that is none of [`Scalar`].
///
/// # Safety
/// The datum must be a non-NULL value of that type (of any enum for `anyenum`), alive as long as the result. What detoasting
/// allocates is in the current memory context, which must be so too.
pub unsafe fn read<'a>(type_oid: pg_sys::Oid, datum: pg_sys::Datum) -> Option<Scalar<'a>> {
    Some(match type_oid {
        pg_sys::BOOLOID => Scalar::Bool(datum.value() as u8 != 0),
        pg_sys::INT2OID => Scalar::Integer(i64::from(datum.value() as i16)),
        pg_sys::INT4OID => Scalar::Integer(i64::from(datum.value() as i32)),
        pg_sys::INT8OID => Scalar::Integer(datum.value() as i64),
        pg_sys::FLOAT4OID => Scalar::Float(f64::from(f32::from_bits(datum.value() as u32))),
        pg_sys::FLOAT8OID => Scalar::Float(f64::from_bits(datum.value() as u64)),
        pg_sys::DATEOID => Scalar::Date(datum.value() as i32),
        pg_sys::TIMESTAMPOID => Scalar::Timestamp(datum.value() as i64),
        pg_sys::TIMESTAMPTZOID => Scalar::Timestamptz(datum.value() as i64),
        pg_sys::OIDOID | pg_sys::ANYENUMOID => Scalar::Oid(datum.value() as u32),
        // SAFETY: a uuid is a pointer to its 16 bytes (the caller's promise).
        pg_sys::UUIDOID => Scalar::Uuid(unsafe { *datum.cast_mut_ptr::<[u8; 16]>() }),
        // SAFETY: the caller's promise.
        pg_sys::NUMERICOID => Scalar::Numeric(unsafe { numeric_as_f64(datum) }),
        // SAFETY: the caller's promise.
        pg_sys::TEXTOID | pg_sys::BPCHAROID => Scalar::Bytes(unsafe { varlena::bytes(datum) }),
        _ => return None,
    })
}

/// # Safety
/// A non-NULL numeric.
unsafe fn numeric_as_f64(datum: pg_sys::Datum) -> f64 {
    // SAFETY: the function takes a numeric and returns double precision, never NULL.
    let number =
        unsafe { pgrx::direct_function_call::<f64>(pg_sys::numeric_float8_no_overflow, &[Some(datum)]) };
    number.unwrap_or(f64::NAN)
}

/// The moment that a timestamp names in the session's time zone.
///
/// # Errors
/// Whether the moment is later (true) or earlier (false) than every one that can be stored.
pub fn timestamp_to_moment(timestamp: i64) -> Result<i64, bool> {
    let mut overflow = 0;
    // SAFETY: plain numbers; out of range is told by the last argument and not raised.
    let moment = unsafe { pg_sys::timestamp2timestamptz_opt_overflow(timestamp, &mut overflow) };
    if overflow == 0 {
        Ok(moment)
    } else {
        Err(overflow > 0)
    }
}

/// The moment at which a day begins in the session's time zone.
///
/// # Errors
/// As for [`timestamp_to_moment`].
pub fn date_to_moment(date: i32) -> Result<i64, bool> {
    let mut overflow = 0;
    // SAFETY: plain numbers; out of range is told by the last argument and not raised.
    let moment = unsafe { pg_sys::date2timestamptz_opt_overflow(date, &mut overflow) };
    if overflow == 0 {
        Ok(moment)
    } else {
        Err(overflow > 0)
    }
}

/// Whether strings that are equal under a collation have the same bytes.
pub fn equal_means_same_bytes(collation: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the catalogs; raises an ERROR for an unknown collation.
    collation == pg_sys::InvalidOid || unsafe { pg_sys::get_collation_isdeterministic(collation) }
}
