//! Numbers as people write them.

use serde_json::Value;

/// Numbers from here on get separators, and so do those that stand beside them: "1,000 from 20,000", but "born 1985, at least 1980".
const GROUPED_FROM: f64 = 10_000.0;
/// Numbers beyond these are written with an exponent.
const HUGE: f64 = 1e15;
const TINY: f64 = 1e-6;
/// 2^53: above it a float no longer says which integer was meant.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Several numbers of one phrase, written alike. What is not a number is written as JSON.
pub fn alike<const N: usize>(numbers: [&Value; N]) -> [String; N] {
    let grouped = numbers
        .iter()
        .any(|number| number.as_f64().is_some_and(|number| number.abs() >= GROUPED_FROM));
    numbers.map(|number| written(number, grouped))
}

/// One number.
pub fn plain(number: f64) -> String {
    of_float(number, number.abs() >= GROUPED_FROM)
}

/// To two decimals, as similarities and scores are shown.
pub fn rounded(number: f64) -> f64 {
    let rounded = (number * 100.0).round() / 100.0;
    if rounded.is_finite() { rounded } else { number }
}

/// A number as a parameter: 5, not 5.0, where it is a whole one.
pub fn param(number: f64) -> Value {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "whole, and within the integers that a float tells apart"
    )]
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

fn written(number: &Value, grouped: bool) -> String {
    match number {
        // An integer keeps all its digits.
        Value::Number(integer) if !integer.is_f64() => in_groups(&integer.to_string(), grouped),
        Value::Number(number) => of_float(number.as_f64().unwrap_or(f64::NAN), grouped),
        other => other.to_string(),
    }
}

fn of_float(number: f64, grouped: bool) -> String {
    let size = number.abs();
    if !number.is_finite() {
        return number.to_string();
    }
    if size >= HUGE || (size < TINY && size > 0.0) {
        return format!("{number:.3e}");
    }
    // Three decimals, or three digits that say something.
    let decimals = match size {
        size if size >= 0.1 || size == 0.0 => 3,
        size if size >= 1e-3 => 5,
        _ => 9,
    };
    let text = format!("{number:.decimals$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    in_groups(if text == "-0" { "0" } else { text }, grouped)
}

/// Commas between the thousands of the whole part.
fn in_groups(digits: &str, grouped: bool) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (digits, String::new()),
    };
    if !grouped {
        return format!("{sign}{whole}{fraction}");
    }
    let mut parts = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            parts.push(',');
        }
        parts.push(digit);
    }
    format!("{sign}{parts}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_written_plainly() {
        for (number, text) in [
            (json!(12), "12"),
            (json!(9999), "9999"),
            (json!(10000), "10,000"),
            (json!(-1_234_567), "-1,234,567"),
            (json!(u64::MAX), "18,446,744,073,709,551,615"),
            (json!(4.5), "4.5"),
            (json!(4.0), "4"),
            (json!(-0.0), "0"),
            (json!(-0.00001), "-0.00001"),
            (json!(12.345_67), "12.346"),
            (json!(20_000.5), "20,000.5"),
            (json!(0.000_123), "0.000123"),
            (json!(1e-9), "1.000e-9"),
            (json!(1e300), "1.000e300"),
            (json!("NaN"), "\"NaN\""),
        ] {
            assert_eq!(alike([&number]), [text]);
        }
        assert_eq!(alike([&json!(1000), &json!(20_000.0)]), ["1,000", "20,000"]);
        assert_eq!(alike([&json!(1985), &json!(1980)]), ["1985", "1980"]);
        assert_eq!(
            (plain(0.62), plain(f64::NAN)),
            ("0.62".to_owned(), "NaN".to_owned())
        );
        assert_eq!(rounded(0.616_9), 0.62);
        assert_eq!(rounded(f64::MAX), f64::MAX);
        assert_eq!(
            (param(5.0), param(-0.5), param(f64::NAN)),
            (json!(5), json!(-0.5), Value::Null)
        );
        assert_eq!(param(1e300), json!(1e300));
    }
}
