//! The switch of a table to another model: the old vectors serve until the new ones are complete.

use std::path::PathBuf;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{column, fails_with, run, value};
use castmatch_e2e::tiny_model::{models_folder, tiny_model};
use postgres::Client;
use postgres::error::SqlState;

use crate::model::configured;
use crate::models::found;
use crate::setting::{SOON, TALENTS, attached_talents, best_match, out_of_step, queued, sync};

fn cluster_with_models() -> (Cluster, PathBuf) {
    let cluster = Cluster::start(&Options::default());
    let folder = models_folder(&cluster, "models");
    configured(&cluster, &folder);
    (cluster, folder)
}

fn columns(client: &mut Client) -> Vec<String> {
    column(
        client,
        "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
         WHERE attrelid = 'talents'::regclass AND attnum > 0 AND NOT attisdropped AND attname ~ 'embedding' ORDER BY attnum",
    )
}

fn indexes(client: &mut Client) -> Vec<String> {
    column(
        client,
        "SELECT a.attname || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_am m ON m.oid = c.relam JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = 'talents'::regclass AND m.amname = 'castmatch_hnsw' ORDER BY 1",
    )
}

/// Waits until the table's switch has ended. `sync` cannot: the build of an index waits for every statement that began before.
fn switched(client: &mut Client) {
    sync(client, "talents");
    eventually(SOON, "the table is switched", || {
        value::<bool>(client, "SELECT switching_to IS NULL FROM castmatch.attachments").then_some(())
    });
}

/// Rows whose vector is not the model's.
fn not_of(client: &mut Client, model: &str) -> i64 {
    value(
        client,
        &format!(
            "SELECT count(*) FROM talents WHERE (1 - (embedding <=> castmatch.embed(bio, model => '{model}')) > 0.9999) IS NOT TRUE"
        ),
    )
}

#[test]
fn the_switch_is_one_step_and_comes_when_all_is_there() {
    let (cluster, folder) = cluster_with_models();
    tiny_model(&folder, "tiny", 64, 1);
    let client = &mut cluster.database("switch");
    found(client, "tiny");
    attached_talents(client);
    let error = fails_with(
        client,
        &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "SELECT castmatch.reembed('talents', NULL)",
    );
    assert!(error.message().contains("not being switched"));
    fails_with(
        client,
        &SqlState::UNDEFINED_OBJECT,
        "SELECT castmatch.reembed('talents', 'none')",
    );
    run(client, "SELECT castmatch.reembed('talents', 'tiny')");
    let switching: Option<String> = value(client, "SELECT switching_to FROM castmatch.attachments");
    if switching.is_some() {
        assert_eq!(
            columns(client)[0],
            "embedding vector(384)",
            "the old vectors serve"
        );
    }
    assert_eq!(
        best_match(client, "talents", "policeman on horseback", "hybrid").as_deref(),
        Some("1")
    );
    // Written meanwhile.
    run(
        client,
        "INSERT INTO talents VALUES (6, 'A juggler'), (7, NULL); UPDATE talents SET bio = 'A mime' WHERE id = 5",
    );
    switched(client);
    assert_eq!(columns(client), ["embedding vector(64)"]);
    assert_eq!(indexes(client), ["embedding"]);
    assert_eq!(not_of(client, "tiny"), 1, "the row without text");
    let now: String = value(
        client,
        "SELECT model || ' ' || (switching_to IS NULL) FROM castmatch.attachments",
    );
    assert_eq!((now.as_str(), queued(client)), ("tiny true", 0));
    run(client, "UPDATE talents SET bio = 'A fencer' WHERE id = 7");
    sync(client, "talents");
    assert_eq!(not_of(client, "tiny"), 0);
    assert_eq!(
        best_match(client, "talents", "fencer", "text").as_deref(),
        Some("7")
    );

    // And back, of a column whose type and name the application chose.
    run(client, "SELECT castmatch.reembed('talents', 'builtin')");
    switched(client);
    assert_eq!(columns(client), ["embedding vector(384)"]);
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    run(
        client,
        "SELECT castmatch.detach('talents', drop_embedding => true)",
    );
    assert_eq!(columns(client), [""; 0]);
}

