//! The server killed during CREATE INDEX, CREATE INDEX CONCURRENTLY, REINDEX CONCURRENTLY and VACUUM (C4), and after a
//! commit at wal_level = minimal, where a new index is written without WAL.

use std::fs::File;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::index::{Index, assert_verified, prefer_index};
use castmatch_e2e::ledger::is_lost;
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::{HALFVEC_COSINE, OperatorClass, VECTOR_L2};
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{DATABASE, database, killed, recall_floor, report, searcher, some_moment, vacuum};

castmatch_e2e::for_each_method! {
    c4_crash_during_build_reindex_and_vacuum,
    c4_index_built_without_wal_survives_a_crash_after_commit,
    c4_aborted_builds_leave_nothing_that_disturbs,
    c4_page_of_zeroes_left_by_a_crash_is_logged_when_it_is_used,
}

const SEED: u64 = 977;

/// Runs the statements in turn and kills the server at some moment of `span`; returns those that were completed.
fn killed_within(cluster: &mut Cluster, statements: &[String], span: Duration, random: &mut Random) -> usize {
    let mut client = cluster.connect(DATABASE, "postgres");
    thread::scope(|scope| {
        let work = scope.spawn(move || {
            for (number, statement) in statements.iter().enumerate() {
                match client.batch_execute(statement) {
                    Ok(()) => {}
                    Err(error) if is_lost(&error) => return number,
                    Err(error) => panic!("{statement}: {error:?}"),
                }
            }
            statements.len()
        });
        some_moment(random, span);
        cluster.kill_immediately();
        work.join().unwrap()
    })
}

/// Names of the invalid indexes of a table.
fn invalid(client: &mut Client, table: &str) -> Vec<String> {
    column(
        client,
        &format!(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '{table}'::regclass AND NOT indisvalid"
        ),
    )
}

fn assert_answers(client: &mut Client, index: &Index) {
    prefer_index(client);
    index.assert_verified(client);
    index.assert_used(client);
    index.assert_exhaustive(client, &index.query(-1));
    let recall = index.recall(client, 0..20, 10);
    assert!(
        recall >= recall_floor(index.method),
        "{}: recall {recall}",
        index.table
    );
}

/// The server comes up; invalid indexes can be dropped; a missing one can be built again.
fn assert_recovers(cluster: &mut Cluster, index: &Index, what: &str) -> usize {
    cluster.boot();
    let client = &mut searcher(cluster);
    let broken = invalid(client, &index.table);
    for name in &broken {
        run(client, &format!("DROP INDEX {name}"));
    }
    let exists: bool = value(
        client,
        &format!("SELECT to_regclass('{}') IS NOT NULL", index.name()),
    );
    if !exists {
        index.build(client, "");
    }
    println!(
        "after {what}: {} invalid, {}",
        broken.len(),
        if exists { "there" } else { "rebuilt" }
    );
    assert_answers(client, index);
    broken.len()
}

fn c4_crash_during_build_reindex_and_vacuum(method: Method) {
    let mut cluster = Cluster::start(&killed(&[]));
    let mut random = Random::new(SEED);
    let mut client = database(&cluster);
    let index = Index::table(&mut client, "built", VECTOR_L2, 32).by(method);
    index.fill(&mut client, 1..scaled(method.either(6_000, 12_000), 30_000));
    run(&mut client, "VACUUM ANALYZE built");
    // How long it takes here without a crash: the crashes are to fall into it.
    let start = Instant::now();
    index.build(&mut client, "");
    let span = start.elapsed();
    drop(client);
    let (name, table) = (index.name(), &index.table);
    let serial = "SET max_parallel_maintenance_workers = 0".to_owned();
    let threads = "SET max_parallel_maintenance_workers = 3; SET min_parallel_table_scan_size = 0".to_owned();
    let drop_index = format!("DROP INDEX IF EXISTS {name}");
    let cases = [
        (
            "CREATE INDEX",
            vec![serial, drop_index.clone(), index.build_statement("", "")],
            span,
        ),
        (
            "CREATE INDEX with threads",
            vec![threads, drop_index.clone(), index.build_statement("", "")],
            span,
        ),
        (
            "CREATE INDEX CONCURRENTLY",
            vec![drop_index, index.build_statement("CONCURRENTLY", "")],
            span * 2,
        ),
        (
            "REINDEX CONCURRENTLY",
            vec![format!("REINDEX INDEX CONCURRENTLY {name}")],
            span * 2,
        ),
        (
            "VACUUM",
            vec![
                format!("DELETE FROM {table} WHERE id % 10 = 1 OR id > 100000"),
                format!(
                    "INSERT INTO {table} (id, version, e) SELECT id + 100000, 0, e FROM {table} WHERE id % 10 = 2"
                ),
                format!("DELETE FROM {table} WHERE id > 100000"),
                format!("VACUUM (INDEX_CLEANUP ON) {table}"),
            ],
            span,
        ),
    ];
    let (mut kills, mut invalids) = (0, 0);
    for (what, statements, span) in &cases {
        for _ in 0..scaled(method.either(2, 1), 20) {
            let done = killed_within(&mut cluster, statements, *span, &mut random);
            invalids += assert_recovers(&mut cluster, &index, &format!("{what}, {done} statements done"));
            kills += 1;
        }
    }
    let client = &mut searcher(&cluster);
    run(client, &format!("VACUUM (INDEX_CLEANUP ON) {table}"));
    assert_answers(client, &index);
    report(
        "C4",
        &format!(
            "{method}, seed {SEED}, build takes {span:?}, {kills} kills, {invalids} invalid indexes dropped"
        ),
    );
}

