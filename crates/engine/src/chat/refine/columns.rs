//! Which column of a table a comparison is about.

use super::Direction;
use crate::filter::{Column, TypeCategory};

/// A kind of column and the direction in which it moves with the word.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Words of which one must be in the column's name, the better fit first.
    pub tokens: Vec<String>,
    pub measure: Measure,
    pub direction: Direction,
}

/// What the column's values have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Number,
    /// A date or timestamp, or a number in a column named for a year.
    Time,
}

/// The column for the first target that has one. Within a target an earlier token wins, then the name with fewer
/// words (`rate` before `day_rate`), then the table's order.
pub(super) fn find_column<'a>(targets: &[Target], columns: &'a [Column]) -> Option<(&'a str, Direction)> {
    targets.iter().find_map(|target| {
        let column = columns
            .iter()
            .filter(|column| suits(column, target.measure))
            .filter_map(|column| {
                let name = name_words(&column.name);
                let place = target
                    .tokens
                    .iter()
                    .position(|token| name.iter().any(|word| word == token))?;
                Some((place, name.len(), column))
            })
            .min_by_key(|&(place, length, _)| (place, length))?;
        Some((column.2.name.as_str(), target.direction))
    })
}

fn suits(column: &Column, measure: Measure) -> bool {
    match (measure, column.category) {
        (Measure::Number, TypeCategory::Number) | (Measure::Time, TypeCategory::DateTime) => true,
        (Measure::Time, TypeCategory::Number) => name_words(&column.name).iter().any(|word| word == "year"),
        _ => false,
    }
}

/// The words of a column's name in lower case: `day_rate`, `dayRate` and `Day Rate` all give day and rate.
pub(super) fn name_words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut follows_lower = false;
    let mut starts_word = true;
    for character in name.chars() {
        if !character.is_alphanumeric() {
            starts_word = true;
            follows_lower = false;
            continue;
        }
        if starts_word || (character.is_uppercase() && follows_lower) {
            words.push(String::new());
        }
        starts_word = false;
        follows_lower = character.is_lowercase();
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::name_words;

    #[test]
    fn names_split_into_words() {
        for (name, words) in [
            ("age", vec!["age"]),
            ("day_rate", vec!["day", "rate"]),
            ("dayRateUSD", vec!["day", "rate", "usd"]),
            ("Day Rate", vec!["day", "rate"]),
            ("__x__", vec!["x"]),
            ("page", vec!["page"]),
            ("", vec![]),
        ] {
            assert_eq!(name_words(name), words, "{name}");
        }
    }
}
