//! Conditions of a scan as tests of keys.

use super::value::{Limit, hash_of, is_array};
use super::{FIRST, KeyType, Keys};
use crate::error::{Result, internal};
use crate::pg::scalar::Scalar;
use crate::pg::scankey::{Operand, ScanCondition};
use castmatch_engine::index::key::{Condition, Filter, KeyKind, Signature, Test};

/// Strategy numbers of sql/index.sql; the first five are those of a btree.
pub(super) mod strategy {
    pub const LESS: u16 = 1;
    pub const LESS_EQUAL: u16 = 2;
    pub const EQUAL: u16 = 3;
    pub const GREATER_EQUAL: u16 = 4;
    pub const GREATER: u16 = 5;
    pub const OVERLAPS: u16 = 6;
    pub const CONTAINS: u16 = 7;
}

/// What a scan asks of a row's keys.
pub struct Conditions {
    /// The test; `None` if every row passes.
    pub filter: Option<Filter>,
    /// Whether a row that passes may still not satisfy the statement, so that the executor must look at the row itself.
    pub recheck: bool,
}

/// A test, and whether it is true for exactly the rows for which the condition is.
struct Exactly(Test, bool);

/// Reads the conditions of a scan.
///
/// # Errors
/// XX000 for one that no operator class has.
pub fn read_conditions(keys: &Keys, conditions: &[ScanCondition<'_>]) -> Result<Conditions> {
    let mut tests = Vec::with_capacity(conditions.len());
    let mut recheck = false;
    for condition in conditions {
        let operand = condition.operand.as_ref().ok_or_else(|| unknown(condition))?;
        let Some(column) = condition.column.checked_sub(FIRST) else {
            // The index has no row whose vector is NULL.
            match operand {
                Operand::IsNotNull => continue,
                Operand::IsNull => {
                    tests.push(Condition {
                        column: 0,
                        test: Test::Never,
                    });
                    continue;
                }
                _ => return Err(unknown(condition)),
            }
        };
        let key_type = *keys.types().get(column).ok_or_else(|| unknown(condition))?;
        let Exactly(test, exact) =
            test(key_type, condition.strategy, operand).ok_or_else(|| unknown(condition))?;
        recheck |= !exact;
        tests.push(Condition {
            column: u8::try_from(column).unwrap_or(u8::MAX),
            test,
        });
    }
    Ok(Conditions {
        filter: (!tests.is_empty()).then(|| Filter::new(tests)),
        recheck,
    })
}

fn unknown(condition: &ScanCondition<'_>) -> pgrx::pg_sys::panic::ErrorReport {
    internal(format!(
        "unknown condition on column {} of an index: strategy {}",
        condition.column + 1,
        condition.strategy
    ))
}

fn test(key_type: KeyType, strategy: u16, operand: &Operand<'_>) -> Option<Exactly> {
    match operand {
        Operand::IsNull => Some(Exactly(Test::IsNull, true)),
        Operand::IsNotNull => Some(Exactly(Test::IsNotNull, true)),
        Operand::Null => Some(Exactly(Test::Never, true)),
        Operand::Value(value) => range(key_type, strategy, value),
        Operand::AnyOf(values) => any_of(key_type, strategy, values),
        Operand::Array(elements) if is_array(key_type) => match strategy {
            strategy::OVERLAPS => overlaps(elements),
            strategy::CONTAINS => contains(elements),
            _ => None,
        },
        Operand::Array(_) => None,
    }
}

fn range(key_type: KeyType, strategy: u16, value: &Scalar<'_>) -> Option<Exactly> {
    let Limit { key, exact } = Limit::of(key_type, value)?;
    let one_to_one = key_type.is_one_to_one();
    if key_type.kind() == KeyKind::Hashed && strategy != strategy::EQUAL {
        return None;
    }
    // The keys that are less than the value, and those that are greater: its own is one of neither, unless it stands for others too.
    let below = if exact && one_to_one {
        key.checked_sub(1)
    } else {
        Some(key)
    };
    let above = if exact && !one_to_one {
        Some(key)
    } else {
        key.checked_add(1)
    };
    let from = |low: Option<u64>| low.map_or(Test::Never, |low| Test::Range { low, high: u64::MAX });
    let to = |high: Option<u64>| high.map_or(Test::Never, |high| Test::Range { low: 0, high });
    let test = match strategy {
        strategy::LESS => to(below),
        strategy::LESS_EQUAL => to(Some(key)),
        strategy::EQUAL if exact => Test::Range { low: key, high: key },
        strategy::EQUAL => Test::Never,
        strategy::GREATER_EQUAL if exact => from(Some(key)),
        strategy::GREATER_EQUAL | strategy::GREATER => from(above),
        _ => return None,
    };
    Some(Exactly(test, one_to_one))
}

/// `column operator ANY (values)`: the widest of the ranges, or for = all the keys.
fn any_of(key_type: KeyType, strategy: u16, values: &[Scalar<'_>]) -> Option<Exactly> {
    let one_to_one = key_type.is_one_to_one();
    let mut keys = Vec::with_capacity(values.len());
    let mut widest: Option<(u64, u64)> = None;
    for value in values {
        let Exactly(test, _) = range(key_type, strategy, value)?;
        if let Test::Range { low, high } = test {
            keys.push(low);
            // All have one end in common, except for =, which does not use this.
            widest = Some(widest.map_or((low, high), |(l, h)| (l.min(low), h.max(high))));
        }
    }
    let test = match widest {
        None => Test::Never,
        Some(_) if strategy == strategy::EQUAL => Test::Any(keys),
        Some((low, high)) => Test::Range { low, high },
    };
    Some(Exactly(test, one_to_one))
}

/// `column && elements`: a NULL element is in no array.
fn overlaps(elements: &[Option<Scalar<'_>>]) -> Option<Exactly> {
    let masks = elements.iter().flatten().map(mask).collect::<Option<Vec<_>>>()?;
    if masks.is_empty() {
        return Some(Exactly(Test::Never, true));
    }
    Some(Exactly(Test::Overlaps(masks), false))
}

/// `column @> elements`: every array has all of none; no array has a NULL.
fn contains(elements: &[Option<Scalar<'_>>]) -> Option<Exactly> {
    if elements.is_empty() {
        return Some(Exactly(Test::IsNotNull, true));
    }
    let mut signature = Signature::new();
    for element in elements {
        let Some(element) = element else {
            return Some(Exactly(Test::Never, true));
        };
        signature.add(hash_of(element)?);
    }
    Some(Exactly(Test::Contains(signature.get()), false))
}

fn mask(element: &Scalar<'_>) -> Option<u64> {
    hash_of(element).map(Signature::mask)
}
