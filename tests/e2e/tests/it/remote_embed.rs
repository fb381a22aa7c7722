//! Embedding by a server elsewhere: single texts, attached tables, the switch from one model to another.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, fails_with, run, value};
use castmatch_test_endpoint::TestEndpoint;
use postgres::error::SqlState;
use serde_json::json;

use crate::remote_setting::model;
use crate::setting::{SOON, TALENTS, attached_talents, best_match, missing, queued, sync};

#[test]
fn a_table_is_embedded_and_searched_by_a_remote_model() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("vectors");
    let endpoint = TestEndpoint::start();
    model(
        client,
        &endpoint,
        "remote",
        "embedding",
        "ok",
        json!({"dimensions": 24, "batch_size": 2, "timeout_ms": 5000}),
    );
    run(client, TALENTS);
    run(
        client,
        "SELECT castmatch.attach('talents', '{bio}', model => 'remote')",
    );
    assert_eq!(sync(client, "talents"), 5);
    assert_eq!(
        value::<i32>(client, "SELECT vector_dims(embedding) FROM talents LIMIT 1"),
        24
    );
    assert_eq!(
        best_match(
            client,
            "talents",
            "A classical dancer trained in kathak",
            "semantic"
        )
        .as_deref(),
        Some("3")
    );
    let batches: Vec<usize> = endpoint
        .requests()
        .iter()
        .map(|request| request.body["input"].as_array().map_or(1, Vec::len))
        .collect();
    assert!(batches.iter().all(|&texts| texts <= 2), "{batches:?}");
    assert!(
        endpoint
            .requests()
            .iter()
            .all(|request| request.problems.is_empty() && request.body["dimensions"] == 24)
    );
    // The same text again comes from the cache.
    let asked = endpoint.requests().len();
    best_match(
        client,
        "talents",
        "A classical dancer trained in kathak",
        "semantic",
    );
    assert_eq!(endpoint.requests().len(), asked);
    let owner: String = value(
        client,
        "SELECT string_agg(DISTINCT role::text, ',') FROM castmatch.usage WHERE model = 'remote'",
    );
    assert_eq!(owner, "postgres");
    fails_with(
        client,
        &SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        "SELECT castmatch.drop_model('remote')",
    );
}

#[test]
fn rows_wait_for_a_server_that_is_down_and_one_bad_text_stops_no_other() {
    let cluster = Cluster::start(&Options {
        settings: vec![("castmatch.breaker_failures", "1000".to_owned())],
        ..Options::default()
    });
    let client = &mut cluster.database("down");
    let endpoint = TestEndpoint::start();
    model(
        client,
        &endpoint,
        "remote",
        "embedding",
        "ok",
        json!({"dimensions": 16}),
    );
    run(client, TALENTS);
    run(
        client,
        "SELECT castmatch.attach('talents', '{bio}', model => 'remote')",
    );
    sync(client, "talents");
    let move_to = |behaviour: &str| {
        let url = endpoint.url(behaviour);
        format!("SELECT castmatch.alter_model('remote', '{{\"url\": \"{url}\"}}')")
    };
    run(client, &move_to("error-503"));
    run(client, "UPDATE talents SET bio = bio || ' indeed'");
    let other = "SELECT castmatch.embed('x', 'remote')";
    fails_with(client, &SqlState::SYSTEM_ERROR, other);
    assert!(queued(client) >= 5, "nothing is lost");
    run(client, &move_to("ok"));
    eventually(SOON * 3, "the rows embedded", || {
        (queued(client) == 0).then_some(())
    });
    assert_eq!(missing(client, "talents"), 0);
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.failures"), 0);
}

