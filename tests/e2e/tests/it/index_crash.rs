//! The whole server killed in the middle of writing (C1): afterwards the table holds what was committed, and the index
//! agrees with it without REINDEX.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::index::{Index, prefer_index};
use castmatch_e2e::ledger::{Writer, is_lost};
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::{HALFVEC_COSINE, VECTOR_L2};
use castmatch_e2e::query::run;
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{DATABASE, recall_floor, repeat, report, searcher, some_moment};

castmatch_e2e::for_each_method! {
    c1_killed_server_keeps_what_was_committed_and_its_index,
    c1_second_crash_during_recovery_does_no_harm,
}

const WRITERS: i64 = 8;
const READERS: i64 = 2;
const SEED: u64 = 20_261_123;
/// Queries for a figure of recall: that of 20 varies by a point and more between sets of queries on the same index.
const QUERIES: i64 = 200;
/// Rows that no writer changes.
const FIXED_ROWS: i64 = 500;
/// Longest time that a start after a crash may take.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// Steps until the server is gone; returns their number.
fn until_lost(what: &str, mut step: impl FnMut() -> Result<(), postgres::Error>) -> u64 {
    let mut steps = 0;
    loop {
        match step() {
            Ok(()) => steps += 1,
            Err(error) if is_lost(&error) => return steps,
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
}

/// Writers, readers and two kinds of vacuum at work until the server is killed; returns the writers' transactions and
/// the searches.
fn killed_at_work(
    cluster: &mut Cluster,
    tables: &[Index],
    writers: &mut [Writer],
    random: &mut Random,
) -> (u64, u64) {
    let writing: Vec<_> = writers
        .iter_mut()
        .map(|writer| (writer, cluster.connect(DATABASE, "postgres")))
        .collect();
    let reading: Vec<_> = (0..READERS).map(|_| searcher(cluster)).collect();
    let mut sweeping = cluster.connect(DATABASE, "postgres");
    thread::scope(|scope| {
        let at_writing: Vec<_> = writing
            .into_iter()
            .map(|(writer, mut client)| {
                scope.spawn(move || until_lost("writer", || writer.step(&mut client)))
            })
            .collect();
        let at_reading: Vec<_> = reading
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                let index = &tables[number % tables.len()];
                scope.spawn(move || {
                    let mut query = 0..;
                    until_lost("reader", || {
                        let text = index.query(query.next().unwrap());
                        let rows = client.query(&index.nearest_sql(&text, 10, ""), &[])?;
                        assert_eq!(rows.len(), 10);
                        Ok(())
                    })
                })
            })
            .collect();
        scope.spawn(move || {
            until_lost("vacuum", || {
                tables
                    .iter()
                    .try_for_each(|index| sweeping.batch_execute(&format!("VACUUM {}", index.table)))
            })
        });
        some_moment(
            random,
            scaled(Duration::from_millis(1500), Duration::from_secs(3)),
        );
        cluster.kill_immediately();
        let sum = |threads: Vec<thread::ScopedJoinHandle<'_, u64>>| {
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<u64>()
        };
        (sum(at_writing), sum(at_reading))
    })
}

fn assert_sound(client: &mut Client, index: &Index, writers: &mut [Writer], cycle: usize) -> f64 {
    let rows = index.rows(client);
    for writer in writers.iter_mut().filter(|writer| writer.table() == index.table) {
        writer.reconcile(&rows);
    }
    assert_eq!(
        rows.range(..=FIXED_ROWS).count(),
        usize::try_from(FIXED_ROWS).unwrap()
    );
    index.assert_verified(client);
    index.assert_used(client);
    index.assert_exhaustive(client, &index.query(-1));
    let recall = index.recall(client, 0..QUERIES, 10);
    assert!(
        recall >= recall_floor(index.method) - 0.01,
        "cycle {cycle}, {}: recall {recall}",
        index.table
    );
    recall
}

