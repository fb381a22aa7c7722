//! T1 for models of a server elsewhere: whatever ends a wait ends it within half a second, and closes its connection.

use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::ledger::is_terminated;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, fails_with, run, value};
use castmatch_test_endpoint::TestEndpoint;
use postgres::Client;
use postgres::error::SqlState;
use serde_json::json;

use crate::remote_setting::{chat_model, model, talents_and_endpoint};
use crate::setting::SOON;

/// Within half a second, and what a busy machine adds.
const PROMPT: Duration = Duration::from_secs(2);

const CALLS: [&str; 4] = [
    "SELECT castmatch.chat('a dancer', target => 'talents', model => 'hung')",
    "SELECT castmatch.generate('hello', 'hung')",
    "SELECT castmatch.chat_stream('a dancer', target => 'talents', model => 'hung')",
    "SELECT castmatch.embed('hello', 'hung_vectors')",
];

fn hung(client: &mut Client, endpoint: &TestEndpoint) {
    run(client, "SET castmatch.breaker_failures = 1000");
    let patient = json!({"timeout_ms": 60_000});
    chat_model(client, endpoint, "hung", "hang", patient.clone());
    model(client, endpoint, "hung_vectors", "embedding", "hang", patient);
}

fn all_closed(endpoint: &TestEndpoint) {
    eventually(SOON, "connections closed", || {
        (endpoint.open_connections() == 0).then_some(())
    });
}

/// The session of that process waits for the server.
fn waits(client: &mut Client, endpoint: &TestEndpoint, pid: i32) {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity WHERE pid = {pid} AND state = 'active' AND wait_event_type = 'Extension'"
    );
    eventually(SOON, "the call waits", || {
        column::<i32>(client, &sql)
            .pop()
            .filter(|_| endpoint.open_connections() > 0)
    });
}

#[test]
fn t1_a_hung_model_is_left_at_once() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "hung");
    let client = &mut client;
    hung(client, &endpoint);
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    for call in CALLS {
        run(client, "SET statement_timeout = '200 ms'");
        let start = Instant::now();
        fails_with(client, &SqlState::QUERY_CANCELED, call);
        assert!(start.elapsed() < PROMPT, "{call}: {:?}", start.elapsed());
        run(client, "RESET statement_timeout");
        all_closed(&endpoint);
        for (function, state) in [
            ("pg_cancel_backend", SqlState::QUERY_CANCELED),
            ("pg_terminate_backend", SqlState::ADMIN_SHUTDOWN),
        ] {
            let mut waiting = cluster.connect("hung", "postgres");
            let pid: i32 = value(&mut waiting, "SELECT pg_backend_pid()");
            let waiter = thread::spawn(move || waiting.batch_execute(call).unwrap_err());
            waits(client, &endpoint, pid);
            let start = Instant::now();
            assert!(value::<bool>(client, &format!("SELECT {function}({pid})")));
            let error = waiter.join().unwrap();
            assert!(
                start.elapsed() < PROMPT,
                "{call}, {function}: {:?}",
                start.elapsed()
            );
            let ended =
                error.code() == Some(&state) || (state == SqlState::ADMIN_SHUTDOWN && is_terminated(&error));
            assert!(ended, "{error:?}");
            all_closed(&endpoint);
        }
        assert_eq!(value::<i64>(client, locks), 0);
    }
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.messages"), 0);
    assert!(endpoint.cancelled() >= 12, "{}", endpoint.cancelled());
    // The session is as good as before.
    chat_model(client, &endpoint, "sound", "ok", json!({}));
    assert_eq!(
        crate::remote_setting::say(client, "a dancer", "sound")["model"],
        "sound"
    );
}

#[test]
fn t1_a_session_whose_client_is_gone_ends() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "gone");
    let client = &mut client;
    hung(client, &endpoint);
    for call in CALLS {
        let url = cluster.url("gone");
        let mut psql = cluster
            .place()
            .command("psql")
            .args(["-X", "-q", "-c", call, &url])
            .spawn()
            .unwrap();
        let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'psql' AND wait_event_type = 'Extension'";
        let (pid, _) = eventually(SOON, "the call waits", || column::<i32>(client, sql).pop());
        psql.kill().unwrap();
        psql.wait().unwrap();
        let gone = format!("SELECT pid FROM pg_stat_activity WHERE pid = {pid}");
        let (_, took) = eventually(SOON, "the end of the session", || {
            column::<i32>(client, &gone).is_empty().then_some(())
        });
        assert!(took < PROMPT, "{call}: {took:?}");
        all_closed(&endpoint);
    }
}

#[test]
fn t1_a_server_that_goes_down_does_not_wait_for_a_model() {
    let mut cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "down");
    hung(&mut client, &endpoint);
    let mut waiters = Vec::new();
    for call in CALLS {
        let mut waiting = cluster.connect("down", "postgres");
        let pid: i32 = value(&mut waiting, "SELECT pg_backend_pid()");
        waiters.push(thread::spawn(move || waiting.batch_execute(call).unwrap_err()));
        waits(&mut client, &endpoint, pid);
    }
    run(
        &mut client,
        "SELECT castmatch.chat_async('a dancer', target => 'talents', model => 'hung')",
    );
    eventually(SOON, "the chat worker waits", || {
        (endpoint.open_connections() == 5).then_some(())
    });
    let start = Instant::now();
    cluster.stop();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for waiter in waiters {
        waiter.join().unwrap();
    }
    all_closed(&endpoint);
}
