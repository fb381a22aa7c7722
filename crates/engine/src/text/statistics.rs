//! How many rows have a term: counted while its postings are read, or, for frequent terms, as it was measured before.

use super::document::Term;
use std::collections::HashMap;

/// Rows that a term must have at least to be measured ahead: fewer are counted faster than they are looked up.
const MIN_MEASURED: u64 = 4096;
/// A term that fewer than one in so many rows have is not measured either, so that there are some thousands of them at most.
const MAX_RARITY: u64 = 500;

/// Rows from which on a term is worth measuring, in a table of `rows`.
pub fn measured_from(rows: u64) -> u64 {
    MIN_MEASURED.max(rows / MAX_RARITY)
}

/// The frequent terms of a table.
#[derive(Debug, Default, Clone)]
pub struct Statistics {
    rows: f64,
    terms: HashMap<Term, f64>,
}

impl Statistics {
    /// Takes what was measured: the table's rows, and the terms' first keys with how many rows have each.
    pub fn new(rows: f64, keys: &[i64], counts: &[i64]) -> Self {
        let terms = keys.iter().zip(counts);
        Self {
            rows,
            terms: terms
                .map(|(&key, &count)| (Term::of_key(key), count as f64))
                .collect(),
        }
    }

    /// Rows of the table when it was measured.
    pub fn rows(&self) -> f64 {
        self.rows
    }

    /// Rows with the term in a table that has grown or shrunk to `rows`, if it was measured.
    pub fn rows_with(&self, term: Term, rows: f64) -> Option<f64> {
        let count = self.terms.get(&term)?;
        Some(if self.rows > 0.0 {
            count * rows / self.rows
        } else {
            *count
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Statistics, measured_from};
    use crate::text::document::Term;

    #[test]
    fn a_frequency_grows_with_the_table() {
        let term = Term::of(b"horse");
        let statistics = Statistics::new(1000.0, &[term.first_key()], &[100]);
        assert_eq!(statistics.rows_with(term, 1000.0), Some(100.0));
        assert_eq!(statistics.rows_with(term, 2000.0), Some(200.0));
        assert_eq!(statistics.rows_with(Term::of(b"tree"), 2000.0), None);
        let empty = Statistics::new(0.0, &[term.first_key()], &[100]);
        assert_eq!(empty.rows_with(term, 2000.0), Some(100.0));
    }

    #[test]
    fn rare_terms_are_not_measured() {
        assert_eq!(measured_from(0), 4096);
        assert_eq!(measured_from(10_000_000), 20_000);
    }
}
