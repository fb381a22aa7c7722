//! Asking a model, and if it fails its fallback: a call that goes from model to model until one answers or none is left.

use crate::error::Result;
use crate::models::Ready;
use crate::models::call::{Ongoing, Progress, chat_answer};
use crate::models::failure::ModelFailure;
use crate::models::{client, registry};
use crate::pg::spi::Access;
use crate::stats;
use castmatch_engine::model_name::BUILTIN;
use castmatch_engine::registry::{Provider, Task};
use castmatch_engine::shared::counters::Part;
use castmatch_provider::{Call, ChatAnswer, ChatCall};
use core::time::Duration;
use pgrx::pg_sys::panic::ErrorReport;
use serde_json::{Value as Json, json};
use std::collections::VecDeque;

/// Models of one chain, the first one included.
const MAX_MODELS: usize = 9;
/// Between two looks whether there is news, should a wake-up be missed.
const PATIENCE: Duration = Duration::from_secs(1);

/// A model that was passed over, and why.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The model.
    pub model: String,
    /// Why.
    pub failure: ModelFailure,
}

impl Skipped {
    fn to_json(&self, part: Part) -> Json {
        json!({
            "part": part.name(), "model": self.model, "reason": self.failure.reason(), "message": self.failure.message(),
        })
    }

    /// The error, for callers that want an answer of a model or none.
    pub fn report(&self) -> ErrorReport {
        self.failure.report(&self.model)
    }
}

/// The models that were passed over for a part, as `degraded` tells them; counted.
pub fn degraded(skipped: &[Skipped], part: Part) -> Vec<Json> {
    let tell = |skipped: &Skipped| {
        note_passed_over(part);
        skipped.to_json(part)
    };
    skipped.iter().map(tell).collect()
}

/// Counts a model that was passed over.
pub fn note_passed_over(part: Part) {
    if let Some(counters) = stats::counters() {
        counters.chat.pass_over(part);
    }
}

/// The models that may answer, the one asked for first; none stands for the built-in responder alone.
///
/// # Errors
/// 42704, 22023, 42501 for a model that is not there, not for chat or not granted; 53400 if the budget is spent.
pub fn speakers(name: &str) -> Result<VecDeque<Ready>> {
    let mut speakers = VecDeque::new();
    if name == BUILTIN {
        return Ok(speakers);
    }
    let mut next = Some(registry::usable(name, Task::Chat, Access::ReadWrite)?);
    while let Some(definition) = next.take().filter(|_| speakers.len() < MAX_MODELS) {
        if definition.provider == Provider::Builtin {
            break;
        }
        // Whoever may use a model may use what it falls back to.
        next = match definition.options.fallback.as_deref() {
            None | Some(BUILTIN) => None,
            Some(fallback) => registry::find(fallback, Access::ReadWrite)?
                .map(|stored| stored.definition)
                .filter(|fallback| fallback.task == Task::Chat),
        };
        speakers.push_back(Ready::new(definition)?);
    }
    Ok(speakers)
}

/// News of a chain.
pub enum News {
    /// Nothing yet.
    Waiting,
    /// A piece of a streamed answer.
    Piece(String),
    /// A model answered.
    Answered {
        /// Its answer.
        answer: ChatAnswer,
        /// Its name.
        model: String,
    },
    /// No model answered; with a stream that broke off after its first piece, that one's failure is the last.
    Exhausted,
}

/// Makes the call for a model.
type MakeCall = Box<dyn Fn(&Ready) -> ChatCall>;

/// A call of models, one after the other.
pub struct Chain {
    models: VecDeque<Ready>,
    make: MakeCall,
    current: Option<(String, Ongoing)>,
    /// The models passed over so far.
    pub skipped: Vec<Skipped>,
    /// Whether a piece was given away: what follows it cannot come from another model.
    began: bool,
}

impl Chain {
    /// A call of the first of these models, made by `make`.
    pub fn new(models: VecDeque<Ready>, make: impl Fn(&Ready) -> ChatCall + 'static) -> Self {
        Self {
            models,
            make: Box::new(make),
            current: None,
            skipped: Vec::new(),
            began: false,
        }
    }

    fn skip(&mut self, model: String, failure: ModelFailure) {
        self.current = None;
        self.skipped.push(Skipped { model, failure });
        if self.began {
            self.models.clear();
        }
    }

    /// What has happened; begins with the next model where one has failed. Never waits, and needs no transaction.
    pub fn poll(&mut self) -> News {
        loop {
            let Some((name, ongoing)) = &mut self.current else {
                let Some(ready) = self.models.pop_front() else {
                    return News::Exhausted;
                };
                let name = ready.definition.name.clone();
                match Ongoing::begin(&ready, Call::Chat((self.make)(&ready))) {
                    Ok(ongoing) => self.current = Some((name, ongoing)),
                    Err(failure) => self.skip(name, failure),
                }
                continue;
            };
            let name = name.clone();
            match ongoing.poll() {
                Progress::Waiting => return News::Waiting,
                Progress::Piece(piece) => {
                    self.began = true;
                    return News::Piece(piece);
                }
                Progress::Done(result) => match result.and_then(chat_answer) {
                    Ok(answer) => {
                        self.current = None;
                        return News::Answered { answer, model: name };
                    }
                    Err(failure) => self.skip(name, failure),
                },
            }
        }
    }

    /// Waits for an answer, with what each piece of a stream is given to.
    ///
    /// # Errors
    /// XX000 if this process cannot wait; interrupts unwind.
    pub fn wait(&mut self) -> Result<Option<(ChatAnswer, String)>> {
        loop {
            match self.poll() {
                News::Waiting => client::wait(PATIENCE)?,
                News::Piece(_) => {}
                News::Answered { answer, model } => return Ok(Some((answer, model))),
                News::Exhausted => return Ok(None),
            }
        }
    }
}
