#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::interrupt::NeverInterrupted;

struct Sum {
    items: u64,
    total: AtomicU64,
    seen: Vec<AtomicU32>,
    alive: AtomicUsize,
    /// Fails, or panics, at this item.
    fail_at: Option<u64>,
    panic_at: Option<u64>,
    stop: Stop,
    /// Items wait for the stop flag from this one on.
    hang_at: Option<u64>,
}

impl Sum {
    fn new(items: u64) -> Self {
        Sum {
            items,
            total: AtomicU64::new(0),
            seen: (0..items).map(|_| AtomicU32::new(0)).collect(),
            alive: AtomicUsize::new(0),
            fail_at: None,
            panic_at: None,
            stop: Stop::default(),
            hang_at: None,
        }
    }
}

impl Work for Sum {
    type Scratch = Vec<u8>;

    fn scratch(&self) -> Result<Vec<u8>, IndexError> {
        Ok(Vec::new())
    }

    fn items(&self) -> u64 {
        self.items
    }

    fn item(&self, item: u64, _scratch: &mut Vec<u8>) -> Result<(), IndexError> {
        self.alive.fetch_add(1, Ordering::SeqCst);
        while self.hang_at.is_some_and(|from| item >= from) {
            if let Err(error) = self.stop.check() {
                self.alive.fetch_sub(1, Ordering::SeqCst);
                return Err(error);
            }
            thread::yield_now();
        }
        self.alive.fetch_sub(1, Ordering::SeqCst);
        if self.fail_at == Some(item) {
            return Err(IndexError::OutOfMemory {
                what: "test",
                bytes: 1,
            });
        }
        assert!(self.panic_at != Some(item), "asked for by the test");
        self.total.fetch_add(item, Ordering::Relaxed);
        self.seen[item as usize].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct StopAfter {
    checks: Cell<u32>,
    spawns: Cell<(u32, u32)>,
    last: Cell<(u64, u64)>,
}

impl StopAfter {
    fn new(checks: u32) -> Self {
        StopAfter {
            checks: Cell::new(checks),
            spawns: Cell::new((0, 0)),
            last: Cell::new((0, 0)),
        }
    }
}

impl Interrupt for StopAfter {
    fn check(&self) -> Result<(), Interrupted> {
        self.checks
            .set(self.checks.get().checked_sub(1).ok_or(Interrupted)?);
        Ok(())
    }
}

impl Supervisor for StopAfter {
    fn progress(&self, done: u64, total: u64) {
        assert!(self.last.get().0 <= done && done <= total);
        self.last.set((done, total));
    }

    fn before_spawn(&self) {
        assert_eq!(self.spawns.get().0, self.spawns.get().1);
        self.spawns.set((self.spawns.get().0 + 1, self.spawns.get().1));
    }

    fn after_spawn(&self) {
        self.spawns.set((self.spawns.get().0, self.spawns.get().1 + 1));
    }
}

#[test]
fn every_item_is_done_once() {
    for (threads, items) in [(0, 1000), (1, 1000), (3, 1000), (2, 1), (8, 3), (2, 0)] {
        let work = Sum::new(items);
        let supervisor = StopAfter::new(u32::MAX);
        run(&work, threads, &work.stop, &supervisor).unwrap();
        assert!(work.seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        let expected = u32::from(threads > 0 && items > 0);
        assert_eq!(supervisor.spawns.get(), (expected, expected));
    }
}

#[test]
fn an_interruption_ends_all_threads() {
    for threads in [0, 1, 4] {
        let mut work = Sum::new(500);
        work.hang_at = (threads > 0).then_some(100);
        let outcome = run(&work, threads, &work.stop, &StopAfter::new(3));
        assert!(matches!(outcome, Err(IndexError::Interrupted(_))));
        assert_eq!(work.alive.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn an_error_of_one_thread_is_the_error_of_the_work() {
    for threads in [0, 1, 4] {
        let mut work = Sum::new(500);
        work.fail_at = Some(77);
        // The others would run for ever, were they not stopped.
        work.hang_at = (threads > 1).then_some(200);
        let outcome = run(&work, threads, &work.stop, &NeverInterrupted);
        assert_eq!(
            outcome,
            Err(IndexError::OutOfMemory {
                what: "test",
                bytes: 1
            })
        );
    }
}

#[test]
fn a_panic_of_one_thread_is_an_error() {
    let mut work = Sum::new(500);
    work.panic_at = Some(30);
    work.hang_at = Some(200);
    let outcome = run(&work, 3, &work.stop, &NeverInterrupted);
    assert!(matches!(outcome, Err(IndexError::Failed { .. })));
}

#[test]
fn a_panic_of_the_caller_stops_the_threads() {
    struct Panics;
    impl Interrupt for Panics {
        fn check(&self) -> Result<(), Interrupted> {
            panic!("asked for by the test");
        }
    }
    impl Supervisor for Panics {}
    let mut work = Sum::new(500);
    work.hang_at = Some(0);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(&work, 2, &work.stop, &Panics)
    }));
    assert!(outcome.is_err());
    assert_eq!(work.alive.load(Ordering::SeqCst), 0);
}
