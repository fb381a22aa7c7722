//! BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009), its impact quantised.
//!
//! score(query, row) = Σ idf(term) · impact(tf, dl), where tf is how often the term stands in the row, dl the number of the row's
//! words, and impact = tf·(k1 + 1) / (tf + k1·(1 − b + b·dl / average dl)).
//!
//! Impacts lie in (0, k1 + 1). They are stored as one of 16 levels in geometric progression, so that the relative error of a level, and
//! with it of every score, is bounded. **The levels are part of what indexes hold: they never change.**

/// Saturation of the term frequency.
pub const K1: f64 = 1.2;
/// How much the length of a row counts.
pub const B: f64 = 0.75;
/// Levels of impact.
pub const LEVELS: usize = 16;
/// The highest level.
const TOP: u8 = 15;
/// Levels for each halving of the impact: from k1 + 1 down to a 32nd part of it, which a word that stands once has in a row of some 34
/// times the average length. What is less takes the lowest level.
const LEVELS_PER_HALVING: f64 = 3.0;

/// The largest ratio of an impact to the [`value`] of its level, or the other way round, above the lowest level: the sixth root of 2.
pub const MAX_RATIO: f64 = 1.122_462_048_309_373;

/// What a term adds to the score of a row for each unit of its idf.
pub fn impact(term_frequency: u32, length: u64, average_length: f64) -> f64 {
    let frequency = f64::from(term_frequency);
    let norm = K1 * (1.0 - B + B * length as f64 / average_length);
    frequency * (K1 + 1.0) / (frequency + norm)
}

/// The level of an impact: 15 for the highest.
pub fn level(impact: f64) -> u8 {
    let below_top = (((K1 + 1.0) / impact).log2() * LEVELS_PER_HALVING).floor();
    // Saturating: an impact of 0, which no word has, is infinitely far below.
    TOP.saturating_sub(below_top.max(0.0) as u8)
}

/// The impact that stands for a level: the geometric mean of its bounds.
pub fn value(level: u8) -> f64 {
    let below_top = f64::from(TOP.saturating_sub(level));
    (K1 + 1.0) * (-(below_top + 0.5) / LEVELS_PER_HALVING).exp2()
}

/// Inverse document frequency, never negative: equation 3.3 of the book with 1 added inside the logarithm, as Lucene has it.
pub fn idf(rows: f64, rows_with_term: f64) -> f64 {
    let rows = rows.max(rows_with_term);
    (1.0 + (rows - rows_with_term + 0.5) / (rows_with_term + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use super::{K1, LEVELS, MAX_RATIO, TOP, idf, impact, level, value};
    use proptest::prelude::*;

    #[test]
    fn known_impacts() {
        // A word that stands once in a row of average length counts 1; repetition saturates at k1 + 1.
        assert!((impact(1, 10, 10.0) - 1.0).abs() < 1e-12);
        assert!((impact(2, 10, 10.0) - 1.375).abs() < 1e-12);
        assert!(impact(u32::MAX, 10, 10.0) < K1 + 1.0);
        assert_eq!(level(K1 + 1.0), TOP);
        assert_eq!(level(1.0), 12);
        assert_eq!(level(0.0), 0);
        assert_eq!(level(1e-300), 0);
    }

    #[test]
    fn levels_rise() {
        for lower in 0..TOP {
            assert!(value(lower) < value(lower + 1));
            assert_eq!(level(value(lower)), lower);
        }
        assert_eq!(LEVELS, usize::from(TOP) + 1);
    }

    #[test]
    fn idf_falls_and_is_never_negative() {
        assert!((idf(100.0, 1.0) - (1.0_f64 + 99.5 / 1.5).ln()).abs() < 1e-12);
        assert!(idf(100.0, 1.0) > idf(100.0, 2.0));
        assert!(idf(100.0, 100.0) > 0.0);
        assert!(idf(0.0, 100.0) > 0.0);
    }

    proptest! {
        #[test]
        fn level_is_monotone_in_frequency_and_antitone_in_length(
            frequency in 1_u32..10_000, length in 1_u64..1_000_000, average in 0.5_f32..10_000.0
        ) {
            let average = f64::from(average);
            let of = |frequency, length| level(impact(frequency, length, average));
            prop_assert!(of(frequency + 1, length) >= of(frequency, length));
            prop_assert!(of(frequency, length + 1) <= of(frequency, length));
        }

        #[test]
        fn the_error_of_a_level_is_bounded(
            frequency in 1_u32..10_000, length in 1_u64..1_000_000, average in 0.5_f32..10_000.0
        ) {
            let exact = impact(frequency, length, f64::from(average));
            let level = level(exact);
            let ratio = exact / value(level);
            prop_assert!(ratio <= MAX_RATIO * (1.0 + 1e-9));
            prop_assert!(level == 0 || ratio >= 1.0 / MAX_RATIO * (1.0 - 1e-9));
        }
    }
}
