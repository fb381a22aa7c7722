//! Maximal marginal relevance: rows that are good without being all alike.
//!
//! Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries" (SIGIR 1998):
//! the next row is the one with the largest λ · score − (1 − λ) · (its largest similarity to a row chosen before). The relevance to the
//! query is the row's score, so that words and preferences count as much as the meaning. The same rows give the same order: of equals
//! the one that came first is chosen first. The glue hands over the best rows with their vectors.

use crate::interrupt::{Interrupt, Interrupted};
use crate::kernels::kernels;
use crate::vector::distance::norm;

/// A row to choose from.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its score, in [0, 1].
    pub score: f64,
    /// Its embedding, if it has one.
    pub vector: Option<Vec<f32>>,
}

/// The order in which `candidates`, best first, are chosen: their positions, each once, as many as `wanted`.
///
/// A row without a vector, or whose vector is zero or of other dimensions, is like no other row. Each chosen row is compared with all
/// that are left, so the work grows with `wanted` times the number of candidates.
///
/// # Errors
/// [`Interrupted`].
pub fn choose(
    candidates: &[Candidate],
    lambda: f64,
    wanted: usize,
    interrupt: &impl Interrupt,
) -> Result<Vec<usize>, Interrupted> {
    let directions: Vec<Option<Vec<f32>>> = candidates
        .iter()
        .map(|candidate| direction(candidate.vector.as_deref()?))
        .collect();
    // The largest similarity of each row to those chosen; none yet.
    let mut likeness: Vec<Option<f64>> = vec![None; candidates.len()];
    let mut left: Vec<usize> = (0..candidates.len()).collect();
    let mut chosen = Vec::with_capacity(wanted.min(candidates.len()));
    while chosen.len() < wanted {
        interrupt.check()?;
        let gain = |place: usize| {
            let score = candidates.get(place).map_or(0.0, |candidate| candidate.score);
            let alike = likeness.get(place).copied().flatten().unwrap_or(0.0);
            lambda * score - (1.0 - lambda) * alike
        };
        let mut best: Option<(usize, f64)> = None;
        for (index, &place) in left.iter().enumerate() {
            let gain = gain(place);
            if best.is_none_or(|(_, largest)| gain > largest) {
                best = Some((index, gain));
            }
        }
        let Some((index, _)) = best else { break };
        // Keeps the order of the rest, which decides between equals.
        let newest = left.remove(index);
        chosen.push(newest);
        let Some(newest) = directions.get(newest).and_then(Option::as_deref) else {
            continue;
        };
        for &place in &left {
            if let (Some(direction), Some(largest)) = (
                directions.get(place).and_then(Option::as_deref),
                likeness.get_mut(place),
            ) && let Some(similarity) = similarity(newest, direction)
            {
                *largest = Some(largest.map_or(similarity, |known| known.max(similarity)));
            }
        }
    }
    Ok(chosen)
}

/// The vector at length 1; `None` for one without a direction.
fn direction(vector: &[f32]) -> Option<Vec<f32>> {
    let length = norm(vector);
    if !(length.is_finite() && length > 0.0) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "a part of a whole of length 1")]
    Some(
        vector
            .iter()
            .map(|element| (f64::from(*element) / length) as f32)
            .collect(),
    )
}

fn similarity(a: &[f32], b: &[f32]) -> Option<f64> {
    (a.len() == b.len()).then(|| kernels::<f32>().inner_product(a, b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::interrupt::NeverInterrupted;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::collections::BTreeSet;

    fn rows(of: &[(f64, Option<[f32; 2]>)]) -> Vec<Candidate> {
        of.iter()
            .map(|&(score, vector)| Candidate {
                score,
                vector: vector.map(Vec::from),
            })
            .collect()
    }

    fn order(rows: &[Candidate], lambda: f64, wanted: usize) -> Vec<usize> {
        choose(rows, lambda, wanted, &NeverInterrupted).unwrap()
    }

    #[test]
    fn a_row_like_a_better_one_falls_behind_a_different_one() {
        // 1 is 0 again, 2 stands at a right angle to both.
        let rows = rows(&[
            (0.9, Some([1.0, 0.0])),
            (0.89, Some([5.0, 0.01])),
            (0.5, Some([0.0, 3.0])),
        ]);
        assert_eq!(order(&rows, 1.0, 3), [0, 1, 2]);
        assert_eq!(order(&rows, 0.5, 3), [0, 2, 1]);
        assert_eq!(order(&rows, 0.5, 2), [0, 2]);
        // 0.8 · 0.89 − 0.2 · 1 = 0.512 > 0.8 · 0.5 − 0.2 · 0 = 0.4
        assert_eq!(order(&rows, 0.8, 2), [0, 1]);
    }

    #[test]
    fn rows_without_a_direction_are_like_no_other() {
        let rows = rows(&[
            (0.9, Some([1.0, 0.0])),
            (0.8, Some([1.0, 0.0])),
            (0.7, None),
            (0.6, Some([0.0, 0.0])),
            (0.5, Some([f32::NAN, 0.0])),
        ]);
        assert_eq!(order(&rows, 0.5, 5), [0, 2, 3, 4, 1]);
    }

    #[test]
    fn a_row_may_be_the_opposite_of_another() {
        let rows = rows(&[
            (0.5, Some([1.0, 0.0])),
            (0.5, Some([0.0, 1.0])),
            (0.5, Some([-1.0, 0.0])),
        ]);
        assert_eq!(order(&rows, 0.5, 3), [0, 2, 1]);
    }

    #[test]
    fn the_caller_can_stop_it() {
        struct After(Cell<u32>);
        impl Interrupt for After {
            fn check(&self) -> Result<(), Interrupted> {
                self.0.set(self.0.get().checked_sub(1).ok_or(Interrupted)?);
                Ok(())
            }
        }
        let rows = rows(&[(0.5, Some([1.0, 0.0])); 10]);
        assert_eq!(choose(&rows, 0.5, 10, &After(Cell::new(4))), Err(Interrupted));
        assert_eq!(choose(&rows, 0.5, 4, &After(Cell::new(4))).unwrap(), [0, 1, 2, 3]);
    }

    fn any_rows() -> impl Strategy<Value = Vec<Candidate>> {
        let vector = proptest::option::of(proptest::array::uniform3(-2.0f32..2.0).prop_map(Vec::from));
        proptest::collection::vec((0.0..1.0f64, vector), 0..30).prop_map(|rows| {
            let mut rows: Vec<Candidate> = rows
                .into_iter()
                .map(|(score, vector)| Candidate { score, vector })
                .collect();
            rows.sort_by(|a, b| b.score.total_cmp(&a.score));
            rows
        })
    }

    proptest! {
        #[test]
        fn each_row_comes_once_and_the_best_first(rows in any_rows(), lambda in 0.0..=1.0f64, wanted in 0..40usize) {
            let chosen = order(&rows, lambda, wanted);
            prop_assert_eq!(chosen.len(), wanted.min(rows.len()));
            let distinct: BTreeSet<usize> = chosen.iter().copied().collect();
            prop_assert_eq!(distinct.len(), chosen.len());
            prop_assert!(chosen.first().is_none_or(|first| *first == 0));
            prop_assert_eq!(&chosen, &order(&rows, lambda, wanted));
            // A page is a part of the whole.
            prop_assert!(order(&rows, lambda, rows.len()).starts_with(&chosen));
        }

        #[test]
        fn a_lambda_of_one_changes_nothing(rows in any_rows()) {
            prop_assert_eq!(order(&rows, 1.0, rows.len()), (0..rows.len()).collect::<Vec<_>>());
        }
    }
}
