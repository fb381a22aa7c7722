//! Reads one number at the start of a byte string, by the rules of C's `strtof` in the C locale.
//!
//! The text input uses it because the peers' clients rely on what `strtof` takes: a leading sign, a missing
//! digit on either side of the point, hexadecimal floats, `nan` and `inf` (which the caller then refuses by
//! name). As there, only the longest valid prefix counts: `1e` is the number 1 followed by `e`. Results are
//! correctly rounded to `f32`, and a number too large for it is infinite, a number too small is zero.

/// A number and the bytes it took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    /// The nearest `f32`; infinite where the number is out of range.
    pub value: f32,
    /// How many bytes of the input the number takes, at least 1.
    pub length: usize,
    /// Whether the input spelled out `inf` or `infinity`, as opposed to a finite number out of range.
    pub spelled_infinite: bool,
}

/// Reads the number that `input` starts with; `None` if it starts with none. No whitespace is skipped.
pub(super) fn read(input: &[u8]) -> Option<Number> {
    let sign_length = usize::from(matches!(input.first(), Some(b'+' | b'-')));
    let negative = input.first() == Some(&b'-');
    let unsigned = input.get(sign_length..)?;

    let (magnitude, length, spelled_infinite) = if starts_with_word(unsigned, b"nan") {
        (f32::NAN, 3, false)
    } else if starts_with_word(unsigned, b"infinity") {
        (f32::INFINITY, 8, true)
    } else if starts_with_word(unsigned, b"inf") {
        (f32::INFINITY, 3, true)
    } else if let Some((value, length)) = read_hexadecimal(unsigned) {
        (value, length, false)
    } else {
        let length = decimal_length(unsigned)?;
        let text = std::str::from_utf8(unsigned.get(..length)?).ok()?;
        (text.parse::<f32>().ok()?, length, false)
    };
    let value = if negative { -magnitude } else { magnitude };
    Some(Number {
        value,
        length: sign_length + length,
        spelled_infinite,
    })
}

/// Reads the integer that `input` starts with, as C's `strtol` does, and returns it with what follows; one beyond 32 bits becomes the
/// nearest that they hold. `None` if the input starts with none. No whitespace is skipped.
pub(super) fn read_integer(input: &[u8]) -> Option<(i32, &[u8])> {
    let sign_length = usize::from(matches!(input.first(), Some(b'+' | b'-')));
    let digits = count_digits(input, sign_length);
    let (text, rest) = input.split_at_checked(sign_length + digits)?;
    if digits == 0 {
        return None;
    }
    let magnitude = text.iter().skip(sign_length).fold(0_i64, |number, digit| {
        (number * 10 + i64::from(digit - b'0')).min(1 << 40)
    });
    let number = if text.first() == Some(&b'-') {
        -magnitude
    } else {
        magnitude
    };
    let number = number.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    Some((i32::try_from(number).ok()?, rest))
}

/// Whether the text of a finite number denotes zero, as opposed to a number that is too small for `f32`.
pub(super) fn denotes_zero(text: &str) -> bool {
    let hexadecimal = text.contains(['x', 'X']);
    let exponent: [char; 2] = if hexadecimal { ['p', 'P'] } else { ['e', 'E'] };
    let significand = text.split(exponent).next().unwrap_or_default();
    !significand
        .bytes()
        .any(|byte| byte.is_ascii_hexdigit() && byte != b'0')
}

fn starts_with_word(input: &[u8], word: &[u8]) -> bool {
    input
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn count_digits(input: &[u8], from: usize) -> usize {
    input
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

/// The bytes of an unsigned decimal number with optional point and exponent; `None` without a digit before
/// the exponent.
fn decimal_length(input: &[u8]) -> Option<usize> {
    let whole = count_digits(input, 0);
    let mut length = whole;
    if input.get(whole) == Some(&b'.') {
        let fraction = count_digits(input, whole + 1);
        if whole + fraction == 0 {
            return None;
        }
        length = whole + 1 + fraction;
    }
    if length == 0 {
        return None;
    }
    if matches!(input.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(input.get(length + 1), Some(b'+' | b'-')));
        let digits = count_digits(input, length + 1 + sign);
        if digits > 0 {
            length += 1 + sign + digits;
        }
    }
    Some(length)
}

/// Reads `0x` hexadecimal digits with optional point and binary exponent (`p`); `None` if there is no such
/// number, in which case `0x…` is the decimal number 0 followed by `x`.
fn read_hexadecimal(input: &[u8]) -> Option<(f32, usize)> {
    if input.first() != Some(&b'0') || !matches!(input.get(1), Some(b'x' | b'X')) {
        return None;
    }
    // Leading digits are collected until 60 bits are full; anything after that can only break a tie, so one
    // sticky bit stands for all of it. `shift` is the exponent of the lowest collected digit.
    let mut significand: u64 = 0;
    let mut sticky = false;
    let mut shift: i64 = 0;
    let mut digits = 0_usize;
    let mut after_point = false;
    let mut position = 2;
    while let Some(&byte) = input.get(position) {
        if byte == b'.' && !after_point {
            after_point = true;
        } else if let Some(digit) = char::from(byte).to_digit(16) {
            digits += 1;
            if significand >> 56 == 0 {
                significand = significand << 4 | u64::from(digit);
                shift -= if after_point { 4 } else { 0 };
            } else {
                sticky |= digit != 0;
                shift += if after_point { 0 } else { 4 };
            }
        } else {
            break;
        }
        position += 1;
    }
    if digits == 0 {
        return None;
    }
    if matches!(input.get(position), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(input.get(position + 1), Some(b'+' | b'-')));
        let count = count_digits(input, position + 1 + sign);
        if count > 0 {
            let from = position + 1 + sign;
            let exponent = saturating_number(input.get(from..from + count)?);
            shift += if input.get(position + 1) == Some(&b'-') {
                -exponent
            } else {
                exponent
            };
            position = from + count;
        }
    }
    Some((scale(significand, sticky, shift), position))
}

