//! Replies in pieces, and replies in the background.

use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::{Value, json};

use crate::remote_setting::{chat_model, chatting_role, conversation, say, talents_and_endpoint};
use crate::setting::SOON;

const LONG: &str =
    "a dancer REPLY: This reply is long enough to come in several pieces, one after the other.";

#[test]
fn a_cursor_gets_the_pieces_one_by_one() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "stream");
    let client = &mut client;
    chat_model(client, &endpoint, "gpt", "ok", json!({}));
    run(client, "BEGIN");
    run(
        client,
        &format!(
            "DECLARE c CURSOR FOR SELECT castmatch.chat_stream('{LONG}', target => 'talents', model => 'gpt')"
        ),
    );
    let mut pieces = Vec::new();
    while let Some(piece) = column::<String>(client, "FETCH 1 FROM c").pop() {
        pieces.push(piece);
    }
    run(client, "COMMIT");
    assert!(pieces.len() > 3, "{pieces:?}");
    assert_eq!(
        pieces.concat(),
        "This reply is long enough to come in several pieces, one after the other."
    );
    let stored: Vec<String> = column(client, "SELECT content FROM castmatch.messages ORDER BY seq");
    assert_eq!(stored, [LONG.to_owned(), pieces.concat()]);
    // Without a model the built-in responder's lines.
    let lines: Vec<String> = column(
        client,
        "SELECT castmatch.chat_stream('a dancer', target => 'talents')",
    );
    assert!(lines.len() > 1 && lines[0].contains("dancer"), "{lines:?}");
    assert_eq!(
        value::<i64>(client, "SELECT count(*) FROM castmatch.conversations"),
        2
    );
}

#[test]
fn whoever_stops_leaves_nothing_and_half_a_stream_is_an_error() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "half");
    let client = &mut client;
    chat_model(
        client,
        &endpoint,
        "slow",
        "slow-20",
        json!({"timeout_ms": 20_000}),
    );
    run(client, "BEGIN");
    run(
        client,
        &format!(
            "DECLARE c CURSOR FOR SELECT castmatch.chat_stream('{LONG}', target => 'talents', model => 'slow')"
        ),
    );
    assert_eq!(column::<String>(client, "FETCH 1 FROM c").len(), 1);
    run(client, "CLOSE c");
    eventually(SOON, "connection closed", || {
        (endpoint.open_connections() == 0).then_some(())
    });
    run(client, "COMMIT");
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.messages"), 0);
    chat_model(client, &endpoint, "half", "half-stream", json!({}));
    let sql = format!("SELECT castmatch.chat_stream('{LONG}', target => 'talents', model => 'half')");
    fails_with(client, &SqlState::PROTOCOL_VIOLATION, &sql);
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.messages"), 0);
    // What fails before its first piece is replaced as ever.
    chat_model(client, &endpoint, "dead", "error-500", json!({}));
    let lines: Vec<String> = column(
        client,
        "SELECT castmatch.chat_stream('a dancer', target => 'talents', model => 'dead')",
    );
    assert!(lines.concat().contains("dancer"), "{lines:?}");
}

fn result(client: &mut Client, id: &str) -> Value {
    let sql = format!("SELECT castmatch.chat_result('{id}')");
    let (result, _) = eventually(SOON, "the answer", || {
        let result: Value = value(client, &sql);
        (result["state"] == "done" || result["state"] == "failed").then_some(result)
    });
    result
}

fn ask(client: &mut Client, message: &str, conversation: Option<&str>, model: &str) -> String {
    client
        .query_one(
            "SELECT castmatch.chat_async($1, ($2::text)::uuid, 'talents', model => $3)::text",
            &[&message, &conversation, &model],
        )
        .unwrap()
        .get(0)
}