fn c1_killed_server_keeps_what_was_committed_and_its_index(method: Method) {
    let mut cluster = Cluster::start(&Options {
        crashes: true,
        settings: [
            ("autovacuum_naptime", "1s"),
            ("autovacuum_vacuum_threshold", "20"),
            ("autovacuum_vacuum_scale_factor", "0"),
            ("autovacuum_vacuum_insert_threshold", "100"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec(),
        ..Options::default()
    });
    let mut client = cluster.database(DATABASE);
    let client = &mut client;
    // Few neighbours make the graph depend on every link; in the other table most rows are on few pages.
    let tables = [
        (
            Index::table(client, "crash_l2", VECTOR_L2, 16).by(method),
            method.either("m = 8, ef_construction = 32", "lists = 20, refine_bits = 3"),
        ),
        (
            Index::table(client, "crash_cosine", HALFVEC_COSINE, 24)
                .by(method)
                .filtered(),
            "",
        ),
    ]
    .map(|(index, with)| {
        index.fill(client, 1..FIXED_ROWS + 1);
        index.build(client, with);
        index
    });
    let mut writers: Vec<Writer> = (1..=WRITERS)
        .map(|number| {
            Writer::new(
                &tables[usize::try_from(number).unwrap() % tables.len()],
                number,
                300,
            )
        })
        .collect();
    let mut random = Random::new(SEED);
    let (mut transactions, mut searches, mut slowest, mut lowest) = (0, 0, Duration::ZERO, 1.0_f64);
    let cycles = scaled(method.either(4, 2), 20);
    for cycle in 0..cycles {
        let (wrote, read) = killed_at_work(&mut cluster, &tables, &mut writers, &mut random);
        transactions += wrote;
        searches += read;
        let start = Instant::now();
        cluster.boot();
        slowest = slowest.max(start.elapsed());
        assert!(slowest < RECOVERY_LIMIT, "recovery took {slowest:?}");
        let client = &mut searcher(&cluster);
        for index in &tables {
            lowest = lowest.min(assert_sound(client, index, &mut writers, cycle));
        }
    }
    assert!(transactions > 0 && searches > 0, "the load did nothing");
    // The index heals by itself, but vacuum is to find nothing that it cannot clean either.
    let client = &mut searcher(&cluster);
    for index in &tables {
        run(client, &format!("VACUUM {}", index.table));
        lowest = lowest.min(assert_sound(client, index, &mut writers, cycles));
    }
    report(
        "C1",
        &format!(
            "{method}, seed {SEED}, {cycles} kills, {transactions} transactions, {searches} searches, \
             slowest start {slowest:?}, lowest recall {lowest:.4}"
        ),
    );
}

fn c1_second_crash_during_recovery_does_no_harm(method: Method) {
    let mut cluster = Cluster::start(&crate::index_setting::killed(&[]));
    let mut client = cluster.database(DATABASE);
    let index = Index::table(&mut client, "twice", VECTOR_L2, 16).by(method);
    index.fill(&mut client, 1..1001);
    index.build(
        &mut client,
        method.either("m = 8, ef_construction = 32", "lists = 20"),
    );
    let mut writer = Writer::new(&index, 1, 2000);
    let stop = AtomicBool::new(false);
    let mut random = Random::new(SEED);
    for _ in 0..scaled(2, 10) {
        thread::scope(|scope| {
            let mut writing = cluster.connect(DATABASE, "postgres");
            let writer = &mut writer;
            let stop = &stop;
            scope.spawn(move || {
                repeat(stop, || writer.step(&mut writing)).expect_err("the server goes away");
            });
            some_moment(&mut random, Duration::from_millis(800));
            cluster.kill_immediately();
        });
        let most = 200_000;
        cluster.boot_killed_after(Duration::from_micros(random.within(0..most).unsigned_abs()));
        cluster.boot();
        let client = &mut cluster.connect(DATABASE, "postgres");
        prefer_index(client);
        writer.reconcile(&index.rows(client));
        index.assert_verified(client);
        let recall = index.recall(client, 0..QUERIES, 10);
        assert!(recall >= recall_floor(method) - 0.01, "recall {recall}");
    }
}
