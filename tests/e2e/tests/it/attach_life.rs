//! What an attached table goes through: replication, dumps, the queue at work, switches of models under searches; and which plan a
//! search runs by.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::tiny_model::{models_folder, tiny_model};
use postgres::Client;

use crate::model::configured;
use crate::models::found;
use crate::setting::{
    RECOVERY, SOON, TALENTS, attached_talents, best_match, embedded_by_itself, missing, out_of_step, sync,
};

#[test]
fn rows_that_replication_applies_are_embedded() {
    let cluster = Cluster::start(&Options {
        settings: vec![("wal_level", "logical".to_owned())],
        ..Options::default()
    });
    let publisher = &mut cluster.plain_database("publisher");
    run(publisher, TALENTS);
    run(publisher, &TALENTS.replace("talents", "lively"));
    run(publisher, "CREATE PUBLICATION everything FOR ALL TABLES");
    // Within one cluster the slot has to be there before.
    run(
        publisher,
        "SELECT pg_create_logical_replication_slot('everything', 'pgoutput')",
    );
    let client = &mut cluster.database("subscriber");
    for (table, mode) in [("talents", "background"), ("lively", "live")] {
        run(
            client,
            &format!(
                "CREATE TABLE {table} (id bigint PRIMARY KEY, bio text, city text, age integer);
                 SELECT castmatch.attach('{table}', '{{bio}}', embed_mode => '{mode}')"
            ),
        );
    }
    let url = cluster.url("publisher");
    run(
        client,
        &format!(
            "CREATE SUBSCRIPTION everything CONNECTION '{url}' PUBLICATION everything WITH (create_slot = false)"
        ),
    );
    let follows = |client: &mut Client, rows: i64| {
        for table in ["talents", "lively"] {
            eventually(RECOVERY, &format!("{rows} rows of {table} are embedded"), || {
                let there: i64 = value(client, &format!("SELECT count(*) FROM {table}"));
                (there == rows && out_of_step(client, table, "bio") == 0).then_some(())
            });
        }
    };
    follows(client, 5);
    for table in ["talents", "lively"] {
        run(
            publisher,
            &format!(
                "INSERT INTO {table} VALUES (6, 'A juggler with torches'), (7, NULL); UPDATE {table} SET bio = 'A mime' WHERE id = 1;
                 UPDATE {table} SET city = 'Goa' WHERE id = 2; DELETE FROM {table} WHERE id = 3"
            ),
        );
    }
    follows(client, 6);
    for table in ["talents", "lively"] {
        assert_eq!(
            best_match(client, table, "juggling", "hybrid").as_deref(),
            Some("6")
        );
    }
    run(
        client,
        "ALTER SUBSCRIPTION everything DISABLE; ALTER SUBSCRIPTION everything SET (slot_name = NONE); DROP SUBSCRIPTION everything",
    );
    let gone = "SELECT pg_drop_replication_slot('everything')";
    eventually(SOON, "the slot is free", || publisher.batch_execute(gone).ok());
}

#[test]
fn nothing_is_held_while_the_model_works_and_progress_is_shown() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("held");
    attached_talents(client);
    let embedder = cluster.titled("castmatch embedder");
    signal("STOP", &embedder);
    run(
        client,
        "INSERT INTO talents SELECT i, 'part ' || i FROM generate_series(1000, 1599) i",
    );
    // A batch is at the model now, and it is not going to come back.
    let worker = "FROM pg_stat_activity WHERE backend_type = 'castmatch sync worker'";
    eventually(SOON, "the worker waits for the model", || {
        let waits: i64 = value(
            client,
            &format!("SELECT count(*) {worker} AND wait_event_type = 'Extension'"),
        );
        (waits == 1).then_some(())
    });
    thread::sleep(Duration::from_millis(300));
    let held: i64 = value(
        client,
        &format!(
            "SELECT count(*) {worker} AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR xact_start IS NOT NULL)"
        ),
    );
    assert_eq!(held, 0, "a snapshot or a transaction");
    let locks: i64 = value(
        client,
        &format!("SELECT count(*) FROM pg_locks WHERE pid IN (SELECT pid {worker})"),
    );
    assert_eq!(locks, 0, "a lock");
    let pending = "SELECT pending FROM castmatch.attachments";
    assert_eq!(
        (value::<i64>(client, pending), missing(client, "talents")),
        (600, 600),
        "exact"
    );
    run(
        client,
        "SET lock_timeout = '1s'; UPDATE talents SET bio = 'A mime' WHERE id = 1000",
    );
    assert_eq!(value::<i64>(client, pending), 600, "rows, not changes");

    signal("CONT", &embedder);
    eventually(SOON, "speed and time left are shown", || {
        value::<bool>(
            client,
            "SELECT pending BETWEEN 1 AND 599 AND rows_per_second > 0 AND eta > '0' FROM castmatch.attachments",
        )
        .then_some(())
    });
    sync(client, "talents");
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    let done = "SELECT pending = 0 AND failed = 0 AND eta = '0' AND rows_per_second IS NULL FROM castmatch.attachments";
    assert!(value::<bool>(client, done));
}

