//! What is tried again, how often, and what is told of it.

use std::time::{Duration, Instant};

use castmatch_provider::{Client, FailureKind};
use castmatch_test_endpoint::TestEndpoint;

use crate::session::{chat, embeddings, endpoint, finish, outcome, streamed};

#[test]
fn a_flaky_server_is_tried_again_and_each_failure_is_told() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    for (tag, call) in [
        ("a", chat("REPLY: yes")),
        ("b", streamed("REPLY: yes")),
        ("c", embeddings(&["yes"])),
    ] {
        let endpoint = endpoint(&server.url(&format!("flaky-1~{tag}"))).max_attempts(3);
        let outcome = outcome(&client, &endpoint, call);
        assert!(outcome.result.is_ok());
        let kinds: Vec<_> = outcome
            .failed_attempts
            .iter()
            .map(|failure| (failure.kind, failure.status))
            .collect();
        assert_eq!(kinds, [(FailureKind::Unavailable, Some(500))]);
    }
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn attempts_are_bounded() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    for (attempts, tag) in [(1, "a"), (2, "b"), (0, "c")] {
        let endpoint = endpoint(&server.url(&format!("flaky-9~{tag}"))).max_attempts(attempts);
        let outcome = outcome(&client, &endpoint, chat("hello"));
        assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Unavailable);
        assert_eq!(outcome.failed_attempts.len(), attempts.saturating_sub(1) as usize);
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn what_may_pass_is_tried_again_and_what_is_refused_is_not() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    for (behaviour, attempts) in [
        ("error-400", 1),
        ("error-401", 1),
        ("error-409", 1),
        ("error-408", 2),
        ("error-429", 2),
        ("error-500", 2),
        ("reset", 2),
        ("not-json", 2),
    ] {
        let endpoint = endpoint(&server.url(behaviour)).max_attempts(2);
        let outcome = outcome(&client, &endpoint, chat("hello"));
        assert!(outcome.result.is_err());
        assert_eq!(outcome.failed_attempts.len() + 1, attempts, "{behaviour}");
        let path = format!("/{behaviour}/v1/chat/completions");
        let requests = server
            .requests()
            .iter()
            .filter(|request| request.path == path)
            .count();
        assert_eq!(requests, attempts, "{behaviour}");
    }
}

#[test]
fn a_server_that_hangs_is_tried_again() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let endpoint = endpoint(&server.url("hang"))
        .max_attempts(2)
        .timeout(Duration::from_millis(50));
    let outcome = outcome(&client, &endpoint, chat("hello"));
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::TimedOut);
    assert_eq!(outcome.failed_attempts.len(), 1);
    assert_eq!(outcome.failed_attempts[0].kind, FailureKind::TimedOut);
}

#[test]
fn retry_after_is_waited_for() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let began = Instant::now();
    let outcome = outcome(
        &client,
        &endpoint(&server.url("rate-limited-1-1")).max_attempts(2),
        chat("REPLY: yes"),
    );
    assert!(outcome.result.is_ok());
    // The wait itself is what is tested: no less than the server asked for.
    assert!(began.elapsed() >= Duration::from_secs(1));
    let limited = &outcome.failed_attempts[0];
    assert_eq!(
        (limited.kind, limited.status),
        (FailureKind::RateLimited, Some(429))
    );
    assert_eq!(limited.retry_after, Some(Duration::from_secs(1)));
}

#[test]
fn a_server_that_asks_for_more_time_than_an_attempt_has_is_given_up_at_once() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let endpoint = endpoint(&server.url("rate-limited-1-3600")).max_attempts(3);
    let outcome = outcome(&client, &endpoint, chat("hello"));
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::RateLimited);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(3600)));
    assert_eq!((outcome.failed_attempts.len(), server.requests().len()), (0, 1));
}

#[test]
fn a_stream_is_not_begun_again_after_its_first_piece() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let endpoint = endpoint(&server.url("half-stream")).max_attempts(3);
    let mut pending = client.send(&endpoint, streamed("REPLY: long enough to have a half"));
    let (pieces, outcome) = finish(&client, &mut pending);
    assert!(!pieces.is_empty());
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::BadAnswer);
    assert_eq!((outcome.failed_attempts.len(), server.requests().len()), (0, 1));
}
