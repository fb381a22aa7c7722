//! The conditions of the filter, which every row of a result meets, with what the row has.

use serde_json::{Value, json};

use super::words::{list, params, readable, shown, with_number};
use super::{Code, Reason, number};
use crate::filter::{Conjunct, Operator, Test, describe};

/// Most conditions that are named.
const MAX_CONDITIONS: usize = 20;

/// Each condition that held, with the row's value of its column; two bounds on one column are one reason.
pub fn conditions<'v>(conjuncts: &[Conjunct], value_of: impl Fn(&str) -> &'v Value) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut merged = vec![false; conjuncts.len()];
    for (place, conjunct) in conjuncts.iter().enumerate() {
        if merged.get(place) == Some(&true) || reasons.len() == MAX_CONDITIONS {
            continue;
        }
        let partner = conjuncts
            .iter()
            .enumerate()
            .skip(place + 1)
            .find_map(|(other, partner)| Some((other, bounds(conjunct, partner)?)));
        let reason = match (partner, &conjunct.test) {
            (Some((other, (lower, upper))), _) => {
                if let Some(merged) = merged.get_mut(other) {
                    *merged = true;
                }
                between(lower, upper, value_of(&lower.column))
            }
            (None, Some(test)) => tested(test, value_of(&test.column)),
            (None, None) => None,
        };
        reasons.push(reason.unwrap_or_else(|| held(conjunct)));
    }
    reasons
}

/// The lower and the upper bound of one column.
fn bounds<'a>(a: &'a Conjunct, b: &'a Conjunct) -> Option<(&'a Test, &'a Test)> {
    let is_lower = |test: &Test| matches!(test.operator, Operator::Gt | Operator::Gte);
    let is_upper = |test: &Test| matches!(test.operator, Operator::Lt | Operator::Lte);
    let (a, b) = (a.test.as_ref()?, b.test.as_ref()?);
    match (
        a.column == b.column,
        is_lower(a) && is_upper(b),
        is_upper(a) && is_lower(b),
    ) {
        (true, true, _) => Some((a, b)),
        (true, _, true) => Some((b, a)),
        _ => None,
    }
}

/// A condition for which there are no better words: a combination, or one whose value cannot be shown.
fn held(conjunct: &Conjunct) -> Reason {
    let condition = describe(&conjunct.filter).join(" and ");
    let column = conjunct.test.as_ref().map(|test| test.column.as_str());
    Reason::new(
        Code::FilterHeld,
        column,
        json!({"condition": condition}),
        condition,
    )
}

fn between(lower: &Test, upper: &Test, value: &Value) -> Option<Reason> {
    let column = lower.column.as_str();
    let values = params([("value", value), ("from", &lower.value), ("to", &upper.value)]);
    let text = match value {
        Value::Number(_) => {
            let [has, from, to] = number::alike([value, &lower.value, &upper.value]);
            format!("{}, from {from} to {to} asked", with_number(column, &has))
        }
        Value::String(_) => {
            let (from, to) = (shown(&lower.value), shown(&upper.value));
            format!(
                "{}: {}, from {from} to {to} asked",
                readable(column),
                shown(value)
            )
        }
        _ => return None,
    };
    Some(Reason::new(Code::FilterBetween, Some(column), values, text))
}

fn tested(test: &Test, value: &Value) -> Option<Reason> {
    let asked = &test.value;
    let name = readable(&test.column);
    let is_null = value.is_null();
    let (code, text) = match test.operator {
        Operator::IsNull if asked == &Value::Bool(true) => {
            (Code::FilterNotGiven, format!("{name} not given"))
        }
        // Whatever holds of a value that is not there was decided by something that cannot be shown.
        _ if is_null => return None,
        Operator::IsNull => (Code::FilterGiven, format!("{name}: {}", shown(value))),
        Operator::Eq => (Code::FilterEq, format!("{name}: {}", shown(value))),
        Operator::Ne => (
            Code::FilterNe,
            format!("{name}: {}, not {}", shown(value), shown(asked)),
        ),
        Operator::In => (Code::FilterIn, format!("{name}: {}", shown(value))),
        Operator::NotIn => {
            let values = asked.as_array().map(Vec::as_slice).unwrap_or_default();
            (
                Code::FilterNotIn,
                format!("{name}: {}, not {}", shown(value), list(values, "or")),
            )
        }
        Operator::Gt => (Code::FilterGt, compared(test, value, "more than", "after")),
        Operator::Gte => (Code::FilterGte, compared(test, value, "at least", "from")),
        Operator::Lt => (Code::FilterLt, compared(test, value, "less than", "before")),
        Operator::Lte => (Code::FilterLte, compared(test, value, "at most", "up to")),
        Operator::Contains => return Some(contains(test, value, &name)),
        Operator::Overlaps => return overlaps(test, value, &name),
        Operator::Like => (
            Code::FilterLike,
            format!("{name}: {}, like {}", shown(value), shown(asked)),
        ),
        Operator::Ilike => (
            Code::FilterIlike,
            format!("{name}: {}, like {}", shown(value), shown(asked)),
        ),
    };
    let params = match code {
        Code::FilterNotGiven => json!({}),
        Code::FilterGiven => params([("value", value)]),
        _ => params([("value", value), ("asked", asked)]),
    };
    Some(Reason::new(code, Some(&test.column), params, text))
}

/// A number is at least, a date is from.
fn compared(test: &Test, value: &Value, of_numbers: &str, of_others: &str) -> String {
    match value {
        Value::Number(_) => {
            let [has, asked] = number::alike([value, &test.value]);
            format!("{}, {of_numbers} {asked} asked", with_number(&test.column, &has))
        }
        _ => {
            let (name, asked) = (readable(&test.column), shown(&test.value));
            format!("{name}: {}, {of_others} {asked} asked", shown(value))
        }
    }
}

fn contains(test: &Test, value: &Value, name: &str) -> Reason {
    let asked = &test.value;
    let text = match value {
        Value::Array(_) => format!("{name}: {}", shown(asked)),
        _ => format!("{name} with {}", shown(asked)),
    };
    Reason::new(
        Code::FilterContains,
        Some(&test.column),
        params([("asked", asked)]),
        text,
    )
}

fn overlaps(test: &Test, value: &Value, name: &str) -> Option<Reason> {
    let asked = match &test.value {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let has = value.as_array()?;
    let common: Vec<Value> = asked
        .iter()
        .filter(|value| has.contains(value))
        .cloned()
        .collect();
    if common.is_empty() {
        return None;
    }
    let text = format!("{name}: {}", list(&common, "and"));
    let common = Value::Array(common);
    Some(Reason::new(
        Code::FilterOverlaps,
        Some(&test.column),
        params([("values", &common)]),
        text,
    ))
}
