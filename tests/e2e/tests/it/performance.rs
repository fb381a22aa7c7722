//! Figures of what was done: `castmatch.performance()` and `castmatch.metrics()` tell what happened, cheaply, whatever is in the database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::resident_kib;
use castmatch_e2e::query::{column, fails_with, failure, run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;
use postgres::error::SqlState;
use serde_json::Value;

use crate::setting::{RECOVERY, SOON, attached_talents};

pub fn performance(client: &mut Client) -> Value {
    value(client, "SELECT castmatch.performance()")
}

/// The sum of the samples of that name whose labels hold these.
pub fn metric(client: &mut Client, name: &str, labels: &str) -> Option<f64> {
    value(
        client,
        &format!("SELECT sum(value) FROM castmatch.metrics() WHERE name = '{name}' AND labels @> '{labels}'"),
    )
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A quantile lies in the bucket that holds the value of its rank.
fn lies_in_its_bucket(report: &Value, operation: &str, name: &str, quantile: f64) {
    let operation = &report["operations"][operation];
    let bounds: Vec<f64> = report["bucket_bounds_ms"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect();
    let counts: Vec<f64> = operation["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect();
    assert_eq!(counts.len(), bounds.len() + 1);
    let rank = quantile * counts.iter().sum::<f64>();
    let mut below = 0.0;
    let place = counts
        .iter()
        .position(|count| {
            below += count;
            below >= rank && *count > 0.0
        })
        .unwrap();
    let lower = if place == 0 { 0.0 } else { bounds[place - 1] };
    let upper = bounds.get(place).copied().unwrap_or(lower);
    let found = number(&operation[name]);
    assert!(
        (lower..=upper).contains(&found),
        "{name} is {found}, not in {lower}..={upper}: {operation}"
    );
}

fn cache<'r>(report: &'r Value, kind: &str, level: &str) -> &'r Value {
    let caches = report["caches"].as_array().unwrap();
    let is_it = |cache: &&Value| cache["cache"] == kind && cache["level"] == level;
    caches.iter().find(is_it).unwrap()
}

const CALLS: [&str; 5] = [
    "SELECT * FROM castmatch.match('talents', 'a dancer of kathak')",
    "SELECT * FROM castmatch.match('talents', 'a policeman on horseback')",
    "SELECT * FROM castmatch.match('talents', 'somebody who cooks')",
    // From the cache.
    "SELECT * FROM castmatch.match('talents', 'somebody who cooks')",
    "SELECT * FROM castmatch.match('talents', 'somebody who cooks')",
];

#[test]
fn known_calls_are_told_as_they_were() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("observed");
    attached_talents(client);
    let before = performance(client);
    for sql in CALLS {
        run(client, sql);
    }
    failure(client, "SELECT * FROM castmatch.match('talents', ' ')");
    run(client, "SELECT castmatch.chat('a dancer', target => 'talents')");
    let report = performance(client);
    let grown = |path: &str| {
        let of = |report: &Value| number(report.pointer(path).unwrap());
        of(&report) - of(&before)
    };
    assert_eq!(grown("/operations/match/requests"), 6.0, "{report}");
    assert_eq!(grown("/operations/match/errors"), 1.0, "{report}");
    assert_eq!(grown("/operations/chat/requests"), 1.0, "{report}");
    assert_eq!((grown("/requests"), grown("/errors")), (7.0, 1.0), "{report}");
    let ratio = number(&report["errors"]) / number(&report["requests"]);
    assert_eq!(number(&report["error_ratio"]), ratio);
    for (name, quantile) in [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)] {
        lies_in_its_bucket(&report, "match", name, quantile);
    }
    assert!(
        report["operations"]["generate"]["p50_ms"].is_null(),
        "never called"
    );

    let hits = |report: &Value| number(&cache(report, "match", "local")["hits"]);
    assert_eq!(hits(&report) - hits(&before), 2.0, "{report}");
    let matches = cache(&report, "match", "local");
    assert_eq!(
        number(&matches["hit_ratio"]),
        number(&matches["hits"]) / number(&matches["requests"])
    );
    assert!(
        number(&cache(&report, "embedding", "shared")["entries"]) >= 3.0,
        "{report}"
    );
    let total = metric(
        client,
        "castmatch_cache_requests_total",
        r#"{"cache": "match", "level": "local"}"#,
    );
    assert_eq!(total, Some(number(&matches["requests"])));

    let pid = report["embedder"]["pid"].as_u64().unwrap();
    assert_eq!(
        cluster.titled("castmatch embedder"),
        [u32::try_from(pid).unwrap()]
    );
    let resident = resident_kib(u32::try_from(pid).unwrap()) as f64 * 1024.0;
    let told = number(&report["embedder"]["resident_bytes"]);
    assert!((told / resident - 1.0).abs() < 0.2, "{told} of {resident}");
    assert!(number(&report["embedder"]["cpu_seconds"]) > 0.0, "{report}");
    assert!(number(&report["embedder"]["threads"]) >= 1.0, "{report}");

    let builtin = &report["models"][0];
    assert_eq!(
        (&builtin["model"], &builtin["state"]),
        (&"builtin".into(), &"ready".into())
    );
    assert!(
        number(&builtin["requests"]) >= 4.0 && number(&builtin["p95_ms"]) > 0.0,
        "{builtin}"
    );
    let index = &report["indexes"][0];
    assert_eq!(index["index"], "public.talents_castmatch_embedding", "{report}");
    assert_eq!(
        (&index["valid"], &index["method"]),
        (&true.into(), &"castmatch_hnsw".into())
    );
    assert!(
        number(&index["bytes"]) >= 8192.0 && number(&index["rows"]) >= 1.0,
        "{index}"
    );
    // The server's own statistics follow within a second.
    eventually(SOON, "two messages", || {
        let conversations = performance(client)["conversations"].take();
        (conversations["messages"] == 2 && conversations["conversations"] == 1).then_some(())
    });
    assert!(
        number(&report["memory"]["shared_bytes"]) > (64 << 20) as f64,
        "{report}"
    );
    assert_eq!(
        (&report["in_recovery"], &report["version"]),
        (&false.into(), &"0.1.0".into())
    );
    what_prune_did_is_told(client);
    only_those_who_watch_may_ask(&cluster, client);
}

