//! A call of a model under way: begun and asked for news by whoever waits, in a transaction or in none.
//!
//! However it ends, the breaker learns of it and the ledger is told what it used: a call that was cancelled cost something, too.

use crate::models::Ready;
use crate::models::client;
use crate::models::failure::ModelFailure;
use crate::models::state::{breakers, policy};
use crate::models::usage;
use crate::pg::clock::monotonic_ms;
use crate::shared::shared;
use crate::stats;
use castmatch_engine::chat::window::estimate_tokens;
use castmatch_engine::shared::breaker::Admission;
use castmatch_engine::shared::counters::ModelOutcome;
use castmatch_engine::usage::Used;
use castmatch_provider::{
    Answer, Call, ChatAnswer, EmbeddingsAnswer, EmbeddingsCall, Event, Failure, FailureKind, Outcome,
    Pending, Usage,
};
use std::time::Instant;

/// Most tokens that a call is believed to have used.
const MAX_TOKENS: u64 = 1 << 40;

/// A call under way; dropping it closes its connection.
pub struct Ongoing {
    ready: Ready,
    pending: Pending,
    begun: Instant,
    /// Estimated tokens of what was sent and of what came back so far: for servers that do not tell.
    sent: u64,
    received: u64,
    settled: bool,
}

/// News of a call.
pub enum Progress {
    /// Nothing yet.
    Waiting,
    /// A piece of a streamed reply.
    Piece(String),
    /// The end.
    Done(Result<Answer, ModelFailure>),
}

impl Ongoing {
    /// Begins a call, unless the model is left alone.
    ///
    /// # Errors
    /// Why it was not called.
    pub fn begin(ready: &Ready, call: Call) -> Result<Self, ModelFailure> {
        let endpoint = match &ready.endpoint {
            Ok(endpoint) => endpoint,
            Err(message) => return Err(refused(ModelFailure::Unusable(message.clone()))),
        };
        let key = ready.breaker_key();
        let admission = breakers().map(|breakers| breakers.admit(key, monotonic_ms(), policy()));
        if let Some(Admission::Refused(wait)) = admission {
            return Err(refused(ModelFailure::LeftAlone { wait }));
        }
        let client =
            client::client().map_err(|report| ModelFailure::Unusable(report.message().to_owned()))?;
        let sent = sent_tokens(&call);
        Ok(Self {
            ready: ready.clone(),
            pending: client.send(endpoint, call),
            begun: Instant::now(),
            sent,
            received: 0,
            settled: false,
        })
    }

    /// The news of the call; never waits.
    pub fn poll(&mut self) -> Progress {
        match self.pending.next() {
            None => Progress::Waiting,
            Some(Event::Piece(text)) => {
                self.received += estimate_tokens(&text) as u64;
                Progress::Piece(text)
            }
            Some(Event::Done(outcome)) => {
                self.settle(&outcome);
                Progress::Done(outcome.result.map_err(ModelFailure::Server))
            }
        }
    }

    fn settle(&mut self, outcome: &Outcome) {
        self.settled = true;
        let breakers = breakers().map(|breakers| (breakers, self.ready.breaker_key()));
        for failure in outcome
            .failed_attempts
            .iter()
            .chain(outcome.result.as_ref().err())
        {
            if failure.kind == FailureKind::RateLimited {
                note(|counters| counters.rate_limited());
            }
            // A server that refuses a request is there.
            if failure.kind != FailureKind::Refused
                && let Some((breakers, key)) = breakers
                && breakers.failed(
                    key,
                    monotonic_ms(),
                    policy(),
                    failure.retry_after.filter(|_| is_last(outcome, failure)),
                )
            {
                pgrx::log!(
                    "castmatch: model \"{}\" is left alone for a while: {}",
                    self.ready.definition.name,
                    failure.message
                );
            }
        }
        let used = match &outcome.result {
            Ok(answer) => {
                if let Some((breakers, key)) = breakers {
                    breakers.succeeded(key);
                }
                self.used(answer)
            }
            Err(failure) => {
                if let (FailureKind::Refused, Some((breakers, key))) = (failure.kind, breakers) {
                    breakers.succeeded(key);
                }
                failed()
            }
        };
        self.note(
            used,
            match &outcome.result {
                Ok(_) => ModelOutcome::Answered,
                Err(failure) => outcome_of(failure),
            },
        );
    }

