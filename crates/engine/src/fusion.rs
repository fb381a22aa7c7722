//! Reciprocal-rank fusion of the semantic and the full-text leg of a search.
//!
//! Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods"
//! (SIGIR 2009): a row scores the sum of 1 / (k + rank) over the legs that found it, k = 60. Ranks start at 1.
//! The result depends on the set of hits alone, not on the order in which they arrive: within a leg equal values are
//! ranked by key, and so are equal fused scores. The glue runs the two legs and calls [`fuse`].

use std::cmp::Ordering;
use std::collections::HashMap;
use std::str::FromStr;

/// A row found by vector distance.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticHit {
    /// The row's key as text.
    pub key: String,
    /// Similarity to the query, the higher the closer; cosine similarity lies in [-1, 1].
    pub similarity: f64,
}

/// A row found by full-text search.
#[derive(Debug, Clone, PartialEq)]
pub struct TextHit {
    /// The row's key as text.
    pub key: String,
    /// BM25 or the like, the higher the better, at least 0.
    pub rank: f64,
}

/// A row of the fused result.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The row's key as text.
    pub key: String,
    /// In [0, 1]. Hybrid: the weighted reciprocal-rank sum divided by its maximum, so a row that is first in both
    /// legs has 1. Semantic: the similarity, clamped. Text: rank / (rank + 1).
    pub score: f64,
    /// The similarity, if the semantic leg found the row.
    pub similarity: Option<f64>,
    /// The position in the semantic leg from 1, if it found the row.
    pub semantic_rank: Option<u32>,
    /// The position in the text leg from 1, if it found the row.
    pub text_rank: Option<u32>,
}

/// Which legs of the search count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Both, fused.
    #[default]
    Hybrid,
    /// Vector distance only.
    Semantic,
    /// Full-text search only.
    Text,
}

impl Mode {
    /// The name as SQL functions take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Semantic => "semantic",
            Self::Text => "text",
        }
    }
}

impl FromStr for Mode {
    type Err = FusionError;

    fn from_str(name: &str) -> Result<Self, FusionError> {
        [Self::Hybrid, Self::Semantic, Self::Text]
            .into_iter()
            .find(|mode| mode.name() == name)
            .ok_or_else(|| FusionError::UnknownMode {
                mode: crate::filter::display_name(name),
            })
    }
}

/// A wrong argument of the fusion; all are of SQLSTATE 22023.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FusionError {
    /// No such mode.
    #[error("unknown mode \"{mode}\", must be \"hybrid\", \"semantic\" or \"text\"")]
    UnknownMode {
        /// The mode as given.
        mode: String,
    },
    /// A weight that is not a finite number of at least 0, or two weights of 0.
    #[error("leg weights must be finite, at least 0 and not both 0, not {semantic} and {text}")]
    InvalidWeights {
        /// The semantic leg's weight.
        semantic: f64,
        /// The text leg's weight.
        text: f64,
    },
}

/// How the legs are combined in [`Mode::Hybrid`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fusion {
    rank_constant: u32,
    semantic_weight: f64,
    text_weight: f64,
}

impl Default for Fusion {
    /// The constant of the paper, 60, and equal weights.
    fn default() -> Self {
        Self {
            rank_constant: Self::RANK_CONSTANT,
            semantic_weight: 1.0,
            text_weight: 1.0,
        }
    }
}

impl Fusion {
    /// The constant of the paper.
    pub const RANK_CONSTANT: u32 = 60;

    /// Other settings: `rank_constant` is the paper's k; only the ratio of the weights matters.
    ///
    /// # Errors
    /// [`FusionError::InvalidWeights`].
    pub fn new(rank_constant: u32, semantic_weight: f64, text_weight: f64) -> Result<Self, FusionError> {
        let is_weight = |weight: f64| weight.is_finite() && weight >= 0.0;
        let largest = semantic_weight.max(text_weight);
        if !is_weight(semantic_weight) || !is_weight(text_weight) || largest == 0.0 {
            return Err(FusionError::InvalidWeights {
                semantic: semantic_weight,
                text: text_weight,
            });
        }
        // Scaled to at most 1, so that the sums below neither overflow nor lose a weight of 1e-300 to rounding.
        Ok(Self {
            rank_constant,
            semantic_weight: semantic_weight / largest,
            text_weight: text_weight / largest,
        })
    }

