//! Circuit breakers: a model that does not answer is left alone for a while, by all processes at once.
//!
//! ```text
//! closed ── N failures in a row ──► open ── after D ──► half open: one process tries
//!    ▲                                ▲                     │
//!    └───────── it succeeds ──────────┼─────────────────────┤
//!                                     └──── it fails ───────┘
//! ```
//!
//! The pattern is Nygard's (Release It!, 2nd edition, 5.2). An entry is one model of one database, by a number that stands for both and
//! for the model's settings, so that a model whose settings are mended starts anew. Each step is one atomic operation; what two processes
//! tell at the same moment may count once or twice, which does no harm.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Models at a time. One more takes the place of a closed one.
const ENTRIES: usize = 64;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call is let through.
    pub open: Duration,
}

/// What a breaker says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The model may be called.
    Pass,
    /// The model may be called, by this call alone: it is the one that tries.
    Probe,
    /// The model is left alone for that long.
    Refused(Duration),
}

/// The state of a breaker, for views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// The next call tries, or one is trying.
    HalfOpen,
}

impl State {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A breaker.
#[repr(C)]
#[derive(Default)]
struct Entry {
    /// 0 if it is nobody's.
    key: AtomicU64,
    /// When it was last used, milliseconds.
    used_ms: AtomicU64,
    /// Until when it is open, milliseconds; 0 if it is closed.
    open_until_ms: AtomicU64,
    /// Until when a call that tries has the word, milliseconds.
    probe_until_ms: AtomicU64,
    failures: AtomicU32,
}

/// The breakers of all models.
#[repr(C)]
pub struct Breakers {
    entries: [Entry; ENTRIES],
}

impl Default for Breakers {
    fn default() -> Self {
        Self {
            entries: std::array::from_fn(|_| Entry::default()),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Breakers {
    fn find(&self, key: u64) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.key.load(Ordering::Acquire) == key)
    }

    /// The entry of a model that has failed; `None` if all are taken by models that are left alone.
    fn claim(&self, key: u64) -> Option<&Entry> {
        if let Some(entry) = self.find(key) {
            return Some(entry);
        }
        let closed = |entry: &&Entry| entry.open_until_ms.load(Ordering::Acquire) == 0;
        let entry = self
            .entries
            .iter()
            .filter(closed)
            .min_by_key(|entry| entry.used_ms.load(Ordering::Relaxed))?;
        entry.failures.store(0, Ordering::Relaxed);
        entry.probe_until_ms.store(0, Ordering::Relaxed);
        entry.key.store(key, Ordering::Release);
        Some(entry)
    }

    /// Asks whether a model may be called now. Whoever gets [`Admission::Probe`] tells the outcome; should it die, another one tries
    /// after the time that the breaker is open for.
    pub fn admit(&self, key: u64, now_ms: u64, policy: Policy) -> Admission {
        let Some(entry) = self.find(key) else {
            return Admission::Pass;
        };
        entry.used_ms.store(now_ms, Ordering::Relaxed);
        let until = entry.open_until_ms.load(Ordering::Acquire);
        if until == 0 {
            return Admission::Pass;
        }
        if now_ms < until {
            return Admission::Refused(Duration::from_millis(until - now_ms));
        }
        let probing = entry.probe_until_ms.load(Ordering::Acquire);
        if now_ms < probing {
            return Admission::Refused(Duration::from_millis(probing - now_ms));
        }
        let next = now_ms.saturating_add(milliseconds(policy.open).max(1));
        let won = entry
            .probe_until_ms
            .compare_exchange(probing, next, Ordering::AcqRel, Ordering::Acquire);
        match won {
            Ok(_) => Admission::Probe,
            Err(_) => Admission::Refused(policy.open),
        }
    }

    /// A call succeeded.
    pub fn succeeded(&self, key: u64) {
        if let Some(entry) = self.find(key) {
            entry.failures.store(0, Ordering::Relaxed);
            entry.probe_until_ms.store(0, Ordering::Relaxed);
            entry.open_until_ms.store(0, Ordering::Release);
        }
    }

    /// A call failed; true if that opened the breaker. A model that says when to come back is left alone until then, at most for ten times
    /// as long as one that does not.
    pub fn failed(&self, key: u64, now_ms: u64, policy: Policy, retry_after: Option<Duration>) -> bool {
        let Some(entry) = self.claim(key) else {
            return false;
        };
        entry.used_ms.store(now_ms, Ordering::Relaxed);
        let failures = entry.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        let probed = entry.open_until_ms.load(Ordering::Acquire) != 0;
        if failures < policy.failures && !probed && retry_after.is_none() {
            return false;
        }
        let pause = policy.open.max(
            retry_after
                .unwrap_or_default()
                .min(policy.open.saturating_mul(10)),
        );
        entry.probe_until_ms.store(0, Ordering::Relaxed);
        let until = now_ms.saturating_add(milliseconds(pause).max(1));
        entry.open_until_ms.store(until, Ordering::Release);
        !probed
    }

    /// The call was given up without an outcome: whoever comes next may try.
    pub fn given_up(&self, key: u64) {
        if let Some(entry) = self.find(key) {
            entry.probe_until_ms.store(0, Ordering::Release);
        }
    }

    /// State and failures in a row of a model.
    pub fn state(&self, key: u64, now_ms: u64) -> (State, u32) {
        let Some(entry) = self.find(key) else {
            return (State::Closed, 0);
        };
        let until = entry.open_until_ms.load(Ordering::Acquire);
        let state = match until {
            0 => State::Closed,
            until if now_ms < until => State::Open,
            _ => State::HalfOpen,
        };
        (state, entry.failures.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        failures: 3,
        open: Duration::from_secs(10),
    };

    fn fail(breakers: &Breakers, key: u64, now_ms: u64) -> bool {
        breakers.failed(key, now_ms, POLICY, None)
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let breakers = Breakers::default();
        assert!(!fail(&breakers, 7, 100));
        assert!(!fail(&breakers, 7, 101));
        breakers.succeeded(7);
        assert!(!fail(&breakers, 7, 102));
        assert!(!fail(&breakers, 7, 103));
        assert_eq!(breakers.admit(7, 104, POLICY), Admission::Pass);
        assert_eq!(breakers.state(7, 104), (State::Closed, 2));
        assert!(fail(&breakers, 7, 105));
        let left = Duration::from_millis(10_000 - 5);
        assert_eq!(breakers.admit(7, 110, POLICY), Admission::Refused(left));
        assert_eq!(breakers.state(7, 110), (State::Open, 3));
        // Another model is not concerned.
        assert_eq!(breakers.admit(8, 110, POLICY), Admission::Pass);
    }

    fn opened(key: u64, now_ms: u64) -> Breakers {
        let breakers = Breakers::default();
        for _ in 0..POLICY.failures {
            fail(&breakers, key, now_ms);
        }
        breakers
    }

    #[test]
    fn one_call_tries_when_the_time_is_over() {
        let breakers = opened(7, 0);
        assert_eq!(breakers.state(7, 10_000), (State::HalfOpen, 3));
        assert_eq!(breakers.admit(7, 10_000, POLICY), Admission::Probe);
        let wait = Duration::from_millis(9_999);
        assert_eq!(breakers.admit(7, 10_001, POLICY), Admission::Refused(wait));
        breakers.succeeded(7);
        assert_eq!(breakers.admit(7, 10_002, POLICY), Admission::Pass);
        assert_eq!(breakers.state(7, 10_002), (State::Closed, 0));
    }

    #[test]
    fn a_try_that_fails_opens_it_again_at_once() {
        let breakers = opened(7, 0);
        assert_eq!(breakers.admit(7, 10_000, POLICY), Admission::Probe);
        assert!(!fail(&breakers, 7, 10_050), "it was open already");
        let wait = Duration::from_millis(9_950);
        assert_eq!(breakers.admit(7, 10_100, POLICY), Admission::Refused(wait));
    }

    #[test]
    fn a_try_that_nobody_ends_is_followed_by_another() {
        let breakers = opened(7, 0);
        assert_eq!(breakers.admit(7, 10_000, POLICY), Admission::Probe);
        breakers.given_up(7);
        assert_eq!(breakers.admit(7, 10_001, POLICY), Admission::Probe);
        // This one dies without a word.
        assert_eq!(breakers.admit(7, 20_001, POLICY), Admission::Probe);
    }

    #[test]
    fn a_model_that_says_when_to_come_back_is_left_alone_until_then() {
        let breakers = Breakers::default();
        let asked = Some(Duration::from_secs(60));
        assert!(breakers.failed(7, 0, POLICY, asked));
        let wait = Duration::from_secs(60);
        assert_eq!(breakers.admit(7, 0, POLICY), Admission::Refused(wait));
        let absurd = Some(Duration::from_secs(1 << 40));
        breakers.failed(8, 0, POLICY, absurd);
        let most = Duration::from_secs(100);
        assert_eq!(breakers.admit(8, 0, POLICY), Admission::Refused(most));
    }

    #[test]
    fn the_oldest_closed_one_makes_room_and_open_ones_stay() {
        let breakers = opened(1, 0);
        for key in 2..200 {
            assert!(!fail(&breakers, key, key));
        }
        assert_eq!(breakers.state(1, 5).0, State::Open);
        assert_eq!(
            breakers.state(2, 5),
            (State::Closed, 0),
            "its place was given away"
        );
        assert_eq!(breakers.state(199, 5), (State::Closed, 1));
        let all_open = Breakers::default();
        for key in 1..=(ENTRIES as u64) {
            all_open.failed(key, 0, POLICY, Some(Duration::from_secs(1)));
        }
        assert!(!all_open.failed(1000, 0, POLICY, None));
        assert_eq!(all_open.admit(1000, 0, POLICY), Admission::Pass);
    }
}
