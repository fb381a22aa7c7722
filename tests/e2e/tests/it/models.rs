//! Several embedding models at once: each gives its own vectors, and what befalls one does not befall the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{column, fails_with, run, value};
use castmatch_e2e::tiny_model::{BUILTIN_FOLDER, models_folder, tiny_model};
use postgres::Client;
use postgres::error::SqlState;

use crate::model::configured;
use crate::setting::{
    RECOVERY, SOON, TALENTS, attached_talents, best_match, embedded_by_itself, missing, sync,
};

/// Models at a time, `builtin` among them.
const MODELS: usize = 8;

/// A cluster whose folder of models holds `builtin` alone.
fn cluster_with_models(crashes: bool) -> (Cluster, PathBuf) {
    let cluster = Cluster::start(&Options {
        crashes,
        ..Options::default()
    });
    let folder = models_folder(&cluster, "models");
    configured(&cluster, &folder);
    (cluster, folder)
}

fn dimensions(client: &mut Client, model: &str) -> i32 {
    value(
        client,
        &format!("SELECT vector_dims(castmatch.embed('a dancer', model => '{model}'))"),
    )
}

/// A model that was put there is found at the latest when the reload of the settings has reached the session.
pub fn found(client: &mut Client, model: &str) {
    eventually(SOON, &format!("model {model} is found"), || {
        let sql = format!("SELECT castmatch.embed('x', model => '{model}')");
        client.batch_execute(&sql).ok()
    });
}

#[test]
fn two_models_at_once_are_each_right() {
    let (cluster, folder) = cluster_with_models(false);
    tiny_model(&folder, "tiny", 64, 1);
    tiny_model(&folder, "other", 64, 2);
    let client = &mut cluster.database("models");
    found(client, "tiny");
    assert_eq!(dimensions(client, "builtin"), 384);
    assert_eq!(
        dimensions(client, BUILTIN_FOLDER),
        384,
        "its folder's name is its name, too"
    );
    assert_eq!(
        (dimensions(client, "tiny"), dimensions(client, "other")),
        (64, 64)
    );
    let same_text: bool = value(
        client,
        "SELECT castmatch.embed('a dancer', model => 'tiny') = castmatch.embed('a dancer', model => 'other')",
    );
    assert!(!same_text, "two models give two vectors, cached or not");
    let length: f64 = value(
        client,
        "SELECT vector_norm(castmatch.embed('a dancer', model => 'tiny'))",
    );
    assert!((length - 1.0).abs() < 1e-4, "{length}");
    let batch: bool = value(
        client,
        "SELECT bool_and((v.vector <=> castmatch.embed(t.text, model => 'tiny')) < 1e-5)
         FROM (VALUES (ARRAY['one', 'two', 'a longer third text'])) a (texts),
              unnest(a.texts) WITH ORDINALITY t (text, n)
              JOIN unnest(castmatch.embed_batch(ARRAY['one', 'two', 'a longer third text'], model => 'tiny'))
                  WITH ORDINALITY v (vector, n) USING (n)",
    );
    assert!(batch);
    let health: serde_json::Value = value(client, "SELECT castmatch.health()");
    let states = serde_json::json!({"builtin": "ready", "tiny": "ready", "other": "ready"});
    assert_eq!(health["embedder"]["models"], states, "{health}");
    let loaded: i64 = value(
        client,
        "SELECT count(*) FROM castmatch.metrics() WHERE name = 'castmatch_model_loaded' AND value = 1",
    );
    assert_eq!(loaded, 3);
}

#[test]
fn each_table_is_embedded_and_searched_with_its_own_model() {
    let (cluster, folder) = cluster_with_models(false);
    tiny_model(&folder, "tiny", 64, 1);
    let client = &mut cluster.database("models");
    found(client, "tiny");
    attached_talents(client);
    run(
        client,
        "CREATE TABLE tiny_talents (LIKE talents INCLUDING ALL);
         ALTER TABLE tiny_talents DROP COLUMN embedding;
         INSERT INTO tiny_talents SELECT id, bio, city, age FROM talents",
    );
    run(
        client,
        "SELECT castmatch.attach('tiny_talents', '{bio}', model => 'tiny')",
    );
    sync(client, "tiny_talents");
    let wrong: i64 = value(
        client,
        "SELECT count(*) FROM tiny_talents
         WHERE (embedding <=> castmatch.embed(bio, model => 'tiny') < 1e-5) IS NOT TRUE",
    );
    assert_eq!(wrong, 0);
    let models: Vec<String> = column(
        client,
        "SELECT model FROM castmatch.attachments ORDER BY target::text",
    );
    assert_eq!(models, ["builtin", "tiny"]);
    for mode in ["semantic", "hybrid"] {
        let query = "A classical dancer trained in bharatanatyam and kathak";
        assert_eq!(best_match(client, "talents", query, mode).as_deref(), Some("3"));
        assert_eq!(
            best_match(client, "tiny_talents", query, mode).as_deref(),
            Some("3")
        );
    }
    let answer: serde_json::Value = value(
        client,
        "SELECT castmatch.chat('A retired judge who plays chess and recites poetry', target => 'tiny_talents')",
    );
    assert_eq!(answer["sources"][0]["key"], "5", "{answer}");
    // Both tables change at once: one batch, two models.
    run(
        client,
        "BEGIN; INSERT INTO talents VALUES (6, 'A stunt driver'); INSERT INTO tiny_talents VALUES (6, 'A stunt driver'); COMMIT",
    );
    embedded_by_itself(client, "talents", SOON);
    embedded_by_itself(client, "tiny_talents", SOON);
    let dims: Vec<i32> = column(
        client,
        "SELECT vector_dims(embedding) FROM talents WHERE id = 6
         UNION ALL SELECT vector_dims(embedding) FROM tiny_talents WHERE id = 6",
    );
    assert_eq!(dims, [384, 64]);
}