#[test]
fn searches_go_on_while_the_model_is_switched() {
    let cluster = Cluster::start(&Options::default());
    let folder = models_folder(&cluster, "models");
    configured(&cluster, &folder);
    tiny_model(&folder, "tiny", 64, 1);
    let client = &mut cluster.database("switching");
    attached_talents(client);
    found(client, "tiny");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = ["hybrid", "semantic"]
            .map(|mode| {
                let mut reader = cluster.connect("switching", "postgres");
                let stop = &stop;
                scope.spawn(move || {
                    let sql = format!(
                        "SELECT count(*) FROM castmatch.match('talents', 'a dancer', mode => '{mode}')"
                    );
                    let mut searches = 0;
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(value::<i64>(&mut reader, &sql), 5, "{mode}");
                        searches += 1;
                    }
                    searches
                })
            })
            .into_iter()
            .collect();
        for model in ["tiny", "builtin", "tiny", "tiny", "builtin"] {
            run(client, &format!("SELECT castmatch.reembed('talents', '{model}')"));
            eventually(RECOVERY, "the switch ends", || {
                value::<bool>(client, "SELECT switching_to IS NULL FROM castmatch.attachments").then_some(())
            });
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            let searches: i32 = reader.join().unwrap();
            assert!(searches > 20, "{searches} searches");
        }
    });
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
}

#[test]
fn tables_of_every_kind_come_back_from_a_dump() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("original");
    run(
        client,
        "CREATE TABLE parted (gone integer, region text, id integer, story text, age integer, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
         CREATE TABLE north PARTITION OF parted FOR VALUES IN ('north');
         ALTER TABLE parted DROP COLUMN gone;
         INSERT INTO parted VALUES ('north', 1, 'A stern police inspector', 45), ('north', 2, 'A classical dancer', 28);
         SELECT castmatch.attach('parted', '{story}', filters => '{age}', text_config => 'simple'); ALTER TABLE parted RENAME story TO bio",
    );
    run(client, TALENTS);
    run(
        client,
        "SELECT castmatch.attach('talents', '{bio}', embed_mode => 'live')",
    );
    sync(client, "parted");
    sync(client, "talents");
    let file = cluster.new_folder("dumps").join("all.sql").display().to_string();
    cluster.program("pg_dump", &["--file", &file, &cluster.url("original")]);
    let admin = &mut cluster.connect("postgres", "postgres");
    run(admin, "CREATE DATABASE restored TEMPLATE template0");
    let url = cluster.url("restored");
    cluster.program(
        "psql",
        &["-X", "-q", "-v", "ON_ERROR_STOP=1", "--file", &file, &url],
    );
    let copy = &mut cluster.connect("restored", "postgres");
    let registrations =
        "SELECT to_jsonb(r) - 'column_numbers' FROM castmatch.registrations r ORDER BY target::text";
    let sent: Vec<serde_json::Value> = column(client, registrations);
    assert_eq!(column::<serde_json::Value>(copy, registrations), sent);
    for table in ["parted", "talents"] {
        embedded_by_itself(copy, table, SOON);
        assert_eq!(out_of_step(copy, table, "bio"), 0);
    }
    // The dropped column is not in the copy: its numbers are others, and renames are followed by them.
    run(
        copy,
        "ALTER TABLE parted RENAME bio TO life; INSERT INTO parted VALUES ('north', 3, 'A juggler', 30); INSERT INTO talents VALUES (6, 'A mime')",
    );
    sync(copy, "parted");
    assert_eq!(
        (
            out_of_step(copy, "parted", "life"),
            out_of_step(copy, "talents", "bio")
        ),
        (0, 0)
    );
    assert_eq!(
        best_match(copy, "parted", "juggler", "hybrid").as_deref(),
        Some(r#"["north","3"]"#)
    );
    run(
        copy,
        "SELECT castmatch.detach('parted', true), castmatch.detach('talents', true)",
    );
}

#[test]
fn the_semantic_leg_reads_the_index_in_the_order_of_distances() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("plan");
    run(
        client,
        "CREATE TABLE many (id integer PRIMARY KEY, bio text, age integer, embedding vector(384));
         INSERT INTO many SELECT i, 'part ' || i, i % 50, ARRAY(SELECT sin(i * j)::real FROM generate_series(1, 384) j)::vector
             FROM generate_series(1, 3000) i;
         SELECT castmatch.attach('many', '{bio}', filters => '{age}'); ANALYZE many;
         LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on",
    );
    let plans = |client: &mut Client, sql: &str| {
        let before = cluster.log().len();
        run(client, sql);
        cluster.log().get(before..).unwrap_or_default().to_owned()
    };
    for (mark, call) in [
        (
            "plan of match",
            "castmatch.match('many', 'a part', mode => 'semantic')",
        ),
        (
            "plan of hybrid",
            "castmatch.match('many', 'a part', filter => '{\"age\": {\"lt\": 40}}')",
        ),
        (
            "plan of match_vector",
            "castmatch.match_vector('many', (SELECT embedding FROM many WHERE id = 7))",
        ),
        ("plan of similar", "castmatch.similar('many', '7')"),
    ] {
        let plan = plans(client, &format!("SELECT count(*) FROM {call}"));
        assert!(
            plan.contains("Index Scan using many_castmatch_embedding on many t"),
            "{mark}: {plan}"
        );
        assert!(plan.contains("Order By: (embedding <=> "), "{mark}: {plan}");
        let ordered = plan.split("Order By: (embedding <=> ").next().unwrap_or_default();
        let statement = ordered.rsplit("Query Text:").next().unwrap_or_default();
        assert!(!statement.contains("Sort Key"), "{mark}: {statement}");
    }
}
