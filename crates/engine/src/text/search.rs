//! Which postings of a query are read, in which order, and when that may end.
//!
//! A segment is one term at one level: all its rows gain the same, idf · value of the level. Segments are read by falling gain (Lin and
//! Trotman 2015). A row that has not been met so far can gain at most the sum, over the terms, of the largest gain among their
//! segments to come; once that is less than what the wanted rows have already, no new row can be among them, and only those that
//! have a score go on gaining (as in MaxScore: Turtle and Flood 1995).

use super::accumulate::{Accumulators, Row};
use super::impact;
use std::collections::TryReserveError;

/// Most terms of a query that count; the rarest are kept.
pub const MAX_TERMS: usize = 256;

/// One term at one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// The term's number.
    pub term: usize,
    /// The level of impact.
    pub level: u8,
}

/// How much is read.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rows that the search is for.
    pub wanted: usize,
    /// Postings after which no further segment is begun.
    pub postings: usize,
}

impl Effort {
    /// Everything.
    pub const ALL: Self = Self {
        wanted: usize::MAX,
        postings: usize::MAX,
    };
}

/// Segments in the order in which they are read.
#[derive(Debug)]
pub struct Plan {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    segment: Segment,
    /// Its number as it was given.
    number: usize,
    gain: f64,
    /// What a row can gain from here on.
    bound: f64,
}

/// What a search found.
#[derive(Debug)]
pub struct Candidates {
    /// Scores of rows.
    pub scores: Vec<(Row, f64)>,
    /// Whether rows may be missing, or parts of their scores.
    pub partial: bool,
}

/// Why there is no result.
#[derive(Debug)]
pub enum Failure<E> {
    /// Reading failed.
    Read(E),
    /// There is no memory.
    Memory(TryReserveError),
}

impl<E> From<TryReserveError> for Failure<E> {
    fn from(error: TryReserveError) -> Self {
        Self::Memory(error)
    }
}

impl Plan {
    /// Orders the segments; `idf` has one number for each term.
    pub fn new(segments: &[Segment], idf: &[f64]) -> Self {
        let gain =
            |segment: &Segment| idf.get(segment.term).copied().unwrap_or(0.0) * impact::value(segment.level);
        let mut steps: Vec<Step> = segments
            .iter()
            .enumerate()
            .map(|(number, segment)| Step {
                segment: *segment,
                number,
                gain: gain(segment),
                bound: 0.0,
            })
            .collect();
        // Ties in the order of the query: the same query reads in the same order.
        steps.sort_by(|a, b| b.gain.total_cmp(&a.gain));
        let mut largest = vec![0.0_f64; idf.len()];
        for step in steps.iter_mut().rev() {
            if let Some(of_term) = largest.get_mut(step.segment.term) {
                *of_term = of_term.max(step.gain);
            }
            step.bound = largest.iter().sum();
        }
        Self { steps }
    }

    /// Reads the segments and adds up what rows gain. `read` hands the rows of a segment, by its number, to a function that
    /// returns whether it wants more.
    ///
    /// # Errors
    /// Those of `read`, and a lack of memory.
    pub fn run<E>(
        &self,
        effort: Effort,
        mut read: impl FnMut(
            usize,
            &mut dyn FnMut(&[Row]) -> Result<bool, TryReserveError>,
        ) -> Result<(), Failure<E>>,
    ) -> Result<Candidates, Failure<E>> {
        let mut scores = Accumulators::new()?;
        let mut postings = 0_usize;
        let mut closed = false;
        let mut partial = false;
        // Finding the score of the last wanted row costs as much as reading as many postings as there are rows.
        let mut look_again = effort.wanted;
        for step in &self.steps {
            if postings >= effort.postings {
                partial = true;
                break;
            }
            if !closed && postings >= look_again && scores.len() >= effort.wanted {
                closed = scores
                    .largest(effort.wanted)?
                    .is_some_and(|last| step.bound < last);
                partial |= closed;
                look_again = postings.saturating_add(scores.len());
            }
            read(step.number, &mut |rows| {
                postings = postings.saturating_add(rows.len());
                if closed {
                    scores.raise(rows, step.gain);
                } else {
                    scores.add(rows, step.gain)?;
                }
                partial |= postings >= effort.postings;
                Ok(postings < effort.postings)
            })?;
        }
        Ok(Candidates {
            scores: scores.scores()?,
            partial,
        })
    }
}

/// Candidates taken best first, in portions.
#[derive(Debug)]
pub struct BestFirst {
    scores: Vec<(Row, f64)>,
    taken: usize,
}

impl BestFirst {
    /// Over these.
    pub fn new(scores: Vec<(Row, f64)>) -> Self {
        Self { scores, taken: 0 }
    }

    /// The next best, at most `count`, best first; rows of equal score in the order of their places.
    pub fn take(&mut self, count: usize) -> &[(Row, f64)] {
        let order = |a: &(Row, f64), b: &(Row, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let rest = self.scores.get_mut(self.taken..).unwrap_or_default();
        let count = count.min(rest.len());
        if count > 0 && count < rest.len() {
            rest.select_nth_unstable_by(count - 1, order);
        }
        let portion = rest.get_mut(..count).unwrap_or_default();
        portion.sort_unstable_by(order);
        self.taken += count;
        portion
    }
}

#[cfg(test)]
mod tests;
