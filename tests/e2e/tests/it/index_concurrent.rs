//! Many sessions at once: mixed load (K1), TIDs used again under an open scan (K3), an index that grows from all sides
//! (K5), and CREATE INDEX CONCURRENTLY among writers.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::Index;
use castmatch_e2e::ledger::Writer;
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::{HALFVEC_COSINE, VECTOR_L2};
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{
    DATABASE, StopOnDrop, database, plain, recall_floor, repeat, report, searcher, vacuum,
};

castmatch_e2e::for_each_method! {
    k1_mixed_load_of_eight_clients,
    k3_reused_tids_do_not_show_in_an_open_scan,
    k5_relation_extension_from_eight_clients,
    create_index_concurrently_among_writers,
    two_indexes_built_concurrently_do_not_wait_for_each_other_forever,
    scans_to_the_end_among_writers_return_every_row,
}

/// Rows that no writer changes, on which recall is measured meanwhile.
const FROZEN: i64 = 2_000;
/// Share of the rows that a search for their own vector has to find.
const REACHABLE: f64 = 0.997;

/// Recall on the frozen rows, again and again until the stop; the lowest of them and the number of measurements.
fn watch_recall(index: &Index, client: &mut Client, stop: &AtomicBool, first: i64) -> (f64, u64) {
    let (mut lowest, mut number) = (1.0_f64, first);
    let rounds = repeat(stop, || {
        number += 10;
        let filter = format!("WHERE id <= {FROZEN}");
        let recall = index.try_recall(client, number..number + 10, 10, &filter)?;
        lowest = lowest.min(recall);
        assert!(
            recall >= recall_floor(index.method),
            "recall {recall} of queries from {number}"
        );
        Ok::<_, postgres::Error>(())
    });
    (lowest, rounds.unwrap())
}

fn k1_mixed_load_of_eight_clients(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "mixed", VECTOR_L2, 16).by(method);
    index.fill(client, 1..FROZEN + 1);
    index.build(client, "");
    let mut writers: Vec<Writer> = (1..=5).map(|number| Writer::new(&index, number, 400)).collect();
    let stop = AtomicBool::new(false);
    let span = Duration::from_secs(scaled(method.either(10, 5), 60));
    let (mut transactions, mut vacuums, mut lowest, mut rounds) = (0, 0, 1.0_f64, 0);
    thread::scope(|scope| {
        let stopped = StopOnDrop(&stop);
        let (stop, index) = (&stop, &index);
        let writing: Vec<_> = writers
            .iter_mut()
            .map(|writer| {
                let mut client = cluster.connect(DATABASE, "postgres");
                scope.spawn(move || repeat(stop, || writer.step(&mut client)).unwrap())
            })
            .collect();
        let mut sweeper = cluster.connect(DATABASE, "postgres");
        let sweeping = scope.spawn(move || {
            repeat(stop, || {
                vacuum(&mut sweeper, &index.table);
                Ok::<_, postgres::Error>(())
            })
            .unwrap()
        });
        let reading: Vec<_> = (0..2)
            .map(|number| {
                let mut client = searcher(&cluster);
                scope.spawn(move || watch_recall(index, &mut client, stop, number * 1_000_000))
            })
            .collect();
        thread::sleep(span);
        drop(stopped);
        transactions = writing
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<u64>();
        vacuums = sweeping.join().unwrap();
        for reader in reading {
            let (its_lowest, its_rounds) = reader.join().unwrap();
            lowest = lowest.min(its_lowest);
            rounds += its_rounds;
        }
    });
    let rows = index.rows(client);
    for writer in &mut writers {
        writer.reconcile(&rows);
    }
    let live = index.assert_exhaustive(client, &index.query(-1));
    let reachable = index.self_search(client, 400);
    assert!(
        reachable >= REACHABLE,
        "{reachable} of {live} rows find themselves"
    );
    index.assert_verified(client);
    let recall = index.recall(client, 0..50, 10);
    assert!(recall >= recall_floor(method), "recall {recall}");
    report(
        "K1",
        &format!(
            "{method}, {span:?}: {transactions} transactions, {vacuums} vacuums, {rounds} recalls of 10 queries, lowest {lowest:.4}; \
             after it recall {recall:.4}, {reachable:.4} of {live} rows find themselves"
        ),
    );
}

