//! The text format, `[1,2.5,-3e-05]`: what SQL literals, `COPY` and most clients use.
//!
//! Whitespace (as C's `isspace` has it) may stand around the brackets and around each number. Numbers are
//! read as C's `strtof` reads them, and written as PostgreSQL writes `real`. Reading stops at the first fault
//! or at one dimension too many, whichever comes first, so the cost of a hostile literal is bounded by the
//! dimension limit, not by its length.

use super::error::{TextFault, excerpt};
use super::{Element, MAX_DIMENSIONS, VectorError, number, write_f32};

/// Reads a vector.
///
/// # Errors `InvalidText` for bad syntax, `NoDimensions` for `[]`, `TooManyDimensions`, `NotANumber`,
/// `Infinite`, and `OutOfRange` for a number too large for the element type.
pub fn parse<T: Element>(input: &str) -> Result<Vec<T>, VectorError> {
    let invalid = |reason| VectorError::InvalidText {
        type_name: T::TYPE_NAME,
        input: excerpt(input),
        reason,
    };

    let opening = skip_whitespace(input.as_bytes());
    let Some((b'[', first)) = opening.split_first() else {
        return Err(invalid(Some(TextFault::MissingOpeningBracket)));
    };
    let mut rest = skip_whitespace(first);
    if rest.first() == Some(&b']') {
        return Err(VectorError::no_dimensions::<T>());
    }
    let mut elements = Vec::new();
    loop {
        if elements.len() == MAX_DIMENSIONS {
            return Err(VectorError::too_many_dimensions::<T>());
        }
        rest = skip_whitespace(rest);
        let (element, after) = parse_element(rest)?.ok_or_else(|| invalid(None))?;
        elements.push(element);
        match skip_whitespace(after).split_first() {
            Some((b',', next)) => rest = next,
            Some((b']', end)) if skip_whitespace(end).is_empty() => return Ok(elements),
            Some((b']', _)) => return Err(invalid(Some(TextFault::JunkAfterClosingBracket))),
            _ => return Err(invalid(None)),
        }
    }
}

/// Reads one element and returns what follows it; `None` if the input does not start with a number.
fn parse_element<T: Element>(input: &[u8]) -> Result<Option<(T, &[u8])>, VectorError> {
    let Some(number) = read_finite(input, T::TYPE_NAME)? else {
        return Ok(None);
    };
    let element = T::from_f32(number.value);
    if element.is_infinite() {
        return Err(VectorError::out_of_range(T::TYPE_NAME, number.text));
    }
    Ok(Some((element, number.rest)))
}

/// A number of a vector's text, and what follows it.
pub(super) struct Read<'a> {
    /// The nearest `f32`; infinite where the number is out of range.
    pub value: f32,
    /// The number as it was written.
    pub text: &'a str,
    /// What follows it.
    pub rest: &'a [u8],
}

/// Reads a number that the input does not spell out as NaN or infinite; `None` if it does not start with a number.
pub(super) fn read_finite<'a>(
    input: &'a [u8],
    type_name: &'static str,
) -> Result<Option<Read<'a>>, VectorError> {
    let Some(number) = number::read(input) else {
        return Ok(None);
    };
    if number.value.is_nan() {
        return Err(VectorError::NotANumber { type_name });
    }
    if number.spelled_infinite {
        return Err(VectorError::Infinite { type_name });
    }
    let (digits, rest) = input.split_at_checked(number.length).unwrap_or_default();
    Ok(Some(Read {
        value: number.value,
        text: std::str::from_utf8(digits).unwrap_or_default(),
        rest,
    }))
}

pub(super) fn skip_whitespace(input: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let length = input.iter().take_while(|byte| space(byte)).count();
    input.get(length..).unwrap_or_default()
}

