//! Pruning beside others: conversations in use, two pruners, locks, crashes, transactions of all kinds, standbys.

use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{fails_with, failure, run, value};
use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::prune_setting::{Pruned, empty, fill, id_sql, noted, pass, prune, rows, would};
use crate::setting::{PROMPT, RECOVERY, attached_talents};

#[test]
fn conversations_in_use_are_left_alone() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    attached_talents(client);
    fill(client, "postgres", 1..=10, 4);
    run(
        client,
        &format!(
            "INSERT INTO castmatch.requests (conversation_id, arguments, state, finished_at)
             VALUES ({}, '{{}}', 'running', NULL), ({}, '{{}}', 'done', now())",
            id_sql("2"),
            id_sql("3")
        ),
    );
    let everything = json!({"max_age": "0 days"});
    // A turn, a request under way, a message and a request that somebody is changing, a message that is being added.
    let mut others: Vec<_> = (0..4).map(|_| cluster.connect("prune", "postgres")).collect();
    for (session, sql) in others.iter_mut().zip([
        format!("SELECT castmatch.chat('a dancer', {}, 'talents')", id_sql("1")),
        format!("UPDATE castmatch.requests SET result = '{{}}' WHERE conversation_id = {}", id_sql("3")),
        format!("UPDATE castmatch.messages SET tokens = 9 WHERE seq = 3 AND conversation_id = {}", id_sql("4")),
        format!(
            "INSERT INTO castmatch.messages (conversation_id, seq, role, content, tokens) VALUES ({}, 5, 'user', 'x', 1)",
            id_sql("5")
        ),
    ]) {
        run(session, "BEGIN");
        run(session, &sql);
    }
    let start = Instant::now();
    let (pruned, _) = pass(client, &everything);
    assert!(start.elapsed() < PROMPT, "nobody is waited for");
    // Of the fourth, the messages that nobody holds are gone.
    assert_eq!(
        (pruned.conversations, pruned.messages, pruned.skipped),
        (5, 5 * 4 + 3, 5)
    );
    let left: Vec<String> = castmatch_e2e::query::column(
        client,
        "SELECT right(id::text, 2) FROM castmatch.conversations ORDER BY id",
    );
    assert_eq!(left, ["01", "02", "03", "04", "05"]);
    assert_eq!(empty(client), 0);
    for session in &mut others {
        run(session, "COMMIT");
    }
    run(
        client,
        "UPDATE castmatch.requests SET state = 'done', finished_at = now()",
    );
    // The messages of the turn and the added one are younger than the moment of the pass is at most.
    let (pruned, _) = pass(client, &everything);
    assert_eq!((pruned.conversations, pruned.skipped), (5, 0));
    assert_eq!(rows(client), 0);
    // Whoever waited for the conversation is told.
    fails_with(
        client,
        &SqlState::NO_DATA_FOUND,
        &format!("SELECT castmatch.chat('a dancer', {}, 'talents')", id_sql("1")),
    );
}

#[test]
fn one_prunes_at_a_time_and_waits_for_no_lock_long() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    fill(client, "postgres", 1..=20, 4);
    let policy = json!({"max_idle": "10 days", "batch_rows": 20});
    let other = &mut cluster.connect("prune", "postgres");
    run(other, "BEGIN");
    let his = prune(other, &policy, false);
    assert_eq!(his["busy"], false);
    let result = prune(client, &policy, false);
    assert_eq!(
        (&result["busy"], &result["more"], &result["messages"]),
        (&json!(true), &json!(false), &json!(0))
    );
    // Counting is nobody's business.
    assert!(would(client, &policy).messages > 0);
    // A transaction that is prepared still has it.
    run(other, "PREPARE TRANSACTION 'half a pass'");
    assert_eq!(prune(client, &policy, false)["busy"], true);
    run(other, "COMMIT PREPARED 'half a pass'");
    assert_eq!(noted(client).messages, his["messages"].as_u64().unwrap());

    run(other, "BEGIN; LOCK TABLE castmatch.messages");
    let start = Instant::now();
    fails_with(
        client,
        &SqlState::LOCK_NOT_AVAILABLE,
        "SELECT castmatch.prune('{\"max_idle\": \"10 days\", \"batch_time\": \"100 ms\"}')",
    );
    assert!(start.elapsed() < PROMPT);
    run(other, "ROLLBACK");
    let timeout: String = value(client, "SHOW lock_timeout");
    assert_eq!(timeout, "0");

    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        run(client, &format!("BEGIN ISOLATION LEVEL {level}"));
        let counted = would(client, &policy);
        let (pruned, _) = pass(client, &policy);
        assert_eq!(pruned, counted);
        run(client, "ROLLBACK");
        // What another has changed meanwhile is not decided by what it was before.
        run(client, &format!("BEGIN ISOLATION LEVEL {level}; SELECT 1"));
        let first: String = value(
            client,
            "SELECT min(id::text) FROM castmatch.conversations WHERE last_message_at < now() - '10 days'::interval",
        );
        run(
            other,
            &format!(
                "UPDATE castmatch.conversations SET last_message_at = last_message_at WHERE id = '{first}'"
            ),
        );
        fails_with(
            client,
            &SqlState::T_R_SERIALIZATION_FAILURE,
            "SELECT castmatch.prune('{\"max_idle\": \"10 days\"}')",
        );
        run(client, "ROLLBACK");
    }
}

