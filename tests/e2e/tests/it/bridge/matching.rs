//! attach, match and what goes with them over columns of pgvector's types.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{column, fails_with, run, value};
use castmatch_e2e::tiny_model::{models_folder, tiny_model};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::Value;

use super::{apart, bridged};
use crate::model::configured;
use crate::models::found;
use crate::setting::{SOON, TALENTS, sync};
use castmatch_e2e::poll::eventually;

/// Two tables with the same rows: `talents` with a column of pgvector's type, `own` with one of castmatch's.
fn twins(client: &mut Client, kind: &str) {
    run(client, TALENTS);
    run(
        client,
        &format!(
            "ALTER TABLE talents ADD COLUMN embedding {kind}(384);
             CREATE TABLE own (LIKE talents INCLUDING ALL); ALTER TABLE own ALTER COLUMN embedding TYPE castmatch_types.{kind}(384);
             INSERT INTO own SELECT * FROM talents"
        ),
    );
}

fn attach_both(client: &mut Client, arguments: &str) {
    for table in ["talents", "own"] {
        run(
            client,
            &format!("SELECT castmatch.attach('{table}', '{{bio}}', filters => '{{age}}', {arguments})"),
        );
        sync(client, table);
    }
}

/// What a call says over either table.
fn both<T: postgres::types::FromSqlOwned>(client: &mut Client, sql: &str) -> [Vec<T>; 2] {
    ["talents", "own"].map(|table| column(client, &sql.replace("TABLE", table)))
}

fn assert_same_answers(client: &mut Client) {
    for sql in [
        "SELECT to_jsonb(m) FROM castmatch.match('TABLE', 'a policeman on horseback', 4) m",
        "SELECT to_jsonb(m) FROM castmatch.match('TABLE', 'somebody who cooks', 4, mode => 'semantic', filter => '{\"age\": {\"gt\": 20}}') m",
        "SELECT to_jsonb(m) FROM castmatch.match('TABLE', 'chess', 4, options => '{\"mmr\": 0.5}') m",
        "SELECT to_jsonb(m) FROM castmatch.match_vector('TABLE', castmatch.embed('a dancer'), 4) m",
        "SELECT to_jsonb(m) FROM castmatch.similar('TABLE', '3', 4) m",
        "SELECT castmatch.match_explain('TABLE', 'a judge', '5')",
        "SELECT castmatch.chat('Who plays chess?', target => 'TABLE', options => '{\"cache\": \"bypass\"}') -> 'reply'",
    ] {
        let [theirs, ours] = both::<Value>(client, sql);
        assert!(!ours.is_empty(), "{sql}");
        assert_eq!(theirs, ours, "{sql}");
    }
    // The benchmark's own searches.
    let [theirs, ours] = both::<Value>(
        client,
        "SELECT castmatch.benchmark('TABLE', 3) #> '{vector,recall}'",
    );
    assert_eq!(theirs, ours);
}

fn index_of(client: &mut Client, table: &str) -> String {
    let sql = format!(
        "SELECT indexdef FROM pg_indexes WHERE tablename = '{table}' AND indexdef ~ 'castmatch_(hnsw|ivf)'"
    );
    value(client, &sql)
}

#[test]
fn a_column_of_pgvectors_type_is_attached_and_matched() {
    let cluster = Cluster::start(&Options::default());
    for (number, (kind, arguments)) in [
        ("vector", "index_method => 'castmatch_hnsw'"),
        ("halfvec", "index_method => 'castmatch_ivf'"),
        ("vector", "embed_mode => 'live', index_method => 'castmatch_ivf'"),
        ("halfvec", "embed_mode => 'live'"),
    ]
    .into_iter()
    .enumerate()
    {
        let client = &mut bridged(&cluster, &format!("twins{number}"));
        twins(client, kind);
        attach_both(client, arguments);
        let index = index_of(client, "talents");
        assert!(
            index.contains(&format!("(embedding {kind}_cosine_ops, age)")),
            "{index}"
        );
        assert_same_answers(client);
        // Rows that change are embedded again.
        for table in ["talents", "own"] {
            run(
                client,
                &format!(
                    "UPDATE {table} SET bio = 'A circus clown' WHERE id = 4; INSERT INTO {table} VALUES (6, 'A violinist', 'Goa', 33, NULL), (7, '', 'Goa', 1, NULL)"
                ),
            );
            sync(client, table);
        }
        let clown: Vec<String> = column(client, "SELECT key FROM castmatch.match('talents', 'clown', 1)");
        assert_eq!(clown, ["4"]);
        assert_same_answers(client);
        run(
            client,
            "SELECT castmatch.detach('talents', drop_embedding => false)",
        );
        let typed: String = value(
            client,
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'talents'::regclass AND attname = 'embedding'",
        );
        assert_eq!(typed, format!("{kind}(384)"));
    }
}

