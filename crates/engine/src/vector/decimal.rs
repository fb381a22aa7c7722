//! Writes an `f32` as PostgreSQL writes `real` with the default `extra_float_digits`: the shortest decimal
//! that reads back as the same number, in fixed notation for decimal exponents from -4 to 5, else in
//! scientific notation.
//!
//! Rust's own formatting is not used, because it differs in two rules. A number's rounding interval ends half
//! way to its neighbours; of an even number Rust lets the decimal lie on the very end, where PostgreSQL asks
//! for one strictly inside (65296168 is 6.5296168e+07, not 6.529617e+07). And of two decimals that are equally
//! close, PostgreSQL takes the even one (1048576.25 is 1.0485762e+06). The algorithm is Schubfach (R. Giulietti,
//! "The Schubfach way to render doubles", 2020) with the interval open at both ends.

/// The decimal digits and exponent of a positive number: `digits * 10^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    digits: u32,
    exponent: i32,
}

/// The least and greatest power of ten in [`POWERS_OF_TEN`].
const MIN_POWER: i32 = -31;
const MAX_POWER: i32 = 45;

/// `10^power` for each power from [`MIN_POWER`], scaled by a power of two to 64 bits and rounded up.
static POWERS_OF_TEN: [u64; (MAX_POWER - MIN_POWER + 1) as usize] = powers_of_ten();

// Evaluated by the compiler, where an index out of bounds is a compile error.
#[allow(clippy::indexing_slicing)]
const fn powers_of_ten() -> [u64; (MAX_POWER - MIN_POWER + 1) as usize] {
    let mut powers = [0; (MAX_POWER - MIN_POWER + 1) as usize];
    let mut power = MIN_POWER;
    while power <= MAX_POWER {
        powers[(power - MIN_POWER) as usize] = scaled_power_of_ten(power);
        power += 1;
    }
    powers
}

/// `10^power`, of which only the factor `5^power` matters, scaled to `2^63 <= result < 2^64` and rounded up.
const fn scaled_power_of_ten(power: i32) -> u64 {
    let five = 5_u128.pow(power.unsigned_abs());
    let bits = 128 - five.leading_zeros();
    if power >= 0 {
        if bits <= 64 {
            return (five << (64 - bits)) as u64;
        }
        let floor = five >> (bits - 64);
        return (floor + (floor << (bits - 64) != five) as u128) as u64;
    }
    // Long division of a power of two by 5^-power; it is never exact.
    let mut rest = 1_u128 << bits;
    let mut quotient = 0_u64;
    let mut step = 0;
    while step < 64 {
        quotient <<= 1;
        if rest >= five {
            rest -= five;
            quotient |= 1;
        }
        rest <<= 1;
        step += 1;
    }
    quotient + 1
}

/// `factor * power_of_ten / 2^64`, where the lowest bit also says whether anything was cut off ("rounded to
/// odd").
fn scale(factor: u32, power_of_ten: u64) -> u32 {
    let product = u128::from(factor) * u128::from(power_of_ten);
    let above = (product >> 64) as u32;
    // Of the 32 bits below, 1 is within the error of the power and counts as nothing.
    let below = (product >> 32) as u32;
    above | u32::from(below > 1)
}