#[test]
fn cancel_ends_a_call_and_leaves_nothing_of_it() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    fill(client, "postgres", 1..=200, 300);
    let before = rows(client);
    run(client, "SET statement_timeout = '40 ms'");
    for dry_run in ["false", "true"] {
        let error = failure(
            client,
            &format!(
                "SELECT castmatch.prune('{{\"max_messages\": 1, \"max_bytes\": 0}}', {dry_run}) FROM generate_series(1, 100)"
            ),
        );
        assert_eq!(error.code(), &SqlState::QUERY_CANCELED, "{error:?}");
    }
    run(client, "RESET statement_timeout");
    assert_eq!(rows(client), before);
    assert_eq!(noted(client), Pruned::default());
}

/// After each end of a pruner, by a signal or by its death: what is gone is what is noted, whole batches of it.
#[test]
fn pruner_that_dies_leaves_whole_batches() {
    let cluster = Cluster::start(&Options {
        crashes: true,
        ..Options::default()
    });
    let mut client = cluster.database("prune");
    fill(&mut client, "postgres", 1..=400, 60);
    let all = rows(&mut client);
    let policy = json!({"max_messages": 7, "max_idle": "100 days", "batch_rows": 301});
    for (round, name) in ["TERM", "KILL", "TERM", "KILL"].into_iter().enumerate() {
        let mut pruner = cluster.connect("prune", "postgres");
        let pid: i32 = value(&mut pruner, "SELECT pg_backend_pid()");
        let before = noted(&mut client);
        let limit = Duration::from_secs(30);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut policy = policy.clone();
                let sql = "SELECT castmatch.prune($1)";
                while let Ok(row) = pruner.query_one(sql, &[&policy]) {
                    let result: Value = row.get(0);
                    // Over and over, until the end comes.
                    policy["resume"] = result["next"].clone();
                }
            });
            eventually(limit, "some batches", || {
                (noted(&mut client).rows() > before.rows()).then_some(())
            });
            thread::sleep(Duration::from_millis(3 * round as u64));
            signal(name, &[pid.unsigned_abs()]);
        });
        if name == "KILL" {
            // Until the server has noticed it, sessions are let in that end with all others.
            eventually(limit, "the crash", || {
                client.batch_execute("SELECT 1").is_err().then_some(())
            });
        }
        let connected = || {
            let mut client = cluster.try_connect("prune", "postgres").ok()?;
            client.batch_execute("SELECT 1").ok().map(|()| client)
        };
        (client, _) = eventually(RECOVERY, "the server accepts sessions", connected);
        let gone = noted(&mut client);
        assert_eq!(rows(&mut client) + gone.rows(), all, "{name}");
        assert_eq!(empty(&mut client), 0);
    }
    let (_, calls) = pass(&mut client, &policy);
    assert!(calls > 1, "the pruners were killed in the middle");
    assert_eq!(rows(&mut client) + noted(&mut client).rows(), all);
    let longest: i64 = value(
        &mut client,
        "SELECT max(n) FROM (SELECT count(*) AS n FROM castmatch.messages GROUP BY conversation_id) c",
    );
    assert_eq!(longest, 7);
}

#[test]
fn who_may_not_write_may_count() {
    let primary = Cluster::start(&Options::default());
    let client = &mut primary.database("prune");
    fill(client, "postgres", 1..=30, 5);
    let mut standby = primary.standby();
    let reader = &mut standby.connect("prune", "postgres");
    let policy =
        json!({"max_idle": "10 days", "max_messages": 2, "max_bytes": "3 kB", "max_request_age": "1 day"});
    let counted = would(reader, &policy);
    for session in [&mut *reader, &mut *client] {
        run(session, "SET default_transaction_read_only = on");
        let error = fails_with(
            session,
            &SqlState::READ_ONLY_SQL_TRANSACTION,
            "SELECT castmatch.prune('{\"max_idle\": \"10 days\"}')",
        );
        assert_eq!(
            error.message(),
            "cannot execute castmatch.prune in a read-only transaction"
        );
        assert_eq!(would(session, &policy), counted);
        // What is wrong is told there, too.
        let error = fails_with(
            session,
            &SqlState::INVALID_PARAMETER_VALUE,
            "SELECT castmatch.prune('{\"max_idle\": \"10 dogs\"}', true)",
        );
        assert!(error.message().contains("max_idle"), "{error}");
        run(session, "RESET default_transaction_read_only");
    }
    assert!(counted.conversations > 20, "{counted:?}");
    let (pruned, _) = pass(client, &policy);
    assert_eq!(pruned, counted);
    let caught_up = || (rows(reader) == rows(client)).then_some(());
    eventually(RECOVERY, "the standby follows", caught_up);
    assert_eq!(would(reader, &policy).rows(), 0);
    assert_eq!(noted(reader), pruned);
    standby.stop();
}