#[test]
fn a_model_that_is_missing_disturbs_no_other_and_is_found_once_it_is_there() {
    let (cluster, folder) = cluster_with_models(false);
    let client = &mut cluster.database("models");
    attached_talents(client);
    tiny_model(&folder, "tiny", 64, 1);
    found(client, "tiny");
    run(
        client,
        "CREATE TABLE waiting (id bigint PRIMARY KEY, bio text);
         SELECT castmatch.attach('waiting', '{bio}', model => 'tiny')",
    );
    // The model goes away, as far as the next worker can tell.
    let away = cluster.new_folder("away");
    fs::rename(folder.join("tiny"), away.join("tiny")).unwrap();
    let embedder = cluster.titled("castmatch embedder");
    signal("TERM", &embedder);
    eventually(RECOVERY, "another worker", || {
        let now = cluster.titled("castmatch embedder");
        (now.len() == 1 && now != embedder).then_some(())
    });
    let error = fails_with(
        client,
        &SqlState::UNDEFINED_OBJECT,
        "SELECT castmatch.embed('another text', model => 'tiny')",
    );
    assert_eq!(
        error.hint(),
        Some(
            "Local models are \"builtin\": folders below castmatch.model_path. Others are made with castmatch.create_model."
        )
    );
    let error = fails_with(
        client,
        &SqlState::UNDEFINED_FILE,
        "SELECT * FROM castmatch.match('waiting', 'a text that nobody has asked for', mode => 'semantic')",
    );
    assert!(error.message().contains("\"tiny\" is not installed"), "{error:?}");
    // More rows than a batch has, which come first.
    run(
        client,
        "INSERT INTO waiting SELECT i, 'person ' || i FROM generate_series(1, 300) i",
    );
    run(client, "INSERT INTO talents VALUES (6, 'A stunt driver')");
    embedded_by_itself(client, "talents", SOON);
    assert_eq!(dimensions(client, "builtin"), 384);
    assert_eq!(missing(client, "waiting"), 300);
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.failures"), 0);
    let health: serde_json::Value = value(client, "SELECT castmatch.health()");
    assert_eq!(
        (&health["status"], &health["embedder"]["models"]["tiny"]),
        (&"ok".into(), &"failed".into()),
        "{health}"
    );

    fs::rename(away.join("tiny"), folder.join("tiny")).unwrap();
    assert_eq!(dimensions(client, "tiny"), 64);
    embedded_by_itself(client, "waiting", RECOVERY);
}

#[test]
fn names_that_are_no_folders_names_are_refused() {
    let (cluster, folder) = cluster_with_models(false);
    let outside = cluster.new_folder("outside");
    std::os::unix::fs::symlink(folder.join(BUILTIN_FOLDER), folder.join(".hidden")).unwrap();
    tiny_model(&folder, "tiny", 64, 1);
    fs::rename(folder.join("tiny"), outside.join("tiny")).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    let client = &mut cluster.database("models");
    let long = "n".repeat(64);
    for name in [
        "",
        ".",
        "..",
        ".hidden",
        "../outside/tiny",
        "./all-MiniLM-L6-v2",
        "all-MiniLM-L6-v2/1_Pooling",
        "/etc",
        "a\\b",
        "file",
        "none",
        &long,
    ] {
        for sql in [
            format!("SELECT castmatch.embed('x', model => '{name}')"),
            format!("SELECT castmatch.embed_batch('{{x}}', model => '{name}')"),
            format!("SELECT castmatch.attach('pg_class', '{{relname}}', model => '{name}')"),
        ] {
            let error = fails_with(client, &SqlState::UNDEFINED_OBJECT, &sql);
            assert!(
                error.hint().unwrap().contains("Local models are \"builtin\""),
                "{error:?}"
            );
        }
    }
    let models: i64 = value(
        client,
        "SELECT count(*) FROM castmatch.metrics() WHERE name = 'castmatch_model_loaded'",
    );
    assert_eq!(models, 1, "none of them has an entry");
}

