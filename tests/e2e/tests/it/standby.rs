//! A standby answers: what writes nothing works there.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{fails_with, run, value};
use postgres::error::SqlState;

use crate::performance::{metric, performance};
use crate::setting::{RECOVERY, attached_talents, best_match, embedded_by_itself};

#[test]
fn standby_matches_what_the_primary_embedded() {
    let primary = Cluster::start(&Options::default());
    let client = &mut primary.database("original");
    attached_talents(client);
    // An unlogged index has nothing to be looked at on a standby.
    run(
        client,
        "CREATE UNLOGGED TABLE fleeting (e vector(2)); CREATE INDEX ON fleeting USING castmatch_hnsw (e vector_l2_ops)",
    );
    let mut standby = primary.standby();
    let reader = &mut standby.connect("original", "postgres");
    let question = "policeman on horseback";
    assert_eq!(
        best_match(reader, "talents", question, "hybrid").as_deref(),
        Some("1")
    );
    let state: String = value(reader, "SELECT castmatch.health() -> 'embedder' ->> 'state'");
    assert_eq!(state, "ready");
    let health: serde_json::Value = value(reader, "SELECT castmatch.health()");
    assert_eq!(
        (
            &health["status"],
            &health["in_recovery"],
            &health["workers"]["embedder"]["running"]
        ),
        (&"ok".into(), &true.into(), &true.into()),
        "{health}"
    );
    let report = performance(reader);
    assert_eq!(report["in_recovery"], true, "{report}");
    assert!(report["indexes"][0]["dead_ratio"].is_null(), "{report}");
    assert_eq!(metric(reader, "castmatch_in_recovery", "{}"), Some(1.0));
    let measured: serde_json::Value = value(reader, "SELECT castmatch.benchmark('talents', 2, 2)");
    assert_eq!(measured["rows"], 5, "{measured}");
    fails_with(
        reader,
        &SqlState::READ_ONLY_SQL_TRANSACTION,
        "SELECT castmatch.chat('a dancer', target => 'talents')",
    );

    run(
        client,
        "INSERT INTO talents VALUES (6, 'A violinist who sight-reads anything')",
    );
    embedded_by_itself(reader, "talents", RECOVERY);
    let found = || {
        (best_match(reader, "talents", "plays the violin", "semantic").as_deref() == Some("6")).then_some(())
    };
    eventually(RECOVERY, "the new row is found on the standby", found);

    // After promotion the standby embeds by itself.
    standby.program(
        "psql",
        &["-X", "-c", "SELECT pg_promote()", &standby.url("postgres")],
    );
    let writer = &mut standby.connect("original", "postgres");
    run(writer, "INSERT INTO talents VALUES (7, 'A trapeze artist')");
    embedded_by_itself(writer, "talents", RECOVERY);
    standby.stop();
}
