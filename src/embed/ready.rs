//! Waiting until a model is loaded, and for the worker that is to load it.

use crate::embed::worker;
use crate::error::{Result, error, not_in_state};
use crate::pg::clock::monotonic_ms;
use crate::pg::latch;
use castmatch_engine::model_name::ModelName;
use castmatch_engine::shared::embedder::EmbedderState;
use castmatch_engine::shared::models::{Condition, Facts, MODELS, ModelRef};
use core::sync::atomic::Ordering;
use core::time::Duration;
use pgrx::check_for_interrupts;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::time::Instant;

/// How long a backend waits for a worker that does not come up.
const WORKER_ABSENCE_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks whether the model is loaded.
const LOAD_CHECK: Duration = Duration::from_millis(20);

/// The entry of the model in the table of models.
///
/// # Errors
/// 53400 if there are too many models in use.
fn entry(state: &'static EmbedderState, name: &ModelName) -> Result<ModelRef> {
    let now_ms = monotonic_ms();
    if let Some(model) = state.models.find(name.as_str()) {
        state.models.touch(model, now_ms);
        return Ok(model);
    }
    state.claim_model(name.as_str(), now_ms).map_err(|_| {
        error(
            PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            format!(
                "embedding model \"{name}\" cannot be loaded: {MODELS} of at most {MODELS} models are in use"
            ),
        )
        .set_hint(format!(
            "A model that was not used for {} minutes makes room for another.",
            worker::UNUSED_LIMIT.as_secs() / 60
        ))
    })
}

/// What is known about a model that is or was loaded: its version tells whether cached vectors are its own. Loads it if nothing
/// is known.
///
/// # Errors
/// As for [`await_model`].
pub fn known(state: &'static EmbedderState, name: &ModelName) -> Result<Facts> {
    let known = state.models.facts(entry(state, name)?);
    match known.filter(|facts| facts.version != 0) {
        Some(facts) => Ok(facts),
        None => await_model(state, name).map(|(_, facts)| facts),
    }
}

/// Waits until the model is loaded.
///
/// # Errors
/// 58P01 if its files are not there, F0000 if it cannot be loaded, 53400 if there are too many models in use, 55000 without a worker.
pub fn await_model(state: &'static EmbedderState, name: &ModelName) -> Result<(ModelRef, Facts)> {
    let mut absence = Absence::default();
    // The attempts before another one was asked for, with the entry that they are of.
    let mut asked: Option<(ModelRef, u64)> = None;
    loop {
        let model = entry(state, name)?;
        // The entry was given to another model since: look again.
        let Some(facts) = state.models.facts(model) else {
            check_for_interrupts!();
            continue;
        };
        let before = asked.filter(|&(asked_of, _)| asked_of == model);
        match facts.condition {
            Condition::Ready => return Ok((model, facts)),
            // A failure before this call may be mended by now: the worker is asked to look again before giving up.
            Condition::ModelMissing | Condition::Failed => match before {
                Some((_, attempts)) if facts.load_attempts > attempts => {
                    return Err(model_error(name, facts.condition, state.models.message(model)));
                }
                Some(_) => {}
                None => {
                    asked = Some((model, facts.load_attempts));
                    want(state, model);
                }
            },
            Condition::Stopped => {
                asked = before.or(Some((model, facts.load_attempts)));
                want(state, model);
            }
            Condition::Starting => {
                asked = before.or(Some((model, facts.load_attempts)));
            }
        }
        absence.check(state)?;
        latch::wait(LOAD_CHECK);
    }
}

fn want(state: &'static EmbedderState, model: ModelRef) {
    state.models.want(model);
    latch::wake(state.worker_latch.load(Ordering::Acquire));
}

/// The error for a model that cannot be used.
pub fn model_error(name: &ModelName, condition: Condition, message: String) -> ErrorReport {
    if condition != Condition::ModelMissing {
        return error(
            PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            format!("the embedding model \"{name}\" could not be loaded"),
        )
        .set_detail(message);
    }
    let missing = error(
        PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
        format!("the embedding model \"{name}\" is not installed"),
    )
    .set_detail(message);
    missing.set_hint(if name.is_builtin() {
        "In the source folder of castmatch run: make model PG_CONFIG=/path/to/pg_config"
    } else {
        "Put a sentence-transformers folder of that name below castmatch.model_path."
    })
}

/// How long the worker has been away, as far as this wait has seen.
#[derive(Default)]
pub struct Absence {
    since: Option<Instant>,
}

impl Absence {
    /// Starts the worker if this server has no other way to get one, and gives up after a while.
    ///
    /// # Errors
    /// 55000 after 30 seconds, 53000 if no worker slot is free.
    pub fn check(&mut self, state: &'static EmbedderState) -> Result<()> {
        if state.worker_pid.load(Ordering::Acquire) != 0 {
            self.since = None;
            return Ok(());
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > WORKER_ABSENCE_LIMIT {
            return Err(not_in_state("the embedding worker is not running")
                .set_hint("The server log says why it stopped; max_worker_processes may be too low."));
        }
        worker::ensure_started()
    }
}