#[test]
fn vectors_that_are_there_already_are_searched() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut bridged(&cluster, "there");
    // Without dimensions, which attach adds.
    run(client, TALENTS);
    run(
        client,
        "ALTER TABLE talents ADD COLUMN embedding vector; UPDATE talents SET embedding = castmatch.embed(bio, kind => 'passage')",
    );
    run(
        client,
        "SELECT castmatch.attach('talents', '{bio}', embed_mode => 'off')",
    );
    let typed: String = value(
        client,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'talents'::regclass AND attname = 'embedding'",
    );
    assert_eq!(typed, "vector(384)");
    let best: Vec<String> = column(
        client,
        "SELECT key FROM castmatch.match('talents', 'a policeman on horseback', 1, mode => 'semantic')",
    );
    assert_eq!(best, ["1"]);
    // By pgvector's operator and castmatch's model, by whoever may read the table.
    run(
        client,
        "CREATE ROLE reader; GRANT SELECT ON talents TO reader; SET ROLE reader",
    );
    let nearest: Vec<i64> = column(
        client,
        "SELECT id FROM talents ORDER BY embedding <=> castmatch.embed('a policeman on horseback') LIMIT 1",
    );
    assert_eq!(nearest, [1]);
    let found: Vec<String> = column(client, "SELECT key FROM castmatch.similar('talents', '1', 4)");
    assert_eq!(found.len(), 4);
}

#[test]
fn a_table_of_pgvectors_is_switched_to_another_model() {
    let cluster = Cluster::start(&Options::default());
    let folder = models_folder(&cluster, "models");
    configured(&cluster, &folder);
    tiny_model(&folder, "tiny", 64, 1);
    let client = &mut bridged(&cluster, "switched");
    found(client, "tiny");
    twins(client, "halfvec");
    attach_both(client, "embed_mode => 'background'");
    for table in ["talents", "own"] {
        run(client, &format!("SELECT castmatch.reembed('{table}', 'tiny')"));
        sync(client, table);
    }
    eventually(SOON, "the tables are switched", || {
        value::<bool>(
            client,
            "SELECT bool_and(switching_to IS NULL) FROM castmatch.attachments",
        )
        .then_some(())
    });
    let typed: String = value(
        client,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'talents'::regclass AND attname = 'embedding'",
    );
    assert_eq!(typed, "halfvec(64)");
    for sql in [
        "SELECT to_jsonb(m) FROM castmatch.match('TABLE', 'a policeman on horseback', 4) m",
        "SELECT to_jsonb(m) FROM castmatch.similar('TABLE', '3', 4) m",
    ] {
        let [theirs, ours] = both::<Value>(client, sql);
        assert_eq!(ours.len(), 4, "{sql}");
        assert_eq!(theirs, ours, "{sql}");
    }
}

#[test]
fn without_the_bridge_pgvectors_columns_are_refused_and_what_was_attached_can_be_written_to() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut apart(&cluster, "bridgeless");
    run(client, TALENTS);
    run(
        client,
        "ALTER TABLE talents ADD COLUMN embedding vector(384), ADD COLUMN s sparsevec(384)",
    );
    let attach = "SELECT castmatch.attach('talents', '{bio}')";
    let error = fails_with(client, &SqlState::DATATYPE_MISMATCH, attach);
    assert_eq!(error.detail(), Some("The type is pgvector's."));
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("CREATE EXTENSION castmatch_pgvector;")),
        "{error:?}"
    );
    let error = fails_with(
        client,
        &SqlState::DATATYPE_MISMATCH,
        "SELECT castmatch.attach('talents', '{bio}', embedding => 's')",
    );
    assert_eq!((error.detail(), error.hint()), (None, None));

    run(client, "CREATE EXTENSION castmatch_pgvector");
    run(client, attach);
    sync(client, "talents");
    run(client, "DROP EXTENSION castmatch_pgvector CASCADE");
    run(client, "INSERT INTO talents VALUES (6, 'A violinist', 'Goa', 33)");
    let matched = "SELECT key FROM castmatch.match('talents', 'a violin', 1, mode => 'semantic')";
    let error = fails_with(client, &SqlState::DATATYPE_MISMATCH, matched);
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("castmatch_pgvector")),
        "{error:?}"
    );
    // It comes back, and the row is embedded.
    run(client, "CREATE EXTENSION castmatch_pgvector");
    sync(client, "talents");
    run(client, "SELECT castmatch.retry_failed('talents')");
    sync(client, "talents");
    assert_eq!(column::<String>(client, matched), ["6"]);
    // The index went with the class that it was of.
    run(client, "SELECT castmatch.detach('talents')");
    run(client, attach);
    let index = index_of(client, "talents");
    assert!(index.contains("(embedding vector_cosine_ops)"), "{index}");
    assert_eq!(column::<String>(client, matched), ["6"]);
}

#[test]
fn extensions_that_move_to_another_schema_are_followed() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut bridged(&cluster, "moving");
    twins(client, "vector");
    attach_both(client, "embed_mode => 'background'");
    assert_same_answers(client);
    run(
        client,
        "CREATE SCHEMA elsewhere; ALTER EXTENSION vector SET SCHEMA elsewhere",
    );
    assert_same_answers(client);
    run(client, "ALTER EXTENSION castmatch_pgvector SET SCHEMA elsewhere");
    assert_same_answers(client);
    let index = index_of(client, "talents");
    assert!(
        index.contains("(embedding elsewhere.vector_cosine_ops, age)"),
        "{index}"
    );
    run(client, "ALTER SCHEMA castmatch_types RENAME TO other");
    assert_same_answers(client);
    for table in ["talents", "own"] {
        run(
            client,
            &format!("INSERT INTO {table} VALUES (6, 'A violinist', 'Goa', 33)"),
        );
        sync(client, table);
    }
    assert_same_answers(client);
}
