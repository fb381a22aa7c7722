//! pg_upgrade takes the files of the indexes as they are: they answer the same without REINDEX, and go on from there.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::place::Place;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{column, run, value};
use postgres::Client;

use super::{MAJORS, cluster, forget_column_versions, rows};
use crate::setting::{
    RECOVERY, attached_talents, best_match, embedded_by_itself, missing, out_of_step, queued, sync,
};

const DATABASE: &str = "upgraded";

/// Which file each index is in: another one after REINDEX, and the same after pg_upgrade.
fn files(client: &mut Client) -> Vec<String> {
    column(
        client,
        "SELECT c.relname || ' ' || c.relfilenode FROM pg_class c JOIN pg_am a ON a.oid = c.relam
         WHERE a.amname LIKE 'castmatch%' ORDER BY 1",
    )
}

#[test]
fn indexes_answer_the_same_after_pg_upgrade_and_go_on() {
    chain(&MAJORS, &Options::default());
}

/// A new cluster whose postgresql.conf does not have castmatch preloaded yet.
#[test]
fn pg_upgrade_needs_no_preloading() {
    let options = Options {
        preload: false,
        ..Options::default()
    };
    chain(&[MAJORS[0], MAJORS[2]], &options);
}

fn chain(majors: &[u32], newer: &Options) {
    let mut cluster = cluster(majors[0], &Options::default());
    let client = &mut cluster.plain_database(DATABASE);
    rows::create(client);
    rows::fill(client, 1);
    rows::index(client);
    attached_talents(client);
    for (step, &major) in (0..).zip(&majors[1..]) {
        let client = &mut cluster.connect(DATABASE, "postgres");
        // Changes of an index that has been built: inserted entries, and those that a vacuum has removed.
        rows::fill(client, 10_000 * (step + 1));
        run(client, "DELETE FROM moved WHERE id % 11 = 5");
        run(client, "VACUUM moved");
        let before = (rows::digest(client), files(client), rows::answers(client));
        hold_talent(&cluster, client, 10 + step);
        forget_column_versions(client);
        cluster = cluster.upgraded_in(Place::of_major(major), newer);
        let client = &mut cluster.connect(DATABASE, "postgres");
        // Before 18 pg_upgrade leaves the statistics behind.
        run(client, "ANALYZE");
        assert_eq!(
            (rows::digest(client), files(client), rows::answers(client)),
            before,
            "to {major}"
        );
        rows::verify(client);
        let found = best_match(client, "talents", "policeman on horseback", "hybrid");
        assert_eq!(found.as_deref(), Some("1"));
        release_talent(client);
    }
    let client = &mut cluster.connect(DATABASE, "postgres");
    rows::fill(client, 50_000);
    run(client, "DELETE FROM moved WHERE id % 5 = 1");
    run(client, "VACUUM moved");
    run(client, "INSERT INTO talents VALUES (100, 'A pianist')");
    rows::answers(client);
    rows::verify(client);
    sync(client, "talents");
    assert_eq!(queued(client), 0);
    let version: i32 = value(
        client,
        "SELECT current_setting('server_version_num')::integer / 10000",
    );
    assert_eq!(u32::try_from(version).ok(), majors.last().copied());
}

/// Leaves a row in the queue, which is not to be embedded before [`release_talent`].
fn hold_talent(cluster: &Cluster, client: &mut Client, id: i64) {
    let embedder = cluster.titled("castmatch embedder");
    signal("STOP", &embedder);
    run(
        client,
        &format!("INSERT INTO talents VALUES ({id}, 'A violinist of number {id}')"),
    );
    run(client, "UPDATE castmatch.queue SET not_before = 'infinity'");
    signal("CONT", &embedder);
}

fn release_talent(client: &mut Client) {
    run(client, "UPDATE castmatch.queue SET not_before = '-infinity'");
    sync(client, "talents");
    assert_eq!((queued(client), out_of_step(client, "talents", "bio")), (0, 0));
}

/// What a worker wrote there would be lost, or worse.
#[test]
fn servers_of_pg_upgrade_have_no_workers() {
    let mut cluster = cluster(MAJORS[0], &Options::default());
    attached_talents(&mut cluster.database(DATABASE));
    cluster.stop();
    cluster.boot_for_pg_upgrade();
    let client = &mut cluster.connect(DATABASE, "postgres");
    run(client, "INSERT INTO talents VALUES (10, 'A violinist')");
    let workers = "SELECT backend_type FROM pg_stat_activity WHERE backend_type LIKE 'castmatch%'";
    for _ in 0..50 {
        assert_eq!(column::<String>(client, workers), Vec::<String>::new());
        run(client, "SELECT count(*) FROM talents");
    }
    assert_eq!((queued(client), missing(client, "talents")), (1, 1));
    cluster.restart();
    let client = &mut cluster.connect(DATABASE, "postgres");
    embedded_by_itself(client, "talents", RECOVERY);
}
