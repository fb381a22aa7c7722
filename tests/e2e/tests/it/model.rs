//! A server whose embedding model is missing or broken: clear errors, the rest works, and no restart is needed once the
//! model is there.

use std::fs;
use std::path::Path;
use std::process::Command;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;

use crate::setting::{
    RECOVERY, SOON, TALENTS, attached_talents, best_match, embedded_by_itself, missing, out_of_step,
};

const FOLDER: &str = "all-MiniLM-L6-v2";

/// A copy of the installed model: links are followed, folders copied.
pub fn copy_model(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("-RL")
        .arg(from.join(FOLDER))
        .arg(to)
        .status()
        .unwrap();
    assert!(copied.success());
}

pub fn configured(cluster: &Cluster, path: &Path) {
    cluster.configure(&[("castmatch.model_path", path.display().to_string())]);
    cluster.reload();
}

fn embeds(client: &mut Client) {
    eventually(SOON, "the model is found", || {
        client.batch_execute("SELECT castmatch.embed('x')").ok()
    });
}

#[test]
fn missing_model_is_named_with_its_remedy_and_found_without_a_restart() {
    let cluster = Cluster::start(&Options::default());
    let models = cluster.place().share.join("castmatch/models");
    let client = &mut cluster.database("model");
    attached_talents(client);
    let empty = cluster.new_folder("empty");
    configured(&cluster, &empty);
    let refused = || client.batch_execute("SELECT castmatch.embed('x')").err();
    let (error, _) = eventually(SOON, "the reload", refused);
    let error = error.as_db_error().unwrap().clone();
    assert_eq!(error.code(), &SqlState::UNDEFINED_FILE);
    assert!(error.hint().unwrap().contains("make model"), "{error:?}");
    assert!(
        error.detail().unwrap().contains(&empty.display().to_string()),
        "{error:?}"
    );

    what_needs_no_model_works(client);
    run(
        client,
        "CREATE TABLE more AS TABLE talents WITH NO DATA; ALTER TABLE more DROP COLUMN embedding, ADD PRIMARY KEY (id)",
    );
    fails_with(
        client,
        &SqlState::UNDEFINED_FILE,
        "SELECT castmatch.attach('more', '{bio}')",
    );
    fails_with(
        client,
        &SqlState::UNDEFINED_FILE,
        "SELECT * FROM castmatch.match('talents', 'dancer')",
    );
    let columns: i64 = value(
        client,
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'more'::regclass AND attnum > 0 AND NOT attisdropped",
    );
    assert_eq!(columns, 4, "a failed attach leaves nothing");
    let health: serde_json::Value = value(client, "SELECT castmatch.health()");
    assert_eq!(
        (&health["status"], &health["embedder"]["state"]),
        (&"degraded".into(), &"failed".into()),
        "{health}"
    );

    run(client, "INSERT INTO talents VALUES (20, 'Waits for the model')");
    assert_eq!(missing(client, "talents"), 1);
    // The files appear in the folder that the server looks at, as `make model` would put them there.
    copy_model(&models, &empty);
    embeds(client);
    embedded_by_itself(client, "talents", RECOVERY);
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.failures"), 0);

    configured(&cluster, &cluster.new_folder("empty again"));
    eventually(SOON, "the reload", || {
        client.batch_execute("SELECT castmatch.embed('x')").err()
    });
    configured(&cluster, &models);
    embeds(client);
}

fn what_needs_no_model_works(client: &mut Client) {
    assert_eq!(value::<f64>(client, "SELECT '[1,2]'::vector <-> '[4,6]'"), 5.0);
    assert_eq!(
        best_match(client, "talents", "kathak", "text").as_deref(),
        Some("3")
    );
}

#[test]
fn broken_model_file_is_an_error_and_not_a_crash() {
    let cluster = Cluster::start(&Options::default());
    let models = cluster.place().share.join("castmatch/models");
    let client = &mut cluster.database("model");
    run(client, TALENTS);
    let weights = format!("{FOLDER}/model.safetensors");
    let size = fs::metadata(models.join(&weights)).unwrap().len();
    let cuts = [("nothing", 0), ("few", 4), ("half", size / 2), ("most", size - 1)];
    for (name, length) in cuts {
        let broken = cluster.new_folder(name);
        copy_model(&models, &broken);
        fs::File::options()
            .write(true)
            .open(broken.join(&weights))
            .unwrap()
            .set_len(length)
            .unwrap();
        expect_broken(&cluster, client, &broken);
    }
    for file in ["config.json", "tokenizer.json"] {
        let broken = cluster.new_folder(file);
        copy_model(&models, &broken);
        fs::write(broken.join(FOLDER).join(file), "{\"hidden_size\": -1").unwrap();
        expect_broken(&cluster, client, &broken);
    }
    configured(&cluster, &models);
    embeds(client);
    assert_eq!(cluster.titled("castmatch embedder").len(), 1);
}

fn expect_broken(cluster: &Cluster, client: &mut Client, folder: &Path) {
    configured(cluster, folder);
    let name = folder.display().to_string();
    let refused = || {
        let error = client.batch_execute("SELECT castmatch.embed('x')").err()?;
        let error = error.as_db_error()?.clone();
        error
            .detail()
            .is_some_and(|detail| detail.contains(&name))
            .then_some(error)
    };
    let (error, _) = eventually(SOON, &format!("an error that names {name}"), refused);
    assert_eq!(error.code(), &SqlState::CONFIG_FILE_ERROR, "{error:?}");
    fails_with(
        client,
        &SqlState::CONFIG_FILE_ERROR,
        "SELECT castmatch.attach('talents', '{bio}')",
    );
}