/// Appends the text of a vector to `out`.
pub fn format<T: Element>(vector: &[T], out: &mut String) {
    out.push('[');
    for (position, element) in vector.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_f32(element.to_f32(), out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use half::f16;

    fn round_trip<T: Element>(input: &str) -> String {
        let mut text = String::new();
        format(&parse::<T>(input).unwrap(), &mut text);
        text
    }

    /// SQLSTATE, message and detail, as far as the message does not repeat the input.
    fn failure<T: Element>(input: &str) -> (&'static str, String, Option<&'static str>) {
        let error = parse::<T>(input).unwrap_err();
        (error.sqlstate(), error.to_string(), error.detail())
    }

    #[test]
    fn reads_and_prints_like_pgvector() {
        let cases = [
            ("[1,2,3]", "[1,2,3]"),
            ("  [ 1 , 2 ,3 ]\t\n", "[1,2,3]"),
            ("\u{b}\u{c}[1]\r", "[1]"),
            ("[+1]", "[1]"),
            ("[.5,5.]", "[0.5,5]"),
            ("[-0,-0.0]", "[-0,-0]"),
            ("[1e-50,-1e-50,1e-400]", "[0,-0,0]"),
            ("[0x1p3,0x10,0X1.8P-1]", "[8,16,0.75]"),
            ("[0.7e-45,1e-45,1.4e-45]", "[0,1e-45,1e-45]"),
            ("[3.40282356e38]", "[3.4028235e+38]"),
            (
                "[1000000,123456789,999999,100000]",
                "[1e+06,1.2345679e+08,999999,100000]",
            ),
            ("[0.0001,0.00001,0.1]", "[0.0001,1e-05,0.1]"),
        ];
        for (input, output) in cases {
            assert_eq!(round_trip::<f32>(input), output);
        }
    }

    #[test]
    fn halfvec_rounds_by_way_of_real_and_prints_as_real() {
        let cases = [
            ("[65519,-65519.99,2049]", "[65504,-65504,2048]"),
            (
                "[0.1,6e-8,2.99e-8,2.98e-8]",
                "[0.099975586,5.9604645e-08,5.9604645e-08,0]",
            ),
            // Both are above the middle between 1 and the next half, but not by enough for a real to show.
            ("[1.00048828125000000000001,1.000488281250001]", "[1,1]"),
        ];
        for (input, output) in cases {
            assert_eq!(round_trip::<f16>(input), output);
        }
    }

    #[test]
    fn refuses_what_pgvector_refuses() {
        let opening = Some("Vector contents must start with \"[\".");
        let junk = Some("Junk after closing right brace.");
        let syntax = [
            ("", opening),
            ("   ", opening),
            ("1,2", opening),
            ("1,2]", opening),
            ("{1,2}", opening),
            ("\u{a0}[1]", opening),
            ("[1,2]x", junk),
            ("[1,2]]", junk),
            ("[1,2] x", junk),
            ("[", None),
            ("[1,2", None),
            ("[1,2,", None),
            ("[1, ", None),
            ("[,]", None),
            ("[1,]", None),
            ("[,1]", None),
            ("[1,,2]", None),
            ("[1 2]", None),
            ("[1;2]", None),
            ("[[1]]", None),
            ("[1e]", None),
            ("[1e+]", None),
            ("[1f]", None),
            ("[--1]", None),
            ("[++1]", None),
            ("[- 1]", None),
            ("[.]", None),
            ("[0x]", None),
            ("[0x.p1]", None),
            ("[1_000]", None),
            ("[1.5.5]", None),
            ("[1e-39,x]", None),
            ("[\u{661}]", None),
            ("[1\u{1}]", None),
            ("[in]", None),
        ];
        for (input, detail) in syntax {
            let message = |name| format!("invalid input syntax for type {name}: \"{input}\"");
            assert_eq!(failure::<f32>(input), ("22P02", message("vector"), detail));
            assert_eq!(failure::<f16>(input), ("22P02", message("halfvec"), detail));
        }
        let others = [
            ("[]", "22000", "vector must have at least 1 dimension"),
            ("[ ]x", "22000", "vector must have at least 1 dimension"),
            ("[nan", "22000", "NaN not allowed in vector"),
            ("[-NaN(123)]", "22000", "NaN not allowed in vector"),
            ("[1,inf", "22000", "infinite value not allowed in vector"),
            ("[-Infinityx]", "22000", "infinite value not allowed in vector"),
            ("[1e39x", "22003", "\"1e39\" is out of range for type vector"),
            (
                "[3.40282357e38]",
                "22003",
                "\"3.40282357e38\" is out of range for type vector",
            ),
            (
                "[0x1p128]",
                "22003",
                "\"0x1p128\" is out of range for type vector",
            ),
        ];
        for (input, sqlstate, message) in others {
            assert_eq!(failure::<f32>(input), (sqlstate, message.to_owned(), None));
        }
        let message = "\"-65520\" is out of range for type halfvec".to_owned();
        assert_eq!(failure::<f16>("[1,-65520]"), ("22003", message, None));
    }

    #[test]
    fn reading_stops_at_the_dimension_limit() {
        let full = format!("[{}1]", "1,".repeat(MAX_DIMENSIONS - 1));
        assert_eq!(parse::<f32>(&full).unwrap().len(), MAX_DIMENSIONS);
        // What stands after the limit is not looked at.
        for rest in ["1]", "]", "x", ""] {
            let input = format!("[{}{rest}", "1,".repeat(MAX_DIMENSIONS));
            assert_eq!(
                failure::<f32>(&input).1,
                "vector cannot have more than 16000 dimensions"
            );
        }
    }

    #[test]
    fn errors_about_huge_input_are_small() {
        let input = format!("[{}", "é".repeat(1_000_000));
        assert!(failure::<f32>(&input).1.len() < 400);
        let input = format!("[{}", "1".repeat(1_000_000));
        assert!(failure::<f32>(&input).1.len() < 400);
    }
}
