//! The options of `match` and its relatives: jsonb in, checked settings out.
//!
//! An option that does not exist, or that a function has no use for, is refused: a misspelt one would otherwise change nothing and be
//! noticed by nobody. The glue calls [`parse`] once per call.

mod error;
mod parse;
#[cfg(test)]
mod tests;
pub(crate) mod value;

pub use error::OptionError;
pub use parse::{MAX_SYSTEM_BYTES, parse};

use crate::cache::Usage;
use crate::cache::key::Key;
use crate::fusion::{Fusion, Mode};
use serde_json::Value;

/// Most rows that a search can skip.
pub const MAX_OFFSET: usize = 10_000;
/// Most rows that a search can return.
pub const MAX_K: usize = 10_000;
/// Most rows that a leg contributes.
pub const MAX_CANDIDATES: usize = 50_000;
/// Most rows among which diversity chooses: it compares each with each.
pub const MAX_DIVERSE: usize = 2_000;

/// Rows that each leg contributes for each row asked for, and at least.
const CANDIDATES_PER_ROW: usize = 5;
const MIN_CANDIDATES: usize = 100;
/// The same of two legs that are fused: a row that is near the top of one and far down in the other must be found by both
/// (docs/design/matching.md has figures).
const MIN_FUSED_CANDIDATES: usize = 250;

/// The function that the options are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `castmatch.match`
    Match,
    /// `castmatch.match_vector`
    MatchVector,
    /// `castmatch.similar`
    Similar,
    /// `castmatch.match_explain`
    MatchExplain,
    /// `castmatch.chat`
    Chat,
    /// `castmatch.generate`
    Generate,
}

impl Verb {
    /// The function's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::MatchVector => "match_vector",
            Self::Similar => "similar",
            Self::MatchExplain => "match_explain",
            Self::Chat => "chat",
            Self::Generate => "generate",
        }
    }

    /// The options that the function has, in the order in which messages list them.
    pub fn options(self) -> impl Iterator<Item = &'static str> + Clone {
        let has = move |&(name, verbs): &(&'static str, &[Self])| verbs.contains(&self).then_some(name);
        OPTIONS.iter().filter_map(has)
    }
}

/// Every option, with the functions that have it.
const OPTIONS: [(&str, &[Verb]); 18] = {
    use Verb::{Chat, Generate, Match, MatchExplain, MatchVector, Similar};
    const ALL: &[Verb] = &[Match, MatchVector, Similar, MatchExplain, Chat];
    // Of one leg there is nothing to fuse.
    const FUSING: &[Verb] = &[Match, MatchExplain, Chat];
    // Where `match` has an argument.
    const EXPLAINING: &[Verb] = &[MatchExplain];
    // What is said to a model.
    const SPEAKING: &[Verb] = &[Chat, Generate];
    [
        ("cache", ALL),
        ("candidates", ALL),
        ("json_schema", &[Generate]),
        ("k", EXPLAINING),
        ("max_tokens", SPEAKING),
        ("metadata", &[Chat]),
        ("min_similarity", ALL),
        ("mmr", ALL),
        ("mode", EXPLAINING),
        // A reply has no pages, and names its sources with their reasons; those of an explanation are always told.
        ("offset", &[Match, MatchVector, Similar, MatchExplain]),
        ("reasons", &[Match, MatchVector, Similar]),
        ("rrf_k", FUSING),
        ("semantic_weight", FUSING),
        ("summary", &[Chat]),
        ("system", SPEAKING),
        ("temperature", SPEAKING),
        ("text_weight", FUSING),
        ("title", &[Chat]),
    ]
};

/// What a row's reasons hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reasons {
    /// All parts of the score, and the sentences.
    #[default]
    Full,
    /// One sentence.
    Text,
    /// Nothing, and nothing is computed for them.
    Left,
}

/// Maximal marginal relevance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Diversity {
    /// What a row's own score counts against its likeness to the rows before it: 1 leaves the order as it is.
    pub lambda: f64,
    /// Rows among which is chosen; `None` for five for each row asked for.
    pub candidates: Option<usize>,
}

