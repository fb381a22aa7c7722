//! Values of rows and of queries as the engine's keys.

use super::KeyType;
use crate::pg::array::ArrayArg;
use crate::pg::scalar::{self, Scalar};
use crate::pg::varlena;
use castmatch_engine::index::key::{Signature, hash_bytes, ordered_f64, ordered_i64, ordered_u64};
use pgrx::pg_sys;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Later than any finite timestamp, earlier than infinity.
const AFTER_ALL: i64 = i64::MAX - 1;
/// Earlier than any finite timestamp, later than minus infinity.
const BEFORE_ALL: i64 = i64::MIN + 1;

/// The key of a column's value that is not NULL; `None` if it is not of the type.
pub fn key_of(key_type: KeyType, datum: pg_sys::Datum) -> Option<u64> {
    if is_array(key_type) {
        let mut signature = Signature::new();
        // SAFETY: the server gives a value of the column's type, which the operator class fixes.
        #[allow(unsafe_code)]
        let array = unsafe { ArrayArg::from_datum(datum) }?;
        // NULL elements have no part in && and @>.
        for element in array.datums().into_iter().flatten() {
            signature.add(hash_of(&read(key_type, element)?)?);
        }
        return Some(signature.get());
    }
    let limit = Limit::of(key_type, &read(key_type, datum)?)?;
    limit.exact.then_some(limit.key)
}

fn read<'a>(key_type: KeyType, datum: pg_sys::Datum) -> Option<Scalar<'a>> {
    // SAFETY: the server gives a value of the column's type (or an element of it), which the operator class fixes.
    #[allow(unsafe_code)]
    unsafe {
        scalar::read(key_type.scalar_type(), datum)
    }
}

/// Whether the column has arrays.
pub fn is_array(key_type: KeyType) -> bool {
    matches!(
        key_type,
        KeyType::Int2Array | KeyType::Int4Array | KeyType::Int8Array | KeyType::TextArray
    )
}

/// Whether a value of a column is in the TOAST table.
pub fn is_stored_outside(key_type: KeyType, datum: pg_sys::Datum) -> bool {
    let varlena =
        is_array(key_type) || matches!(key_type, KeyType::Numeric | KeyType::Text | KeyType::Bpchar);
    // SAFETY: these types are varlenas, and the server gives a value of the column's type.
    #[allow(unsafe_code)]
    let outside = varlena && unsafe { varlena::is_stored_outside(datum) };
    outside
}

/// The hash of an array's element.
pub fn hash_of(element: &Scalar<'_>) -> Option<u64> {
    match element {
        Scalar::Integer(number) => Some(hash_bytes(&number.to_le_bytes())),
        Scalar::Bytes(bytes) => Some(hash_bytes(bytes)),
        _ => None,
    }
}

/// Where a query's value stands among the keys of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The largest key that is not greater than the value.
    pub key: u64,
    /// Whether that key is the value's own; otherwise the value lies between this key and the next.
    pub exact: bool,
}

impl Limit {
    /// That of a value; `None` for one of a type that the column is not compared with.
    pub fn of(key_type: KeyType, value: &Scalar<'_>) -> Option<Self> {
        let at = |key| Some(Self { key, exact: true });
        match (key_type, value) {
            (KeyType::Bool, &Scalar::Bool(value)) => at(ordered_u64(u64::from(value))),
            (KeyType::Int2 | KeyType::Int4 | KeyType::Int8, &Scalar::Integer(value)) => {
                at(ordered_i64(value))
            }
            (KeyType::Float4 | KeyType::Float8, &Scalar::Float(value)) => at(ordered_f64(value)),
            (KeyType::Numeric, &Scalar::Numeric(value)) => at(ordered_f64(value)),
            (KeyType::Date, &Scalar::Date(day)) => at(ordered_i64(i64::from(day))),
            (KeyType::Date, &Scalar::Timestamp(time)) => Some(Self::among_days(time)),
            (KeyType::Timestamp, &Scalar::Timestamp(time))
            | (KeyType::Timestamptz, &Scalar::Timestamptz(time)) => at(ordered_i64(time)),
            (KeyType::Timestamp, &Scalar::Date(day)) => at(ordered_i64(start_of(day))),
            (KeyType::Timestamptz, &Scalar::Timestamp(time)) => at(moment(scalar::timestamp_to_moment(time))),
            (KeyType::Timestamptz, &Scalar::Date(day)) => at(moment(scalar::date_to_moment(day))),
            (KeyType::Oid | KeyType::Enum, &Scalar::Oid(value)) => at(ordered_u64(u64::from(value))),
            (KeyType::Uuid, Scalar::Uuid(value)) => {
                let (first, _) = value.split_first_chunk::<8>()?;
                at(ordered_u64(u64::from_be_bytes(*first)))
            }
            (KeyType::Text, Scalar::Bytes(bytes)) => at(hash_bytes(bytes)),
            // Trailing blanks are no part of a character value.
            (KeyType::Bpchar, Scalar::Bytes(bytes)) => at(hash_bytes(without_blanks(bytes))),
            _ => None,
        }
    }

    /// A timestamp between days. A day is compared as its first moment.
    fn among_days(time: i64) -> Self {
        let (day, exact) = match time {
            i64::MIN => (i64::from(i32::MIN), true),
            i64::MAX => (i64::from(i32::MAX), true),
            time => (time.div_euclid(DAY), time.rem_euclid(DAY) == 0),
        };
        Self {
            key: ordered_i64(day),
            exact,
        }
    }
}

/// The first moment of a day. Days can be later than all timestamps.
fn start_of(day: i32) -> i64 {
    match day {
        i32::MIN => i64::MIN,
        i32::MAX => i64::MAX,
        day => i64::from(day).checked_mul(DAY).unwrap_or(AFTER_ALL),
    }
}

/// The key of a converted moment, or one that no finite value has.
fn moment(converted: Result<i64, bool>) -> u64 {
    ordered_i64(match converted {
        Ok(moment) => moment,
        Err(true) => AFTER_ALL,
        Err(false) => BEFORE_ALL,
    })
}

fn without_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().rev().take_while(|&&byte| byte == b' ').count();
    bytes.get(..bytes.len() - blanks).unwrap_or_default()
}