/// `castmatch.prune` writes what it did into a table.
fn what_prune_did_is_told(client: &mut Client) {
    run(
        client,
        "UPDATE castmatch.prune_state SET messages = 5, conversations = 2, requests = 1, last_finished = '2026-01-02 03:04:05+00'",
    );
    assert_eq!(metric(client, "castmatch_pruned_messages_total", "{}"), Some(5.0));
    assert_eq!(
        metric(client, "castmatch_pruned_conversations_total", "{}"),
        Some(2.0)
    );
    assert_eq!(metric(client, "castmatch_pruned_requests_total", "{}"), Some(1.0));
    assert_eq!(
        metric(client, "castmatch_prune_last_success_timestamp_seconds", "{}"),
        Some(1_767_323_045.0)
    );
    let conversations = performance(client)["conversations"].take();
    assert_eq!(conversations["pruned_messages"], 5, "{conversations}");
    assert!(conversations["last_prune"].is_string(), "{conversations}");
}

fn only_those_who_watch_may_ask(cluster: &Cluster, client: &mut Client) {
    run(
        client,
        "CREATE ROLE watcher LOGIN; GRANT castmatch_monitor TO watcher; CREATE ROLE stranger LOGIN",
    );
    let watcher = &mut cluster.connect("observed", "watcher");
    run(watcher, "SELECT castmatch.health(), castmatch.performance()");
    assert!(metric(watcher, "castmatch_requests_total", "{}") > Some(0.0));
    for sql in [
        "SELECT count(*) FROM castmatch.messages",
        "SELECT count(*) FROM castmatch.queue",
        "SELECT castmatch.chat('hello')",
        "SELECT castmatch.benchmark('talents')",
        "SELECT castmatch.cache_reset()",
    ] {
        fails_with(watcher, &SqlState::INSUFFICIENT_PRIVILEGE, sql);
    }
    let stranger = &mut cluster.connect("observed", "stranger");
    for sql in [
        "SELECT * FROM castmatch.metrics()",
        "SELECT castmatch.performance()",
    ] {
        fails_with(stranger, &SqlState::INSUFFICIENT_PRIVILEGE, sql);
    }
    run(stranger, "SELECT castmatch.health()");
}

const MANY: usize = 120;
/// Far above what it takes on an idle machine, far below what counting would take.
const CHEAP_MS: u128 = 250;