/// The shortest decimal strictly within the rounding interval of a positive finite number, and of those the
/// closest.
fn shortest(value: f32) -> Decimal {
    let bits = value.to_bits();
    let (fraction, biased) = (bits & 0x007f_ffff, (bits >> 23) as i32);
    // value = significand * 2^exponent
    let (significand, exponent) = if biased == 0 {
        (fraction, -149)
    } else {
        (fraction | 0x0080_0000, biased - 150)
    };
    // Below a power of two the neighbour is only half as far as above it.
    let narrow_below = fraction == 0 && biased > 1;

    // The power of ten such that the interval holds at least one of its multiples, and at most one of the
    // next power's. The factors are log10(2), log10(3/4) and log2(10), precise enough for all exponents of an
    // f32.
    let power = if narrow_below {
        exponent * 1_262_611 - 524_031
    } else {
        exponent * 1_262_611
    } >> 22;
    let shift = exponent + ((-power * 1_741_647) >> 19) + 1;
    let power_of_ten = POWERS_OF_TEN
        .get((-power - MIN_POWER) as usize)
        .copied()
        .unwrap_or_default();

    // The interval's ends and the number, in quarters of 10^power. The ends themselves are outside.
    let quarters = 4 * significand;
    let lower = scale(
        (quarters - if narrow_below { 1 } else { 2 }) << shift,
        power_of_ten,
    ) + 1;
    let middle = scale(quarters << shift, power_of_ten);
    let upper = scale((quarters + 2) << shift, power_of_ten) - 1;

    let floor = middle / 4;
    if floor >= 10 {
        let short = floor / 10;
        let below_inside = lower <= 40 * short;
        let above_inside = 40 * short + 40 <= upper;
        if below_inside != above_inside {
            return Decimal {
                digits: short + u32::from(above_inside),
                exponent: power + 1,
            };
        }
    }
    let below_inside = lower <= 4 * floor;
    let above_inside = 4 * floor + 4 <= upper;
    let up = if below_inside != above_inside {
        above_inside
    } else {
        let half = 4 * floor + 2;
        middle > half || middle == half && floor % 2 == 1
    };
    Decimal {
        digits: floor + u32::from(up),
        exponent: power,
    }
}

/// Appends the text of a number to `out`.
pub fn write_f32(value: f32, out: &mut String) {
    // No vector is made with these, but the bytes of a damaged one may read so.
    if value.is_nan() {
        out.push_str("NaN");
        return;
    }
    if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
        return;
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    if value == 0.0 {
        out.push('0');
        return;
    }
    let Decimal {
        mut digits,
        mut exponent,
    } = shortest(value.abs());
    while digits.is_multiple_of(10) {
        digits /= 10;
        exponent += 1;
    }
    // At most nine digits, filled in from the end.
    let mut buffer = [b'0'; 9];
    let mut length = 0;
    for place in buffer.iter_mut().rev() {
        *place = b'0' + (digits % 10) as u8;
        digits /= 10;
        length += 1;
        if digits == 0 {
            break;
        }
    }
    let text = buffer
        .get(buffer.len() - length..)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    write_digits(text.unwrap_or_default(), exponent + length as i32 - 1, out);
}