#[test]
fn a_switch_can_be_ended_and_leaves_nothing() {
    let (cluster, folder) = cluster_with_models();
    tiny_model(&folder, "tiny", 64, 1);
    tiny_model(&folder, "other", 64, 2);
    let client = &mut cluster.database("ended");
    found(client, "tiny");
    attached_talents(client);
    found(client, "other");
    // The rows stay queued while nobody embeds them.
    let embedder = cluster.titled("castmatch embedder");
    signal("STOP", &embedder);
    run(client, "SELECT castmatch.reembed('talents', 'tiny')");
    let error = fails_with(
        client,
        &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "SELECT castmatch.reembed('talents', 'other')",
    );
    assert_eq!(
        error.message(),
        "table \"talents\" is being switched to model \"tiny\""
    );
    assert_eq!(
        columns(client),
        ["embedding vector(384)", "embedding_next vector(64)"]
    );
    let pending = "SELECT pending || ' ' || switching_to FROM castmatch.attachments";
    assert_eq!(value::<String>(client, pending), "5 tiny");
    run(client, "SELECT castmatch.reembed('talents', NULL)");
    assert_eq!(columns(client), ["embedding vector(384)"]);
    assert_eq!(
        (indexes(client), queued(client)),
        (vec!["embedding".to_owned()], 0)
    );
    run(client, "UPDATE talents SET bio = 'A mime' WHERE id = 5");
    signal("CONT", &embedder);
    sync(client, "talents");
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    // Detaching in the middle of one leaves nothing either.
    signal("STOP", &embedder);
    run(client, "SELECT castmatch.reembed('talents', 'other')");
    run(
        client,
        "SELECT castmatch.detach('talents', drop_embedding => true)",
    );
    signal("CONT", &embedder);
    assert_eq!((columns(client), queued(client)), (vec![], 0));
}

#[test]
fn what_uses_the_column_is_not_taken_away() {
    let (cluster, folder) = cluster_with_models();
    tiny_model(&folder, "tiny", 64, 1);
    let client = &mut cluster.database("used");
    found(client, "tiny");
    attached_talents(client);
    run(client, "CREATE VIEW vectors AS SELECT id, embedding FROM talents");
    let error = fails_with(
        client,
        &SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        "SELECT castmatch.reembed('talents', 'tiny')",
    );
    assert!(
        error.detail().unwrap_or_default().contains("view vectors"),
        "{error:?}"
    );
    run(client, "DROP VIEW vectors");
    run(client, TALENTS.replace("talents", "untouched").as_str());
    run(
        client,
        "ALTER TABLE untouched ADD embedding vector(384); SELECT castmatch.attach('untouched', '{bio}', embed_mode => 'off')",
    );
    let error = fails_with(
        client,
        &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "SELECT castmatch.reembed('untouched', 'tiny')",
    );
    assert!(error.detail().unwrap_or_default().contains("application's"));
}

#[test]
fn a_model_whose_files_changed_is_never_mixed_in() {
    let (mut cluster, folder) = cluster_with_models();
    tiny_model(&folder, "tiny", 64, 1);
    let client = &mut cluster.database("changed");
    found(client, "tiny");
    run(client, TALENTS);
    run(
        client,
        "SELECT castmatch.attach('talents', '{bio}', model => 'tiny')",
    );
    sync(client, "talents");
    let before: String = value(
        client,
        "SELECT string_agg(embedding::text, ',' ORDER BY id) FROM talents",
    );
    tiny_model(&folder, "tiny", 64, 7);
    cluster.restart();
    let client = &mut cluster.connect("changed", "postgres");
    run(client, "UPDATE talents SET bio = bio || '!' WHERE id = 1");
    eventually(SOON, "the log says why nothing is embedded", || {
        cluster.log().contains("its files have changed").then_some(())
    });
    let after: String = value(
        client,
        "SELECT string_agg(embedding::text, ',' ORDER BY id) FROM talents",
    );
    assert_eq!(before, after, "no vector of the other model");
    // The second result would come from the caches.
    for _ in 0..2 {
        run(
            client,
            "SELECT count(*) FROM castmatch.match('talents', 'dancer')",
        );
    }
    let warnings = cluster
        .log()
        .matches("WARNING:  model \"tiny\" is not the one")
        .count();
    assert_eq!(warnings, 2);
    run(client, "SELECT castmatch.reembed('talents', 'tiny')");
    switched(client);
    assert_eq!(not_of(client, "tiny"), 0);
}
