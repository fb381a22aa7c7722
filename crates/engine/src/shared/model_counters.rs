//! Counters of the calls of models of servers elsewhere, and of chat.

use super::histogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a call of a model of a server elsewhere ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ModelOutcome {
    /// With an answer.
    Answered,
    /// The server refused the request (4xx).
    Refused,
    /// Too many requests (429).
    RateLimited,
    /// The server failed (5xx).
    Unavailable,
    /// No answer in time.
    TimedOut,
    /// No connection, or one that broke.
    Unreachable,
    /// An answer that is none.
    BadAnswer,
    /// Nobody waited for it any more.
    GivenUp,
    /// Not called: its breaker is open.
    LeftAlone,
}

impl ModelOutcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Answered,
        Self::Refused,
        Self::RateLimited,
        Self::Unavailable,
        Self::TimedOut,
        Self::Unreachable,
        Self::BadAnswer,
        Self::GivenUp,
        Self::LeftAlone,
    ];

    /// Value of the label `outcome`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "ok",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad_answer",
            Self::GivenUp => "given_up",
            Self::LeftAlone => "left_alone",
        }
    }
}

/// Upper bounds of the buckets for calls of models in microseconds: they take longer than anything here.
pub const MODEL_BOUNDS_US: [u64; 11] = [
    10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    30_000_000,
];

/// Counters of the calls of models of servers elsewhere.
#[repr(C)]
#[derive(Default)]
pub struct ModelCounters {
    outcomes: [AtomicU64; ModelOutcome::ALL.len()],
    /// Duration of the calls, in microseconds.
    pub durations: Histogram<{ MODEL_BOUNDS_US.len() + 1 }>,
    rate_limited: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

impl ModelCounters {
    /// Counts a call that was made.
    pub fn record(
        &self,
        duration: Duration,
        outcome: ModelOutcome,
        prompt_tokens: u64,
        completion_tokens: u64,
    ) {
        self.count(outcome);
        let elapsed_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.durations.record(&MODEL_BOUNDS_US, elapsed_us);
        self.prompt_tokens.fetch_add(prompt_tokens, Ordering::Relaxed);
        self.completion_tokens
            .fetch_add(completion_tokens, Ordering::Relaxed);
    }

    /// Counts an outcome alone.
    pub fn count(&self, outcome: ModelOutcome) {
        // In range: the array has one entry for each variant, and variants number from 0.
        #[allow(clippy::indexing_slicing)]
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer "too many requests", whether or not another attempt followed.
    pub fn rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that ended so.
    pub fn ended(&self, outcome: ModelOutcome) -> u64 {
        #[allow(clippy::indexing_slicing)]
        self.outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    /// Answers "too many requests".
    pub fn rate_limits(&self) -> u64 {
        self.rate_limited.load(Ordering::Relaxed)
    }

    /// Tokens of prompts and of completions.
    pub fn tokens(&self) -> (u64, u64) {
        (
            self.prompt_tokens.load(Ordering::Relaxed),
            self.completion_tokens.load(Ordering::Relaxed),
        )
    }
}

/// What of a reply was done without a model that was to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Part {
    /// The search that a message stands for.
    Rewrite,
    /// The reply itself.
    Reply,
    /// A text of `castmatch.generate`.
    Generate,
}

impl Part {
    /// All parts, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Rewrite, Self::Reply, Self::Generate];

    /// Its name in `degraded` and as a value of the label `part`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite",
            Self::Reply => "reply",
            Self::Generate => "generate",
        }
    }
}

/// Counters of chat beyond its calls.
#[repr(C)]
#[derive(Default)]
pub struct ChatCounters {
    /// Replies in which a model was passed over or a part left out.
    pub degraded: AtomicU64,
    /// Models that were passed over, by the part that they were to do.
    passed_over: [AtomicU64; Part::ALL.len()],
    /// Replies to another wording that were used again.
    pub semantic_hits: AtomicU64,
    /// Of those looked at again by computing the reply: the same rows, and other rows.
    pub audits_same: AtomicU64,
    /// Other rows: the reuse was wrong.
    pub audits_other: AtomicU64,
}

impl ChatCounters {
    /// Counts a model that was passed over.
    pub fn pass_over(&self, part: Part) {
        if let Some(count) = self.passed_over.get(part as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Models that were passed over for the part.
    pub fn passed_over(&self, part: Part) -> u64 {
        self.passed_over
            .get(part as usize)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_outcomes_number_from_zero_without_a_gap() {
        let counters = ChatCounters::default();
        for (index, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, index);
            counters.pass_over(part);
            assert_eq!(counters.passed_over(part), 1);
        }
        for (index, outcome) in ModelOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }
}
