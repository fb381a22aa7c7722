//! What backends, the launcher and its workers share: which databases have work, and who works on it.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Databases that can wait for a worker at once; more than that make the launcher look at all of them.
const WANTED: usize = 64;
/// Workers of one kind that can run at once.
const WORKERS: usize = 32;

/// A running worker.
#[repr(C)]
pub struct WorkerEntry {
    database: AtomicU32,
    pid: AtomicI32,
    latch: AtomicUsize,
}

/// What a database's worker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Rows of attached tables are to be embedded.
    Rows,
    /// Replies are to be given in the background, and what models used is to be written down.
    Replies,
}

/// Which databases have work of one kind, and who works on it.
#[repr(C)]
pub struct Work {
    /// 1 if databases wait that found no room in `wanted`.
    pub overflow: AtomicU32,
    wanted: [AtomicU32; WANTED],
    workers: [WorkerEntry; WORKERS],
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
    rows: Work,
    replies: Work,
}

impl SyncState {
    /// The work of one kind.
    pub fn work(&self, duty: Duty) -> &Work {
        match duty {
            Duty::Rows => &self.rows,
            Duty::Replies => &self.replies,
        }
    }

    /// Notes that the database has work and calls `wake` with the latches of those who are to do it. Nothing here allocates or fails: it
    /// runs after commit, where nothing may.
    pub fn request(&self, duty: Duty, database: u32, wake: impl Fn(usize)) {
        let work = self.work(duty);
        work.note(database);
        for worker in &work.workers {
            if worker.database.load(Ordering::Acquire) == database {
                wake(worker.latch.load(Ordering::Acquire));
            }
        }
        wake(self.launcher_latch.load(Ordering::Acquire));
    }
}

impl Work {
    /// Notes that the database has work; wakes nobody.
    pub fn note(&self, database: u32) {
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
    }

    /// Databases with work.
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

    /// Whether the database has a worker now.
    pub fn has_worker(&self, database: u32) -> bool {
        self.workers.iter().any(|worker| {
            worker.database.load(Ordering::Acquire) == database && worker.pid.load(Ordering::Acquire) != 0
        })
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

    fn fresh_work() -> Work {
        Work {
            overflow: AtomicU32::new(0),
            wanted: [const { AtomicU32::new(0) }; WANTED],
            workers: std::array::from_fn(|_| WorkerEntry {
                database: AtomicU32::new(0),
                pid: AtomicI32::new(0),
                latch: AtomicUsize::new(0),
            }),
        }
    }

    fn fresh() -> SyncState {
        SyncState {
            launcher_pid: AtomicI32::new(0),
            launcher_latch: AtomicUsize::new(7),
            start_requested_ms: AtomicU64::new(0),
            rows: fresh_work(),
            replies: fresh_work(),
        }
    }

    const ALL_ALIVE: fn(i32) -> bool = |_| true;

    #[test]
    fn a_request_is_noted_once_and_wakes_launcher_and_worker() {
        let state = fresh();
        assert!(state.work(Duty::Rows).enter(5, 1, 50, ALL_ALIVE));
        assert!(
            !state.work(Duty::Rows).enter(5, 2, 51, ALL_ALIVE),
            "one worker for a database"
        );
        let woken = RefCell::new(Vec::new());
        state.request(Duty::Rows, 5, |latch| woken.borrow_mut().push(latch));
        state.request(Duty::Rows, 5, |_| ());
        state.request(Duty::Rows, 6, |_| ());
        assert_eq!(*woken.borrow(), [50, 7]);
        assert_eq!(state.work(Duty::Rows).wanted(), [5, 6]);
        assert!(state.work(Duty::Replies).wanted().is_empty());
        state.work(Duty::Rows).clear(5);
        assert_eq!(state.work(Duty::Rows).wanted(), [6]);
        state.work(Duty::Rows).leave(5);
        assert!(state.work(Duty::Rows).enter(5, 2, 51, ALL_ALIVE));
    }

    #[test]
    fn the_entry_of_a_process_that_is_gone_is_taken_over() {
        let state = fresh();
        assert!(state.work(Duty::Rows).enter(5, 1, 50, ALL_ALIVE));
        assert!(state.work(Duty::Rows).enter(5, 2, 51, |pid| pid != 1));
        assert!(state.work(Duty::Rows).has_worker(5));
        assert!(!state.work(Duty::Rows).has_worker(6) && !state.work(Duty::Replies).has_worker(5));
        let woken = RefCell::new(Vec::new());
        state.request(Duty::Rows, 5, |latch| woken.borrow_mut().push(latch));
        assert_eq!(*woken.borrow(), [51, 7]);
    }

    #[test]
    fn more_databases_than_places_are_not_forgotten() {
        let state = fresh();
        for database in 1..=(WANTED as u32 + 1) {
            state.request(Duty::Rows, database, |_| ());
        }
        assert_eq!(state.work(Duty::Rows).wanted().len(), WANTED);
        assert_eq!(state.work(Duty::Rows).overflow.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn more_workers_than_places_are_refused() {
        let state = fresh();
        for database in 1..=(WORKERS as u32) {
            assert!(state.work(Duty::Rows).enter(database, 1, 1, ALL_ALIVE));
        }
        assert!(!state.work(Duty::Rows).enter(WORKERS as u32 + 1, 1, 1, ALL_ALIVE));
    }
}
