//! When each kind of background worker last showed that it is at work, and whether the server had room for one that was to start.

use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of background worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum WorkerKind {
    /// Holds the models.
    Embedder,
    /// Starts the workers of databases.
    Launcher,
    /// Embeds rows of attached tables.
    Sync,
    /// Replies in the background.
    Chat,
    /// Builds indexes.
    Index,
}

impl WorkerKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Embedder,
        Self::Launcher,
        Self::Sync,
        Self::Chat,
        Self::Index,
    ];

    /// Value of the label `worker`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedder => "embedder",
            Self::Launcher => "launcher",
            Self::Sync => "sync",
            Self::Chat => "chat",
            Self::Index => "index",
        }
    }
}

/// What workers and those who start them note. Times are milliseconds since 1970-01-01 UTC, 0 for never.
#[repr(C)]
#[derive(Default)]
pub struct Attendance {
    seen_ms: [AtomicU64; WorkerKind::ALL.len()],
    refused_ms: AtomicU64,
    refused: AtomicU64,
}

impl Attendance {
    /// A worker of the kind is at work.
    pub fn beat(&self, kind: WorkerKind, now_ms: u64) {
        if let Some(seen) = self.seen_ms.get(kind as usize) {
            seen.store(now_ms, Ordering::Relaxed);
        }
    }

    /// When a worker of the kind was last at work.
    pub fn seen_ms(&self, kind: WorkerKind) -> u64 {
        self.seen_ms
            .get(kind as usize)
            .map_or(0, |seen| seen.load(Ordering::Relaxed))
    }

    /// The server had no slot for a worker.
    pub fn refuse(&self, now_ms: u64) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.refused_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The server has had a slot for a worker.
    pub fn admit(&self) {
        self.refused_ms.store(0, Ordering::Relaxed);
    }

    /// How often the server had no slot.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// When the server last had no slot; 0 if it has had one since.
    pub fn refused_ms(&self) -> u64 {
        self.refused_ms.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_time_of_its_own() {
        let attendance = Attendance::default();
        for (number, kind) in (1..).zip(WorkerKind::ALL) {
            assert_eq!(attendance.seen_ms(kind), 0);
            attendance.beat(kind, number);
        }
        let seen = WorkerKind::ALL.map(|kind| attendance.seen_ms(kind));
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_slot_that_was_had_ends_the_want_of_slots_but_not_its_count() {
        let attendance = Attendance::default();
        attendance.refuse(70);
        attendance.refuse(80);
        assert_eq!((attendance.refused(), attendance.refused_ms()), (2, 80));
        attendance.admit();
        assert_eq!((attendance.refused(), attendance.refused_ms()), (2, 0));
    }
}