impl Diversity {
    /// How many of the best rows are chosen from where `wanted` are asked for.
    pub fn pool(&self, wanted: usize) -> usize {
        let by_default = wanted.saturating_mul(CANDIDATES_PER_ROW).max(MIN_CANDIDATES);
        self.candidates.unwrap_or(by_default).min(MAX_DIVERSE)
    }
}

/// What a call says to a model, and about its conversation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Speech {
    /// System prompt instead of the model's own.
    pub system: Option<String>,
    /// Sampling temperature instead of the model's own.
    pub temperature: Option<f64>,
    /// Most tokens of the reply instead of the model's own.
    pub max_tokens: Option<u32>,
    /// The shape of the answer, as JSON schema.
    pub json_schema: Option<Value>,
    /// Whether a summary stands for what is no longer in the window.
    pub summary: bool,
    /// The conversation's title.
    pub title: Option<String>,
    /// What the application wants to know about the conversation.
    pub metadata: Option<Value>,
}

impl Speech {
    /// Adds what decides over a reply to its key.
    fn identify(&self, key: Key) -> Key {
        let number = |value: Option<f64>| value.map(|value| value.to_bits().to_string());
        key.with_text(self.system.as_deref())
            .with_text(number(self.temperature).as_deref())
            .with_number(self.max_tokens.map_or(0, u64::from))
            .with_text(self.json_schema.as_ref().map(Value::to_string).as_deref())
            .with_number(u64::from(self.summary))
    }
}

/// The options of a call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// How the caches are used.
    pub cache: Usage,
    /// Whether the call says how the caches are used.
    pub cache_given: bool,
    /// What is said to a model.
    pub speech: Speech,
    /// Rows left out at the top of the result.
    pub offset: usize,
    /// Rows less similar than this, or without an embedding, are left out.
    pub min_similarity: Option<f64>,
    /// Whether likeness to better rows costs a row its place.
    pub diversity: Option<Diversity>,
    /// How the legs are combined.
    pub fusion: Fusion,
    /// Rows that each leg contributes, if given.
    pub candidates: Option<usize>,
    /// What the reasons hold.
    pub reasons: Reasons,
    /// Rows asked for, where that is an option.
    pub k: Option<usize>,
    /// Which legs count, where that is an option.
    pub mode: Option<Mode>,
}

impl Options {
    /// Rows that each leg contributes where `k` are asked for: never fewer than are to be returned and skipped.
    pub fn leg_rows(&self, k: usize, mode: Mode) -> usize {
        let wanted = k.saturating_add(self.offset);
        let least = match mode {
            Mode::Hybrid => MIN_FUSED_CANDIDATES,
            Mode::Semantic | Mode::Text => MIN_CANDIDATES,
        };
        let by_default = wanted.saturating_mul(CANDIDATES_PER_ROW).max(least);
        self.candidates
            .unwrap_or(by_default)
            .max(wanted)
            .min(MAX_CANDIDATES)
    }

    /// Adds what decides over a result to its key: all but how the caches are used, and what has arguments of its own.
    pub fn identify(&self, key: Key) -> Key {
        let number = |value: Option<f64>| value.map(|value| value.to_bits().to_string());
        let (constant, semantic, text) = self.fusion.settings();
        self.speech
            .identify(key)
            .with_number(self.offset as u64)
            .with_text(number(self.min_similarity).as_deref())
            .with_text(number(self.diversity.map(|diversity| diversity.lambda)).as_deref())
            .with_number(self.diversity.and_then(|d| d.candidates).unwrap_or(0) as u64)
            .with_number(u64::from(constant))
            .with_number(semantic.to_bits())
            .with_number(text.to_bits())
            .with_number(self.candidates.unwrap_or(0) as u64)
            .with_number(match self.reasons {
                Reasons::Full => 0,
                Reasons::Text => 1,
                Reasons::Left => 2,
            })
    }

    /// Refuses what cannot work in a mode.
    ///
    /// # Errors
    /// [`OptionError::NeedsMeaning`].
    pub fn check_mode(&self, mode: Mode) -> Result<(), OptionError> {
        if mode == Mode::Text && self.min_similarity.is_some() {
            return Err(OptionError::NeedsMeaning);
        }
        Ok(())
    }
}
