//! How often a token may come: a bucket that holds a minute's requests and fills up evenly.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const ROUNDING: f64 = 1e-6;

/// The bucket of one token.
pub struct Limiter {
    per_minute: u32,
    state: Mutex<State>,
}

struct State {
    /// Requests that may come at once.
    left: f64,
    /// When that was so. By the monotonic clock, which nobody sets.
    at: Instant,
}

impl Limiter {
    /// A full one.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        let state = State {
            left: f64::from(per_minute),
            at: Instant::now(),
        };
        Self {
            per_minute,
            state: Mutex::new(state),
        }
    }

    /// How many requests a minute it allows.
    #[must_use]
    pub fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Takes one request at that time.
    ///
    /// # Errors
    /// When there is none left: the whole seconds until there is.
    pub fn take(&self, now: Instant) -> Result<(), u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let capacity = f64::from(self.per_minute);
        let per_second = capacity / 60.0;
        let passed = now.saturating_duration_since(state.at).as_secs_f64();
        state.left = (state.left + passed * per_second).min(capacity);
        state.at = state.at.max(now);
        // Sums of parts may come out a little short.
        let short = 1.0 - state.left - ROUNDING;
        if short > 0.0 {
            return Err((short / per_second).ceil() as u64);
        }
        state.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_minutes_requests_may_come_at_once_and_then_one_by_one() {
        let limiter = Limiter::new(6);
        let start = Instant::now();
        for _ in 0..6 {
            assert_eq!(limiter.take(start), Ok(()));
        }
        assert_eq!(limiter.take(start), Err(10));
        assert_eq!(limiter.take(start + Duration::from_secs(7)), Err(3));
        assert_eq!(limiter.take(start + Duration::from_secs(10)), Ok(()));
        assert_eq!(limiter.take(start + Duration::from_secs(10)), Err(10));
        // A time before the last one, as two threads may have it, gives nothing away.
        assert_eq!(limiter.take(start), Err(10));
        let later = start + Duration::from_secs(3600);
        for _ in 0..6 {
            assert_eq!(limiter.take(later), Ok(()));
        }
        assert_eq!(limiter.take(later), Err(10));
    }

    #[test]
    fn one_a_minute_is_not_one_for_ever() {
        let limiter = Limiter::new(1);
        let start = Instant::now();
        assert_eq!(limiter.take(start), Ok(()));
        assert_eq!(limiter.take(start), Err(60));
        assert_eq!(limiter.take(start + Duration::from_secs(61)), Ok(()));
    }
}
