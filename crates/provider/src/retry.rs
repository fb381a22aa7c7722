//! When a failed attempt is repeated.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use hyper::header::{HeaderMap, RETRY_AFTER};

use crate::failure::{Failure, FailureKind};

/// The wait after the first attempt; each later one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest wait that we choose ourselves.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// The wait after the attempt of this number (from 1): doubled with each, and of that, by chance from 0 to 1, the half to
/// the whole, so that clients that failed together do not come back together.
fn backoff(attempt: u32, chance: f64) -> Duration {
    let doubled = 2_u32
        .checked_pow(attempt.saturating_sub(1))
        .and_then(|factor| FIRST_WAIT.checked_mul(factor));
    let whole = doubled.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

/// How long to wait before the attempt after that of this number, or nothing if there is to be none: the failure would come
/// again, or the endpoint asks for more time than `longest`.
pub(crate) fn wait_after(
    failure: &Failure,
    attempt: u32,
    longest: Duration,
    chance: f64,
) -> Option<Duration> {
    if !failure.is_transient() {
        return None;
    }
    let least = failure.retry_after.unwrap_or_default();
    (least <= longest).then(|| backoff(attempt, chance).max(least))
}

/// What `Retry-After` asks for (RFC 9110, 10.2.3): seconds, or a date, of which those in the past mean at once. Kept only
/// where a failure is one of overload; any other text is ignored.
pub(crate) fn retry_after(kind: FailureKind, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if !matches!(
        kind,
        FailureKind::RateLimited | FailureKind::Unavailable | FailureKind::Refused
    ) {
        return None;
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are a long time all the same.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// A number from 0 to 1. Good enough for waits; nothing secret depends on it.
pub(crate) fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0) >> 32;
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    let number = bits as f64;
    number / f64::from(u32::MAX)
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
