//! A backend's side of embedding: hand texts to the worker, wait on the latch, take the vectors.
//!
//! A wait answers cancel and statement_timeout at once.

use crate::embed::name::ModelName;
use crate::embed::ready;
pub use crate::embed::request::Request;
use crate::embed::request::embed_parts;
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

/// Vectors of the texts, in order.
///
/// # Errors
/// See [`EmbedFailure`].
pub fn embed(model: &ModelName, texts: &[&str], urgency: Urgency) -> Result<Vec<Vec<f32>>, EmbedFailure> {
    catalog::require_utf8()?;
    let mut vectors = Vec::new();
    embed_parts(model, texts, urgency, &mut vectors)?;
    Ok(vectors)
}

/// Hands the texts over; the vectors are waited for later, in this transaction, another or none. A request that is dropped is
/// cancelled.
///
/// # Errors
/// See [`EmbedFailure`].
pub fn submit(model: &ModelName, texts: &[&str], urgency: Urgency) -> Result<Request, EmbedFailure> {
    catalog::require_utf8()?;
    Request::submit(model, texts, urgency)
}

/// Whether the model is loaded now.
pub fn is_loaded(model: &ModelName) -> bool {
    shared().is_ok_and(|shared| {
        let models = &shared.embedder.models;
        let facts = models.find(model.as_str()).and_then(|found| models.facts(found));
        facts.is_some_and(|facts| facts.condition == Condition::Ready)
    })
}

/// Dimensions of the model's vectors; loads the model if need be.
///
/// # Errors
/// As for [`embed`].
pub fn dimensions(model: &ModelName) -> Result<usize> {
    let (_, facts) = ready::await_model(&shared()?.embedder, model)?;
    Ok(facts.dimensions)
}

/// The loaded model's version: another one may give other vectors. Loads the model if its version is not known.
///
/// # Errors
/// As for [`embed`].
pub fn model_version(model: &ModelName) -> Result<u64> {
    let facts = ready::known(&shared()?.embedder, model)?;
    Ok(facts.version)
}

/// The model's version as `castmatch.registrations` keeps it.
///
/// # Errors
/// As for [`embed`].
pub fn version_text(model: &ModelName) -> Result<String> {
    Ok(format!("{:016x}", model_version(model)?))
}