/// The digits as a number, but at most a billion: more than any length of input can make up for.
fn saturating_number(digits: &[u8]) -> i64 {
    digits.iter().fold(0_i64, |number, digit| {
        (number * 10 + i64::from(digit - b'0')).min(1_000_000_000)
    })
}

/// The `f32` nearest to `significand * 2^shift`, ties to even, where `sticky` says that the true value is a
/// little more.
fn scale(significand: u64, sticky: bool, shift: i64) -> f32 {
    if significand == 0 {
        return 0.0;
    }
    let bits = i64::from(64 - significand.leading_zeros());
    // The exponent of the lowest bit kept: 24 significant bits, fewer for subnormal numbers.
    let lowest = (bits + shift - 24).max(-149);
    if lowest > 104 {
        return f32::INFINITY;
    }
    let drop = lowest - shift;
    let kept = if drop <= 0 {
        // At most 24 bits remain after the shift, so nothing is lost; `sticky` needs 57 bits or more.
        significand << -drop
    } else if drop > 64 {
        0
    } else {
        let wide = u128::from(significand);
        let half = 1_u128 << (drop - 1);
        let rest = wide & ((half << 1) - 1);
        let floor = wide >> drop;
        let up = rest > half || rest == half && (sticky || floor & 1 == 1);
        floor as u64 + u64::from(up)
    };
    // `kept` has at most 24 bits or is 2^24, so both factors and the product are exact unless it overflows.
    let lowest = lowest as i32;
    let (first, second) = if lowest < -120 {
        (-100, lowest + 100)
    } else {
        (0, lowest)
    };
    kept as f32 * power_of_two(first) * power_of_two(second)
}

/// `2^exponent` for a normal `f32`.
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(text: &str) -> Option<(f32, usize)> {
        read(text.as_bytes()).map(|number| (number.value, number.length))
    }

    #[test]
    fn reads_the_longest_valid_prefix() {
        let cases = [
            ("1", 1.0, 1),
            ("+1]", 1.0, 2),
            (".5", 0.5, 2),
            ("5.", 5.0, 2),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("1e5x", 1e5, 3),
            ("1.5.5", 1.5, 3),
            ("1_000", 1.0, 1),
            ("0x", 0.0, 1),
            ("0xg", 0.0, 1),
            ("0x.p1", 0.0, 1),
            ("0x1p", 1.0, 3),
            ("1e-400", 0.0, 6),
            ("0e99999999999999999999", 0.0, 22),
        ];
        for (text, expected, length) in cases {
            assert_eq!(value(text), Some((expected, length)), "{text}");
        }
        for text in ["", "-", "+", ".", "e5", "--1", "- 1", "x", ".e1", "i", "na"] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn reads_nan_and_infinity_in_any_case() {
        assert!(value("-NaN").unwrap().0.is_nan());
        assert_eq!(value("infinityx"), Some((f32::INFINITY, 8)));
        assert_eq!(value("-INFin"), Some((f32::NEG_INFINITY, 4)));
        assert!(read(b"inf").unwrap().spelled_infinite);
        assert!(!read(b"1e39").unwrap().spelled_infinite);
        assert_eq!(value("-1e39"), Some((f32::NEG_INFINITY, 5)));
    }

    #[test]
    fn rounds_hexadecimal_numbers_like_strtof() {
        let cases = [
            ("0x10", 16.0),
            ("0X1.8P-1", 0.75),
            ("0x.8p1", 1.0),
            ("0x1e", 30.0),
            ("0x1p-149", f32::from_bits(1)),
            ("0x1p-150", 0.0),
            ("0x1.000001p-150", f32::from_bits(1)),
            ("0x1.8p-149", f32::from_bits(2)),
            ("0x1.fffffep127", f32::MAX),
            ("0x1.fffffefffffffffffffffffp127", f32::MAX),
            ("0x1.ffffffp127", f32::INFINITY),
            ("0x1p128", f32::INFINITY),
            ("0x1.000001p0", 1.0),
            ("0x1.0000010000000000000000001p0", 1.0 + f32::EPSILON),
            ("0x1.000003p0", 1.0 + 2.0 * f32::EPSILON),
            ("0x0p99999999999999999999999", 0.0),
            ("0x1p99999999999999999999999", f32::INFINITY),
            ("0x1p-99999999999999999999999", 0.0),
            ("0x0000000000000000000000000000000000000001", 1.0),
            ("0x10000000000000000000000000000000", 2.0_f32.powi(124)),
            ("0x0.00000000000000000000000000000001", 2.0_f32.powi(-128)),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), Some((expected, text.len())), "{text}");
        }
    }
}
