//! Conversations: turns one after the other, whole or not at all.

use std::thread;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::error::SqlState;
use serde_json::Value;

use crate::setting::{attached_talents, queued};

const TURN: &str = "SELECT castmatch.chat($1, ($2::text)::uuid, 'talents')";

#[test]
fn three_turns_through_a_prepared_statement() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("chats");
    attached_talents(client);
    let turn = client.prepare(TURN).unwrap();
    let mut id: Option<String> = None;
    let mut replies = Vec::new();
    for message in [
        "a person who can dance",
        "and someone younger?",
        "what about Mumbai?",
    ] {
        let answer: Value = client.query_one(&turn, &[&message, &id]).unwrap().get(0);
        let conversation = answer["conversation_id"].as_str().unwrap().to_owned();
        assert!(id.is_none_or(|id| id == conversation), "one conversation");
        id = Some(conversation);
        replies.push(answer);
    }
    assert_eq!(replies[0]["sources"][0]["key"], "3", "{}", replies[0]);
    // Younger than the dancer of 28: only the football player of 16.
    let keys: Vec<&Value> = replies[1]["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| &source["key"])
        .collect();
    assert_eq!(keys, ["4"], "{}", replies[1]);
    let id = id.unwrap();
    let said: Vec<String> = column(
        client,
        &format!("SELECT role || ' ' || content FROM castmatch.history('{id}')"),
    );
    assert_eq!(said.len(), 6);
    assert_eq!(said[0], "user a person who can dance");
    assert_eq!(
        said[5],
        format!("assistant {}", replies[2]["reply"].as_str().unwrap())
    );
    assert_eq!(
        value::<i64>(client, &format!("SELECT castmatch.forget('{id}')")),
        6
    );
    assert_eq!(
        value::<i64>(client, "SELECT count(*) FROM castmatch.conversations"),
        0
    );
}

#[test]
fn concurrent_turns_of_one_conversation_take_turns() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("chats");
    attached_talents(client);
    let id: String = value(
        client,
        "INSERT INTO castmatch.conversations DEFAULT VALUES RETURNING id::text",
    );
    thread::scope(|scope| {
        for speaker in 0..8 {
            let mut session = cluster.connect("chats", "postgres");
            let id = &id;
            scope.spawn(move || {
                for turn in 0..5 {
                    let message = format!("speaker {speaker} asks for person {turn}");
                    session.query_one(TURN, &[&message, &Some(id)]).unwrap();
                }
            });
        }
    });
    let seqs: Vec<i64> = column(client, "SELECT seq FROM castmatch.messages ORDER BY seq");
    assert_eq!(seqs, (1..=80).collect::<Vec<i64>>());
    let broken: i64 = value(
        client,
        "SELECT count(*) FROM castmatch.messages WHERE role <> CASE WHEN seq % 2 = 1 THEN 'user' ELSE 'assistant' END",
    );
    assert_eq!(broken, 0, "each question is followed by its reply");
}

#[test]
fn an_open_turn_holds_up_its_own_conversation_only() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("chats");
    attached_talents(client);
    let start = |client: &mut postgres::Client| -> String {
        value(client, "SELECT castmatch.chat('a dancer')->>'conversation_id'")
    };
    let (one, other) = (start(client), start(client));
    let open = &mut cluster.connect("chats", "postgres");
    run(open, "BEGIN");
    run(
        open,
        &format!("SELECT castmatch.chat('and someone older?', '{one}')"),
    );
    run(client, "SET lock_timeout = '200 ms'");
    run(
        client,
        &format!("SELECT castmatch.chat('and someone older?', '{other}')"),
    );
    start(client);
    fails_with(
        client,
        &SqlState::LOCK_NOT_AVAILABLE,
        &format!("SELECT castmatch.chat('and someone else?', '{one}')"),
    );
    run(open, "COMMIT");
    run(
        client,
        &format!("SELECT castmatch.chat('and someone else?', '{one}')"),
    );
    let said = format!("SELECT count(*) FROM castmatch.history('{one}')");
    assert_eq!(value::<i64>(client, &said), 6);
}

#[test]
fn turn_that_fails_leaves_nothing() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("chats");
    attached_talents(client);
    let id: String = value(client, "SELECT castmatch.chat('a dancer')->>'conversation_id'");
    let embedder = cluster.titled("castmatch embedder");
    signal("STOP", &embedder);
    run(client, "SET statement_timeout = '300 ms'");
    fails_with(
        client,
        &SqlState::QUERY_CANCELED,
        &format!("SELECT castmatch.chat('someone younger?', '{id}')"),
    );
    fails_with(
        client,
        &SqlState::QUERY_CANCELED,
        "SELECT castmatch.chat('a new conversation')",
    );
    run(client, "RESET statement_timeout");
    signal("CONT", &embedder);
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.messages"), 2);
    assert_eq!(
        value::<i64>(client, "SELECT count(*) FROM castmatch.conversations"),
        1
    );
    run(
        client,
        &format!("SELECT castmatch.chat('someone younger?', '{id}')"),
    );
    assert_eq!(value::<i64>(client, "SELECT max(seq) FROM castmatch.messages"), 4);

    run(client, "BEGIN");
    run(client, &format!("SELECT castmatch.chat('who sings?', '{id}')"));
    run(client, "ROLLBACK");
    assert_eq!(value::<i64>(client, "SELECT max(seq) FROM castmatch.messages"), 4);
    run(client, "BEGIN READ ONLY");
    fails_with(
        client,
        &SqlState::READ_ONLY_SQL_TRANSACTION,
        "SELECT castmatch.chat('who sings?')",
    );
    run(client, "ROLLBACK");
    assert_eq!(queued(client), 0);
}
