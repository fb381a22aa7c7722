//! Indexes of unlogged tables (L1): empty and usable after a crash, kept by an orderly restart, and turned into logged
//! ones and back.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::Index;
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::{HALFVEC_COSINE, OperatorClass, VECTOR_L2};
use castmatch_e2e::query::{run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{database, killed, recall_floor, report, searcher, vacuum};

castmatch_e2e::for_each_method! {
    l1_unlogged_index_is_empty_and_usable_after_a_crash,
    l1_tables_turn_logged_and_unlogged,
}

fn rows(client: &mut Client, index: &Index) -> i64 {
    value(client, &format!("SELECT count(*) FROM {}", index.table))
}

fn assert_answers(client: &mut Client, index: &Index) {
    index.assert_used(client);
    index.assert_verified(client);
    index.assert_exhaustive(client, &index.query(-1));
    let recall = index.recall(client, 0..20, 10);
    assert!(
        recall >= recall_floor(index.method),
        "{}: recall {recall}",
        index.table
    );
}

/// Nothing is found in the empty index; then it takes rows, loses some to vacuum, and answers.
fn assert_empty_and_usable(client: &mut Client, index: &Index) {
    assert_eq!(rows(client, index), 0, "{}", index.table);
    assert_eq!(index.nearest(client, &index.query(0), 10), []);
    index.assert_verified(client);
    index.fill(client, 1..401);
    assert_answers(client, index);
    run(client, &format!("DELETE FROM {} WHERE id % 3 = 0", index.table));
    vacuum(client, &index.table);
    index.fill(client, 1_000..1_100);
    assert_answers(client, index);
}

fn unlogged(client: &mut Client, method: Method, table: &str, class: OperatorClass) -> Index {
    let index = Index::of(table, class, 16).by(method);
    run(client, &index.definition("UNLOGGED"));
    index
}

fn l1_unlogged_index_is_empty_and_usable_after_a_crash(method: Method) {
    let mut cluster = Cluster::start(&killed(&[]));
    let client = &mut database(&cluster);
    let early = unlogged(client, method, "unlogged_early", VECTOR_L2);
    early.build(client, "");
    early.fill(client, 1..301);
    let late = unlogged(client, method, "unlogged_late", HALFVEC_COSINE);
    late.fill(client, 1..301);
    late.build(client, method.either("m = 6, ef_construction = 24", "lists = 7"));
    let indexes = [early, late];
    for _ in 0..scaled(2, 20) {
        cluster.kill_immediately();
        cluster.boot();
        let client = &mut searcher(&cluster);
        for index in &indexes {
            assert_empty_and_usable(client, index);
        }
    }
    // An orderly restart keeps the rows.
    cluster.restart();
    let client = &mut searcher(&cluster);
    for index in &indexes {
        assert!(rows(client, index) > 0, "{}", index.table);
        assert_answers(client, index);
        run(client, &format!("REINDEX INDEX {}", index.name()));
        assert_answers(client, index);
    }
    cluster.kill_immediately();
    cluster.boot();
    let client = &mut searcher(&cluster);
    for index in &indexes {
        assert_empty_and_usable(client, index);
    }
    report(
        "L1",
        &format!("{method}: unlogged indexes after kills and restarts: empty, then usable"),
    );
}

fn l1_tables_turn_logged_and_unlogged(method: Method) {
    let mut cluster = Cluster::start(&killed(&[]));
    let mut client = database(&cluster);
    let index = unlogged(&mut client, method, "turning", VECTOR_L2);
    index.fill(&mut client, 1..401);
    index.build(&mut client, "");
    let turns = scaled(2, 20);
    for turn in 0..turns {
        run(&mut client, "ALTER TABLE turning SET LOGGED");
        assert_answers(&mut client, &index);
        let first = 10_000 * (turn + 1);
        index.fill(&mut client, first..first + 50);
        let before = rows(&mut client, &index);
        cluster.kill_immediately();
        cluster.boot();
        client = searcher(&cluster);
        assert_eq!(
            rows(&mut client, &index),
            before,
            "a logged table keeps what was committed"
        );
        assert_answers(&mut client, &index);
        run(&mut client, "ALTER TABLE turning SET UNLOGGED");
        assert_answers(&mut client, &index);
        cluster.kill_immediately();
        cluster.boot();
        client = searcher(&cluster);
        assert_empty_and_usable(&mut client, &index);
    }
    report(
        "L1",
        &format!("{method}: {turns} turns from unlogged to logged and back, each followed by a kill"),
    );
}
