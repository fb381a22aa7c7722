//! A backend's side of embedding: hand texts to the worker, wait on the latch, take the vectors.
//!
//! A wait answers cancel and statement_timeout at once.

use crate::embed::embedder::{Embedder, Runner};
use crate::embed::ready;
use crate::embed::remote::{self, RemoteRequest};
use crate::embed::request::{Request as LocalRequest, embed_parts};
use crate::error::Result;
use crate::pg::catalog;
use crate::shared::shared;
use castmatch_engine::shared::embedder::Urgency;
use castmatch_engine::shared::models::Condition;
use core::time::Duration;
use pgrx::pg_sys::panic::ErrorReport;

/// Why texts could not be embedded.
pub enum EmbedFailure {
    /// The model cannot be used now, whatever the text: 58P01 if it is not installed, F0000 if it cannot be loaded, 53400 with too
    /// many others, 55000 without a worker, 53200.
    Unavailable {
        /// Why.
        report: ErrorReport,
        /// When to try again, if the model says so; a local one does not.
        retry_after: Option<Duration>,
    },
    /// The model fails on one of the texts: 38000.
    Texts(ErrorReport),
}

impl From<ErrorReport> for EmbedFailure {
    fn from(report: ErrorReport) -> Self {
        Self::Unavailable {
            report,
            retry_after: None,
        }
    }
}

impl From<EmbedFailure> for ErrorReport {
    fn from(failure: EmbedFailure) -> Self {
        match failure {
            EmbedFailure::Unavailable { report, .. } | EmbedFailure::Texts(report) => report,
        }
    }
}

/// Texts that a model is embedding.
pub enum Request {
    /// The embedding worker.
    Local(LocalRequest),
    /// A server elsewhere.
    Remote(Box<RemoteRequest>),
}

impl Request {
    /// Whether the model is done with what it was handed, or cannot do it. Never waits.
    pub fn is_done(&mut self) -> bool {
        match self {
            Self::Local(request) => request.is_done(),
            Self::Remote(request) => request.advance(),
        }
    }

    /// Whether a server elsewhere is asked.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// Waits for the vectors of the texts, in order; in a transaction or in none.
    ///
    /// # Errors
    /// See [`EmbedFailure`].
    pub fn wait(self) -> Result<Vec<Vec<f32>>, EmbedFailure> {
        match self {
            Self::Local(request) => request.wait(),
            Self::Remote(request) => request.wait(),
        }
    }
}

/// Vectors of the texts, in order.
///
/// # Errors
/// See [`EmbedFailure`].
pub fn embed(model: &Embedder, texts: &[&str], urgency: Urgency) -> Result<Vec<Vec<f32>>, EmbedFailure> {
    catalog::require_utf8()?;
    match &model.runner {
        Runner::Local(name) => {
            let mut vectors = Vec::new();
            embed_parts(name, texts, urgency, &mut vectors)?;
            Ok(vectors)
        }
        Runner::Remote(definition) => RemoteRequest::submit(definition, texts)?.wait(),
    }
}

/// Hands the texts over; the vectors are waited for later, in this transaction, another or none. A request that is dropped is
/// cancelled. To a server elsewhere they are handed over in a transaction.
///
/// # Errors
/// See [`EmbedFailure`].
pub fn submit(model: &Embedder, texts: &[&str], urgency: Urgency) -> Result<Request, EmbedFailure> {
    catalog::require_utf8()?;
    Ok(match &model.runner {
        Runner::Local(name) => Request::Local(LocalRequest::submit(name, texts, urgency)?),
        Runner::Remote(definition) => Request::Remote(Box::new(RemoteRequest::submit(definition, texts)?)),
    })
}

/// Whether the model is loaded now; of a server elsewhere nobody knows.
pub fn is_loaded(model: &Embedder) -> bool {
    let Runner::Local(name) = &model.runner else {
        return false;
    };
    shared().is_ok_and(|shared| {
        let models = &shared.embedder.models;
        let facts = models.find(name.as_str()).and_then(|found| models.facts(found));
        facts.is_some_and(|facts| facts.condition == Condition::Ready)
    })
}

/// Dimensions of the model's vectors; loads or asks the model if need be.
///
/// # Errors
/// As for [`embed`].
pub fn dimensions(model: &Embedder) -> Result<usize> {
    match &model.runner {
        Runner::Local(name) => {
            let (_, facts) = ready::await_model(&shared()?.embedder, name)?;
            Ok(facts.dimensions)
        }
        Runner::Remote(definition) => remote::dimensions(definition),
    }
}

/// The model's version: another one may give other vectors. Loads a local model if its version is not known.
///
/// # Errors
/// As for [`embed`].
pub fn model_version(model: &Embedder) -> Result<u64> {
    match &model.runner {
        Runner::Local(name) => Ok(ready::known(&shared()?.embedder, name)?.version),
        Runner::Remote(definition) => Ok(definition.version()),
    }
}

/// The model's version as `castmatch.registrations` keeps it.
///
/// # Errors
/// As for [`embed`].
pub fn version_text(model: &Embedder) -> Result<String> {
    Ok(format!("{:016x}", model_version(model)?))
}
