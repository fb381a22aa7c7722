//! `castmatch.benchmark()`: what it measures, and that it leaves nothing behind.

use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::Value;

use crate::performance::metric;
use crate::setting::{PROMPT, SOON, sync};

const PEOPLE: &str = "
    CREATE TABLE people (id bigint PRIMARY KEY, bio text, city text);
    INSERT INTO people SELECT i, format('%s from a village of %s people, %s', who[1 + i % 6], i * 37, what[1 + i % 7]), CASE WHEN i % 4 = 0 THEN 'Pune' ELSE 'Mumbai' END
    FROM generate_series(1, 200) i, (SELECT
        ARRAY['A stern police inspector who rides horses', 'A warm and funny mother who cooks', 'A classical dancer trained in kathak',
              'A teenage football player', 'A retired judge who plays chess', 'A violinist who reads anything at sight'] AS who,
        ARRAY['speaks Hindi', 'speaks Marathi', 'drives trucks', 'swims in the sea', 'keeps bees', 'collects stamps', 'writes poems'] AS what) w";

const SETTINGS: &str = "SELECT md5(string_agg(name || '=' || setting, ',' ORDER BY name)) FROM pg_settings";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_benchmark_measures_searches_and_leaves_nothing_behind() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("measured");
    run(client, PEOPLE);
    run(client, "SELECT castmatch.attach('people', '{bio}')");
    wrong_calls(client);
    sync(client, "people");
    let settings: String = value(client, SETTINGS);
    let before = metric(client, "castmatch_requests_total", r#"{"operation": "match"}"#).unwrap();
    // It writes nothing.
    run(client, "BEGIN READ ONLY");
    let report: Value = value(client, "SELECT castmatch.benchmark('people', 40, 5)");
    run(client, "COMMIT");
    assert_eq!(
        (
            &report["target"],
            &report["queries"],
            &report["k"],
            &report["rows"]
        ),
        (&"people".into(), &40.into(), &5.into(), &200.into()),
        "{report}"
    );
    for part in ["match", "vector", "cached", "embed"] {
        let part = &report[part];
        let [p50, p95, p99] = ["p50_ms", "p95_ms", "p99_ms"].map(|name| number(&part[name]));
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{report}");
        assert!(
            (number(&part["per_second"]) * number(&part["average_ms"]) / 1e3 - 1.0).abs() < 0.05,
            "{report}"
        );
        assert_eq!(part["queries"], 40, "{report}");
    }
    assert!(number(&report["vector"]["recall"]) >= 0.95, "{report}");
    assert_eq!(
        report["vector"]["index"], "people_castmatch_embedding",
        "{report}"
    );
    assert!(
        number(&report["cached"]["p50_ms"]) < number(&report["match"]["p50_ms"]),
        "{report}"
    );
    assert_eq!(value::<String>(client, SETTINGS), settings);
    // Two to begin with; a description, a vector, and two for the cache for each query.
    let after = metric(client, "castmatch_requests_total", r#"{"operation": "match"}"#).unwrap();
    assert_eq!(after - before, 2.0 + 40.0 * 4.0);

    run(client, "DROP INDEX people_castmatch_embedding");
    let report: Value = value(client, "SELECT castmatch.benchmark('people', 5)");
    assert_eq!(
        (&report["vector"]["index"], number(&report["vector"]["recall"])),
        (&Value::Null, 1.0),
        "{report}"
    );
    it_runs_as_its_caller(&cluster, client);
    a_cancel_ends_it(&cluster);
}

fn wrong_calls(client: &mut Client) {
    for (sql, state) in [
        (
            "SELECT castmatch.benchmark('people', 0)",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        (
            "SELECT castmatch.benchmark('people', 10001)",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        (
            "SELECT castmatch.benchmark('people', 5, 0)",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        (
            "SELECT castmatch.benchmark('people', 5, 1001)",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        ("SELECT castmatch.benchmark('nothing')", SqlState::UNDEFINED_TABLE),
        (
            "SELECT castmatch.benchmark(4000000000::oid::regclass)",
            SqlState::UNDEFINED_TABLE,
        ),
        (
            "SELECT castmatch.benchmark('pg_class')",
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        ),
    ] {
        fails_with(client, &state, sql);
    }
    run(
        client,
        "CREATE TABLE bare (id bigint PRIMARY KEY, bio text); SELECT castmatch.attach('bare', '{bio}')",
    );
    let error = fails_with(
        client,
        &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "SELECT castmatch.benchmark('bare')",
    );
    assert!(
        error.message().contains("embedding") && error.hint().is_some(),
        "{error:?}"
    );
}

/// It sees the rows that its caller sees, and needs the right to read them.
fn it_runs_as_its_caller(cluster: &Cluster, client: &mut Client) {
    run(
        client,
        "CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN; GRANT castmatch_user TO reader, stranger; GRANT SELECT ON people TO reader;
         ALTER TABLE people ENABLE ROW LEVEL SECURITY; CREATE POLICY of_pune ON people TO reader USING (city = 'Pune')",
    );
    let reader = &mut cluster.connect("measured", "reader");
    let report: Value = value(reader, "SELECT castmatch.benchmark('people', 3)");
    assert_eq!(
        (&report["rows"], number(&report["vector"]["recall"])),
        (&50.into(), 1.0),
        "{report}"
    );
    let stranger = &mut cluster.connect("measured", "stranger");
    fails_with(
        stranger,
        &SqlState::INSUFFICIENT_PRIVILEGE,
        "SELECT castmatch.benchmark('people', 3)",
    );
}

fn a_cancel_ends_it(cluster: &Cluster) {
    let mut session = cluster.connect("measured", "postgres");
    let token = session.cancel_token();
    let running = thread::spawn(move || {
        fails_with(
            &mut session,
            &SqlState::QUERY_CANCELED,
            "SELECT castmatch.benchmark('people', 10000)",
        )
    });
    thread::sleep(Duration::from_secs(1));
    assert!(!running.is_finished());
    token.cancel_query(postgres::NoTls).unwrap();
    let (_, took) = eventually(SOON, "its end", || running.is_finished().then_some(()));
    assert!(took < PROMPT, "{took:?}");
    running.join().unwrap();
}
