//! What backends and the embedding worker share: the worker's condition and the request slots.
//!
//! A slot goes through these states; each arrow is one atomic exchange, so that exactly one process acts on it:
//!
//! ```text
//! Free -> Claimed -> Queued -> Running -> Done | Failed -> Free      (the ordinary way)
//!                    Queued -> Free                                  (the backend was cancelled before)
//!                              Running -> Abandoned -> Free          (the backend was cancelled meanwhile; the worker frees)
//! ```

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Requests in flight over all backends. A backend has one at a time.
pub const SLOTS: usize = 128;

/// Longest error message of the worker, in bytes.
const MESSAGE_BYTES: usize = 384;

/// The worker's condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Condition {
    /// No worker runs.
    Stopped = 0,
    /// The worker runs and is loading the model.
    Starting = 1,
    /// The model is loaded.
    Ready = 2,
    /// The model's files are not there.
    ModelMissing = 3,
    /// The model could not be loaded for another reason.
    Failed = 4,
}

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

    /// Gives the slot up, whatever state its request is in; called by its backend only. Touches nothing but atomics, so
    /// it may run while an ERROR unwinds.
    pub fn release(&self) {
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

/// The worker and all slots.
#[repr(C)]
pub struct EmbedderState {
    /// Process id of the worker, 0 if none.
    pub worker_pid: AtomicI32,
    /// The worker's latch as a number, 0 if there is no worker.
    pub worker_latch: AtomicUsize,
    condition: AtomicU32,
    /// Dimensions of the loaded model's vectors.
    pub dimensions: AtomicU32,
    /// A number that changes with everything that decides the loaded model's vectors; 0 before one was loaded.
    pub model_version: AtomicU64,
    /// Attempts to load the model so far.
    pub load_attempts: AtomicU64,
    /// Set by a backend that wants the model loaded again.
    pub load_wanted: AtomicU32,
    /// When a dynamic worker was last asked for, milliseconds of the monotonic clock.
    pub start_requested_ms: AtomicU64,
    next_sequence: AtomicU64,
    message_length: AtomicU32,
    message: [AtomicU8; MESSAGE_BYTES],
    /// The request slots.
    pub slots: [Slot; SLOTS],
}

impl EmbedderState {
    /// The worker's condition.
    pub fn condition(&self) -> Condition {
        match self.condition.load(Ordering::Acquire) {
            1 => Condition::Starting,
            2 => Condition::Ready,
            3 => Condition::ModelMissing,
            4 => Condition::Failed,
            _ => Condition::Stopped,
        }
    }

    /// Publishes the worker's condition with the message that explains it.
    pub fn set_condition(&self, condition: Condition, message: &str) {
        let end = message.floor_char_boundary(MESSAGE_BYTES);
        for (byte, value) in self.message.iter().zip(message.as_bytes().iter().take(end)) {
            byte.store(*value, Ordering::Relaxed);
        }
        self.message_length.store(end as u32, Ordering::Relaxed);
        self.condition.store(condition as u32, Ordering::Release);
    }

    /// The message of the last [`Self::set_condition`].
    pub fn message(&self) -> String {
        let length = self.message_length.load(Ordering::Relaxed) as usize;
        let bytes: Vec<u8> = self
            .message
            .iter()
            .take(length)
            .map(|byte| byte.load(Ordering::Relaxed))
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Claims a free slot.
    pub fn claim(&self) -> Option<&Slot> {
        self.slots
            .iter()
            .find(|slot| slot.advance(SlotState::Free, SlotState::Claimed))
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
    use std::sync::Arc;

    fn fresh() -> Box<EmbedderState> {
        // What a process finds in fresh shared memory: zeros.
        Box::new(EmbedderState {
            worker_pid: AtomicI32::new(0),
            worker_latch: AtomicUsize::new(0),
            condition: AtomicU32::new(0),
            dimensions: AtomicU32::new(0),
            model_version: AtomicU64::new(0),
            load_attempts: AtomicU64::new(0),
            load_wanted: AtomicU32::new(0),
            start_requested_ms: AtomicU64::new(0),
            next_sequence: AtomicU64::new(0),
            message_length: AtomicU32::new(0),
            message: [const { AtomicU8::new(0) }; MESSAGE_BYTES],
            slots: [const {
                Slot {
                    state: AtomicU32::new(0),
                    owner_pid: AtomicI32::new(0),
                    segment: AtomicU32::new(0),
                    urgency: AtomicU32::new(0),
                    sequence: AtomicU64::new(0),
                    latch: AtomicUsize::new(0),
                }
            }; SLOTS],
        })
    }

    #[test]
    fn zeros_mean_no_worker_and_free_slots() {
        let state = fresh();
        assert_eq!(state.condition(), Condition::Stopped);
        assert_eq!(state.message(), "");
        assert!(state.slots.iter().all(|slot| slot.is(SlotState::Free)));
    }

    #[test]
    fn there_are_as_many_claims_as_slots() {
        let state = fresh();
        for _ in 0..SLOTS {
            assert!(state.claim().is_some());
        }
        assert!(state.claim().is_none());
        state.slots.first().unwrap().release();
        assert!(state.claim().is_some());
    }

    #[test]
    fn a_request_given_up_while_it_runs_is_freed_by_the_worker() {
        let state = fresh();
        let slot = state.claim().unwrap();
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
    fn a_message_is_cut_between_characters() {
        let state = fresh();
        state.set_condition(Condition::Failed, &"ऑ".repeat(MESSAGE_BYTES));
        assert_eq!(state.condition(), Condition::Failed);
        assert_eq!(state.message(), "ऑ".repeat(MESSAGE_BYTES / 3));
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
                        if let Some(slot) = state.claim() {
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
