//! PostgreSQL 18 finds the files of an extension in other folders than its own: those of `extension_control_path` and `dynamic_library_path`.

use std::fs;

use castmatch_e2e::cluster::Options;
use castmatch_e2e::query::{run, value};

use super::cluster;
use crate::setting::{attached_talents, best_match};

/// A version that only the copy in the other folder has.
const VERSION: &str = "99.0";

#[test]
fn extension_is_created_from_another_folder() {
    let options = Options {
        preload: false,
        ..Options::default()
    };
    let mut cluster = cluster(18, &options);
    let extension = cluster.place().share.join("extension");
    let library: String = value(
        &mut cluster.connect("postgres", "postgres"),
        "SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'",
    );
    let (share, code) = (cluster.new_folder("share"), cluster.new_folder("code"));
    fs::create_dir(share.join("extension")).unwrap();
    let control = fs::read_to_string(extension.join("castmatch.control")).unwrap();
    let line = control
        .lines()
        .find(|line| line.starts_with("default_version"))
        .unwrap();
    let version = line.split('\'').nth(1).unwrap();
    fs::write(
        share.join("extension/castmatch.control"),
        control.replace(line, &format!("default_version = '{VERSION}'")),
    )
    .unwrap();
    fs::copy(
        extension.join(format!("castmatch--{version}.sql")),
        share.join(format!("extension/castmatch--{VERSION}.sql")),
    )
    .unwrap();
    let copy = code.join("castmatch.so");
    fs::copy(format!("{library}/castmatch.so"), &copy).unwrap();

    cluster.configure(&[
        ("extension_control_path", format!("{}:$system", share.display())),
        ("dynamic_library_path", format!("{}:$libdir", code.display())),
        ("shared_preload_libraries", "castmatch".to_owned()),
    ]);
    cluster.restart();
    let client = &mut cluster.database("elsewhere");
    let created: String = value(
        client,
        "SELECT extversion FROM pg_extension WHERE extname = 'castmatch'",
    );
    assert_eq!(created, VERSION);
    run(
        client,
        "CREATE TABLE points (e vector(2)); CREATE INDEX ON points USING castmatch_hnsw (e vector_l2_ops)",
    );
    attached_talents(client);
    let found = best_match(client, "talents", "policeman on horseback", "hybrid");
    assert_eq!(found.as_deref(), Some("1"));
    // One library, in the server and in its sessions.
    let backend: i32 = value(client, "SELECT pg_backend_pid()");
    for process in [cluster.postmaster(), backend.unsigned_abs()] {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let loaded: Vec<&str> = maps
            .lines()
            .filter_map(|line| line.split_whitespace().nth(5))
            .filter(|path| path.ends_with("/castmatch.so"))
            .collect();
        assert!(!loaded.is_empty(), "castmatch.so is not in process {process}");
        assert!(
            loaded.iter().all(|path| *path == copy.to_str().unwrap()),
            "{loaded:?}"
        );
    }
}