#[test]
fn more_models_than_there_are_places_are_refused_until_one_is_free() {
    let (cluster, folder) = cluster_with_models(false);
    for number in 1..=MODELS {
        tiny_model(&folder, &format!("tiny{number}"), 8 * number, number as u64);
    }
    let client = &mut cluster.database("models");
    found(client, "tiny1");
    // All at once, from as many sessions.
    thread::scope(|scope| {
        for number in 1..MODELS {
            let mut session = cluster.connect("models", "postgres");
            scope.spawn(move || {
                let name = format!("tiny{number}");
                assert_eq!(dimensions(&mut session, &name) as usize, 8 * number);
            });
        }
    });
    let last = format!("SELECT castmatch.embed('x', model => 'tiny{MODELS}')");
    let error = fails_with(client, &SqlState::CONFIGURATION_LIMIT_EXCEEDED, &last);
    assert!(error.message().contains("8 of at most 8 models"), "{error:?}");
    for number in 1..MODELS {
        assert_eq!(dimensions(client, &format!("tiny{number}")) as usize, 8 * number);
    }
    assert_eq!(dimensions(client, "builtin"), 384);
    // The folder of one is gone when the models are loaded again: its place goes to another model.
    fs::remove_dir_all(folder.join("tiny3")).unwrap();
    cluster.configure(&[("castmatch.embedding_threads", "2".to_owned())]);
    cluster.reload();
    eventually(SOON, "a place is free", || client.batch_execute(&last).ok());
    assert_eq!(dimensions(client, &format!("tiny{MODELS}")) as usize, 8 * MODELS);
    assert_eq!(dimensions(client, "tiny4"), 32);
}

/// Ends what waits for the flag also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn sessions_ask_several_models_at_once_while_the_worker_is_killed() {
    let (cluster, folder) = cluster_with_models(true);
    tiny_model(&folder, "tiny", 64, 1);
    tiny_model(&folder, "other", 24, 2);
    let client = &mut cluster.database("models");
    found(client, "tiny");
    let models = [("builtin", 384), ("tiny", 64), ("other", 24)];
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = Over(&over);
        let askers: Vec<_> = (0..6)
            .map(|asker| {
                let mut session = cluster.connect("models", "postgres");
                let over = &over;
                scope.spawn(move || {
                    let mut calls = 0;
                    while !over.load(Ordering::Relaxed) {
                        let (model, expected) = models[(asker + calls) % models.len()];
                        let sql = format!(
                            "SELECT vector_dims(castmatch.embed('asker {asker} call {calls}', model => '{model}'))"
                        );
                        assert_eq!(value::<i32>(&mut session, &sql), expected);
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        for _ in 0..3 {
            let embedder = cluster.titled("castmatch embedder");
            signal("TERM", &embedder);
            eventually(RECOVERY, "another worker with all models", || {
                let now = cluster.titled("castmatch embedder");
                let health: serde_json::Value = value(client, "SELECT castmatch.health()");
                let states = &health["embedder"]["models"];
                let ready = models.iter().all(|&(model, _)| states[model] == "ready");
                (now.len() == 1 && now != embedder && ready).then_some(())
            });
        }
        drop(end);
        for asker in askers {
            assert!(asker.join().unwrap() > 0);
        }
    });
    run(client, TALENTS);
    // A worker that is killed takes the server along, which comes back without its models' table.
    signal("KILL", &cluster.titled("castmatch embedder"));
    let mut client = eventually(RECOVERY, "the server is back", || {
        let mut session = cluster.try_connect("models", "postgres").ok()?;
        session.batch_execute("SELECT castmatch.embed('awake')").ok()?;
        Some(session)
    })
    .0;
    for (model, expected) in models {
        assert_eq!(dimensions(&mut client, model), expected);
    }
}

#[test]
fn a_model_of_the_same_name_does_not_answer_with_cached_vectors_of_the_earlier_one() {
    let (cluster, folder) = cluster_with_models(false);
    tiny_model(&folder, "tiny", 64, 1);
    let client = &mut cluster.database("models");
    found(client, "tiny");
    let embed = "SELECT castmatch.embed('a dancer', model => 'tiny')::text";
    let before: String = value(client, embed);
    assert_eq!(value::<String>(client, embed), before);
    let other = other_folder(&cluster);
    configured(&cluster, &other);
    eventually(SOON, "the reload", || {
        (value::<String>(client, embed) != before).then_some(())
    });
    assert_eq!(dimensions(client, "tiny"), 64);
    configured(&cluster, &folder);
    eventually(SOON, "the first model again", || {
        (value::<String>(client, embed) == before).then_some(())
    });
}

fn other_folder(cluster: &Cluster) -> PathBuf {
    let folder = models_folder(cluster, "other models");
    let path: &Path = &folder;
    tiny_model(path, "tiny", 64, 2);
    folder
}
