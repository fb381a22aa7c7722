//! A filter in words, for chat replies and explanations: `city = Mumbai`, `38 <= age < 50`.

use serde_json::Value;

use super::error::display_name;
use super::parse::{Condition, Expression, Operator, parse};
use super::sql::quote_identifier;

/// The longest piece of a value shown, in characters.
const MAX_VALUE_CHARS: usize = 60;
/// The most values of a list shown.
const MAX_LISTED: usize = 5;

/// One text per condition that must hold, in the filter's order; two bounds on one column become one text.
///
/// Needs no columns; a filter that does not even parse gives no text, since [`super::compile`] reports the error.
/// Texts are of one line: control characters are folded, long values and lists cut.
pub fn describe(filter: &Value) -> Vec<String> {
    let Ok(expression) = parse(filter) else {
        return Vec::new();
    };
    let mut conjuncts = Vec::new();
    flatten(&expression, &mut conjuncts);
    let mut texts: Vec<String> = Vec::new();
    let mut merged = vec![false; conjuncts.len()];
    for (position, conjunct) in conjuncts.iter().enumerate() {
        if merged[position] {
            continue;
        }
        let partner = (position + 1..conjuncts.len())
            .find(|&other| !merged[other] && between(conjunct, conjuncts[other]).is_some());
        let range = partner.and_then(|other| between(conjunct, conjuncts[other]));
        if let Some(other) = partner {
            merged[other] = true;
        }
        texts.push(range.unwrap_or_else(|| in_words(conjunct)));
    }
    texts
}

fn flatten<'e, 'v>(expression: &'e Expression<'v>, conjuncts: &mut Vec<&'e Expression<'v>>) {
    match expression {
        Expression::All(parts) => parts.iter().for_each(|part| flatten(part, conjuncts)),
        _ => conjuncts.push(expression),
    }
}

/// A lower and an upper bound of one column as one text.
fn between(a: &Expression<'_>, b: &Expression<'_>) -> Option<String> {
    let (Expression::Test(a), Expression::Test(b)) = (a, b) else {
        return None;
    };
    if a.column != b.column {
        return None;
    }
    let (lower, upper) = match (is_lower(a.operator), is_upper(a.operator)) {
        (true, _) if is_upper(b.operator) => (a, b),
        (_, true) if is_lower(b.operator) => (b, a),
        _ => return None,
    };
    let from = if lower.operator == Operator::Gte {
        "<="
    } else {
        "<"
    };
    let to = if upper.operator == Operator::Lte {
        "<="
    } else {
        "<"
    };
    Some(format!(
        "{} {from} {} {to} {}",
        value(lower.value),
        name(a),
        value(upper.value)
    ))
}

fn is_lower(operator: Operator) -> bool {
    matches!(operator, Operator::Gt | Operator::Gte)
}

fn is_upper(operator: Operator) -> bool {
    matches!(operator, Operator::Lt | Operator::Lte)
}

fn in_words(expression: &Expression<'_>) -> String {
    match expression {
        Expression::All(parts) => joined(parts, " and ", "anything"),
        Expression::Any(parts) => joined(parts, " or ", "nothing"),
        Expression::Not(inner) => match inner.as_ref() {
            Expression::Test(condition) => format!("not ({})", test(condition)),
            inner => format!("not ({})", in_words(inner)),
        },
        Expression::Test(condition) => test(condition),
    }
}

fn joined(parts: &[Expression<'_>], separator: &str, when_empty: &str) -> String {
    if parts.is_empty() {
        return when_empty.to_owned();
    }
    let texts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Expression::All(inner) | Expression::Any(inner) if inner.len() > 1 => {
                format!("({})", in_words(part))
            }
            _ => in_words(part),
        })
        .collect();
    texts.join(separator)
}

/// The column without its quotes; a path as it is, for quotes around elements do not enclose all of it.
fn name(condition: &Condition<'_>) -> String {
    let is_column = !condition.key.starts_with('"') || quote_identifier(&condition.column) == condition.key;
    display_name(if is_column {
        &condition.column
    } else {
        condition.key
    })
}

fn test(condition: &Condition<'_>) -> String {
    let column = name(condition);
    let shown = value(condition.value);
    match condition.operator {
        Operator::Eq => format!("{column} = {shown}"),
        Operator::Ne => format!("{column} is not {shown}"),
        Operator::In => format!("{column} is one of {shown}"),
        Operator::NotIn => format!("{column} is none of {shown}"),
        Operator::Gt => format!("{column} > {shown}"),
        Operator::Gte => format!("{column} >= {shown}"),
        Operator::Lt => format!("{column} < {shown}"),
        Operator::Lte => format!("{column} <= {shown}"),
        Operator::Contains => format!("{column} contains {shown}"),
        Operator::Overlaps => format!("{column} has any of {shown}"),
        Operator::Like | Operator::Ilike => format!("{column} is like {shown}"),
        Operator::IsNull if condition.value == &Value::Bool(false) => format!("{column} is given"),
        Operator::IsNull => format!("{column} is not given"),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => shortened(text),
        Value::Array(values) if values.is_empty() => "nothing".to_owned(),
        Value::Array(values) => {
            let mut texts: Vec<String> = values.iter().take(MAX_LISTED).map(self::value).collect();
            if values.len() > MAX_LISTED {
                texts.push(format!("{} more", values.len() - MAX_LISTED));
            }
            match texts.pop() {
                Some(last) if texts.is_empty() => last,
                Some(last) => format!("{} and {last}", texts.join(", ")),
                None => String::new(),
            }
        }
        Value::Object(_) => shortened(&value.to_string()),
        other => other.to_string(),
    }
}

fn shortened(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_VALUE_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MAX_VALUE_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}
