//! What backends and the embedding worker share: the models and the request slots.
//!
//! A slot goes through these states; each arrow is one atomic exchange, so that exactly one process acts on it:
//!
//! ```text
//! Free -> Claimed -> Queued -> Running -> Done | Failed -> Free      (the ordinary way)
//!                    Queued -> Free                                  (the backend was cancelled before)
//!                              Running -> Abandoned -> Free          (the backend was cancelled meanwhile; the worker frees)
//! ```

use crate::shared::models::{ModelRef, ModelTable, TableFull};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Requests in flight over all backends. A backend has one or two at a time.
pub const SLOTS: usize = 128;

/// The state of one request slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SlotState {
    /// Unused.
    Free = 0,
    /// A backend fills it in.
    Claimed = 1,
    /// Waits for the worker.
    Queued = 2,
    /// The worker works on it.
    Running = 3,
    /// The vectors are there.
    Done = 4,
    /// The message says why not.
    Failed = 5,
    /// The backend does not wait any longer.
    Abandoned = 6,
}

/// Who waits: a query before its user, or a background job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Urgency {
    /// A user waits: goes before all background work.
    Interactive = 0,
    /// Rows of an attached table, embedded in the background.
    Background = 1,
}

/// One request.
#[repr(C)]
pub struct Slot {
    state: AtomicU32,
    /// Process id of the backend.
    pub owner_pid: AtomicI32,
    /// Handle of the dynamic shared memory segment with texts and vectors.
    pub segment: AtomicU32,
    /// [`Urgency`] as a number.
    pub urgency: AtomicU32,
    /// Order of arrival.
    pub sequence: AtomicU64,
    /// The model's entry, as a number.
    model: AtomicU64,
    /// The backend's latch, as a number.
    pub latch: AtomicUsize,
}

impl Slot {
    /// Moves from one state to another; false if it was not in the first.
    pub fn advance(&self, from: SlotState, to: SlotState) -> bool {
        self.state
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Whether it is in that state now.
    pub fn is(&self, state: SlotState) -> bool {
        self.state.load(Ordering::Acquire) == state as u32
    }

    /// The model that is to embed the texts.
    pub fn model(&self) -> ModelRef {
        ModelRef::from_bits(self.model.load(Ordering::SeqCst))
    }

    /// Gives the slot up, whatever state its request is in; called by its backend only. Touches nothing but atomics, so
    /// it may run while an ERROR unwinds.
    pub fn release(&self) {
        // An exit of this process must not release what another one claims next.
        self.owner_pid.store(0, Ordering::Relaxed);
        let to_free = [
            SlotState::Claimed,
            SlotState::Queued,
            SlotState::Done,
            SlotState::Failed,
        ];
        loop {
            if to_free.iter().any(|&state| self.advance(state, SlotState::Free))
                || self.advance(SlotState::Running, SlotState::Abandoned)
                || self.is(SlotState::Free)
                || self.is(SlotState::Abandoned)
            {
                return;
            }
        }
    }
}

/// The worker, its models and all slots.
#[repr(C)]
pub struct EmbedderState {
    /// Process id of the worker, 0 if none.
    pub worker_pid: AtomicI32,
    /// The worker's latch as a number, 0 if there is no worker.
    pub worker_latch: AtomicUsize,
    /// When a dynamic worker was last asked for, milliseconds of the monotonic clock.
    pub start_requested_ms: AtomicU64,
    next_sequence: AtomicU64,
    /// The models.
    pub models: ModelTable,
    /// The request slots.
    pub slots: [Slot; SLOTS],
}

impl EmbedderState {
    /// The entry of the model of that name, a new one if it has none.
    ///
    /// # Errors
    /// If all entries are taken by models that are in use.
    pub fn claim_model(&self, name: &str, now_ms: u64) -> Result<ModelRef, TableFull> {
        self.models.claim(name, now_ms, |model| self.is_requested(model))
    }

    /// Whether a request names the model.
    pub fn is_requested(&self, model: ModelRef) -> bool {
        self.slots
            .iter()
            .any(|slot| !slot.is(SlotState::Free) && slot.model() == model)
    }

    /// Claims a free slot for a request to the model.
    pub fn claim(&self, model: ModelRef) -> Option<&Slot> {
        let slot = self
            .slots
            .iter()
            .find(|slot| slot.advance(SlotState::Free, SlotState::Claimed))?;
        slot.model.store(model.to_bits(), Ordering::SeqCst);
        Some(slot)
    }

