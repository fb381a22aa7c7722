//! Waiting for a condition, with a deadline: tests never sleep for a fixed time and hope.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Polls until `attempt` gives a value; returns it with the time that it took.
///
/// # Panics
/// If there is none within `limit`.
pub fn eventually<T>(limit: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> (T, Duration) {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return (found, start.elapsed());
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}
