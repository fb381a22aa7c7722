//! Every fault of a server ends as a failure of the right kind, soon, and reads no more than it may.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use castmatch_provider::{Answer, Call, Client, FailureKind, MAX_BODY_BYTES};
use castmatch_test_endpoint::TestEndpoint;

use crate::session::{PATIENCE, chat, embeddings, endpoint, eventually, failure, finish, streamed};

/// A connection on which a request has begun: what comes before that is another fault.
fn accept_request(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    assert!(std::io::Read::read(&mut stream, &mut [0; 100]).unwrap() > 0);
    stream
}

/// The three kinds of calls.
fn calls() -> [Call; 3] {
    [
        chat("hello"),
        streamed("REPLY: long enough to have a half"),
        embeddings(&["hello"]),
    ]
}

#[test]
fn statuses_have_their_kinds_and_the_words_of_the_server() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    for (status, kind) in [
        (400, FailureKind::Refused),
        (404, FailureKind::Refused),
        (408, FailureKind::Refused),
        (409, FailureKind::Refused),
        (429, FailureKind::RateLimited),
        (500, FailureKind::Unavailable),
        (503, FailureKind::Unavailable),
    ] {
        for call in calls() {
            let failure = failure(&client, &endpoint(&server.url(&format!("error-{status}"))), call);
            assert_eq!((failure.kind, failure.status), (kind, Some(status)));
            assert!(
                failure
                    .message
                    .ends_with(&format!(": an error of status {status}")),
                "{}",
                failure.message
            );
        }
    }
}

#[test]
fn answers_that_are_none_are_bad_answers() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    for (behaviour, part) in [
        ("wrong-json", "expected"),
        ("not-json", "expected"),
        ("not-utf8", "not UTF-8"),
        ("gzip", "content encoding \"gzip\""),
        ("huge", "more than 1048576 bytes"),
        ("half-stream", ""),
    ] {
        for call in calls() {
            let failure = failure(&client, &endpoint(&server.url(behaviour)), call.clone());
            assert_eq!(
                failure.kind,
                FailureKind::BadAnswer,
                "{behaviour}: {}",
                failure.message
            );
            assert_eq!(failure.status, Some(200));
            assert!(
                failure.message.contains(part),
                "{behaviour} {call:?}: {}",
                failure.message
            );
        }
    }
    for call in [chat("hello"), streamed("hello")] {
        let failure = failure(&client, &endpoint(&server.url("nul")), call);
        assert_eq!(failure.kind, FailureKind::BadAnswer);
        assert_eq!(failure.message, "the answer holds a NUL character");
    }
    let failure = failure(
        &client,
        &endpoint(&server.url("half-stream")),
        streamed("REPLY: long enough"),
    );
    assert!(
        failure.message.starts_with("half an answer"),
        "{}",
        failure.message
    );
}

#[test]
fn an_endless_stream_gives_no_more_than_the_bound_and_then_its_connection_is_closed() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let mut pending = client.send(&endpoint(&server.url("huge")), streamed("hello"));
    let (pieces, outcome) = finish(&client, &mut pending);
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::BadAnswer);
    let received: usize = pieces.iter().map(String::len).sum();
    assert!(received > 0 && received <= MAX_BODY_BYTES, "{received}");
    eventually("the connection is closed", || server.open_connections() == 0);
    assert_eq!(server.cancelled(), 1);
}

#[test]
fn connections_that_break_are_unreachable() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    for call in calls() {
        let failure = failure(&client, &endpoint(&server.url("reset")), call);
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert_eq!(failure.message, "the connection broke: connection reset");
        assert_eq!(failure.status, None);
    }
    for call in [chat("hello"), embeddings(&["hello"])] {
        let failure = failure(&client, &endpoint(&server.url("length-lies")), call);
        assert_eq!(failure.kind, FailureKind::Unreachable, "{}", failure.message);
        assert_eq!(
            failure.message,
            "the connection closed before the answer was whole"
        );
    }
}

