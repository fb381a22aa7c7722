//! Numbers however they are written: in digits with or without separators, in words.

use super::scan::{Break, Kind, Word};

/// A number without its separators of thousands, in groups of three, or after the last three of two as in India
/// (`1,00,000`); `None` if commas stand elsewhere.
///
/// Zeros are left as they are: 1.10 may be a version, 007 a name.
pub(super) fn without_separators(written: &str) -> Option<String> {
    let (whole, fraction) = match written.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (written, None),
    };
    if fraction.is_some_and(|fraction| fraction.contains(',')) {
        return None;
    }
    let groups: Vec<&str> = whole.split(',').collect();
    let is_grouped = match groups.as_slice() {
        [] | [_] => true,
        [first, middle @ .., last] => {
            let (western, indian) = ((1..=3).contains(&first.len()), (1..=2).contains(&first.len()));
            last.len() == 3
                && ((western && middle.iter().all(|group| group.len() == 3))
                    || (indian && middle.iter().all(|group| group.len() == 2)))
        }
    };
    is_grouped.then(|| written.replace(',', ""))
}

/// The words with numbers written out made digits: "twenty-five" is 25, "two hundred" 200, "third" 3rd, "forties" 40s.
///
/// "Hundred" and the like without a number before stay words, as does what cannot follow in a number: "nineteen ninety".
pub(super) fn joined(words: Vec<Word>) -> Vec<Word> {
    let mut joined = Vec::with_capacity(words.len());
    let mut position = 0;
    while let Some(word) = words.get(position) {
        let rest = words.get(position..).unwrap_or_default();
        if let Some((length, number, kind)) = number_at(rest) {
            joined.push(Word {
                text: number.to_string(),
                kind,
                break_before: word.break_before,
            });
            position += length;
        } else {
            joined.push(word.clone());
            position += 1;
        }
    }
    joined
}

/// The number in words at the start: how many words, its value, its kind.
fn number_at(words: &[Word]) -> Option<(usize, u64, Kind)> {
    let word = |index: usize| {
        words
            .get(index)
            .filter(|word| word.is_plain() && (index == 0 || word.break_before == Break::None))
            .map(|word| word.text.as_str())
    };
    if let Some((number, kind)) = word(0).and_then(named) {
        return Some((1, number, kind));
    }
    // `current` is what stands before the next scale, `total` what scales have multiplied, the last of them `least`.
    let (mut length, mut total, mut current, mut least) = (0, 0_u64, 0_u64, u64::MAX);
    while let Some(next) = word(length) {
        let takes_unit = current % 100 >= 20 && current % 10 == 0;
        if let Some(value) = cardinal(next) {
            let fits = length == 0 || (value > 0 && (current % 100 == 0 || (takes_unit && value < 10)));
            if !fits {
                break;
            }
            current += value;
        } else if let Some(scale) = scale(next).filter(|_| current > 0) {
            if scale == 100 && current < 10 {
                current *= 100;
            } else if scale > 100 && scale < least {
                total = total.checked_add(current.checked_mul(scale)?)?;
                (current, least) = (0, scale);
            } else {
                break;
            }
        } else if let Some((unit, Kind::Ordinal)) = named(next).filter(|(unit, _)| takes_unit && *unit < 10) {
            return Some((length + 1, total.checked_add(current + unit)?, Kind::Ordinal));
        } else {
            break;
        }
        length += 1;
    }
    (length > 0).then_some((length, total.checked_add(current)?, Kind::Number))
}

fn cardinal(word: &str) -> Option<u64> {
    const BELOW_TWENTY: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = [
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    let place = |names: &[&str]| names.iter().position(|name| *name == word);
    let small = place(&BELOW_TWENTY).map(|place| place as u64);
    small.or_else(|| place(&TENS).map(|place| (place as u64 + 2) * 10))
}

fn scale(word: &str) -> Option<u64> {
    Some(match word {
        "hundred" => 100,
        "thousand" => 1_000,
        "lakh" => 100_000,
        "million" => 1_000_000,
        "crore" => 10_000_000,
        "billion" => 1_000_000_000,
        _ => return None,
    })
}

/// Ordinals and decades that are one word.
fn named(word: &str) -> Option<(u64, Kind)> {
    const ORDINALS: [&str; 12] = [
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
        "eleventh", "twelfth",
    ];
    const DECADES: [&str; 8] = [
        "twenties",
        "thirties",
        "forties",
        "fifties",
        "sixties",
        "seventies",
        "eighties",
        "nineties",
    ];
    let place = |names: &[&str]| names.iter().position(|name| *name == word);
    let ordinal = place(&ORDINALS).map(|place| (place as u64 + 1, Kind::Ordinal));
    ordinal.or_else(|| place(&DECADES).map(|place| ((place as u64 + 2) * 10, Kind::Decade)))
}
