//! The embedding worker: one background process that holds the models and serves every backend.
//!
//! It takes requests from the slots in shared memory, interactive ones first, and computes them in portions of a bounded
//! number of tokens, so that a query never waits for more than one portion of background work. It loads a model when one is asked for, which
//! all others wait for. It opens no database, and also runs on a standby.

use crate::embed::held::Held;
use crate::error::Result;
use crate::pg::clock::monotonic_ms;
use crate::pg::dsm::Segment;
use crate::pg::latch::LatchAddress;
use crate::pg::signals;
use crate::pg::worker::{
    Description, Noted, exit_for_restart, my_pid, on_process_exit, reload_configuration,
};
use crate::shared::shared;
use crate::stats::attendance;
use castmatch_engine::interrupt::NeverInterrupted;
use castmatch_engine::model::TokenizedText;
use castmatch_engine::request;
use castmatch_engine::shared::attendance::WorkerKind;
use castmatch_engine::shared::embedder::{EmbedderState, Slot, SlotState, Urgency};
use castmatch_engine::shared::models::{Condition, ModelRef};
use castmatch_engine::shared::portion::{self, Pending};
use core::sync::atomic::Ordering;
use core::time::Duration;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// A model other than `builtin` that nobody used for so long is let go.
pub const UNUSED_LIMIT: Duration = Duration::from_secs(600);
/// Tokens of one portion: some tens of milliseconds of work on one core.
const PORTION_TOKENS: usize = 512;

/// What a request is told whose texts were read by another model than is loaded now.
const MODEL_CHANGED: &str = "the model was changed while the request waited; try again";

const WORKER: Description = Description {
    name: "castmatch embedder",
    function: "castmatch_embedder_main",
    argument: pg_sys::Datum::null(),
    on_standby: true,
};

/// Registers the worker at server start.
pub fn register() {
    WORKER.load_static();
}

/// Starts the worker from a backend if the server does not keep one by itself.
///
/// # Errors
/// 53000 if no worker slot is free.
pub fn ensure_started() -> Result<()> {
    let shared = shared()?;
    if shared.preloaded.load(Ordering::Acquire) == 1 {
        return Ok(());
    }
    let state = &shared.embedder;
    WORKER.ensure_started(&Noted {
        pid: &state.worker_pid,
        asked_ms: &state.start_requested_ms,
    })
}

/// A request taken from its slot.
struct Job {
    slot: &'static Slot,
    model: ModelRef,
    segment: Segment,
    texts: Vec<TokenizedText>,
    pending: Pending,
}

struct Worker {
    state: &'static EmbedderState,
    held: Held,
    jobs: Vec<Job>,
    /// Portions computed so far.
    portions: u64,
}

/// Entry point of the background worker.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C-unwind" fn castmatch_embedder_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let state = match shared() {
        Ok(shared) => &shared.embedder,
        Err(report) => {
            report.report(PgLogLevel::LOG);
            return;
        }
    };
    if state
        .worker_pid
        .compare_exchange(0, my_pid(), Ordering::AcqRel, Ordering::Acquire)
        .is_err()
    {
        return;
    }
    on_process_exit(sign_off);
    // Makes it visible in pg_stat_activity, and pg_terminate_backend work.
    signals::connect_without_database();
    state.models.want(ModelRef::BUILTIN);
    state
        .worker_latch
        .store(LatchAddress::mine().to_bits(), Ordering::Release);
    let mut worker = Worker {
        state,
        held: Held::new(&state.models),
        jobs: Vec::new(),
        portions: 0,
    };
    attendance::beat(WorkerKind::Embedder);
    worker.load_wanted();
    worker.requeue_orphans();
    while BackgroundWorker::wait_latch(Some(worker.patience())) {
        worker.turn();
    }
    exit_for_restart();
}

/// Leaves the shared state as if no worker had been there; requests stay queued for the next one.
fn sign_off() {
    let Ok(shared) = shared() else { return };
    let state = &shared.embedder;
    state.models.stop_all();
    state.worker_latch.store(0, Ordering::Release);
    state.worker_pid.store(0, Ordering::Release);
}

impl Worker {
    /// How long to sleep: not at all while there is work.
    fn patience(&self) -> Duration {
        if self.jobs.is_empty() {
            Duration::from_secs(10)
        } else {
            Duration::ZERO
        }
    }

    fn turn(&mut self) {
        attendance::beat(WorkerKind::Embedder);
        if BackgroundWorker::sighup_received() {
            reload_configuration();
            if self.held.settings_changed() {
                self.load_all_again();
            }
        }
        self.want_requested();
        self.load_wanted();
        self.take_requests();
        self.work_on_a_portion();
        let state = self.state;
        self.held
            .let_go_unused(monotonic_ms(), UNUSED_LIMIT, |model| state.is_requested(model));
    }

    /// Asks for the models of requests that were made to an earlier worker.
    fn want_requested(&self) {
        let models = &self.state.models;
        for slot in self.state.slots.iter().filter(|slot| slot.is(SlotState::Queued)) {
            let model = slot.model();
            if models.facts(model).map(|facts| facts.condition) == Some(Condition::Stopped) {
                models.want(model);
            }
        }
    }

    /// Loads the models that backends ask for.
    fn load_wanted(&mut self) {
        while let Some((model, name)) = self.state.models.start_wanted() {
            self.held.load(model, &name);
        }
    }