/// Appends `d.ddd * 10^exponent`, where `digits` are the d's.
fn write_digits(digits: &str, exponent: i32, out: &mut String) {
    match exponent {
        -4..0 => {
            let zeros = exponent.unsigned_abs() as usize - 1;
            out.push_str("0.");
            out.push_str("000".get(..zeros).unwrap_or_default());
            out.push_str(digits);
        }
        0..6 => match digits.split_at_checked(exponent as usize + 1) {
            Some((whole, "")) => out.push_str(whole),
            Some((whole, fraction)) => {
                out.push_str(whole);
                out.push('.');
                out.push_str(fraction);
            }
            None => {
                let zeros = exponent as usize + 1 - digits.len();
                out.push_str(digits);
                out.push_str("00000".get(..zeros).unwrap_or_default());
            }
        },
        _ => {
            let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            out.push_str(if exponent < 0 { "e-" } else { "e+" });
            // A power of ten that an f32 reaches has two digits.
            let exponent = exponent.unsigned_abs();
            out.extend([exponent / 10, exponent % 10].map(|digit| char::from(b'0' + digit as u8)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bits: u32) -> String {
        let mut text = String::new();
        write_f32(f32::from_bits(bits), &mut text);
        text
    }

    /// What PostgreSQL 15 prints for these bits as `real`.
    const PRINTED_BY_POSTGRESQL: &[(u32, &str)] = &[
        (0x0000_0001, "1e-45"),
        (0x0000_0002, "3e-45"),
        (0x0000_0003, "4e-45"),
        (0x007f_ffff, "1.1754942e-38"),
        (0x0080_0000, "1.1754944e-38"),
        (0x0080_0001, "1.1754945e-38"),
        (0x7f7f_ffff, "3.4028235e+38"),
        (0xff7f_ffff, "-3.4028235e+38"),
        (0x3f80_0000, "1"),
        (0x3dcc_cccd, "0.1"),
        (0x38d1_b717, "0.0001"),
        (0x38d1_b716, "9.999999e-05"),
        (0x3727_c5ac, "1e-05"),
        (0x4974_2400, "1e+06"),
        (0x4974_240f, "1.00000094e+06"),
        (0x4974_2408, "1.0000005e+06"),
        (0x4974_23f8, "999999.5"),
        (0x47c3_5000, "100000"),
        (0x4b80_0000, "1.6777216e+07"),
        (0x4c80_0002, "6.710888e+07"),
        (0x4c7a_8c84, "6.5679888e+07"),
        (0x4980_0002, "1.0485762e+06"),
        (0x4980_0006, "1.0485768e+06"),
        (0x4c07_312e, "3.54398e+07"),
        (0x4ee3_8e26, "1.9088719e+09"),
        (0x5f80_0000, "1.8446744e+19"),
        (0x7180_0000, "1.2676506e+30"),
        (0x0b80_0000, "4.9303807e-32"),
        (0x8000_0001, "-1e-45"),
        (0xbe99_999a, "-0.3"),
        (0x3380_0000, "5.9604645e-08"),
        (0x5d5e_0b6b, "1e+18"),
        (0x0100_0000, "2.3509887e-38"),
        (0x0d80_0000, "7.888609e-31"),
        (0x1500_0000, "2.5849394e-26"),
        (0x6b80_0000, "3.0948501e+26"),
        (0x4980_00c2, "1.0486002e+06"),
        (0x49fa_12c2, "2.0486002e+06"),
        (0x4a3a_1261, "3.0486002e+06"),
        (0x4a77_1b61, "4.0486002e+06"),
        (0x4c41_2d7c, "5.0640368e+07"),
        (0x4c8d_78c0, "7.4171904e+07"),
        (0x4cd9_c400, "1.14171904e+08"),
        (0x4dbe_4c2a, "3.9908282e+08"),
    ];

    #[test]
    fn prints_what_postgresql_prints() {
        for (bits, expected) in PRINTED_BY_POSTGRESQL {
            assert_eq!(text(*bits), *expected, "{bits:#010x}");
        }
    }

    #[test]
    fn prints_what_damage_makes_of_a_number() {
        for (value, expected) in [
            (f32::NAN, "NaN"),
            (-f32::NAN, "NaN"),
            (f32::INFINITY, "Infinity"),
            (f32::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(value.to_bits()), expected);
        }
    }

    #[test]
    fn every_power_of_two_and_its_neighbours_read_back() {
        for biased in 0..255_u32 {
            for bits in (biased << 23).saturating_sub(3)..=(biased << 23) + 3 {
                let text = text(bits);
                assert_eq!(text.parse::<f32>().map(f32::to_bits), Ok(bits), "{text}");
            }
        }
    }

    #[test]
    fn no_shorter_decimal_reads_back() {
        // A sample of all exponents; one digit less, rounded either way, must be another number.
        for bits in (1..0x7f80_0000_u32).step_by(1_000_003) {
            let value = f32::from_bits(bits);
            let mut decimal = shortest(value);
            while decimal.digits.is_multiple_of(10) {
                decimal = Decimal {
                    digits: decimal.digits / 10,
                    exponent: decimal.exponent + 1,
                };
            }
            if decimal.digits < 10 {
                continue;
            }
            for digits in [decimal.digits / 10, decimal.digits / 10 + 1] {
                let shorter: f64 = format!("{digits}e{}", decimal.exponent + 1)
                    .parse()
                    .unwrap_or(f64::NAN);
                // The ends of the rounding interval; of an even number they read back, yet are outside.
                let end = |neighbour: f32| (f64::from(value) + f64::from(neighbour)) / 2.0;
                let is_end = shorter == end(value.next_up()) || shorter == end(value.next_down());
                assert!(is_end || shorter as f32 != value, "{decimal:?}");
            }
        }
    }
}
