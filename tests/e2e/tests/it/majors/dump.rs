//! Dumps go from one version to the next, whichever version's pg_dump writes them.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{run, value};

use super::{MAJORS, cluster, forget_column_versions, rows};
use crate::setting::{attached_talents, best_match, out_of_step, sync};

/// Dumps a database with the programs of `by` into an empty one of `to`.
fn move_database(from: &Cluster, by: &Cluster, to: &Cluster, database: &str) {
    if by.place().major > from.place().major {
        forget_column_versions(&mut from.connect(database, "postgres"));
    }
    let file = by.new_folder("dumps").join("file").display().to_string();
    by.program(
        "pg_dump",
        &["--format=custom", "--file", &file, &from.url(database)],
    );
    let admin = &mut to.connect("postgres", "postgres");
    run(admin, &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
    run(admin, &format!("CREATE DATABASE {database} TEMPLATE template0"));
    to.program(
        "pg_restore",
        &["--exit-on-error", "--dbname", &to.url(database), &file],
    );
    std::fs::remove_dir_all(by.data().with_file_name("dumps")).unwrap();
}

#[test]
fn dumps_are_restored_by_the_next_version() {
    let clusters = MAJORS.map(|major| cluster(major, &Options::default()));
    let client = &mut clusters[0].plain_database("original");
    rows::create(client);
    rows::fill(client, 1);
    rows::index(client);
    attached_talents(client);
    let (digest, answers) = (rows::digest(client), rows::answers(client));
    for pair in clusters.windows(2) {
        let [old, new] = pair else { unreachable!() };
        // A custom archive of an older pg_dump, and what is recommended: the newer one's.
        for by in [old, new] {
            move_database(old, by, new, "original");
            let client = &mut new.connect("original", "postgres");
            assert_eq!(rows::digest(client), digest);
            run(client, "ANALYZE");
            assert_eq!(rows::answers(client), answers);
            rows::verify(client);
            let found = best_match(client, "talents", "policeman on horseback", "hybrid");
            assert_eq!(found.as_deref(), Some("1"));
            run(
                client,
                "INSERT INTO talents VALUES (6, 'A violinist') ON CONFLICT (id) DO UPDATE SET bio = 'A cellist'",
            );
            sync(client, "talents");
            assert_eq!(out_of_step(client, "talents", "bio"), 0);
            assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.failures"), 0);
        }
    }
}