    fn load_all_again(&mut self) {
        for mut job in self.jobs.drain(..) {
            let _ = job
                .segment
                .with_bytes(|buffer| request::write_error(buffer, MODEL_CHANGED));
            finish(job.slot, SlotState::Failed);
        }
        self.held.load_all_again();
    }

    /// Requests that an earlier worker had taken and did not finish are queued again.
    fn requeue_orphans(&self) {
        for slot in &self.state.slots {
            let _ = slot.advance(SlotState::Running, SlotState::Queued)
                || slot.advance(SlotState::Abandoned, SlotState::Free);
        }
    }

    fn take_requests(&mut self) {
        for slot in &self.state.slots {
            // One whose model cannot be loaded stays queued: its backend finds the reason with the model.
            if !slot.is(SlotState::Queued)
                || !self.held.is_usable(slot.model())
                || !slot.advance(SlotState::Queued, SlotState::Running)
            {
                continue;
            }
            // A creator that is gone took its segment along.
            let Some(segment) = Segment::attach(slot.segment.load(Ordering::Acquire)) else {
                finish(slot, SlotState::Failed);
                continue;
            };
            match self.read_job(slot, segment) {
                Ok(job) => self.jobs.push(job),
                Err((mut segment, message)) => {
                    let _ = segment.with_bytes(|buffer| request::write_error(buffer, &message));
                    finish(slot, SlotState::Failed);
                }
            }
        }
        self.jobs.sort_by_key(|job| job.pending.order());
    }

    fn read_job(&self, slot: &'static Slot, mut segment: Segment) -> Result<Job, (Segment, String)> {
        let model_ref = slot.model();
        let Some(model) = self.held.get(model_ref) else {
            return Err((segment, MODEL_CHANGED.to_owned()));
        };
        let tokenized = segment.with_bytes(|buffer| {
            let texts = request::texts(buffer).map_err(|failure| failure.to_string())?;
            texts
                .into_iter()
                .map(|text| model.tokenize(text).map_err(|failure| failure.to_string()))
                .collect::<Result<Vec<_>, _>>()
        });
        let texts = match tokenized {
            Ok(texts) => texts,
            Err(message) => return Err((segment, message)),
        };
        let urgency = if slot.urgency.load(Ordering::Relaxed) == Urgency::Interactive as u32 {
            Urgency::Interactive
        } else {
            Urgency::Background
        };
        let sequence = slot.sequence.load(Ordering::Relaxed);
        let lengths = texts.iter().map(TokenizedText::len);
        let pending = Pending::new(model_ref.index(), urgency, sequence, lengths);
        Ok(Job {
            slot,
            model: model_ref,
            segment,
            texts,
            pending,
        })
    }

    /// Computes the next portion: as many texts as fit, in the order of the jobs, and finishes the jobs that are complete.
    fn work_on_a_portion(&mut self) {
        self.jobs
            .retain(|job| !job.slot.advance(SlotState::Abandoned, SlotState::Free));
        let mut pending: Vec<&mut Pending> = self.jobs.iter_mut().map(|job| &mut job.pending).collect();
        let portion = portion::next(&mut pending, portion::first_choice(self.portions), PORTION_TOKENS);
        self.portions += 1;
        // A portion is for one model.
        let first = portion.first().and_then(|&(job, _)| self.jobs.get(job));
        if let Some(model) = first.and_then(|job| self.held.get(job.model)) {
            let texts: Vec<TokenizedText> = portion
                .iter()
                .filter_map(|&(job, text)| self.jobs.get(job).and_then(|job| job.texts.get(text)).cloned())
                .collect();
            // A portion is short, and a waiting backend answers its cancel without the worker.
            match model.embed_batch(&texts, &NeverInterrupted) {
                Ok(vectors) => self.store(&portion, &vectors),
                Err(failure) => self.fail(&portion, &failure.to_string()),
            }
        }
        self.jobs.retain(|job| {
            let complete = job.pending.is_done();
            if complete {
                finish(job.slot, SlotState::Done);
            }
            !complete
        });
    }

    fn store(&mut self, portion: &[(usize, usize)], vectors: &[Vec<f32>]) {
        let mut misfits = Vec::new();
        for (&(job, text), vector) in portion.iter().zip(vectors) {
            let written = self.jobs.get_mut(job).map(|job| {
                job.segment
                    .with_bytes(|buffer| request::write_vector(buffer, text, vector))
            });
            // The model was changed for one of other dimensions after the backend had sized its buffer.
            if let Some(Err(_)) = written {
                misfits.push((job, text));
            }
        }
        if !misfits.is_empty() {
            self.fail(&misfits, MODEL_CHANGED);
        }
    }

    /// Ends every job that had a text in the portion with the message.
    fn fail(&mut self, portion: &[(usize, usize)], message: &str) {
        let failed: std::collections::BTreeSet<usize> = portion.iter().map(|&(job, _)| job).collect();
        let mut index = 0;
        self.jobs.retain_mut(|job| {
            let keep = !failed.contains(&index);
            index += 1;
            if !keep {
                let _ = job
                    .segment
                    .with_bytes(|buffer| request::write_error(buffer, message));
                finish(job.slot, SlotState::Failed);
            }
            keep
        });
    }
}

/// Hands the result over, or frees the slot if nobody waits for it any more.
fn finish(slot: &Slot, outcome: SlotState) {
    let latch = LatchAddress::from_bits(slot.latch.load(Ordering::Acquire));
    if slot.advance(SlotState::Running, outcome) {
        if let Some(latch) = latch {
            latch.set();
        }
    } else {
        slot.advance(SlotState::Abandoned, SlotState::Free);
    }
}
