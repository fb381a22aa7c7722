//! A backend's side of embedding: hand texts to the worker, wait on the latch, take the vectors.
//!
//! The wait answers cancel and statement_timeout at once; whatever way it ends, the slot is given back (guard), even when
//! the backend is terminated (exit callback).

use crate::embed::worker;
use crate::error::{Result, error, internal, not_in_state};
use crate::pg::catalog;
use crate::pg::dsm::Segment;
use crate::pg::latch::{self, LatchAddress};
use crate::pg::worker::{my_pid, on_process_exit};
use crate::shared::shared;
use castmatch_engine::request;
use castmatch_engine::shared::embedder::{Condition, EmbedderState, Slot, SlotState, Urgency};
use core::sync::atomic::Ordering;
use core::time::Duration;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::Cell;
use std::time::Instant;

/// Bytes of a text that are looked at. The model reads 256 tokens, of which this holds many times as many.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Texts and bytes of one request; larger calls are split, so that a segment stays small and a cancel is quick.
const MAX_REQUEST_TEXTS: usize = 512;
const MAX_REQUEST_BYTES: usize = 4 << 20;
/// Latest time at which a waiting backend looks whether the worker is still there.
const WORKER_CHECK: Duration = Duration::from_millis(200);
/// How long a backend waits for a worker that does not come up.
const WORKER_ABSENCE_LIMIT: Duration = Duration::from_secs(30);

thread_local! {
    static EXIT_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Why texts could not be embedded.
pub enum EmbedFailure {
    /// The model cannot be used now, whatever the text: 58P01 if it is not installed, 55000 without a worker, 53200.
    Unavailable(ErrorReport),
    /// The model fails on one of the texts: 38000.
    Texts(ErrorReport),
}

impl From<ErrorReport> for EmbedFailure {
    fn from(report: ErrorReport) -> Self {
        Self::Unavailable(report)
    }
}

impl From<EmbedFailure> for ErrorReport {
    fn from(failure: EmbedFailure) -> Self {
        match failure {
            EmbedFailure::Unavailable(report) | EmbedFailure::Texts(report) => report,
        }
    }
}

/// Vectors of the texts, in order.
///
/// # Errors
/// See [`EmbedFailure`].
pub fn embed(texts: &[&str], urgency: Urgency) -> Result<Vec<Vec<f32>>, EmbedFailure> {
    catalog::require_utf8()?;
    let state = &shared()?.embedder;
    let mut vectors = Vec::new();
    let mut rest = texts;
    while !rest.is_empty() {
        let (chunk, others) = rest.split_at(request_length(rest));
        rest = others;
        let bounded: Vec<&str> = chunk.iter().map(|text| bounded(text)).collect();
        vectors.append(&mut embed_request(state, &bounded, urgency)?);
    }
    Ok(vectors)
}

/// Dimensions of the model's vectors; loads the model if need be.
///
/// # Errors
/// As for [`embed`].
pub fn dimensions() -> Result<usize> {
    let state = &shared()?.embedder;
    await_model(state)?;
    Ok(state.dimensions.load(Ordering::Acquire) as usize)
}

/// The loaded model's version: another one may give other vectors. Loads the model if none was loaded yet.
///
/// # Errors
/// As for [`embed`].
pub fn model_version() -> Result<u64> {
    let state = &shared()?.embedder;
    match state.model_version.load(Ordering::Acquire) {
        0 => {
            await_model(state)?;
            Ok(state.model_version.load(Ordering::Acquire))
        }
        version => Ok(version),
    }
}

fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES))
        .unwrap_or(text)
}

/// How many of the texts go into one request: at least one.
fn request_length(texts: &[&str]) -> usize {
    let mut bytes = 0;
    let fitting = texts
        .iter()
        .take(MAX_REQUEST_TEXTS)
        .take_while(|text| {
            bytes += text.len().min(MAX_TEXT_BYTES);
            bytes <= MAX_REQUEST_BYTES
        })
        .count();
    fitting.max(1)
}

