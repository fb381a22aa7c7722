//! How well a row's value meets a preference. Row values are as `to_jsonb` gives them.

use serde_json::Value;

use super::{Preference, Rule};

/// The score of one row's value under a rule, in [0, 1]; the formulas are at [`Rule`].
///
/// `observed` is the smallest and largest value of the column among the candidates ([`observed_range`]); only
/// `higher` and `lower` use it, and score 0 without it. NULL, and a value of another kind than the rule expects
/// (numeric NaN is a string in jsonb), scores 0.
pub fn score(rule: &Rule, value: &Value, observed: Option<(f64, f64)>) -> f64 {
    let result = match rule {
        Rule::Equals(wanted) => f64::from(u8::from(equal(value, wanted))),
        Rule::AnyOf(wanted) => f64::from(u8::from(has_any(value, wanted))),
        _ => value
            .as_f64()
            .map_or(0.0, |number| numeric_score(rule, number, observed)),
    };
    if result.is_nan() {
        0.0
    } else {
        result.clamp(0.0, 1.0)
    }
}

fn numeric_score(rule: &Rule, value: f64, observed: Option<(f64, f64)>) -> f64 {
    match *rule {
        Rule::AtLeast(bound) if value >= bound => 1.0,
        Rule::AtLeast(bound) if bound > 0.0 => value / bound,
        Rule::AtMost(bound) if value <= bound => 1.0,
        Rule::AtMost(bound) if bound > 0.0 => bound / value,
        Rule::Near { value: ideal, scale } => 0.5_f64.powf((value - ideal).abs() / scale),
        Rule::Higher => observed.map_or(0.0, |(smallest, largest)| place(value, smallest, largest)),
        // Not 1 - place(): that would give 0 to all where all are equal.
        Rule::Lower => observed.map_or(0.0, |(smallest, largest)| place(-value, -largest, -smallest)),
        _ => 0.0,
    }
}

/// Where a value lies between two others, from 0 to 1. Halving first keeps the difference of huge values finite.
fn place(value: f64, smallest: f64, largest: f64) -> f64 {
    let span = largest / 2.0 - smallest / 2.0;
    if span > 0.0 {
        (value / 2.0 - smallest / 2.0) / span
    } else {
        1.0
    }
}

fn equal(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        // 5 and 5.0 are different JSON numbers but the same value; integers compare exactly.
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.is_f64() != b.is_f64() && a.as_f64() == b.as_f64())
        }
        (Value::Null, _) => false,
        _ => value == wanted,
    }
}

fn has_any(value: &Value, wanted: &[Value]) -> bool {
    match value {
        Value::Array(elements) => elements
            .iter()
            .any(|element| wanted.iter().any(|w| equal(element, w))),
        _ => wanted.iter().any(|w| equal(value, w)),
    }
}

/// The smallest and largest number among the candidates' values of a column; `None` if there is none.
pub fn observed_range<'a>(values: impl IntoIterator<Item = &'a Value>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter_map(Value::as_f64)
        .filter(|number| number.is_finite())
        .fold(None, |range, number| match range {
            None => Some((number, number)),
            Some((smallest, largest)) => Some((number.min(smallest), number.max(largest))),
        })
}

/// What the preferences leave of weight 1 to the text, in [0, 1].
pub fn text_weight(preferences: &[Preference]) -> f64 {
    let taken: f64 = preferences.iter().map(|preference| preference.weight).sum();
    (1.0 - taken).clamp(0.0, 1.0)
}

/// The score of a row: the weighted sum of the text's score and those of the preferences, in [0, 1].
///
/// `parts` are the scores of `preferences`, in their order; a part that is missing counts 0.
pub fn combine(text_score: f64, preferences: &[Preference], parts: &[f64]) -> f64 {
    let preferred: f64 = preferences
        .iter()
        .zip(parts)
        .map(|(preference, part)| preference.weight * part)
        .sum();
    (text_weight(preferences) * text_score + preferred).clamp(0.0, 1.0)
}