/// Ids and distances of the rows that the open cursor still gives.
fn fetched(client: &mut Client, rows: &str) -> Vec<(i64, f64)> {
    client
        .query(&format!("FETCH {rows} FROM open_scan"), &[])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}

fn k3_reused_tids_do_not_show_in_an_open_scan(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let other = &mut cluster.connect(DATABASE, "postgres");
    let index = Index::table(client, "reused", VECTOR_L2, 12).by(method);
    index.fill(client, 1..1_001);
    index.build(client, method.either("m = 8, ef_construction = 32", "lists = 10"));
    let table = &index.table;
    let cycles = scaled(method.either(20, 10), 1_000);
    let (mut next, mut reused) = (2_000, 0_i64);
    for cycle in 0..cycles {
        // Rows that are dead before the scan begins: vacuum may take their TIDs away while it is open.
        run(
            other,
            &format!("DELETE FROM {table} WHERE (id + {cycle}) % 3 = 0"),
        );
        let gone: Vec<String> = column(
            other,
            &format!("SELECT ctid::text FROM {table} WHERE (id + {cycle}) % 3 = 1 ORDER BY id LIMIT 150"),
        );
        run(
            other,
            &format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY['{}']::tid[])",
                gone.join("','")
            ),
        );
        let query = index.query(cycle);
        let nearest = index.nearest_sql(&query, i64::MAX, "");
        run(
            client,
            &format!("BEGIN; DECLARE open_scan NO SCROLL CURSOR FOR {nearest}"),
        );
        let mut found = fetched(client, "60");
        vacuum(other, table);
        index.fill(other, next..next + 400);
        reused += value::<i64>(
            other,
            &format!(
                "SELECT count(*) FROM {table} WHERE id >= {next} AND ctid = ANY (ARRAY['{}']::tid[])",
                gone.join("','")
            ),
        );
        found.extend(fetched(client, "ALL"));
        let truth: BTreeMap<i64, f64> = client
            .query(
                &format!(
                    "SELECT id, e <-> '{query}' FROM {table} WHERE e IS NOT NULL AND id < {next} ORDER BY id"
                ),
                &[],
            )
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        run(client, "COMMIT");
        let answered: BTreeMap<i64, f64> = found.iter().copied().collect();
        assert_eq!(
            found.len(),
            answered.len(),
            "cycle {cycle}: a row was returned twice"
        );
        assert_eq!(answered, truth, "cycle {cycle}");
        next += 400;
    }
    assert!(reused > 0, "no TID was used again");
    index.assert_verified(client);
    report(
        "K3",
        &format!("{method}: {cycles} scans, {reused} TIDs used again under them"),
    );
}

fn k5_relation_extension_from_eight_clients(method: Method) {
    const CLIENTS: i64 = 8;
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    // Wide vectors: few entries to a page, so that nearly every insert needs a new one.
    let index = Index::table(client, "storm", VECTOR_L2, 2_000).by(method);
    index.build(client, method.either("m = 8, ef_construction = 16", ""));
    let rows = scaled(100, 2_000);
    let start = Instant::now();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = cluster.connect(DATABASE, "postgres");
            let index = &index;
            scope.spawn(move || {
                for id in number * 100_000..number * 100_000 + rows {
                    let literal = index.literal(id, 0);
                    run(
                        &mut client,
                        &format!(
                            "INSERT INTO {} (id, version, e) VALUES ({id}, 0, {literal})",
                            index.table
                        ),
                    );
                }
            });
        }
    });
    let took = start.elapsed();
    let live = index.assert_exhaustive(client, &index.query(0));
    index.assert_verified(client);
    let recall = index.recall(client, 0..10, 10);
    assert!(recall >= 0.9, "recall {recall}");
    let bytes = index.bytes(client);
    report(
        "K5",
        &format!(
            "{method}: {live} rows of 2000 dimensions by {CLIENTS} clients in {took:?}, {bytes} bytes, recall {recall:.4}"
        ),
    );
}

