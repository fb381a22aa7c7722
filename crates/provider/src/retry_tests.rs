#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;

fn headers(retry_after: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
    headers
}

fn asked(text: &str) -> Option<Duration> {
    // 1994-11-06 08:49:37, the date of RFC 9110's examples.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    retry_after(FailureKind::RateLimited, &headers(text), now)
}

#[test]
fn waits_double_up_to_eight_seconds() {
    let whole: Vec<u128> = (1..=8).map(|attempt| backoff(attempt, 1.0).as_millis()).collect();
    assert_eq!(whole, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
    let half: Vec<u128> = (1..=3).map(|attempt| backoff(attempt, 0.0).as_millis()).collect();
    assert_eq!(half, [125, 250, 500]);
    assert_eq!(backoff(u32::MAX, 1.0), LONGEST_WAIT);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    assert_eq!(asked("0"), Some(Duration::ZERO));
    assert_eq!(asked(" 120 "), Some(Duration::from_secs(120)));
    assert_eq!(
        asked("99999999999999999999999"),
        Some(Duration::from_secs(u64::from(u32::MAX)))
    );
    assert_eq!(
        asked("Sun, 06 Nov 1994 08:50:07 GMT"),
        Some(Duration::from_secs(30))
    );
    assert_eq!(
        asked("Sunday, 06-Nov-94 08:50:07 GMT"),
        Some(Duration::from_secs(30))
    );
    assert_eq!(asked("Sun, 06 Nov 1994 08:40:00 GMT"), Some(Duration::ZERO));
    for text in ["", "-1", "1.5", "soon", "1 s"] {
        assert_eq!(asked(text), None, "{text}");
    }
    assert_eq!(
        retry_after(FailureKind::RateLimited, &HeaderMap::new(), SystemTime::now()),
        None
    );
}

#[test]
fn what_the_endpoint_asks_for_is_the_least_wait_and_too_much_ends_the_call() {
    let longest = Duration::from_secs(30);
    let limited = |seconds| Failure {
        retry_after: Some(Duration::from_secs(seconds)),
        ..Failure::new(FailureKind::RateLimited, "")
    };
    assert_eq!(
        wait_after(&limited(5), 1, longest, 1.0),
        Some(Duration::from_secs(5))
    );
    assert_eq!(
        wait_after(&limited(0), 1, longest, 1.0),
        Some(Duration::from_millis(250))
    );
    assert_eq!(wait_after(&limited(30), 1, longest, 1.0), Some(longest));
    assert_eq!(wait_after(&limited(31), 1, longest, 1.0), None);
}

#[test]
fn only_what_may_pass_is_repeated() {
    let longest = Duration::from_secs(30);
    let again = |kind, status| {
        let failure = Failure {
            status,
            ..Failure::new(kind, "")
        };
        wait_after(&failure, 1, longest, 0.5).is_some()
    };
    assert!(!again(FailureKind::Refused, Some(400)));
    assert!(!again(FailureKind::Refused, Some(401)));
    assert!(!again(FailureKind::Refused, Some(409)));
    assert!(!again(FailureKind::Refused, None));
    assert!(again(FailureKind::Refused, Some(408)));
    assert!(again(FailureKind::RateLimited, Some(429)));
    assert!(again(FailureKind::Unavailable, Some(500)));
    assert!(again(FailureKind::TimedOut, None));
    assert!(again(FailureKind::Unreachable, None));
    assert!(again(FailureKind::BadAnswer, Some(200)));
    assert!(!again(FailureKind::BadAnswer, Some(307)));
}

proptest! {
    #[test]
    fn waits_are_from_half_to_whole(attempt in 1_u32..50, chance in 0.0_f64..=1.0) {
        let whole = backoff(attempt, 1.0);
        let wait = backoff(attempt, chance);
        prop_assert!(wait <= whole && wait >= whole / 2);
        prop_assert!(whole <= LONGEST_WAIT);
    }

    #[test]
    fn any_retry_after_is_read_or_ignored(text in "[ -~]{0,40}") {
        let _ = asked(&text);
    }
}

#[test]
fn chances_are_from_0_to_1_and_differ() {
    let drawn: Vec<f64> = (0..100).map(|_| chance()).collect();
    assert!(drawn.iter().all(|chance| (0.0..=1.0).contains(chance)));
    assert!(drawn.iter().any(|&chance| chance < 0.5) && drawn.iter().any(|&chance| chance > 0.5));
}
