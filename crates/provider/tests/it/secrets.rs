//! Where keys go, and where they do not.

use castmatch_provider::{Client, Endpoint, FailureKind};
use castmatch_test_endpoint::TestEndpoint;

use crate::session::{KEY, chat, endpoint, failure, key, outcome, streamed};

#[test]
fn a_key_is_sent_as_a_bearer_token_or_where_its_placeholder_is() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let (_folder, secret) = key();
    let bearer = endpoint(&server.url("ok")).secret(secret.clone());
    let header = endpoint(&server.url("ok"))
        .header("api-key", "{secret}")
        .unwrap()
        .secret(secret);
    for endpoint in [&bearer, &header] {
        assert!(outcome(&client, endpoint, chat("hello")).result.is_ok());
    }
    let requests = server.requests();
    assert_eq!(
        requests[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(requests[0].header("api-key"), None);
    assert_eq!(requests[1].header("api-key"), Some(KEY));
    assert_eq!(requests[1].header("authorization"), None);
}

#[test]
fn a_server_that_repeats_the_key_does_not_get_it_shown() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let (_folder, secret) = key();
    let endpoint = endpoint(&server.url("echo-key")).secret(secret);
    for call in [chat("hello"), streamed("hello")] {
        let failure = failure(&client, &endpoint, call);
        assert_eq!((failure.kind, failure.status), (FailureKind::Refused, Some(401)));
        assert!(
            failure
                .message
                .ends_with(": wrong key: Bearer …, twice: Bearer …"),
            "{}",
            failure.message
        );
        assert!(!format!("{failure:?} {endpoint:?}").contains(KEY));
    }
}

#[test]
fn without_the_key_that_a_header_needs_nothing_is_sent() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let endpoint = endpoint(&server.url("ok"))
        .header("api-key", "{secret}")
        .unwrap()
        .max_attempts(3);
    let outcome = outcome(&client, &endpoint, chat("hello"));
    let failure = outcome.result.unwrap_err();
    assert_eq!((failure.kind, failure.status), (FailureKind::Refused, None));
    assert!(failure.message.contains("\"api-key\""), "{}", failure.message);
    assert_eq!((outcome.failed_attempts.len(), server.connections()), (0, 0));
}

#[test]
fn a_request_has_the_headers_of_the_client_and_no_others() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let endpoint: Endpoint = endpoint(&server.url("ok")).header("x-title", "demo").unwrap();
    assert!(outcome(&client, &endpoint, chat("hello")).result.is_ok());
    let request = &server.requests()[0];
    let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-title",
    ];
    assert_eq!(names, expected);
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("x-title"), Some("demo"));
}