    fn note(&self, used: Used, outcome: ModelOutcome) {
        note(|counters| {
            counters.record(
                self.begun.elapsed(),
                outcome,
                used.prompt_tokens,
                used.completion_tokens,
            )
        });
        if let Ok(shared) = shared() {
            shared.model_calls.record(
                self.ready.breaker_key(),
                monotonic_ms(),
                self.begun.elapsed(),
                outcome == ModelOutcome::Answered,
            );
        }
        usage::note(&self.ready, used);
    }

    fn used(&self, answer: &Answer) -> Used {
        let (told, received) = match answer {
            Answer::Chat(answer) => (answer.usage, received_tokens(answer)),
            Answer::Embeddings(answer) => (answer.usage, 0),
        };
        let Usage {
            prompt_tokens,
            completion_tokens,
        } = told.unwrap_or(Usage {
            prompt_tokens: self.sent,
            completion_tokens: received,
        });
        // A server may say what it likes; a sum of such numbers must not overflow.
        let (prompt_tokens, completion_tokens) =
            (prompt_tokens.min(MAX_TOKENS), completion_tokens.min(MAX_TOKENS));
        Used {
            requests: 1,
            failed: 0,
            prompt_tokens,
            completion_tokens,
            cost_micros: self
                .ready
                .definition
                .options
                .price
                .cost_micros(prompt_tokens, completion_tokens),
        }
    }
}

/// A call that nobody waits for any more. What it sent and received so far is paid for.
impl Drop for Ongoing {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if let Some(breakers) = breakers() {
            breakers.given_up(self.ready.breaker_key());
        }
        let price = self.ready.definition.options.price;
        let used = Used {
            prompt_tokens: self.sent,
            completion_tokens: self.received,
            cost_micros: price.cost_micros(self.sent, self.received),
            ..failed()
        };
        self.note(used, ModelOutcome::GivenUp);
    }
}

fn is_last(outcome: &Outcome, failure: &Failure) -> bool {
    outcome
        .result
        .as_ref()
        .err()
        .is_some_and(|last| core::ptr::eq(last, failure))
}

fn failed() -> Used {
    Used {
        requests: 1,
        failed: 1,
        ..Used::default()
    }
}

fn outcome_of(failure: &Failure) -> ModelOutcome {
    match failure.kind {
        FailureKind::Refused => ModelOutcome::Refused,
        FailureKind::RateLimited => ModelOutcome::RateLimited,
        FailureKind::Unavailable => ModelOutcome::Unavailable,
        FailureKind::TimedOut => ModelOutcome::TimedOut,
        FailureKind::Unreachable => ModelOutcome::Unreachable,
        FailureKind::BadAnswer => ModelOutcome::BadAnswer,
    }
}

fn note(count: impl FnOnce(&castmatch_engine::shared::counters::ModelCounters)) {
    if let Some(counters) = stats::counters() {
        count(&counters.models);
    }
}

/// Counts a call that was not made.
fn refused(failure: ModelFailure) -> ModelFailure {
    note(|counters| counters.count(ModelOutcome::LeftAlone));
    failure
}

fn sent_tokens(call: &Call) -> u64 {
    let tokens: usize = match call {
        Call::Chat(call) => call
            .messages
            .iter()
            .map(|message| estimate_tokens(&message.content))
            .sum(),
        Call::Embeddings(call) => call.inputs.iter().map(|input| estimate_tokens(input)).sum(),
    };
    tokens as u64
}

fn received_tokens(answer: &ChatAnswer) -> u64 {
    let calls: usize = answer
        .tool_calls
        .iter()
        .map(|call| estimate_tokens(&call.arguments))
        .sum();
    (estimate_tokens(&answer.text) + calls) as u64
}

/// The answer of a call for a reply.
///
/// # Errors
/// If it is another one's.
pub fn chat_answer(answer: Answer) -> Result<ChatAnswer, ModelFailure> {
    match answer {
        Answer::Chat(answer) => Ok(answer),
        Answer::Embeddings(_) => Err(ModelFailure::Unfit("it answered with vectors".to_owned())),
    }
}

/// The answer of a call for vectors.
///
/// # Errors
/// If it is another one's.
pub fn embeddings_answer(answer: Answer) -> Result<EmbeddingsAnswer, ModelFailure> {
    match answer {
        Answer::Embeddings(answer) => Ok(answer),
        Answer::Chat(_) => Err(ModelFailure::Unfit("it answered with a text".to_owned())),
    }
}

/// A call for vectors of texts.
pub fn embeddings_call(ready: &Ready, inputs: Vec<String>) -> Call {
    Call::Embeddings(EmbeddingsCall {
        model: ready.definition.remote_name().to_owned(),
        inputs,
        dimensions: ready.definition.options.dimensions,
    })
}
