//! The keys that an index holds of a row.
//!
//! Key = XXH3-64 (seed 0) of the lexeme's bytes, its lowest four bits replaced by the level of the impact, as a signed number. Two
//! lexemes of a million share their upper 60 bits with a probability of less than 1 in a million. **Indexes hold
//! these keys: neither the hash nor the layout ever changes.**

use super::impact::{self, impact};
use std::collections::TryReserveError;
use xxhash_rust::xxh3::xxh3_64;

/// Bits of a key that hold the level.
const LEVEL_BITS: u32 = 4;
const LEVEL_MASK: u64 = (1 << LEVEL_BITS) - 1;

/// What a lexeme is known by: the keys that belong to it are the numbers from [`Term::first_key`] to [`Term::last_key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(u64);

impl Term {
    /// The term of a lexeme.
    pub fn of(lexeme: &[u8]) -> Self {
        Self(xxh3_64(lexeme) & !LEVEL_MASK)
    }

    /// The term that a key belongs to.
    pub fn of_key(key: i64) -> Self {
        Self(key as u64 & !LEVEL_MASK)
    }

    /// The key of the lowest level.
    pub fn first_key(self) -> i64 {
        self.0 as i64
    }

    /// The key of the highest level.
    pub fn last_key(self) -> i64 {
        (self.0 | LEVEL_MASK) as i64
    }

    fn key(self, level: u8) -> i64 {
        (self.0 | (u64::from(level) & LEVEL_MASK)) as i64
    }
}

/// The level in a key.
pub fn level_of_key(key: i64) -> u8 {
    (key as u64 & LEVEL_MASK) as u8
}

/// The words of a row, as they come.
#[derive(Debug, Default)]
pub struct Document {
    terms: Vec<Term>,
}

impl Document {
    /// Adds a word.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn add(&mut self, lexeme: &[u8]) -> Result<(), TryReserveError> {
        if self.terms.len() == self.terms.capacity() {
            self.terms.try_reserve(self.terms.len().max(64))?;
        }
        self.terms.push(Term::of(lexeme));
        Ok(())
    }

    /// Words so far.
    pub fn length(&self) -> usize {
        self.terms.len()
    }

    /// The keys, each once, in ascending order.
    pub fn into_keys(mut self, average_length: f64) -> Vec<i64> {
        let length = self.terms.len() as u64;
        self.terms.sort_unstable();
        let mut keys: Vec<i64> = self
            .terms
            .chunk_by(|a, b| a == b)
            .filter_map(|same| Some((same.first()?, same.len())))
            .map(|(term, count)| {
                let frequency = u32::try_from(count).unwrap_or(u32::MAX);
                term.key(impact::level(impact(frequency, length, average_length)))
            })
            .collect();
        keys.sort_unstable();
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, Term, level_of_key};
    use crate::text::impact::{impact, level};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn keys(words: &[&str], average: f64) -> Vec<i64> {
        let mut document = Document::default();
        for word in words {
            document.add(word.as_bytes()).unwrap_or_default();
        }
        document.into_keys(average)
    }

    #[test]
    fn keys_are_what_indexes_hold() {
        // Recorded once: an index that was built then must be read now.
        assert_eq!(Term::of(b"horse").first_key(), HORSE);
        assert_eq!(keys(&["horse"], 1.0), [HORSE + 12]);
        assert_eq!(keys(&["horse", "horse", "horse"], 2.0), [HORSE + 14]);
        assert_eq!(keys(&[], 1.0), [0_i64; 0]);
    }
    const HORSE: i64 = -6_321_869_948_856_307_488;

    #[test]
    fn a_term_knows_its_keys() {
        let term = Term::of("mother".as_bytes());
        assert_eq!(term.last_key() - term.first_key(), 15);
        assert_eq!(Term::of_key(term.key(7)), term);
        assert_eq!(level_of_key(term.key(7)), 7);
    }

    proptest! {
        #[test]
        fn each_word_has_one_key_of_its_level(words in prop::collection::vec("[a-e]{1,2}", 0..200), average in 0.5_f64..300.0) {
            let borrowed: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut counts: BTreeMap<Term, u32> = BTreeMap::new();
            for word in &words {
                *counts.entry(Term::of(word.as_bytes())).or_default() += 1;
            }
            let mut expected: Vec<i64> = counts
                .iter()
                .map(|(term, &count)| term.key(level(impact(count, words.len() as u64, average))))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(keys(&borrowed, average), expected);
        }
    }
}
