//! Input of unusual size and kind is answered or refused, never a crash.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::process::resident_kib;
use castmatch_e2e::query::{fails_with, failure, run, value};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::setting::{attached_talents, out_of_step, sync};

/// Memory that the embedder may gain over all the big requests together, in kibibytes.
const EMBEDDER_GROWTH: u64 = 512 << 10;

fn is_unit_vector(client: &mut Client, text: &str) {
    let norm: f64 = value(client, &format!("SELECT vector_norm(castmatch.embed({text}))"));
    assert!((norm - 1.0).abs() < 1e-3, "{text}: {norm}");
}

#[test]
fn huge_and_odd_texts_are_embedded() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("limits");
    attached_talents(client);
    let embedder = cluster.titled("castmatch embedder")[0];
    let before = resident_kib(embedder);
    for text in [
        "repeat('a text of fifty megabytes ', 2000000)",
        "repeat('x', 1000)",
        "repeat('x', 3000000)",
        "repeat('🎭🎬👩‍👩‍👧', 500)",
        "''",
        "'   '",
        "E'\\x01\\x02\\t\\n\\r'",
        "repeat(U&'\\0301', 1000)",
        "'日本語のテキスト العربية हिन्दी'",
        "'[MASK] [CLS] [SEP] [UNK]'",
    ] {
        is_unit_vector(client, text);
    }
    // Only the beginning of a long text counts, and its end not.
    let same: f64 = value(
        client,
        "SELECT castmatch.embed(repeat('word ', 300)) <=> castmatch.embed(repeat('word ', 300) || 'another end')",
    );
    assert!(same < 1e-6, "{same}");
    let vectors: i64 = value(
        client,
        "SELECT count(DISTINCT v::text) FROM unnest(castmatch.embed_batch(
             (SELECT array_agg('number ' || i) FROM generate_series(1, 5000) i))) v",
    );
    assert_eq!(vectors, 5000);
    let mixed: Vec<Option<i32>> = value(
        client,
        "SELECT array_agg(vector_dims(v)) FROM unnest(castmatch.embed_batch(ARRAY['a', NULL, '', 'b'])) v",
    );
    assert_eq!(mixed, [Some(384), None, Some(384), Some(384)]);
    assert_eq!(
        value::<i32>(client, "SELECT cardinality(castmatch.embed_batch('{}'))"),
        0
    );
    assert_eq!(
        cluster.titled("castmatch embedder"),
        [embedder],
        "the worker did not end"
    );
    let growth = resident_kib(embedder).saturating_sub(before);
    assert!(growth < EMBEDDER_GROWTH, "the embedder grew by {growth} KiB");

    run(
        client,
        "INSERT INTO talents VALUES (6, repeat('a long biography ', 500000))",
    );
    run(client, "INSERT INTO talents VALUES (7, repeat('🎭', 100000))");
    sync(client, "talents");
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
}

fn matching(filter: &Value) -> String {
    format!("SELECT * FROM castmatch.match('talents', 'a dancer', filter => '{filter}')")
}

#[test]
fn oversized_questions_are_refused_with_their_limit() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("limits");
    attached_talents(client);
    let wide: Vec<Value> = (0..10_000).map(|age| json!({"age": age})).collect();
    fails_with(
        client,
        &SqlState::PROGRAM_LIMIT_EXCEEDED,
        &matching(&json!({"or": wide})),
    );
    let mut deep = json!({"age": 1});
    for _ in 0..100 {
        deep = json!({"not": deep});
    }
    fails_with(client, &SqlState::PROGRAM_LIMIT_EXCEEDED, &matching(&deep));
    let list: Vec<i32> = (0..100_000).collect();
    let in_list = failure(client, &matching(&json!({"age": {"in": list}})));
    assert_eq!(in_list.code(), &SqlState::PROGRAM_LIMIT_EXCEEDED, "{in_list:?}");
    for k in ["-1", "2000000000"] {
        fails_with(
            client,
            &SqlState::INVALID_PARAMETER_VALUE,
            &format!("SELECT * FROM castmatch.match('talents', 'x', {k})"),
        );
    }
    fails_with(
        client,
        &SqlState::PROGRAM_LIMIT_EXCEEDED,
        "SELECT castmatch.chat(repeat('a long message ', 100000), target => 'talents')",
    );
    for sql in [
        "SELECT * FROM castmatch.match('talents', repeat('dancer ', 200000), 3)",
        "SELECT * FROM castmatch.match('talents', 'dancer', 0)",
        "SELECT * FROM castmatch.match('talents', '''; DROP TABLE talents; --', 3)",
        "SELECT * FROM castmatch.match('talents', '& | ! <-> :*', 3, mode => 'text')",
    ] {
        run(client, sql);
    }
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM talents"), 5);
}
