//! A request in flight: texts that were handed to the worker, whose vectors can be waited for later, in another transaction too.
//!
//! Whatever way a request ends, its slot is given back: when it is dropped, also while an ERROR unwinds, and when the
//! process ends (exit callback).

use crate::embed::client::EmbedFailure;
use crate::embed::ready::{Absence, await_model, model_error};
use crate::error::{Result, error, internal};
use crate::pg::clock::monotonic_ms;
use crate::pg::dsm::Segment;
use crate::pg::latch::{self, LatchAddress};
use crate::pg::worker::{my_pid, on_process_exit};
use crate::shared::shared;
use castmatch_engine::model_name::ModelName;
use castmatch_engine::request;
use castmatch_engine::shared::embedder::{EmbedderState, Slot, SlotState, Urgency};
use castmatch_engine::shared::model_calls::local_key;
use castmatch_engine::shared::models::{Condition, Facts, ModelRef};
use core::sync::atomic::Ordering;
use core::time::Duration;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::Cell;
use std::time::Instant;

/// Bytes of a text that are looked at. The model reads some hundred tokens, of which this holds many times as many.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Texts and bytes of one part of a request; larger ones are split, so that a segment stays small and a cancel is quick.
const MAX_PART_TEXTS: usize = 512;
const MAX_PART_BYTES: usize = 4 << 20;
/// Latest time at which a waiting backend looks whether the worker is still there.
const WORKER_CHECK: Duration = Duration::from_millis(200);
/// Between two looks whether a slot has become free.
const SLOT_CHECK: Duration = Duration::from_millis(10);

thread_local! {
    static EXIT_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// The beginning of a text that is looked at.
fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES))
        .unwrap_or(text)
}

/// How many of the texts go into one part: at least one.
fn part_length(texts: &[&str]) -> usize {
    let mut bytes = 0;
    let fitting = texts
        .iter()
        .take(MAX_PART_TEXTS)
        .take_while(|text| {
            bytes += text.len().min(MAX_TEXT_BYTES);
            bytes <= MAX_PART_BYTES
        })
        .count();
    fitting.max(1)
}

/// Texts that the model is embedding.
pub struct Request {
    part: Option<Part>,
    /// Texts that did not fit the part that is under way.
    rest: Vec<String>,
    model: ModelName,
    urgency: Urgency,
}

impl Request {
    /// Hands the texts over.
    ///
    /// # Errors
    /// See [`EmbedFailure`].
    pub fn submit(model: &ModelName, texts: &[&str], urgency: Urgency) -> Result<Self, EmbedFailure> {
        let (first, rest) = texts.split_at(if texts.is_empty() { 0 } else { part_length(texts) });
        Ok(Self {
            part: match first {
                [] => None,
                texts => Some(Part::submit(model, texts, urgency)?),
            },
            rest: rest.iter().map(|text| bounded(text).to_owned()).collect(),
            model: model.clone(),
            urgency,
        })
    }

    /// Whether the model is done with what it was handed, or cannot do it: the time to call [`Self::wait`], which has to wait
    /// again only for texts that were too many for one handing-over.
    pub fn is_done(&self) -> bool {
        self.part.as_ref().is_none_or(Part::is_done)
    }

    /// Waits for the vectors of the texts, in order.
    ///
    /// # Errors
    /// See [`EmbedFailure`].
    pub fn wait(self) -> Result<Vec<Vec<f32>>, EmbedFailure> {
        let mut vectors = match self.part {
            Some(part) => part.wait(&self.model)?,
            None => Vec::new(),
        };
        let rest: Vec<&str> = self.rest.iter().map(String::as_str).collect();
        embed_parts(&self.model, &rest, self.urgency, &mut vectors)?;
        Ok(vectors)
    }
}

/// Embeds texts part by part and appends their vectors.
///
/// # Errors
/// See [`EmbedFailure`].
pub fn embed_parts(
    model: &ModelName,
    texts: &[&str],
    urgency: Urgency,
    vectors: &mut Vec<Vec<f32>>,
) -> Result<(), EmbedFailure> {
    let mut rest = texts;
    while !rest.is_empty() {
        let (part, others) = rest.split_at(part_length(rest));
        rest = others;
        vectors.append(&mut Part::submit(model, part, urgency)?.wait(model)?);
    }
    Ok(())
}