#[test]
fn where_nobody_listens_is_unreachable() {
    // Free when the listener is gone; nobody else binds it meanwhile but by chance.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = Client::start().unwrap();
    let refused = failure(
        &client,
        &endpoint(&format!("http://127.0.0.1:{port}/v1")),
        chat("hello"),
    );
    assert_eq!(refused.kind, FailureKind::Unreachable);
    assert_eq!(
        refused.message,
        format!("cannot connect to 127.0.0.1:{port}: connection refused")
    );
    let unknown = failure(
        &client,
        &endpoint("http://no-such-host.invalid/v1"),
        chat("hello"),
    );
    assert_eq!(unknown.kind, FailureKind::Unreachable);
    assert!(
        unknown
            .message
            .starts_with("cannot connect to no-such-host.invalid: "),
        "{}",
        unknown.message
    );
}

#[test]
fn what_is_no_http_is_a_bad_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = accept_request(&listener);
        std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2 canary\r\n\r\n").unwrap();
        // Until the client closes: an early end would be another fault.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let client = Client::start().unwrap();
    let failure = failure(&client, &endpoint(&format!("http://{address}/v1")), chat("hello"));
    assert_eq!(failure.kind, FailureKind::BadAnswer);
    assert!(
        failure.message.contains("expected an HTTP answer"),
        "{}",
        failure.message
    );
    assert!(!failure.message.contains("canary"));
    server.join().unwrap();
}

#[test]
fn servers_that_take_too_long_time_out_and_lose_the_connection() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let limit = Duration::from_millis(100);
    for behaviour in ["hang", "slow-20", "delay-60000"] {
        for call in calls() {
            let endpoint = endpoint(&server.url(behaviour)).timeout(limit);
            let failure = failure(&client, &endpoint, call);
            assert_eq!(
                failure.kind,
                FailureKind::TimedOut,
                "{behaviour}: {}",
                failure.message
            );
            assert_eq!(failure.message, "no whole answer within 100 ms");
        }
    }
    eventually("all connections are closed", || server.open_connections() == 0);
    // On a busy machine a time may be over before the request has come.
    assert!(server.cancelled() >= server.requests().len());
}

#[test]
fn a_server_that_accepts_no_connection_times_out() {
    // A listener whose queue is full: further SYNs are dropped, so that connecting waits.
    let listener = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&listener, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(50);
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, limit) {
        held.push(stream);
    }
    let client = Client::start().unwrap();
    let endpoint = endpoint(&format!("http://{address}/v1"));
    let failed = failure(&client, &endpoint.clone().timeout(limit), chat("hello"));
    assert_eq!(failed.kind, FailureKind::TimedOut);
    // With more time for the attempt, the bound on connecting comes first.
    let failed = failure(&client, &endpoint.timeout(PATIENCE), chat("hello"));
    assert_eq!(failed.kind, FailureKind::Unreachable);
    assert_eq!(
        failed.message,
        format!("cannot connect to {address}: no connection within 2000 ms")
    );
}

#[test]
fn redirections_are_not_followed_and_not_retried() {
    let elsewhere = TestEndpoint::start();
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let url = server.url(&format!("redirect-{}", elsewhere.address().port()));
    for call in calls() {
        let outcome = crate::session::outcome(&client, &endpoint(&url).max_attempts(3), call);
        assert_eq!(outcome.failed_attempts, []);
        let failure = outcome.result.unwrap_err();
        assert_eq!(
            (failure.kind, failure.status),
            (FailureKind::BadAnswer, Some(307))
        );
        assert!(
            failure.message.contains("which is not followed"),
            "{}",
            failure.message
        );
    }
    assert_eq!((server.requests().len(), elsewhere.connections()), (3, 0));
}

#[test]
fn a_server_that_cannot_stream_is_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = accept_request(&listener);
        let body = r#"{"choices": [{"message": {"role": "assistant", "content": "at once"}}]}"#;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}",
            body.len()
        );
        std::io::Write::write_all(&mut stream, format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let client = Client::start().unwrap();
    let mut pending = client.send(&endpoint(&format!("http://{address}/v1")), streamed("hello"));
    let (pieces, outcome) = finish(&client, &mut pending);
    assert_eq!(pieces, ["at once"]);
    assert!(matches!(outcome.result, Ok(Answer::Chat(answer)) if answer.text == "at once"));
    drop(client);
    server.join().unwrap();
}