/// Creates, fills and indexes a table in one transaction, which then needs no WAL for it at this level.
fn built_in_one_transaction(
    client: &mut Client,
    method: Method,
    table: &str,
    class: OperatorClass,
    rows: i64,
) -> Index {
    let index = Index::of(table, class, 24).by(method);
    run(client, "BEGIN");
    run(client, &index.definition(""));
    index.fill(client, 1..rows);
    index.build(client, "");
    // Also through the path of single rows, after the build.
    index.fill(client, rows..rows + 50);
    run(client, "COMMIT");
    index
}

fn c4_index_built_without_wal_survives_a_crash_after_commit(method: Method) {
    let mut cluster = Cluster::start(&Options {
        ..killed(&[("wal_level", "minimal"), ("max_wal_senders", "0")])
    });
    let client = &mut database(&cluster);
    let mut indexes = Vec::new();
    // Small files are written to WAL at commit, larger ones synced; the threshold decides.
    for (threshold, label) in [("0", "synced"), ("1GB", "logged")] {
        run(client, &format!("SET wal_skip_threshold = '{threshold}'"));
        indexes.push(built_in_one_transaction(
            client,
            method,
            &format!("{label}_l2"),
            VECTOR_L2,
            1500,
        ));
        indexes.push(built_in_one_transaction(
            client,
            method,
            &format!("{label}_cosine"),
            HALFVEC_COSINE,
            300,
        ));
        indexes.push(built_in_one_transaction(
            client,
            method,
            &format!("{label}_empty"),
            VECTOR_L2,
            1,
        ));
        // The same for an index that gets a new file in the transaction.
        let truncated = Index::table(client, &format!("{label}_truncated"), VECTOR_L2, 24).by(method);
        truncated.fill(client, 1..500);
        truncated.build(client, "");
        run(client, &format!("BEGIN; TRUNCATE {}", truncated.table));
        truncated.fill(client, 1000..1600);
        run(client, "COMMIT");
        indexes.push(truncated);
        // Rebuilt after the table is older than the transaction.
        let rebuilt = Index::table(client, &format!("{label}_rebuilt"), VECTOR_L2, 24).by(method);
        rebuilt.fill(client, 1..600);
        rebuilt.build(client, "");
        run(client, &format!("BEGIN; REINDEX INDEX {}", rebuilt.name()));
        rebuilt.fill(client, 600..700);
        run(client, "COMMIT");
        indexes.push(rebuilt);
    }
    cluster.kill_immediately();
    cluster.boot();
    let client = &mut searcher(&cluster);
    for index in &indexes {
        assert_answers(client, index);
        index.fill(client, 10_000..10_100);
        assert_answers(client, index);
    }
    report(
        "C4",
        &format!(
            "{method}, wal_level = minimal: {} indexes after a crash",
            indexes.len()
        ),
    );
}

fn c4_aborted_builds_leave_nothing_that_disturbs(method: Method) {
    let cluster = Cluster::start(&killed(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "aborted", VECTOR_L2, 16).by(method);
    index.fill(client, 1..1000);
    run(client, "BEGIN");
    index.build(client, "");
    index.fill(client, 1000..1100);
    run(client, "ROLLBACK");
    index.build(client, "");
    run(client, "BEGIN; SAVEPOINT s");
    run(client, &format!("REINDEX INDEX {}", index.name()));
    index.fill(client, 1000..1100);
    run(client, "ROLLBACK TO s");
    index.fill(client, 2000..2100);
    run(client, "COMMIT");
    assert_verified(client, &index.name());
    assert_answers(client, &index);
}

/// A crash after the file grew and before the new page was logged leaves a page of zeroes. What makes it a page of the index
/// later has to log all of it: recovery passes over changes to a page that it knows only as new.
fn c4_page_of_zeroes_left_by_a_crash_is_logged_when_it_is_used(method: Method) {
    let mut cluster = Cluster::start(&killed(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "zeroes", VECTOR_L2, 16).by(method);
    index.fill(client, 1..201);
    index.build(client, "");
    let sql = format!("SELECT pg_relation_filepath('{}')", index.name());
    let file = cluster.data().join(value::<String>(client, &sql));
    run(client, "CHECKPOINT");
    cluster.kill_immediately();
    let mut bytes = File::options().append(true).open(file).unwrap();
    bytes.write_all(&[0; 3 * 8192]).unwrap();
    drop(bytes);
    cluster.boot();
    let client = &mut searcher(&cluster);
    // One record a page and no image of it before the crash.
    run(client, "CHECKPOINT");
    index.fill(client, 1_000..1_400);
    assert_answers(client, &index);
    cluster.kill_immediately();
    cluster.boot();
    let client = &mut searcher(&cluster);
    assert_answers(client, &index);
    // And what is written to disk can be read again.
    cluster.restart();
    let client = &mut searcher(&cluster);
    vacuum(client, &index.table);
    assert_answers(client, &index);
}