/// Gives the slot back when the request ends in any way.
struct Claim<'a>(&'a Slot);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn embed_request(
    state: &'static EmbedderState,
    texts: &[&str],
    urgency: Urgency,
) -> Result<Vec<Vec<f32>>, EmbedFailure> {
    await_model(state)?;
    let dimensions = state.dimensions.load(Ordering::Acquire) as usize;
    let describe = |failure: request::RequestError| internal(format!("embedding request: {failure}"));
    let bytes = request::size_bytes(texts, dimensions).map_err(describe)?;
    let mut segment = Segment::create(bytes)?;
    segment
        .with_bytes(|buffer| request::write(buffer, texts, dimensions))
        .map_err(describe)?;

    let slot = Claim(claim_slot(state)?);
    slot.0.owner_pid.store(my_pid(), Ordering::Relaxed);
    slot.0.segment.store(segment.handle(), Ordering::Relaxed);
    slot.0.urgency.store(urgency as u32, Ordering::Relaxed);
    slot.0.sequence.store(state.take_sequence(), Ordering::Relaxed);
    slot.0
        .latch
        .store(LatchAddress::mine().to_bits(), Ordering::Relaxed);
    slot.0.advance(SlotState::Claimed, SlotState::Queued);
    latch::wake(state.worker_latch.load(Ordering::Acquire));

    let mut absence = Absence::default();
    while !slot.0.is(SlotState::Done) && !slot.0.is(SlotState::Failed) {
        absence.check(state)?;
        // Taken away since the request was queued: nobody will serve it.
        if let condition @ (Condition::ModelMissing | Condition::Failed) = state.condition()
            && slot.0.is(SlotState::Queued)
        {
            return Err(model_error(condition, state.message()).into());
        }
        latch::wait(WORKER_CHECK);
    }
    if slot.0.is(SlotState::Failed) {
        let message = segment.with_bytes(|buffer| request::error(buffer));
        let report = error(
            PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
            "the embedding model failed",
        );
        return Err(EmbedFailure::Texts(report.set_detail(message)));
    }
    segment
        .with_bytes(|buffer| {
            (0..texts.len())
                .map(|index| request::vector(buffer, index))
                .collect::<Result<_, _>>()
        })
        .map_err(|failure| describe(failure).into())
}

fn claim_slot(state: &'static EmbedderState) -> Result<&'static Slot> {
    if !EXIT_HOOK.replace(true) {
        on_process_exit(release_my_slots);
    }
    loop {
        if let Some(slot) = state.claim() {
            return Ok(slot);
        }
        latch::wait(Duration::from_millis(10));
    }
}

/// Runs when the backend exits, also when it is terminated in the middle of a wait.
fn release_my_slots() {
    let Ok(shared) = shared() else { return };
    let pid = my_pid();
    for slot in &shared.embedder.slots {
        if !slot.is(SlotState::Free) && slot.owner_pid.load(Ordering::Relaxed) == pid {
            slot.release();
        }
    }
}

/// Waits until the model is loaded.
fn await_model(state: &'static EmbedderState) -> Result<()> {
    let mut absence = Absence::default();
    let attempts_before = state.load_attempts.load(Ordering::Acquire);
    let mut asked_again = false;
    loop {
        let condition = state.condition();
        let tried_again = state.load_attempts.load(Ordering::Acquire) > attempts_before;
        match condition {
            Condition::Ready => return Ok(()),
            Condition::ModelMissing | Condition::Failed if asked_again && tried_again => {
                return Err(model_error(condition, state.message()));
            }
            // The files may have been put there since: ask the worker to look again before giving up.
            Condition::ModelMissing | Condition::Failed if !asked_again => {
                asked_again = true;
                state.load_wanted.store(1, Ordering::Release);
                latch::wake(state.worker_latch.load(Ordering::Acquire));
            }
            _ => {}
        }
        absence.check(state)?;
        latch::wait(Duration::from_millis(20));
    }
}

fn model_error(condition: Condition, message: String) -> ErrorReport {
    if condition == Condition::ModelMissing {
        error(
            PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
            "the embedding model \"builtin\" is not installed",
        )
        .set_detail(message)
        .set_hint("In the source folder of castmatch run: make model PG_CONFIG=/path/to/pg_config")
    } else {
        error(
            PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            "the embedding model \"builtin\" could not be loaded",
        )
        .set_detail(message)
    }
}

/// How long the worker has been away, as far as this wait has seen.
#[derive(Default)]
struct Absence {
    since: Option<Instant>,
}

impl Absence {
    /// Starts the worker if this server has no other way to get one, and gives up after a while.
    fn check(&mut self, state: &'static EmbedderState) -> Result<()> {
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
