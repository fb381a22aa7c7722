//! When to try again, and how fast work goes: what a queue needs to know.

use std::time::{Duration, Instant};

/// The first wait after a failure.
const FIRST: Duration = Duration::from_secs(2);
/// The longest that a failure alone makes wait.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long to wait before the next try after `tries` failed ones: 2, 4, 8… seconds, each a quarter shorter or longer by chance, so that
/// rows which failed together do not all come back together. Never less than what the other side asked for (`Retry-After` of
/// RFC 9110, 10.2.3). `chance` is a number in [0, 1).
pub fn delay(tries: u32, chance: f64, retry_after: Option<Duration>) -> Duration {
    let doublings = tries.saturating_sub(1).min(31);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let chance = if chance.is_nan() { 0.5 } else { chance };
    let spread = 0.75 + chance.clamp(0.0, 1.0) / 2.0;
    whole.mul_f64(spread).max(retry_after.unwrap_or_default())
}

/// Rows per second, as an average that forgets: what happened [`Rate::MEMORY`] ago weighs 1/e of what happens now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    last: Option<Instant>,
    per_second: f64,
}

impl Rate {
    /// How long the average remembers.
    pub const MEMORY: Duration = Duration::from_secs(10);
    /// After a pause of this length the average starts anew.
    const PAUSE: Duration = Duration::from_secs(30);

    /// Notes rows that were done at `now`, and that were begun at `since`.
    pub fn note(&mut self, rows: usize, since: Instant, now: Instant) {
        let continued = self
            .last
            .filter(|&last| now.saturating_duration_since(last) < Self::PAUSE);
        let seconds = now
            .saturating_duration_since(continued.unwrap_or(since))
            .as_secs_f64()
            .max(1e-3);
        let measured = rows as f64 / seconds;
        let weight = match continued {
            Some(_) => 1.0 - (-seconds / Self::MEMORY.as_secs_f64()).exp(),
            None => 1.0,
        };
        self.per_second += weight * (measured - self.per_second);
        self.last = Some(now);
    }

    /// The average.
    pub fn per_second(&self) -> f64 {
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_a_spread_and_an_end() {
        let seconds = |tries, chance| delay(tries, chance, None).as_secs_f64();
        assert_eq!(
            [seconds(1, 0.5), seconds(2, 0.5), seconds(3, 0.5)],
            [2.0, 4.0, 8.0]
        );
        assert_eq!((seconds(1, 0.0), seconds(1, 1.0)), (1.5, 2.5));
        assert_eq!(seconds(1000, 0.5), 3600.0);
        assert_eq!(seconds(0, f64::NAN), 2.0);
    }

    #[test]
    fn what_the_other_side_asks_for_is_the_least() {
        let asked = Some(Duration::from_secs(7));
        assert_eq!(delay(1, 0.5, asked), Duration::from_secs(7));
        assert_eq!(delay(3, 0.5, asked), Duration::from_secs(8));
    }

    #[test]
    fn a_rate_follows_what_happens_and_starts_anew_after_a_pause() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        rate.note(100, start, at(1));
        assert!((rate.per_second() - 100.0).abs() < 1e-9);
        for second in 2..60 {
            rate.note(200, at(second - 1), at(second));
        }
        assert!((rate.per_second() - 200.0).abs() < 1.0, "{rate:?}");
        rate.note(10, at(200), at(201));
        assert!((rate.per_second() - 10.0).abs() < 1e-9);
    }
}
