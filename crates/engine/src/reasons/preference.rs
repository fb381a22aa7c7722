//! What a row has of a preference.

use serde_json::{Value, json};

use super::words::{list, params, readable, shown, with_number};
use super::{Code, Reason, number};
use crate::prefer::{Preference, Rule, score};

/// What a row's value is to a preference. `observed` is the smallest and largest value among the candidates, as for [`score`].
pub fn preference(preference: &Preference, value: &Value, observed: Option<(f64, f64)>) -> Reason {
    let name = preference.name();
    let column = name.as_str();
    if value.is_null() {
        let text = format!("{} not given", readable(column));
        return Reason::new(Code::NotGiven, Some(column), json!({}), text);
    }
    match &preference.rule {
        Rule::Equals(asked) => equals(column, value, asked, observed, &preference.rule),
        Rule::AnyOf(asked) => any_of(column, value, asked),
        rule => match value.as_f64() {
            Some(amount) => numeric(column, value, amount, rule, observed),
            None => Reason::new(
                Code::NotANumber,
                Some(column),
                params([("value", value)]),
                format!("{}: {}, not a number", readable(column), shown(value)),
            ),
        },
    }
}

fn numeric(column: &str, value: &Value, amount: f64, rule: &Rule, observed: Option<(f64, f64)>) -> Reason {
    let (smallest, largest) = observed.unwrap_or((amount, amount));
    match *rule {
        Rule::AtLeast(asked) if amount >= asked => bound(Code::AtLeastMet, column, value, asked, "at least"),
        Rule::AtLeast(asked) => bound(Code::AtLeastMissed, column, value, asked, "at least"),
        Rule::AtMost(asked) if amount <= asked => bound(Code::AtMostMet, column, value, asked, "at most"),
        Rule::AtMost(asked) => bound(Code::AtMostMissed, column, value, asked, "at most"),
        Rule::Higher if amount >= largest => extreme(Code::Highest, column, value, "the highest"),
        Rule::Higher => among(
            Code::HigherPreferred,
            column,
            value,
            (smallest, largest),
            "higher",
        ),
        Rule::Lower if amount <= smallest => extreme(Code::Lowest, column, value, "the lowest"),
        Rule::Lower => among(Code::LowerPreferred, column, value, (smallest, largest), "lower"),
        Rule::Near { value: asked, .. } => near(column, value, amount, asked),
        Rule::Equals(_) | Rule::AnyOf(_) => extreme(Code::EqualsMet, column, value, "as asked"),
    }
}

fn bound(code: Code, column: &str, value: &Value, asked: f64, relation: &str) -> Reason {
    let asked = number::param(asked);
    let [has, wanted] = number::alike([value, &asked]);
    Reason::new(
        code,
        Some(column),
        params([("value", value), ("asked", &asked)]),
        format!("{}, {relation} {wanted} asked", with_number(column, &has)),
    )
}

fn extreme(code: Code, column: &str, value: &Value, which: &str) -> Reason {
    let text = format!("{}, {which}", with_number(column, &shown(value)));
    Reason::new(code, Some(column), params([("value", value)]), text)
}

fn among(code: Code, column: &str, value: &Value, range: (f64, f64), preferred: &str) -> Reason {
    let (smallest, largest) = (number::param(range.0), number::param(range.1));
    let [has, from, to] = number::alike([value, &smallest, &largest]);
    Reason::new(
        code,
        Some(column),
        params([("value", value), ("smallest", &smallest), ("largest", &largest)]),
        format!(
            "{}, {preferred} preferred, others from {from} to {to}",
            with_number(column, &has)
        ),
    )
}

fn near(column: &str, value: &Value, amount: f64, asked: f64) -> Reason {
    let distance = number::param((amount - asked).abs());
    let asked_value = number::param(asked);
    let [has, wanted, apart] = number::alike([value, &asked_value, &distance]);
    let has = with_number(column, &has);
    if amount == asked {
        let text = format!("{has}, exactly as asked");
        return Reason::new(Code::NearExactly, Some(column), params([("value", value)]), text);
    }
    Reason::new(
        Code::Near,
        Some(column),
        params([("value", value), ("asked", &asked_value), ("distance", &distance)]),
        format!("{has}, {apart} from {wanted}"),
    )
}

fn equals(column: &str, value: &Value, asked: &Value, observed: Option<(f64, f64)>, rule: &Rule) -> Reason {
    let name = readable(column);
    if score(rule, value, observed) > 0.0 {
        let text = format!("{name}: {}", shown(value));
        return Reason::new(Code::EqualsMet, Some(column), params([("value", value)]), text);
    }
    Reason::new(
        Code::EqualsMissed,
        Some(column),
        params([("value", value), ("asked", asked)]),
        format!("{name}: {}, {} asked", shown(value), shown(asked)),
    )
}

fn any_of(column: &str, value: &Value, asked: &[Value]) -> Reason {
    let has = |wanted: &&Value| score(&Rule::AnyOf(vec![(*wanted).clone()]), value, None) > 0.0;
    let met: Vec<Value> = asked.iter().filter(has).cloned().collect();
    let name = readable(column);
    if met.is_empty() {
        let asked_values = Value::Array(asked.to_vec());
        return Reason::new(
            Code::AnyOfMissed,
            Some(column),
            params([("value", value), ("asked", &asked_values)]),
            format!("{name}: {}, {} asked", shown(value), list(asked, "or")),
        );
    }
    let text = format!("{name}: {}", list(&met, "and"));
    let met = Value::Array(met);
    Reason::new(Code::AnyOfMet, Some(column), params([("values", &met)]), text)
}
