//! What backends, the launcher and the sync workers share: which databases have work, and who works on it.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Databases that can wait for a worker at once; more than that make the launcher look at all of them.
const WANTED: usize = 64;
/// Sync workers that can run at once.
const WORKERS: usize = 32;

/// A running sync worker.
#[repr(C)]
pub struct WorkerEntry {
    database: AtomicU32,
    pid: AtomicI32,
    latch: AtomicUsize,
}

/// The launcher and its workers.
#[repr(C)]
pub struct SyncState {
    /// Process id of the launcher, 0 if none.
    pub launcher_pid: AtomicI32,
    /// The launcher's latch as a number, 0 if there is none.
    pub launcher_latch: AtomicUsize,
    /// When a dynamic launcher was last asked for, milliseconds.
    pub start_requested_ms: AtomicU64,
    /// 1 if databases wait that found no room in `wanted`.
    pub overflow: AtomicU32,
    wanted: [AtomicU32; WANTED],
    workers: [WorkerEntry; WORKERS],
}

impl SyncState {
    /// Notes that the database has rows to embed and calls `wake` with the latches of those who are to do it. Nothing here
    /// allocates or fails: it runs after commit, where nothing may.
    pub fn request(&self, database: u32, wake: impl Fn(usize)) {
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
            if worker.database.load(Ordering::Acquire) == database {
                wake(worker.latch.load(Ordering::Acquire));
            }
        }
        wake(self.launcher_latch.load(Ordering::Acquire));
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

    /// Enters a process as the database's worker; false if there is one already. The entry of a process that is not `alive`
    /// any more, and could not take itself out, is free.
    pub fn enter(&self, database: u32, pid: i32, latch: usize, alive: impl Fn(i32) -> bool) -> bool {
        for worker in &self.workers {
            let stale = worker.pid.load(Ordering::Acquire);
            if worker.database.load(Ordering::Acquire) != 0
                && stale != 0
                && !alive(stale)
                && worker
                    .pid
                    .compare_exchange(stale, 0, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
            {
                worker.latch.store(0, Ordering::Release);
                worker.database.store(0, Ordering::Release);
            }
        }
        if self
            .workers
            .iter()
            .any(|worker| worker.database.load(Ordering::Acquire) == database)
        {
            return false;
        }
        let free = self.workers.iter().find(|worker| {
            worker
                .database
                .compare_exchange(0, database, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        });
        if let Some(entry) = free {
            entry.pid.store(pid, Ordering::Release);
            entry.latch.store(latch, Ordering::Release);
        }
        free.is_some()
    }

    /// Takes the database's worker out again.
    pub fn leave(&self, database: u32) {
        for worker in &self.workers {
            if worker.database.load(Ordering::Acquire) == database {
                worker.latch.store(0, Ordering::Release);
                worker.pid.store(0, Ordering::Release);
                worker.database.store(0, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn fresh() -> SyncState {
        SyncState {
            launcher_pid: AtomicI32::new(0),
            launcher_latch: AtomicUsize::new(7),
            start_requested_ms: AtomicU64::new(0),
            overflow: AtomicU32::new(0),
            wanted: [const { AtomicU32::new(0) }; WANTED],
            workers: std::array::from_fn(|_| WorkerEntry {
                database: AtomicU32::new(0),
                pid: AtomicI32::new(0),
                latch: AtomicUsize::new(0),
            }),
        }
    }

    const ALL_ALIVE: fn(i32) -> bool = |_| true;

    #[test]
    fn a_request_is_noted_once_and_wakes_launcher_and_worker() {
        let state = fresh();
        assert!(state.enter(5, 1, 50, ALL_ALIVE));
        assert!(!state.enter(5, 2, 51, ALL_ALIVE), "one worker for a database");
        let woken = RefCell::new(Vec::new());
        state.request(5, |latch| woken.borrow_mut().push(latch));
        state.request(5, |_| ());
        state.request(6, |_| ());
        assert_eq!(*woken.borrow(), [50, 7]);
        assert_eq!(state.wanted(), [5, 6]);
        state.clear(5);
        assert_eq!(state.wanted(), [6]);
        state.leave(5);
        assert!(state.enter(5, 2, 51, ALL_ALIVE));
    }

    #[test]
    fn the_entry_of_a_process_that_is_gone_is_taken_over() {
        let state = fresh();
        assert!(state.enter(5, 1, 50, ALL_ALIVE));
        assert!(state.enter(5, 2, 51, |pid| pid != 1));
        let woken = RefCell::new(Vec::new());
        state.request(5, |latch| woken.borrow_mut().push(latch));
        assert_eq!(*woken.borrow(), [51, 7]);
    }

    #[test]
    fn more_databases_than_places_are_not_forgotten() {
        let state = fresh();
        for database in 1..=(WANTED as u32 + 1) {
            state.request(database, |_| ());
        }
        assert_eq!(state.wanted().len(), WANTED);
        assert_eq!(state.overflow.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn more_workers_than_places_are_refused() {
        let state = fresh();
        for database in 1..=(WORKERS as u32) {
            assert!(state.enter(database, 1, 1, ALL_ALIVE));
        }
        assert!(!state.enter(WORKERS as u32 + 1, 1, 1, ALL_ALIVE));
    }
}