#[test]
fn a_table_is_switched_to_a_remote_model_and_back() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("switch");
    let endpoint = TestEndpoint::start();
    // It says its dimensions with its first vector.
    model(
        client,
        &endpoint,
        "remote",
        "embedding",
        "ok",
        json!({"timeout_ms": 5000}),
    );
    attached_talents(client);
    let now = "SELECT model FROM castmatch.attachments";
    for (model, dimensions) in [("remote", 16), ("builtin", 384)] {
        run(client, &format!("SELECT castmatch.reembed('talents', '{model}')"));
        eventually(SOON * 2, "the switch", || {
            (value::<String>(client, now) == model).then_some(())
        });
        let dims: Vec<i32> = column(client, "SELECT DISTINCT vector_dims(embedding) FROM talents");
        assert_eq!(dims, [dimensions]);
        assert_eq!(
            best_match(
                client,
                "talents",
                "A classical dancer trained in kathak",
                "semantic"
            )
            .as_deref(),
            Some("3")
        );
    }
    run(client, "SELECT castmatch.drop_model('remote')");
}

#[test]
fn a_hung_server_holds_up_its_own_table_only() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("hung");
    let endpoint = TestEndpoint::start();
    model(
        client,
        &endpoint,
        "remote",
        "embedding",
        "ok",
        json!({"dimensions": 16, "timeout_ms": 60_000}),
    );
    for (table, model) in [("slow", "remote"), ("quick", "builtin")] {
        run(
            client,
            &format!(
                "CREATE TABLE {table} (id bigint PRIMARY KEY, bio text); INSERT INTO {table} VALUES (1, 'a dancer')"
            ),
        );
        run(
            client,
            &format!("SELECT castmatch.attach('{table}', '{{bio}}', model => '{model}')"),
        );
        sync(client, table);
    }
    let url = endpoint.url("hang");
    run(
        client,
        &format!("SELECT castmatch.alter_model('remote', '{{\"url\": \"{url}\"}}')"),
    );
    run(client, "UPDATE slow SET bio = 'a judge'");
    eventually(SOON, "the server asked", || {
        endpoint
            .requests()
            .iter()
            .any(|request| request.path.contains("hang"))
            .then_some(())
    });
    run(client, "UPDATE quick SET bio = 'a judge'");
    sync(client, "quick");
    assert_eq!(queued(client), 1, "the other still waits");
    let held = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'castmatch sync worker' AND backend_xmin IS NOT NULL";
    assert_eq!(value::<i64>(client, held), 0);
}

#[test]
fn the_chat_worker_holds_no_snapshot_while_a_query_is_embedded() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("later");
    let endpoint = TestEndpoint::start();
    model(
        client,
        &endpoint,
        "remote",
        "embedding",
        "ok",
        json!({"dimensions": 16, "timeout_ms": 20_000}),
    );
    run(client, TALENTS);
    run(
        client,
        "SELECT castmatch.attach('talents', '{bio}', model => 'remote')",
    );
    sync(client, "talents");
    let url = endpoint.url("delay-1500");
    run(
        client,
        &format!("SELECT castmatch.alter_model('remote', '{{\"url\": \"{url}\"}}')"),
    );
    let request: String = value(
        client,
        "SELECT castmatch.chat_async('A classical dancer trained in kathak', target => 'talents', k => 1)::text",
    );
    eventually(SOON, "the server asked", || {
        let asked = endpoint.requests();
        asked
            .iter()
            .any(|request| request.path.contains("delay"))
            .then_some(())
    });
    let held = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'castmatch chat worker'
        AND (backend_xmin IS NOT NULL OR xact_start IS NOT NULL)";
    let workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'castmatch chat worker'";
    assert_eq!(
        (value::<i64>(client, workers), value::<i64>(client, held)),
        (1, 0)
    );
    let sql = format!("SELECT castmatch.chat_result('{request}')");
    let (answer, _) = eventually(SOON, "the answer", || {
        let answer: serde_json::Value = value(client, &sql);
        (answer["state"] != "queued" && answer["state"] != "running").then_some(answer)
    });
    assert_eq!(answer["state"], "done", "{answer}");
    assert_eq!(answer["sources"][0]["key"], "3", "{answer}");
    let asked = endpoint.requests();
    assert_eq!(
        asked
            .iter()
            .filter(|request| request.path.contains("delay"))
            .count(),
        1,
        "once"
    );
}