fn create_index_concurrently_among_writers(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "among", HALFVEC_COSINE, 24).by(method);
    index.fill(client, 1..3_001);
    let mut writers: Vec<Writer> = (1..=4).map(|number| Writer::new(&index, number, 500)).collect();
    let stop = AtomicBool::new(false);
    let rounds = scaled(3, 20);
    let mut transactions = 0;
    thread::scope(|scope| {
        let stopped = StopOnDrop(&stop);
        let stop = &stop;
        let writing: Vec<_> = writers
            .iter_mut()
            .map(|writer| {
                let mut client = cluster.connect(DATABASE, "postgres");
                scope.spawn(move || repeat(stop, || writer.step(&mut client)).unwrap())
            })
            .collect();
        for round in 0..rounds {
            if round > 0 {
                run(client, &format!("DROP INDEX CONCURRENTLY {}", index.name()));
            }
            run(
                client,
                &index.build_statement(
                    "CONCURRENTLY",
                    method.either("m = 12, ef_construction = 48", "lists = 30"),
                ),
            );
            index.assert_exhaustive(client, &index.query(round));
            let recall = index.recall(client, 0..10, 10);
            assert!(recall >= recall_floor(method), "round {round}: recall {recall}");
        }
        drop(stopped);
        transactions = writing
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<u64>();
    });
    let rows = index.rows(client);
    for writer in &mut writers {
        writer.reconcile(&rows);
    }
    index.assert_verified(client);
    let reachable = index.self_search(client, 400);
    assert!(reachable >= REACHABLE, "{reachable} of the rows find themselves");
    report(
        "CIC",
        &format!(
            "{method}: {rounds} builds among {transactions} transactions, {reachable:.4} of the rows find themselves"
        ),
    );
}

fn two_indexes_built_concurrently_do_not_wait_for_each_other_forever(method: Method) {
    let cluster = Cluster::start(&plain(&[("deadlock_timeout", "200ms")]));
    let client = &mut database(&cluster);
    let tables = ["first", "second"].map(|table| {
        let index = Index::table(client, table, VECTOR_L2, 16).by(method);
        index.fill(client, 1..2_001);
        index
    });
    thread::scope(|scope| {
        for index in &tables {
            let mut session = searcher(&cluster);
            scope.spawn(move || {
                for round in 0..scaled(2, 20) {
                    if round > 0 {
                        run(&mut session, &format!("DROP INDEX {}", index.name()));
                    }
                    run(&mut session, &index.build_statement("CONCURRENTLY", ""));
                }
            });
        }
    });
    for index in &tables {
        index.assert_verified(client);
        index.assert_exhaustive(client, &index.query(0));
    }
}

fn scans_to_the_end_among_writers_return_every_row(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "whole", VECTOR_L2, 16).by(method);
    index.fill(client, 1..1_001);
    index.build(client, method.either("m = 8, ef_construction = 32", "lists = 10"));
    let mut writers: Vec<Writer> = (1..=4).map(|number| Writer::new(&index, number, 500)).collect();
    let stop = AtomicBool::new(false);
    let mut scans = 0;
    thread::scope(|scope| {
        let stopped = StopOnDrop(&stop);
        let stop = &stop;
        for writer in &mut writers {
            let mut client = cluster.connect(DATABASE, "postgres");
            scope.spawn(move || repeat(stop, || writer.step(&mut client)).unwrap());
        }
        let mut sweeper = cluster.connect(DATABASE, "postgres");
        scope.spawn(move || {
            repeat(stop, || sweeper.batch_execute("VACUUM (INDEX_CLEANUP ON) whole")).unwrap()
        });
        let deadline = Instant::now() + Duration::from_secs(scaled(4, 60));
        while Instant::now() < deadline {
            scans += 1;
            index.assert_exhaustive(client, &index.query(scans));
        }
        drop(stopped);
    });
    index.assert_verified(client);
    report(
        "G1",
        &format!("{method}: {scans} scans to the end among writers and vacuums"),
    );
}