    /// The constant, and the weights of the semantic and of the text leg, the larger of them 1.
    pub fn settings(&self) -> (u32, f64, f64) {
        (self.rank_constant, self.semantic_weight, self.text_weight)
    }

    fn score(&self, semantic_rank: Option<u32>, text_rank: Option<u32>) -> f64 {
        let constant = f64::from(self.rank_constant);
        let part =
            |weight: f64, rank: Option<u32>| rank.map_or(0.0, |rank| weight / (constant + f64::from(rank)));
        let sum = part(self.semantic_weight, semantic_rank) + part(self.text_weight, text_rank);
        let largest = (self.semantic_weight + self.text_weight) / (constant + 1.0);
        (sum / largest).clamp(0.0, 1.0)
    }
}

/// Fuses the two legs and returns the best `limit` rows, best first.
///
/// The order of the inputs does not matter. A key that occurs twice in a leg keeps its better value. Values that are
/// not numbers rank last. In a single-leg mode the other leg is ignored, and rows keep the leg's order even where
/// clamping makes their scores equal.
pub fn fuse(
    semantic: &[SemanticHit],
    text: &[TextHit],
    mode: Mode,
    limit: usize,
    fusion: &Fusion,
) -> Vec<Fused> {
    let semantic = match mode {
        Mode::Text => Vec::new(),
        _ => ranked(
            semantic
                .iter()
                .map(|hit| (hit.key.as_str(), hit.similarity))
                .collect(),
        ),
    };
    let text = match mode {
        Mode::Semantic => Vec::new(),
        _ => ranked(text.iter().map(|hit| (hit.key.as_str(), hit.rank)).collect()),
    };
    let mut rows: Vec<Fused> = semantic.iter().map(|leg| semantic_row(leg)).collect();
    let mut places: HashMap<&str, usize> = semantic
        .iter()
        .enumerate()
        .map(|(place, leg)| (leg.key, place))
        .collect();
    for leg in &text {
        let place = *places.entry(leg.key).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(row) => row.text_rank = Some(leg.rank),
            None => rows.push(text_row(leg)),
        }
    }
    if mode == Mode::Hybrid {
        for row in &mut rows {
            row.score = fusion.score(row.semantic_rank, row.text_rank);
        }
        rows.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| compare_keys(&a.key, &b.key))
        });
    }
    rows.truncate(limit);
    rows
}

struct Ranked<'a> {
    key: &'a str,
    value: f64,
    rank: u32,
}

/// Sorts one leg, drops repeated keys and numbers the rest from 1.
fn ranked(mut hits: Vec<(&str, f64)>) -> Vec<Ranked<'_>> {
    hits.sort_by(|a, b| descending(a.1, b.1).then_with(|| compare_keys(a.0, b.0)));
    let mut seen = std::collections::HashSet::with_capacity(hits.len());
    hits.retain(|hit| seen.insert(hit.0));
    (1..)
        .zip(hits)
        .map(|(rank, (key, value))| Ranked { key, value, rank })
        .collect()
}

fn descending(a: f64, b: f64) -> Ordering {
    a.is_nan()
        .cmp(&b.is_nan())
        .then_with(|| b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}

fn semantic_row(leg: &Ranked<'_>) -> Fused {
    Fused {
        key: leg.key.to_owned(),
        score: if leg.value.is_nan() {
            0.0
        } else {
            leg.value.clamp(0.0, 1.0)
        },
        similarity: Some(leg.value),
        semantic_rank: Some(leg.rank),
        text_rank: None,
    }
}

fn text_row(leg: &Ranked<'_>) -> Fused {
    // max() also turns NaN into 0; the quotient of infinity would be NaN.
    let rank = leg.value.max(0.0);
    Fused {
        key: leg.key.to_owned(),
        score: if rank.is_infinite() {
            1.0
        } else {
            rank / (rank + 1.0)
        },
        similarity: None,
        semantic_rank: None,
        text_rank: Some(leg.rank),
    }
}

/// The order of keys in ties: integers by value and before everything else, the rest by bytes.
///
/// Integers come first because comparing them by value and other pairs by bytes would not be an order: 9 < 10,
/// 10 < 1a, 1a < 9.
pub fn compare_keys(a: &str, b: &str) -> Ordering {
    match (a.parse::<i128>(), b.parse::<i128>()) {
        (Ok(x), Ok(y)) => x.cmp(&y).then_with(|| a.cmp(b)),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests;