/// Tables with an index, and models, more than anybody wants to see; a long queue and many messages.
fn crowd(client: &mut Client, rows: i64) {
    run(
        client,
        &format!(
            "DO $$ BEGIN FOR i IN 1..{MANY} LOOP
                EXECUTE format('CREATE TABLE crowd%s (v vector(3))', i);
                EXECUTE format('INSERT INTO crowd%s VALUES (''[1,2,3]'')', i);
                EXECUTE format('CREATE INDEX ON crowd%s USING castmatch_hnsw (v vector_l2_ops)', i);
                PERFORM castmatch.create_model('crowd' || i, 'chat', 'openai', '{{\"url\": \"http://127.0.0.1:9/v1\"}}');
            END LOOP; END $$"
        ),
    );
    run(
        client,
        &format!(
            "SET session_replication_role = replica;
             INSERT INTO castmatch.messages (conversation_id, seq, role, content, tokens)
                SELECT gen_random_uuid(), i, 'user', 'hello', 2 FROM generate_series(1, {rows}) i;
             -- For later, so that no worker takes them.
             INSERT INTO castmatch.queue (target, key, not_before, queued_at)
                SELECT 'crowd1', i::text, now() + '1 day'::interval, now() - '1 hour'::interval FROM generate_series(1, {rows}) i;
             INSERT INTO castmatch.queue (target, key, failed_at, error)
                SELECT 'crowd1', i::text, now(), 'no' FROM generate_series(1, 3) i;
             RESET session_replication_role"
        ),
    );
}

/// Names of the metrics that the page's table has.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `castmatch_"));
    let first_cells = rows.map(|line| line.split('|').nth(1).unwrap().to_owned());
    first_cells
        .flat_map(|cell| {
            let names = cell.split('`').skip(1).step_by(2);
            let names = names.map(|name| name.split('{').next().unwrap().to_owned());
            names.collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn metrics_are_few_cheap_and_documented_in_a_crowded_database() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("crowded");
    let rows = scaled(200_000, 1_000_000);
    crowd(client, rows);
    let samples = client
        .query(
            "SELECT name, kind, help, labels - 'le' FROM castmatch.metrics()",
            &[],
        )
        .unwrap();
    let mut series: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut families = BTreeSet::new();
    for sample in &samples {
        let (name, kind, help): (String, String, String) = (sample.get(0), sample.get(1), sample.get(2));
        let labels: Value = sample.get(3);
        assert!(help.len() > 20 && help.ends_with('.'), "{name}: {help}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let family = if kind == "histogram" {
            name.rsplit_once('_').unwrap().0.to_owned()
        } else {
            name.clone()
        };
        families.insert(family);
        series.entry(name).or_default().insert(labels.to_string());
    }
    for (name, labels) in &series {
        assert!(labels.len() <= 50, "{name} has {} series", labels.len());
    }
    assert_eq!(series["castmatch_index_size_bytes"].len(), 50);
    let documented = documented();
    let missing: Vec<_> = families.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
    let gone: Vec<_> = documented.difference(&families).collect();
    assert!(gone.is_empty(), "in docs/operations.md only: {gone:?}");

    let report = performance(client);
    assert_eq!(report["truncated"], true, "{report}");
    for list in ["models", "indexes"] {
        assert_eq!(report[list].as_array().unwrap().len(), 50, "{list}");
    }
    let queue = &report["queue"];
    let pending = number(&queue["pending"]) / rows as f64;
    assert!((0.8..1.2).contains(&pending), "{queue} of {rows}");
    assert_eq!(queue["failed"], 3, "{queue}");
    assert!(number(&queue["oldest_seconds"]) >= 3600.0, "{queue}");
    eventually(RECOVERY, "the number of messages", || {
        (metric(client, "castmatch_messages", "{}") == Some(rows as f64)).then_some(())
    });

    for sql in [
        "SELECT count(*) FROM castmatch.metrics()",
        "SELECT castmatch.performance()",
        "SELECT castmatch.health()",
    ] {
        let quickest = (0..5).map(|_| {
            let started = Instant::now();
            run(client, sql);
            started.elapsed().as_millis()
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest <= CHEAP_MS, "{sql} takes {quickest} ms");
    }
    nobody_is_waited_for(&cluster, client);
}

/// A table that is locked does not keep whoever watches waiting.
fn nobody_is_waited_for(cluster: &Cluster, client: &mut Client) {
    let locker = &mut cluster.connect("crowded", "postgres");
    run(
        locker,
        "BEGIN; LOCK TABLE crowd1, crowd2 IN ACCESS EXCLUSIVE MODE; REINDEX TABLE crowd3",
    );
    run(client, "SET lock_timeout = '5s'");
    for sql in [
        "SELECT count(*) FROM castmatch.metrics()",
        "SELECT castmatch.performance()",
        "SELECT castmatch.health()",
    ] {
        run(client, sql);
    }
    run(locker, "ROLLBACK");
    let names: Vec<String> = column(
        client,
        "SELECT DISTINCT labels ->> 'index' FROM castmatch.metrics() WHERE name = 'castmatch_index_rows'",
    );
    assert_eq!(names.len(), 50);
}