    /// The next number in the order of arrival.
    pub fn take_sequence(&self) -> u64 {
        self.next_sequence.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::shared::models::{Condition, MODELS};
    use std::sync::Arc;

    fn fresh() -> Box<EmbedderState> {
        // What a process finds in fresh shared memory: zeros.
        Box::new(EmbedderState {
            worker_pid: AtomicI32::new(0),
            worker_latch: AtomicUsize::new(0),
            start_requested_ms: AtomicU64::new(0),
            next_sequence: AtomicU64::new(0),
            models: ModelTable::ZERO,
            slots: [const {
                Slot {
                    state: AtomicU32::new(0),
                    owner_pid: AtomicI32::new(0),
                    segment: AtomicU32::new(0),
                    urgency: AtomicU32::new(0),
                    sequence: AtomicU64::new(0),
                    model: AtomicU64::new(0),
                    latch: AtomicUsize::new(0),
                }
            }; SLOTS],
        })
    }

    #[test]
    fn zeros_mean_no_worker_and_free_slots() {
        let state = fresh();
        assert_eq!(
            state.models.facts(ModelRef::BUILTIN).unwrap().condition,
            Condition::Stopped
        );
        assert!(state.slots.iter().all(|slot| slot.is(SlotState::Free)));
    }

    #[test]
    fn there_are_as_many_claims_as_slots() {
        let state = fresh();
        for _ in 0..SLOTS {
            assert!(state.claim(ModelRef::BUILTIN).is_some());
        }
        assert!(state.claim(ModelRef::BUILTIN).is_none());
        state.slots.first().unwrap().release();
        assert!(state.claim(ModelRef::BUILTIN).is_some());
    }

    #[test]
    fn a_request_given_up_while_it_runs_is_freed_by_the_worker() {
        let state = fresh();
        let slot = state.claim(ModelRef::BUILTIN).unwrap();
        assert!(slot.advance(SlotState::Claimed, SlotState::Queued));
        assert!(slot.advance(SlotState::Queued, SlotState::Running));
        slot.release();
        assert!(slot.is(SlotState::Abandoned));
        assert!(
            !slot.advance(SlotState::Running, SlotState::Done),
            "the worker must notice"
        );
        assert!(slot.advance(SlotState::Abandoned, SlotState::Free));
    }

    #[test]
    fn an_entry_that_a_request_names_is_not_given_away() {
        let state = fresh();
        let models: Vec<ModelRef> = (1..MODELS)
            .map(|number| {
                let model = state.claim_model(&format!("model {number}"), 0).unwrap();
                state.models.not_loaded(model, Condition::ModelMissing, "gone");
                assert!(state.models.start_wanted().is_some());
                state.models.not_loaded(model, Condition::ModelMissing, "gone");
                model
            })
            .collect();
        let slots: Vec<&Slot> = models.iter().map(|&model| state.claim(model).unwrap()).collect();
        assert_eq!(state.claim_model("one more", 1), Err(TableFull));
        slots.get(2).unwrap().release();
        let given = state.claim_model("one more", 1).unwrap();
        let before = models.get(2).unwrap();
        assert_eq!(given.index(), before.index());
        assert!(!state.models.is_current(*before) && state.models.is_current(given));
    }

    #[test]
    fn no_slot_is_lost_when_backends_give_up_at_any_moment() {
        let state: Arc<EmbedderState> = Arc::from(fresh());
        let worker = {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for _ in 0..200_000 {
                    for slot in state.slots.iter().take(4) {
                        if slot.advance(SlotState::Queued, SlotState::Running)
                            && !slot.advance(SlotState::Running, SlotState::Done)
                        {
                            slot.advance(SlotState::Abandoned, SlotState::Free);
                        }
                    }
                }
            })
        };
        let backends: Vec<_> = (0..3)
            .map(|number| {
                let state = Arc::clone(&state);
                std::thread::spawn(move || {
                    for round in 0..50_000 {
                        if let Some(slot) = state.claim(ModelRef::BUILTIN) {
                            slot.advance(SlotState::Claimed, SlotState::Queued);
                            if (round + number) % 3 == 0 {
                                std::thread::yield_now();
                            }
                            slot.release();
                        }
                    }
                })
            })
            .collect();
        for backend in backends {
            backend.join().unwrap();
        }
        worker.join().unwrap();
        for slot in &state.slots {
            slot.advance(SlotState::Abandoned, SlotState::Free);
            assert!(slot.is(SlotState::Free));
        }
    }
}
