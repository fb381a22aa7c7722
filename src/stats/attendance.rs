//! What background workers and those who start them note of themselves. Nothing here raises.

use crate::pg::clock::unix_ms;
use crate::shared::shared;
use castmatch_engine::shared::attendance::WorkerKind;

/// A worker of the kind, this process, is at work.
pub fn beat(kind: WorkerKind) {
    if let Ok(shared) = shared() {
        shared.attendance.beat(kind, unix_ms());
    }
}

/// Notes whether the server had a slot for a worker.
pub fn note_start(started: bool) {
    let Ok(shared) = shared() else { return };
    if started {
        shared.attendance.admit();
    } else {
        shared.attendance.refuse(unix_ms());
    }
}
