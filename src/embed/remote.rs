//! Embedding by a server elsewhere: the texts in batches, one request after the other over a connection that is kept alive.

use crate::embed::client::EmbedFailure;
use crate::error::{Result, error, internal};
use crate::models::Ready;
use crate::models::call::{Ongoing, Progress, embeddings_answer, embeddings_call};
use crate::models::client;
use crate::models::failure::ModelFailure;
use castmatch_engine::registry::Definition;
use castmatch_provider::{Answer, MAX_BODY_BYTES};
use core::time::Duration;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Longest text that is sent, in bytes: what a model does not read costs all the same.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Bytes of the texts of one request, at most, unless one text has more.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// Dimensions of a model that has not said them yet.
const ASSUMED_DIMENSIONS: usize = 4096;
/// Bytes of a number in an answer, at most: sign, seventeen digits, point, exponent, comma.
const NUMBER_BYTES: usize = 26;
/// Between two looks whether there is news, should a wake-up be missed.
const PATIENCE: Duration = Duration::from_secs(1);

thread_local! {
    /// Dimensions of the vectors of models that do not say them, by version.
    static DIMENSIONS: RefCell<HashMap<u64, usize>> = RefCell::new(HashMap::new());
}

/// Texts that a server is embedding.
pub struct RemoteRequest {
    ready: Ready,
    ongoing: Option<Ongoing>,
    /// Texts of the requests that follow, the next one last.
    rest: Vec<Vec<String>>,
    vectors: Vec<Vec<f32>>,
    failure: Option<EmbedFailure>,
}

impl From<(&Ready, ModelFailure)> for EmbedFailure {
    fn from((ready, failure): (&Ready, ModelFailure)) -> Self {
        let report = failure.report(&ready.definition.name);
        if failure.is_about_input() {
            Self::Texts(report)
        } else {
            Self::Unavailable {
                report,
                retry_after: failure.retry_after(),
            }
        }
    }
}

/// Texts of one request: as many as the options say, and not more than vectors fit the answer.
fn batch_size(model: &Definition) -> usize {
    let known = DIMENSIONS.with_borrow(|known| known.get(&model.version()).copied());
    let told = model.options.dimensions.map(|told| told as usize);
    let dimensions = told.or(known).unwrap_or(ASSUMED_DIMENSIONS).max(1);
    let fitting = MAX_BODY_BYTES / dimensions.saturating_mul(NUMBER_BYTES);
    model.options.batch_size.min(fitting).max(1)
}

fn batches(texts: &[&str], size: usize) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for text in texts {
        let text = text
            .get(..text.floor_char_boundary(MAX_TEXT_BYTES))
            .unwrap_or(text);
        match batches.last_mut() {
            Some(batch) if batch.len() < size && bytes + text.len() <= MAX_BATCH_BYTES => {
                batch.push(text.to_owned())
            }
            _ => {
                bytes = 0;
                batches.push(vec![text.to_owned()]);
            }
        }
        bytes += text.len();
    }
    batches
}

impl RemoteRequest {
    /// Hands the texts over; in a transaction.
    ///
    /// # Errors
    /// See [`EmbedFailure`]; 53400 if the budget is spent.
    pub fn submit(model: &Rc<Definition>, texts: &[&str]) -> Result<Self, EmbedFailure> {
        let ready = Ready::new(Rc::clone(model))?;
        let mut rest = batches(texts, batch_size(model));
        rest.reverse();
        let mut request = Self {
            ready,
            ongoing: None,
            rest,
            vectors: Vec::with_capacity(texts.len()),
            failure: None,
        };
        request.begin_next()?;
        Ok(request)
    }

    fn begin_next(&mut self) -> Result<(), EmbedFailure> {
        let Some(texts) = self.rest.pop() else {
            return Ok(());
        };
        let call = embeddings_call(&self.ready, texts);
        let begun = Ongoing::begin(&self.ready, call);
        self.ongoing = Some(begun.map_err(|failure| EmbedFailure::from((&self.ready, failure)))?);
        Ok(())
    }

    /// Takes what has come; true when all of it is there, or when it has failed: the time to call [`Self::wait`]. Never waits.
    pub fn advance(&mut self) -> bool {
        while self.failure.is_none()
            && let Some(ongoing) = &mut self.ongoing
        {
            match ongoing.poll() {
                Progress::Waiting => return false,
                Progress::Piece(_) => {}
                Progress::Done(result) => {
                    self.ongoing = None;
                    self.failure = self.take(result).err();
                }
            }
        }
        true
    }

    fn take(&mut self, result: Result<Answer, ModelFailure>) -> Result<(), EmbedFailure> {
        let answer = result.and_then(embeddings_answer);
        let answer = answer.map_err(|failure| EmbedFailure::from((&self.ready, failure)))?;
        for vector in answer.vectors {
            self.check_dimensions(vector.len())?;
            self.vectors.push(vector);
        }
        self.begin_next()
    }

    /// Waits for the vectors of the texts, in order; in a transaction or in none.
    ///
    /// # Errors
    /// See [`EmbedFailure`].
    pub fn wait(mut self) -> Result<Vec<Vec<f32>>, EmbedFailure> {
        while !self.advance() {
            client::wait(PATIENCE)?;
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.vectors),
        }
    }

    /// No column holds vectors of two lengths: a server that changes its mind is told so.
    fn check_dimensions(&self, found: usize) -> Result<()> {
        let definition = &self.ready.definition;
        let expected = DIMENSIONS.with_borrow_mut(|known| {
            let told = definition.options.dimensions.map(|told| told as usize);
            told.unwrap_or_else(|| *known.entry(definition.version()).or_insert(found))
        });
        if found == expected {
            return Ok(());
        }
        Err(error(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!(
                "model \"{}\" gave a vector of {found} dimensions instead of {expected}",
                definition.name
            ),
        )
        .set_hint("The option \"dimensions\" of the model says how many it is to give."))
    }
}

/// Dimensions of the model's vectors; asks the model unless its options say.
///
/// # Errors
/// See [`EmbedFailure`].
pub fn dimensions(model: &Rc<Definition>) -> Result<usize> {
    if let Some(told) = model.options.dimensions {
        return Ok(told as usize);
    }
    let known = DIMENSIONS.with_borrow(|known| known.get(&model.version()).copied());
    if let Some(known) = known {
        return Ok(known);
    }
    let vectors = RemoteRequest::submit(model, &["dimensions"])
        .and_then(RemoteRequest::wait)
        .map_err(ErrorReport::from)?;
    vectors
        .first()
        .map(Vec::len)
        .ok_or_else(|| internal("no vector came back for a text"))
}
