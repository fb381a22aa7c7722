//! What backends, the launcher and the sync workers share: which databases have work, and who works on it.

use crate::pg::latch::LatchAddress;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Databases that can wait for a worker at once; more than that make the launcher look at all of them.
const WANTED: usize = 64;
/// Sync workers that can run at once.
const WORKERS: usize = 32;

/// A running sync worker.
#[repr(C)]
pub struct WorkerEntry {
    database: AtomicU32,
    latch: AtomicUsize,
}

/// The launcher and its workers.
#[repr(C)]
pub struct SyncState {
    /// Process id of the launcher, 0 if none.
    pub launcher_pid: AtomicI32,
    /// The launcher's latch.
    pub launcher_latch: AtomicUsize,
    /// When a dynamic launcher was last asked for, milliseconds.
    pub start_requested_ms: AtomicU64,
    /// 1 if databases wait that found no room in `wanted`.
    pub overflow: AtomicU32,
    wanted: [AtomicU32; WANTED],
    workers: [WorkerEntry; WORKERS],
}

impl SyncState {
    /// Notes that the database has rows to embed and wakes whoever is to do it. Only atomics and latches: it runs after
    /// commit, where nothing may fail.
    pub fn request(&self, database: u32) {
        let noted = self
            .wanted
            .iter()
            .any(|entry| entry.load(Ordering::Acquire) == database)
            || self.wanted.iter().any(|entry| {
                entry
                    .compare_exchange(0, database, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
            });
        if !noted {
            self.overflow.store(1, Ordering::Release);
        }
        for worker in &self.workers {
            if worker.database.load(Ordering::Acquire) == database
                && let Some(latch) = LatchAddress::from_bits(worker.latch.load(Ordering::Acquire))
            {
                latch.set();
            }
        }
        if let Some(latch) = LatchAddress::from_bits(self.launcher_latch.load(Ordering::Acquire)) {
            latch.set();
        }
    }

    /// Databases with rows to embed.
    pub fn wanted(&self) -> Vec<u32> {
        self.wanted
            .iter()
            .map(|entry| entry.load(Ordering::Acquire))
            .filter(|&database| database != 0)
            .collect()
    }

    /// The database is being looked at: requests from now on count as new.
    pub fn clear(&self, database: u32) {
        for entry in &self.wanted {
            let _ = entry.compare_exchange(database, 0, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Enters this process as the database's worker; false if there is one already.
    pub fn enter(&self, database: u32) -> bool {
        if self
            .workers
            .iter()
            .any(|worker| worker.database.load(Ordering::Acquire) == database)
        {
            return false;
        }
        let Some(entry) = self.workers.iter().find(|worker| {
            worker
                .database
                .compare_exchange(0, database, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        }) else {
            return false;
        };
        entry
            .latch
            .store(LatchAddress::mine().to_bits(), Ordering::Release);
        true
    }

    /// Takes this process out again.
    pub fn leave(&self, database: u32) {
        for worker in &self.workers {
            if worker.database.load(Ordering::Acquire) == database {
                worker.latch.store(0, Ordering::Release);
                worker.database.store(0, Ordering::Release);
            }
        }
    }
}
