//! A call that waits for the embedding worker can be cancelled at once, and leaves nothing behind.

use std::thread;
use std::time::Instant;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::ledger::is_terminated;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use crate::setting::{PROMPT, SOON, attached_talents};

/// More than the requests that can wait at once (128), so that a leak of places shows.
const CANCELLED: usize = 300;

fn freeze_embedder(cluster: &Cluster) -> u32 {
    let embedder = cluster.titled("castmatch embedder");
    assert_eq!(embedder.len(), 1);
    signal("STOP", &embedder);
    embedder[0]
}

fn works_again(client: &mut Client) {
    let start = Instant::now();
    assert_eq!(
        value::<i32>(client, "SELECT vector_dims(castmatch.embed('awake again'))"),
        384
    );
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
}

#[test]
fn waiting_calls_end_when_cancelled_timed_out_terminated_or_left() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("cancel");
    attached_talents(client);
    let embedder = freeze_embedder(&cluster);
    timeouts_are_prompt(client);
    cancel_and_termination_are_prompt(&cluster);
    client_that_leaves_frees_its_place(&cluster);
    for _ in 0..CANCELLED {
        run(client, "SET statement_timeout = '20 ms'");
        fails_with(
            client,
            &SqlState::QUERY_CANCELED,
            "SELECT castmatch.embed('never')",
        );
    }
    run(client, "RESET statement_timeout");
    signal("CONT", &[embedder]);
    works_again(client);
    thread::scope(|scope| {
        for session in 0..16 {
            let mut session_client = cluster.connect("cancel", "postgres");
            scope.spawn(move || {
                for call in 0..10 {
                    let sql = format!("SELECT vector_dims(castmatch.embed('session {session} call {call}'))");
                    assert_eq!(value::<i32>(&mut session_client, &sql), 384);
                }
            });
        }
    });
}

fn timeouts_are_prompt(client: &mut Client) {
    for sql in [
        "SELECT castmatch.embed('x')",
        "SELECT castmatch.embed_batch(array_fill('some text'::text, ARRAY[2000]))",
        "SELECT * FROM castmatch.match('talents', 'a dancer')",
        "SELECT castmatch.chat('a dancer')",
        "SELECT castmatch.sync('talents') FROM (VALUES (1)) v WHERE castmatch.embed('x') IS NOT NULL",
    ] {
        run(client, "SET statement_timeout = '300 ms'");
        let start = Instant::now();
        fails_with(client, &SqlState::QUERY_CANCELED, sql);
        assert!(start.elapsed() < PROMPT, "{sql}: {:?}", start.elapsed());
    }
    run(client, "RESET statement_timeout");
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.messages"), 0);
    assert_eq!(
        value::<i64>(client, "SELECT count(*) FROM castmatch.conversations"),
        0
    );
}

fn cancel_and_termination_are_prompt(cluster: &Cluster) {
    let client = &mut cluster.connect("cancel", "postgres");
    for (function, state) in [
        ("pg_cancel_backend", SqlState::QUERY_CANCELED),
        ("pg_terminate_backend", SqlState::ADMIN_SHUTDOWN),
    ] {
        let mut waiting = cluster.connect("cancel", "postgres");
        let pid: i32 = value(&mut waiting, "SELECT pg_backend_pid()");
        let waiter = thread::spawn(move || waiting.batch_execute("SELECT castmatch.embed('x')").unwrap_err());
        wait_for_call(client, pid);
        let start = Instant::now();
        assert!(value::<bool>(client, &format!("SELECT {function}({pid})")));
        let error = waiter.join().unwrap();
        let ended = if state == SqlState::ADMIN_SHUTDOWN {
            is_terminated(&error)
        } else {
            error.code() == Some(&state)
        };
        assert!(ended, "{error:?}");
        assert!(start.elapsed() < PROMPT, "{function}: {:?}", start.elapsed());
    }
}

fn wait_for_call(client: &mut Client, pid: i32) {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity WHERE pid = {pid} AND state = 'active' AND wait_event_type = 'Extension'"
    );
    eventually(SOON, "the call waits", || column::<i32>(client, &sql).pop());
}

/// The server looks for a vanished client now and then if told so.
fn client_that_leaves_frees_its_place(cluster: &Cluster) {
    let client = &mut cluster.connect("cancel", "postgres");
    let leave = cluster.connect("cancel", "postgres");
    drop(leave);
    let mut psql = cluster
        .place()
        .command("psql")
        .args([
            "-X",
            "-q",
            "-c",
            "SET client_connection_check_interval = '100 ms'",
        ])
        .args([
            "-c",
            "SELECT castmatch.embed('from a client that leaves')",
            &cluster.url("cancel"),
        ])
        .spawn()
        .unwrap();
    let sql =
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'psql' AND wait_event_type = 'Extension'";
    let (pid, _) = eventually(SOON, "the call waits", || column::<i32>(client, sql).pop());
    psql.kill().unwrap();
    psql.wait().unwrap();
    let gone = format!("SELECT pid FROM pg_stat_activity WHERE pid = {pid}");
    eventually(SOON, "the end of the session", || {
        column::<i32>(client, &gone).is_empty().then_some(())
    });
}

/// Segments of dynamic shared memory that the process has mapped.
fn mapped_segments(pid: i32) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines()
        .filter(|line| line.contains("/dev/shm/PostgreSQL."))
        .count()
}

#[test]
fn texts_of_a_cancelled_call_stay_mapped_no_longer_than_its_transaction() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("cancel");
    run(client, "SELECT castmatch.embed('the model is loaded')");
    let pid: i32 = value(client, "SELECT pg_backend_pid()");
    let before = mapped_segments(pid);
    let embedder = freeze_embedder(&cluster);
    run(client, "SET statement_timeout = '50 ms'");
    let never = "SELECT castmatch.embed('never')";
    for _ in 0..3 {
        fails_with(client, &SqlState::QUERY_CANCELED, never);
        // The message comes before the end of the transaction, the answer to another statement after it.
        run(client, "SELECT 1");
        assert_eq!(mapped_segments(pid), before);
    }
    // The transaction goes on: what the earlier call left is gone when the next one is made.
    run(client, "BEGIN; SAVEPOINT a");
    for _ in 0..3 {
        fails_with(client, &SqlState::QUERY_CANCELED, never);
        run(client, "ROLLBACK TO a");
        assert_eq!(mapped_segments(pid), before + 1);
    }
    run(client, "COMMIT");
    assert_eq!(mapped_segments(pid), before);
    signal("CONT", &[embedder]);
    run(client, "RESET statement_timeout");
    works_again(client);
}

#[test]
fn long_batch_is_cancelled_between_its_portions() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("cancel");
    run(client, "SELECT castmatch.embed('the model is loaded')");
    let token = client.cancel_token();
    let pid: i32 = value(client, "SELECT pg_backend_pid()");
    let watcher = &mut cluster.connect("cancel", "postgres");
    thread::scope(|scope| {
        let call = scope.spawn(|| {
            let sql =
                "SELECT castmatch.embed_batch(array_agg(repeat('a long text of number ' || i || ' ', 100)))
                       FROM generate_series(1, 5000) i";
            let error = client.batch_execute(sql).unwrap_err();
            (error, Instant::now())
        });
        wait_for_call(watcher, pid);
        let asked = Instant::now();
        token.cancel_query(NoTls).unwrap();
        let (error, ended) = call.join().unwrap();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        assert!(ended - asked < PROMPT, "{:?}", ended - asked);
    });
    works_again(client);
}