#[test]
fn a_request_is_answered_after_the_commit_as_its_owner() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "later");
    let client = &mut client;
    chat_model(client, &endpoint, "gpt", "delay-300", json!({"timeout_ms": 5000}));
    chat_model(client, &endpoint, "dead", "error-500", json!({}));
    chatting_role(client, "app", &["gpt", "dead"]);
    run(
        client,
        "ALTER TABLE talents ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON talents TO app USING (id <> 3)",
    );
    let app = &mut cluster.connect("later", "app");
    let listener = &mut cluster.connect("later", "app");
    run(listener, "LISTEN castmatch_chat");
    run(app, "BEGIN");
    let id = ask(app, "a dancer please", None, "gpt");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(endpoint.requests().len(), 0, "not before the commit");
    run(app, "COMMIT");
    let answer = result(app, &id);
    assert_eq!(
        (&answer["state"], &answer["model"]),
        (&json!("done"), &json!("gpt")),
        "{answer}"
    );
    let keys: Vec<&Value> = answer["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| &source["key"])
        .collect();
    assert!(!keys.contains(&&json!("3")), "row security holds: {answer}");
    let told = listener
        .notifications()
        .timeout_iter(Duration::from_secs(10))
        .next()
        .unwrap()
        .unwrap();
    let told: Value = serde_json::from_str(told.payload()).unwrap();
    assert_eq!(
        (told["request_id"].as_str(), &told["state"]),
        (Some(id.as_str()), &json!("done"))
    );
    let talk = conversation(&answer);
    assert_eq!(
        column::<String>(app, &format!("SELECT role FROM castmatch.history('{talk}')")),
        ["user", "assistant"]
    );
    // Others neither see nor ask for it.
    chatting_role(client, "other", &[]);
    let other = &mut cluster.connect("later", "other");
    assert_eq!(
        value::<Option<Value>>(other, &format!("SELECT castmatch.chat_result('{id}')")),
        None
    );
    // Turns of one conversation in the order of the calls.
    let ids: Vec<String> = (0..4)
        .map(|number| {
            ask(
                app,
                &format!("person {number} REPLY: reply {number}"),
                Some(&talk),
                "gpt",
            )
        })
        .collect();
    for id in &ids {
        assert_eq!(result(app, id)["state"], "done");
    }
    let said: Vec<String> = column(
        app,
        &format!("SELECT content FROM castmatch.history('{talk}') WHERE role = 'assistant' ORDER BY seq"),
    );
    assert_eq!(said[1..], ["reply 0", "reply 1", "reply 2", "reply 3"]);
    let fallen = ask(app, "a judge", None, "dead");
    assert_eq!(result(app, &fallen)["model"], "builtin");
    // A rolled back call is none; a wrong one is told at once.
    run(app, "BEGIN");
    ask(app, "never", None, "gpt");
    run(app, "ROLLBACK");
    fails_with(
        app,
        &SqlState::NO_DATA_FOUND,
        "SELECT castmatch.chat_async('x', gen_random_uuid(), 'talents')",
    );
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.requests"), 6);
}

#[test]
fn the_worker_holds_nothing_while_it_waits_and_takes_up_what_a_crash_left() {
    let mut cluster = Cluster::start(&Options {
        crashes: true,
        ..Options::default()
    });
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "worker");
    chat_model(
        &mut client,
        &endpoint,
        "gpt",
        "delay-1500",
        json!({"timeout_ms": 20_000}),
    );
    let ids: Vec<String> = (0..5)
        .map(|number| ask(&mut client, &format!("person {number}"), None, "gpt"))
        .collect();
    eventually(SOON, "five calls at once", || {
        (endpoint.open_connections() == 5).then_some(())
    });
    let held = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'castmatch chat worker'
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR xact_start IS NOT NULL)";
    assert_eq!(value::<i64>(&mut client, held), 0);
    let rows = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE a.backend_type = 'castmatch chat worker' AND l.locktype NOT IN ('advisory', 'virtualxid')";
    assert_eq!(value::<i64>(&mut client, rows), 0);
    for id in &ids {
        assert_eq!(result(&mut client, id)["state"], "done");
    }
    let asked = endpoint.requests().len();
    let id = ask(&mut client, "one more person", None, "gpt");
    eventually(SOON, "the call", || {
        (endpoint.requests().len() > asked).then_some(())
    });
    drop(client);
    cluster.kill_immediately();
    cluster.boot();
    let client = &mut cluster.connect("worker", "postgres");
    assert_eq!(result(client, &id)["state"], "done");
    assert_eq!(
        value::<i64>(client, "SELECT count(*) FROM castmatch.messages"),
        12
    );
}

#[test]
fn a_summary_stands_for_what_left_the_window() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "summary");
    let client = &mut client;
    chat_model(client, &endpoint, "gpt", "ok", json!({"rewrite": "rules"}));
    run(client, "SET castmatch.window_messages = 4");
    for model in ["gpt", "builtin"] {
        let mut id: Option<String> = None;
        for number in 0..8 {
            let message = format!("a person who collects item number {number}");
            let answer = crate::remote_setting::turn(
                client,
                &message,
                id.as_deref(),
                model,
                &json!({"summary": true}),
            );
            id = Some(conversation(&answer));
        }
        let id = id.unwrap();
        let (summary, _) = eventually(SOON, "a summary", || {
            value::<Option<String>>(
                client,
                &format!("SELECT summary FROM castmatch.conversations WHERE id = '{id}'"),
            )
        });
        let through: i64 = value(
            client,
            &format!("SELECT summary_through FROM castmatch.conversations WHERE id = '{id}'"),
        );
        assert!(through >= 2, "{model}: {through}");
        if model == "builtin" {
            assert!(summary.contains("item number 0"), "{summary}");
        } else {
            let answer = crate::remote_setting::turn(
                client,
                "one more person",
                Some(&id),
                model,
                &json!({"summary": true}),
            );
            assert_eq!(answer["model"], "gpt");
            let body = endpoint.requests().pop().unwrap().body.to_string();
            assert!(body.contains(&summary), "{summary}: {body}");
        }
    }
    let _ = say(client, "a dancer", "gpt");
}