/// Gives the slot back when the request ends in any way.
struct Claim(&'static Slot);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Texts in one slot. The slot goes before the segment: nobody takes up texts that are gone.
struct Part {
    slot: Claim,
    segment: Segment,
    texts: usize,
    state: &'static EmbedderState,
    model: ModelRef,
    begun: Instant,
}

/// Counts a request to a model. Nothing here raises.
fn note(name: &ModelName, begun: Instant, succeeded: bool) {
    if let Ok(shared) = shared() {
        let key = local_key(name.as_str());
        shared
            .model_calls
            .record(key, monotonic_ms(), begun.elapsed(), succeeded);
    }
}

fn describe(failure: request::RequestError) -> ErrorReport {
    internal(format!("embedding request: {failure}"))
}

impl Part {
    fn submit(name: &ModelName, texts: &[&str], urgency: Urgency) -> Result<Self> {
        let begun = Instant::now();
        Self::queue(name, texts, urgency, begun).inspect_err(|_| note(name, begun, false))
    }

    fn queue(name: &ModelName, texts: &[&str], urgency: Urgency, begun: Instant) -> Result<Self> {
        let state = &shared()?.embedder;
        let texts: Vec<&str> = texts.iter().map(|text| bounded(text)).collect();
        let (slot, model, facts) = claim_slot(state, name)?;
        let bytes = request::size_bytes(&texts, facts.dimensions).map_err(describe)?;
        let mut segment = Segment::create(bytes)?;
        segment
            .with_bytes(|buffer| request::write(buffer, &texts, facts.dimensions))
            .map_err(describe)?;
        slot.0.segment.store(segment.handle(), Ordering::Relaxed);
        slot.0.urgency.store(urgency as u32, Ordering::Relaxed);
        slot.0.sequence.store(state.take_sequence(), Ordering::Relaxed);
        slot.0
            .latch
            .store(LatchAddress::mine().to_bits(), Ordering::Relaxed);
        slot.0.advance(SlotState::Claimed, SlotState::Queued);
        latch::wake(state.worker_latch.load(Ordering::Acquire));
        Ok(Self {
            slot,
            segment,
            texts: texts.len(),
            state,
            model,
            begun,
        })
    }

    fn has_ended(&self) -> bool {
        self.slot.0.is(SlotState::Done) || self.slot.0.is(SlotState::Failed)
    }

    /// Why nobody will take up the texts, if that is so: the model was taken away since they were queued.
    fn given_up(&self) -> Option<Condition> {
        let condition = self.state.models.facts(self.model)?.condition;
        let unusable = matches!(condition, Condition::ModelMissing | Condition::Failed);
        (unusable && self.slot.0.is(SlotState::Queued)).then_some(condition)
    }

    fn is_done(&self) -> bool {
        self.has_ended() || self.given_up().is_some()
    }

    fn wait(self, name: &ModelName) -> Result<Vec<Vec<f32>>, EmbedFailure> {
        let begun = self.begun;
        let answer = self.answer(name);
        note(name, begun, answer.is_ok());
        answer
    }

    fn answer(mut self, name: &ModelName) -> Result<Vec<Vec<f32>>, EmbedFailure> {
        let mut absence = Absence::default();
        while !self.has_ended() {
            absence.check(self.state)?;
            if let Some(condition) = self.given_up() {
                let message = self.state.models.message(self.model);
                return Err(model_error(name, condition, message).into());
            }
            latch::wait(WORKER_CHECK);
        }
        self.state.models.touch(self.model, monotonic_ms());
        if self.slot.0.is(SlotState::Failed) {
            let message = self.segment.with_bytes(|buffer| request::error(buffer));
            let report = error(
                PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
                "the embedding model failed",
            );
            return Err(EmbedFailure::Texts(report.set_detail(message)));
        }
        let texts = self.texts;
        self.segment
            .with_bytes(|buffer| {
                (0..texts)
                    .map(|index| request::vector(buffer, index))
                    .collect::<Result<_, _>>()
            })
            .map_err(|failure| describe(failure).into())
    }
}

/// A slot for a request to the model, which is loaded.
fn claim_slot(state: &'static EmbedderState, name: &ModelName) -> Result<(Claim, ModelRef, Facts)> {
    if !EXIT_HOOK.replace(true) {
        on_process_exit(release_my_slots);
    }
    loop {
        let (model, facts) = await_model(state, name)?;
        if let Some(slot) = state.claim(model) {
            let claim = Claim(slot);
            slot.owner_pid.store(my_pid(), Ordering::Relaxed);
            // From here on nobody gives the model's entry away; before, somebody may have.
            if state.models.is_current(model) {
                return Ok((claim, model, facts));
            }
        }
        latch::wait(SLOT_CHECK);
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
