//! Connections are kept and closed as they should be, and the thread ends.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use castmatch_provider::{Client, Event, FailureKind};
use castmatch_test_endpoint::TestEndpoint;

use crate::session::{
    PATIENCE, chat, chat_answer, embeddings, endpoint, eventually, failure, next, outcome, streamed,
};

#[test]
fn one_connection_serves_calls_of_all_kinds() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    for _ in 0..3 {
        let endpoint = endpoint(&server.url("ok"));
        for call in [chat("hello"), embeddings(&["hello"]), streamed("hello")] {
            assert!(outcome(&client, &endpoint, call).result.is_ok());
        }
        // The answer to an error is read as well, so that its connection can be used again.
        failure(
            &client,
            &crate::session::endpoint(&server.url("error-400")),
            chat("hello"),
        );
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 12));
}

#[test]
fn a_connection_that_the_server_has_closed_is_not_used_again() {
    let first = TestEndpoint::start();
    let port = first.address().port();
    let client = Client::start().unwrap();
    let endpoint = endpoint(&first.url("ok")).max_attempts(2);
    assert_eq!(chat_answer(&client, &endpoint, chat("REPLY: one")).text, "one");
    drop(first);
    let second = TestEndpoint::start_on(port);
    assert_eq!(chat_answer(&client, &endpoint, chat("REPLY: two")).text, "two");
    assert_eq!(second.requests().len(), 1);
}

#[test]
fn dropping_a_call_closes_its_connection_at_once() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    for (i, (behaviour, call)) in [
        ("hang", chat("hello")),
        ("hang", embeddings(&["hello"])),
        ("slow-60000", streamed("hello")),
        ("delay-60000", streamed("hello")),
    ]
    .into_iter()
    .enumerate()
    {
        let pending = client.send(&endpoint(&server.url(behaviour)), call);
        eventually("the request has come", || server.requests().len() == i + 1);
        assert_eq!(server.open_connections(), 1);
        drop(pending);
        eventually("the connection is closed", || server.open_connections() == 0);
        assert_eq!(server.cancelled(), i + 1);
    }
    // The client works on.
    assert_eq!(
        chat_answer(&client, &endpoint(&server.url("ok")), chat("REPLY: yes")).text,
        "yes"
    );
}

#[test]
fn dropping_a_stream_between_pieces_closes_its_connection() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let mut pending = client.send(
        &endpoint(&server.url("slow-1")),
        streamed("REPLY: a long reply in many pieces"),
    );
    assert!(matches!(next(&client, &mut pending), Event::Piece(_)));
    drop(pending);
    eventually("the connection is closed", || server.open_connections() == 0);
    assert_eq!(server.cancelled(), 1);
}

#[test]
fn a_wait_between_attempts_ends_when_the_call_is_dropped() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let pending = client.send(
        &endpoint(&server.url("rate-limited-1-20")).max_attempts(2),
        chat("hello"),
    );
    eventually("the request has come", || server.requests().len() == 1);
    drop(pending);
    drop(client);
    eventually("the connection is closed", || server.open_connections() == 0);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn dropping_the_client_ends_its_calls_and_closes_its_connections() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    outcome(&client, &endpoint(&server.url("ok")), chat("hello"));
    let mut pending = client.send(&endpoint(&server.url("hang")), chat("hello"));
    eventually("both requests have come", || server.requests().len() == 2);
    drop(client);
    eventually("the connections are closed", || server.open_connections() == 0);
    let until = Instant::now() + PATIENCE;
    let event = loop {
        if let Some(event) = pending.next() {
            break event;
        }
        assert!(Instant::now() < until, "the call did not end");
        std::thread::yield_now();
    };
    match event {
        Event::Done(outcome) => assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Unreachable),
        Event::Piece(piece) => panic!("a piece from nowhere: {piece}"),
    }
    assert_eq!(pending.next(), None);
}

#[test]
fn the_descriptor_is_closed_on_exec_and_does_not_block() {
    let client = Client::start().unwrap();
    let flags = rustix::io::fcntl_getfd(client.as_fd()).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    let flags = rustix::fs::fcntl_getfl(client.as_fd()).unwrap();
    assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
    assert_eq!(
        std::os::fd::AsRawFd::as_raw_fd(&client.as_fd()),
        client.ready_fd()
    );
    // With nothing to clear it returns.
    client.clear_ready();
}

#[test]
fn the_descriptor_tells_of_news_until_it_is_cleared() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let readable = |limit: Duration| {
        let limit = Timespec::try_from(limit).unwrap();
        poll(&mut [PollFd::new(&client, PollFlags::IN)], Some(&limit)).unwrap() == 1
    };
    assert!(!readable(Duration::ZERO));
    let mut pending = client.send(&endpoint(&server.url("ok")), chat("hello"));
    assert!(readable(PATIENCE));
    assert!(readable(Duration::ZERO));
    assert!(matches!(pending.next(), Some(Event::Done(_))));
    // The end of the task is news as well; after that there is none.
    eventually("no more news", || {
        client.clear_ready();
        !readable(Duration::ZERO)
    });
}
