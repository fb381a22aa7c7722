//! Values of settings, the same wherever they come from.

use std::time::Duration;

/// A duration with a unit, as in `500ms`, `2s`, `1m`. Zero would turn a limit into a failure or a loop
/// without a pause, and an hour is past any use.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    within(
        text,
        Duration::from_millis(10),
        Duration::from_secs(3600),
        "10ms and 1h",
    )
}

/// As [`duration`], for what happens now and then.
pub(super) fn long_duration(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 24 * 3600;
    within(
        text,
        Duration::from_secs(1),
        Duration::from_secs(30 * DAY),
        "1s and 30days",
    )
}

fn within(text: &str, least: Duration, most: Duration, words: &str) -> Result<Duration, String> {
    let value = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if value < least || value > most {
        return Err(format!("must be between {words}"));
    }
    Ok(value)
}

/// A positive number.
pub(super) fn count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number, 1 or more".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// A number of at most `most`.
pub(super) fn count_up_to(most: u32) -> impl Fn(u32) -> Result<u32, String> {
    move |number| {
        if number <= most {
            Ok(number)
        } else {
            Err(format!("must be at most {most}"))
        }
    }
}

/// A switch.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A word of a fixed list.
pub(super) fn word<T: clap::ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let words: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|variant| Some(variant.to_possible_value()?.get_name().to_owned()))
            .collect();
        format!("must be one of {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_without_unit_or_out_of_range_are_refused() {
        for text in ["0s", "2", "2h", "-1s", ""] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("1s 500ms").unwrap(), Duration::from_millis(1500));
        for text in ["10ms", "31days", "1"] {
            assert!(long_duration(text).is_err(), "{text}");
        }
        assert_eq!(long_duration("2h").unwrap(), Duration::from_secs(7200));
    }

    #[test]
    fn counts_and_switches_take_nothing_else() {
        assert_eq!(count("12"), Ok(12));
        for text in ["0", "-1", "1.5", "", "99999999999"] {
            assert!(count(text).is_err(), "{text}");
        }
        assert_eq!((switch("true"), switch("off")), (Ok(true), Ok(false)));
        assert!(switch("yes").is_err());
        assert!(count_up_to(3)(4).unwrap_err().contains('3'));
    }
}
