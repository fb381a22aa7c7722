//! Names, values and lists in words, on one line and of bounded length.

use serde_json::{Map, Value};

use super::number;

/// The longest name or text of a row that is shown, in characters.
const MAX_SHOWN_CHARS: usize = 60;
/// The most values of a list shown.
const MAX_LISTED: usize = 5;
/// The longest text of a reason, in characters.
const MAX_TEXT_CHARS: usize = 1_000;
/// The longest text in a parameter, in characters, and the longest list.
const MAX_PARAM_CHARS: usize = 200;
const MAX_PARAM_LISTED: usize = 50;

/// A column's name for people: `day_rate` is the day rate, and so is `day.rate`.
pub fn readable(column: &str) -> String {
    let spaced: String = column
        .chars()
        .map(|c| if matches!(c, '_' | '.') { ' ' } else { c })
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    if words.is_empty() {
        return shortened(column);
    }
    shortened(&words.join(" "))
}

/// A column's number in words: "12 years experience", where the name begins with what is counted, else "age 45". A path begins with
/// what holds the number: "details height 180".
pub fn with_number(column: &str, number: &str) -> String {
    let name = readable(column);
    if counts(&name) && !column.contains('.') {
        format!("{number} {name}")
    } else {
        format!("{name} {number}")
    }
}

/// Whether a name begins with a plural: years, credits, days.
fn counts(name: &str) -> bool {
    let first = name.split(' ').next().unwrap_or_default().to_ascii_lowercase();
    let is_singular = ["ss", "us", "is", "as", "ics"]
        .iter()
        .any(|end| first.ends_with(end));
    first.len() > 3 && first.ends_with('s') && !is_singular
}

/// A value in words.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(_) => {
            let [text] = number::alike([value]);
            text
        }
        Value::String(text) => shortened(text),
        Value::Array(values) => list(values, "and"),
        Value::Object(_) => shortened(&value.to_string()),
    }
}

/// Several values: "Hindi, Marathi and English".
pub fn list(values: &[Value], conjunction: &str) -> String {
    let mut texts: Vec<String> = values
        .iter()
        .take(MAX_LISTED)
        .map(|value| match value {
            Value::Array(_) => shortened(&value.to_string()),
            value => shown(value),
        })
        .collect();
    if values.len() > MAX_LISTED {
        texts.push(format!("{} more", values.len() - MAX_LISTED));
    }
    match texts.pop() {
        None => "nothing".to_owned(),
        Some(last) if texts.is_empty() => last,
        Some(last) => format!("{} {conjunction} {last}", texts.join(", ")),
    }
}

/// A text cut to what is shown, control characters folded.
pub fn shortened(text: &str) -> String {
    cut(text, MAX_SHOWN_CHARS)
}

/// A reason's text within its bounds.
pub fn one_line(text: &str) -> String {
    cut(text, MAX_TEXT_CHARS)
}

fn cut(text: &str, limit: usize) -> String {
    let mut cut: String = text
        .chars()
        .take(limit)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(limit).is_some() {
        cut.push_str("...");
    }
    cut
}

/// A value as a parameter: whole unless it is long.
pub fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().nth(MAX_PARAM_CHARS).is_some() => {
            Value::String(cut(&text, MAX_PARAM_CHARS))
        }
        Value::Array(values) => Value::Array(
            values
                .into_iter()
                .take(MAX_PARAM_LISTED)
                .map(|value| match value {
                    Value::Array(_) | Value::Object(_) => document(value),
                    value => bounded(value),
                })
                .collect(),
        ),
        Value::Object(_) => document(value),
        value => value,
    }
}

/// A document that is not long stays one; else it becomes its beginning as text.
fn document(value: Value) -> Value {
    let text = value.to_string();
    if text.chars().nth(MAX_PARAM_CHARS).is_some() {
        Value::String(cut(&text, MAX_PARAM_CHARS))
    } else {
        value
    }
}

/// Parameters with the given names and values.
pub fn params<const N: usize>(entries: [(&str, &Value); N]) -> Value {
    let entries = entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), bounded(value.clone())));
    Value::Object(entries.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_columns_are_words() {
        for (column, name) in [
            ("day_rate", "day rate"),
            ("profile.height", "profile height"),
            ("__a__b", "a b"),
            ("___", "___"),
            ("Age %", "Age %"),
            ("", ""),
        ] {
            assert_eq!(readable(column), name);
        }
        for (column, text) in [
            ("years_experience", "12 years experience"),
            ("credits", "12 credits"),
            ("age", "age 12"),
            ("fitness_level", "fitness level 12"),
            ("status", "status 12"),
            ("day_rate", "day rate 12"),
            ("as", "as 12"),
            ("details.height", "details height 12"),
        ] {
            assert_eq!(with_number(column, "12"), text);
        }
    }

    #[test]
    fn lists_have_an_end() {
        assert_eq!(list(&[], "and"), "nothing");
        assert_eq!(list(&[json!("Hindi")], "and"), "Hindi");
        assert_eq!(
            list(&[json!("Hindi"), json!("Marathi")], "or"),
            "Hindi or Marathi"
        );
        assert_eq!(
            list(
                &[
                    json!(1),
                    json!(true),
                    json!(null),
                    json!([1]),
                    json!({"a": 1}),
                    json!(2),
                    json!(3)
                ],
                "and"
            ),
            "1, yes, nothing, [1], {\"a\":1} and 2 more"
        );
    }

    #[test]
    fn long_values_are_cut() {
        let long = "x".repeat(10_000);
        assert_eq!(shortened(&long).chars().count(), 63);
        assert_eq!(shortened("a\nb\u{0}c"), "a b c");
        assert_eq!(
            bounded(json!(long)).as_str().map(|text| text.chars().count()),
            Some(203)
        );
        assert_eq!(bounded(json!(vec![1; 100])).as_array().map(Vec::len), Some(50));
        assert_eq!(bounded(json!({"a": 1})), json!({"a": 1}));
        assert!(bounded(json!({"a": long})).is_string());
        assert!(bounded(json!([[long]]))[0].is_string());
    }
}
