//! What backends and the embedding worker share: the worker's condition and the request slots.
//!
//! A slot goes through these states; each arrow is one atomic exchange, so that exactly one process acts on it:
//!
//! ```text
//! Free -> Claimed -> Queued -> Running -> Done | Failed -> Free      (the ordinary way)
//!                    Queued -> Free                                  (the backend was cancelled before)
//!                              Running -> Abandoned -> Free          (the backend was cancelled meanwhile; the worker frees)
//! ```

use crate::pg::latch::LatchAddress;
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

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
    /// The backend's latch.
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
    /// The worker's latch.
    pub worker_latch: AtomicUsize,
    condition: AtomicU32,
    /// Dimensions of the loaded model's vectors.
    pub dimensions: AtomicU32,
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

    /// Wakes the worker, if there is one.
    pub fn wake_worker(&self) {
        if let Some(latch) = LatchAddress::from_bits(self.worker_latch.load(Ordering::Acquire)) {
            latch.set();
        }
    }
}
