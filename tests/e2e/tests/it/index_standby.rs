//! A streaming standby: the same answers at the same LSN (W1), the same pages (W3), and replay that agrees with what the
//! primary wrote while `wal_consistency_checking` compares every page (W2).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::index::{Index, prefer_index};
use castmatch_e2e::ledger::Writer;
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{
    DATABASE, StopOnDrop, database, plain, recall_floor, repeat, report, searcher, vacuum,
};
use crate::setting::{RECOVERY, TALENTS};

castmatch_e2e::for_each_method! {
    w1_standby_gives_the_same_answers_at_the_same_lsn,
    w2_standby_replays_consistent_pages,
}

const SEED: u64 = 314;
const ROWS: i64 = 400;
const QUERIES: i64 = 20;
/// The table whose index has filter columns.
const FILTERED: &str = "same_filtered";

/// Waits until the standby has replayed what the primary has written so far.
fn catch_up(primary: &mut Client, standby: &mut Client) {
    let written: String = value(primary, "SELECT pg_current_wal_insert_lsn()::text");
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
    eventually(RECOVERY, "the standby catches up", || {
        value::<bool>(standby, &replayed).then_some(())
    });
}

/// Asserts that both servers return the same rows at the same distances in the same order; returns the rows compared.
fn assert_same_answers(
    primary: &mut Client,
    standby: &mut Client,
    index: &Index,
    random: &mut Random,
) -> usize {
    let mut compared = 0;
    for _ in 0..QUERIES {
        let query = index.query(random.within(0..1_000_000));
        // Now and then deeper than the first window of a scan.
        let k = *random.of(&[10, 10, 30, 200]);
        let here = index.nearest(primary, &query, k);
        let there = index.nearest(standby, &query, k);
        assert_eq!(here, there, "{}, {k} rows nearest to {query}", index.table);
        compared += here.len();
    }
    compared
}

/// As [`assert_same_answers`] with a condition on a filter column, of the table that has some.
fn assert_same_filtered(
    primary: &mut Client,
    standby: &mut Client,
    indexes: &[Index],
    random: &mut Random,
) -> usize {
    let index = indexes.iter().find(|index| index.table == FILTERED).unwrap();
    let mut compared = 0;
    for _ in 0..QUERIES {
        let query = index.query(random.within(0..1_000_000));
        let sql = index.nearest_sql(&query, 10, "WHERE touched > 0 AND version = 0");
        let rows = |client: &mut Client| -> Vec<(i64, f64)> {
            let rows = client.query(&sql, &[]).unwrap();
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        };
        let here = rows(primary);
        assert_eq!(here, rows(standby), "{sql}");
        assert_eq!(here.len(), 10);
        compared += here.len();
    }
    compared
}

fn w1_standby_gives_the_same_answers_at_the_same_lsn(method: Method) {
    let primary = Cluster::start(&Options {
        preload: true,
        ..plain(&[])
    });
    let client = &mut database(&primary);
    let mut indexes: Vec<Index> = Vec::new();
    for &class in method.classes() {
        let table = format!("same_{}", class.name.trim_end_matches("_ops"));
        indexes.push(Index::table(client, &table, class, 20).by(method));
    }
    indexes.push(
        Index::table(client, FILTERED, opclass::VECTOR_L2, 20)
            .by(method)
            .filtered(),
    );
    for index in &indexes {
        index.fill(client, 1..ROWS + 1);
        index.build(client, method.either("m = 8, ef_construction = 32", "lists = 8"));
    }
    let standby = primary.standby();
    let reader = &mut searcher(&standby);
    let mut random = Random::new(SEED);
    let (mut compared, mut next) = (0, ROWS + 1);
    let cycles = scaled(method.either(10, 5), 100);
    for cycle in 0..cycles {
        for index in &indexes {
            let table = &index.table;
            // pgvector's cycle: a tenth goes, vacuum, as many come.
            run(
                client,
                &format!("DELETE FROM {table} WHERE (id + {cycle}) % 10 = 0"),
            );
            compare_after(client, reader, index, &mut random, &mut compared);
            vacuum(client, table);
            compare_after(client, reader, index, &mut random, &mut compared);
            index.fill(client, next..next + ROWS / 10);
        }
        run(
            client,
            &format!("UPDATE {FILTERED} SET touched = touched + 1 WHERE (id + {cycle}) % 7 = 0"),
        );
        catch_up(client, reader);
        compared += assert_same_filtered(client, reader, &indexes, &mut random);
        for index in &indexes {
            index.assert_used(reader);
            compared += assert_same_answers(client, reader, index, &mut random);
        }
        next += ROWS / 10;
    }
    let mut lowest = 1.0_f64;
    for index in &indexes {
        index.assert_verified(client);
        index.assert_verified(reader);
        lowest = lowest.min(index.recall(reader, 0..20, 10));
    }
    assert!(lowest >= recall_floor(method), "recall {lowest}");
    let pages = assert_same_pages(&primary, &standby, client, reader, &indexes);
    report(
        "W1",
        &format!(
            "{method}, seed {SEED}, {cycles} cycles of {} operator classes, {compared} rows equal, recall {lowest:.4}",
            indexes.len()
        ),
    );
    report("W3", &format!("{pages} pages equal"));
}

/// One query in the middle of a cycle, so that states between the steps are compared too.
fn compare_after(
    client: &mut Client,
    reader: &mut Client,
    index: &Index,
    random: &mut Random,
    compared: &mut usize,
) {
    catch_up(client, reader);
    let query = index.query(random.within(0..1_000_000));
    let here = index.nearest(client, &query, 10);
    assert_eq!(
        here,
        index.nearest(reader, &query, 10),
        "{}, in a cycle",
        index.table
    );
    *compared += here.len();
}

/// The pages of a relation's main fork as they are on disk, without what a standby may have otherwise: the LSN and
/// the checksum in the page header.
fn pages(file: &Path) -> Vec<Vec<u8>> {
    const PAGE_BYTES: usize = 8192;
    const OTHERWISE: usize = 10;
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    bytes
        .chunks(PAGE_BYTES)
        .map(|page| page[OTHERWISE..].to_vec())
        .collect()
}

/// Asserts that the indexes are the same on both servers byte by byte; returns the number of pages.
fn assert_same_pages(
    primary: &Cluster,
    standby: &Cluster,
    client: &mut Client,
    reader: &mut Client,
    indexes: &[Index],
) -> usize {
    run(client, "CHECKPOINT");
    catch_up(client, reader);
    run(reader, "CHECKPOINT");
    let mut compared = 0;
    for index in indexes {
        let sql = format!("SELECT pg_relation_filepath('{}')", index.name());
        let file = PathBuf::from(value::<String>(client, &sql));
        let here = pages(&primary.data().join(&file));
        let there = pages(&standby.data().join(&file));
        assert_eq!(here.len(), there.len(), "pages of {}", index.name());
        for (block, (one, other)) in here.iter().zip(&there).enumerate() {
            let differs = one.iter().zip(other).position(|(a, b)| a != b);
            assert_eq!(
                differs.map(|byte| byte + 10),
                None,
                "{}, block {block}",
                index.name()
            );
        }
        compared += here.len();
    }
    compared
}

/// What users do with an index besides inserting, in the manner of the regression tests.
fn everyday_statements(client: &mut Client, method: Method) {
    run(client, TALENTS);
    let small = method.either("m = 2, ef_construction = 4", "lists = 1");
    let large = method.either("m = 100, ef_construction = 200", "lists = 100, refine_bits = 3");
    // The taxicab distance, which one of them lacks, and another class.
    let (half, late) = method.either(
        ("halfvec_l1_ops", "vector_l1_ops"),
        ("halfvec_ip_ops", "vector_ip_ops"),
    );
    run(
        client,
        &format!(
            "CREATE TABLE items (id serial PRIMARY KEY, e vector(3), h halfvec(3));
             CREATE INDEX items_early ON items USING {method} (e vector_l2_ops);
             INSERT INTO items (e, h) VALUES ('[1,2,3]', '[1,2,3]'), ('[0,0,0]', '[0,0,0]'), (NULL, NULL);
             CREATE INDEX items_cosine ON items USING {method} (e vector_cosine_ops) WITH ({small});
             CREATE INDEX items_half ON items USING {method} (h {half}) WITH ({large});
             CREATE INDEX items_part ON items USING {method} (e vector_ip_ops) WHERE id % 2 = 0;
             CREATE INDEX items_cast ON items USING {method} ((h::vector(3)) vector_l2_ops);
             INSERT INTO items (e, h) SELECT e, e::halfvec FROM (SELECT ARRAY[i % 7, i % 11, i]::vector e FROM generate_series(1, 500) i) v;
             INSERT INTO items (e, h) SELECT '[5,5,5]', '[5,5,5]' FROM generate_series(1, 200);
             UPDATE items SET e = '[9,9,9]' WHERE id % 9 = 0;
             UPDATE items SET e = NULL WHERE id % 31 = 0;
             DELETE FROM items WHERE id % 5 = 0"
        ),
    );
    vacuum(client, "items");
    for sql in [
        "INSERT INTO items (e, h) SELECT e, h FROM items WHERE id < 200",
        "BEGIN; INSERT INTO items (e) SELECT e FROM items; SAVEPOINT s; DELETE FROM items; ROLLBACK TO s; COMMIT",
        "BEGIN; INSERT INTO items (e) SELECT e FROM items; ROLLBACK",
        "BEGIN; INSERT INTO items (e) VALUES ('[7,7,7]'); PREPARE TRANSACTION 'two phases'",
        "COMMIT PREPARED 'two phases'",
        "REINDEX INDEX items_early",
        "REINDEX TABLE CONCURRENTLY items",
        &format!("CREATE INDEX CONCURRENTLY items_late ON items USING {method} (e {late})"),
        "VACUUM FULL items",
        "CLUSTER items USING items_pkey",
        "DROP INDEX items_early",
        "DELETE FROM items",
        "VACUUM items",
        "INSERT INTO items (e, h) VALUES ('[1,1,1]', '[2,2,2]')",
        "TRUNCATE items",
        "INSERT INTO items (e, h) VALUES ('[1,1,1]', '[2,2,2]')",
        "ALTER TABLE items SET UNLOGGED",
        "INSERT INTO items (e, h) VALUES ('[1,1,2]', '[2,2,3]')",
        "ALTER TABLE items SET LOGGED",
        "INSERT INTO items (e, h) VALUES ('[1,1,4]', '[2,2,5]')",
        "ALTER TABLE items ALTER COLUMN h TYPE halfvec(3) USING h + h",
        "SELECT count(*) FROM castmatch.verify_index('items_late')",
    ] {
        run(client, sql);
    }
}

/// Statements of the regression tests about indexes, whatever they answer here; errors are part of them.
fn regression_statements(primary: &Cluster, method: Method) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pg_regress/sql");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(method.either("index_", "ivf_")) {
            continue;
        }
        // psql runs as the server's account, which cannot read the checkout everywhere.
        let copy = primary.new_folder(&name).join("statements.sql");
        fs::copy(&path, &copy).unwrap();
        let arguments = ["-X", "-q", "-f", copy.to_str().unwrap(), &primary.url(DATABASE)];
        primary.program("psql", &arguments);
        files += 1;
    }
    files
}

fn w2_standby_replays_consistent_pages(method: Method) {
    // Every record carries its page: a standby that falls behind must still find them.
    let primary = Cluster::start(&plain(&[
        ("wal_consistency_checking", "generic"),
        ("wal_keep_size", "4GB"),
    ]));
    let client = &mut database(&primary);
    let standby = primary.standby();
    let reader = &mut searcher(&standby);
    let indexes = [opclass::VECTOR_L2, opclass::HALFVEC_COSINE].map(|class| {
        let index = Index::table(client, &format!("consistent_{}", class.element), class, 16).by(method);
        index.fill(client, 1..301);
        index.build(client, method.either("m = 5, ef_construction = 20", "lists = 5"));
        index
    });
    catch_up(client, reader);
    let stop = AtomicBool::new(false);
    let span = scaled(Duration::from_secs(4), Duration::from_secs(60));
    let (mut transactions, mut searches, mut files) = (0, 0, 0);
    thread::scope(|scope| {
        let stopped = StopOnDrop(&stop);
        let stop = &stop;
        let writing: Vec<_> = (1..=4)
            .map(|number| {
                let mut writer = Writer::new(&indexes[usize::try_from(number % 2).unwrap()], number, 200);
                let mut client = primary.connect(DATABASE, "postgres");
                scope.spawn(move || repeat(stop, || writer.step(&mut client)).unwrap())
            })
            .collect();
        let mut sweeper = primary.connect(DATABASE, "postgres");
        let indexes = &indexes;
        scope.spawn(move || {
            repeat(stop, || {
                for index in indexes {
                    vacuum(&mut sweeper, &index.table);
                }
                Ok::<_, postgres::Error>(())
            })
        });
        let mut watcher = searcher(&standby);
        let reading = scope.spawn(move || {
            let mut number = 0;
            repeat(stop, || {
                number += 1;
                let rows = indexes[0].nearest(&mut watcher, &indexes[0].query(number), 10);
                assert_eq!(rows.len(), 10);
                Ok::<_, postgres::Error>(())
            })
            .unwrap()
        });
        let deadline = Instant::now() + span;
        everyday_statements(client, method);
        files = regression_statements(&primary, method);
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        drop(stopped);
        transactions = writing.into_iter().map(|thread| thread.join().unwrap()).sum();
        searches = reading.join().unwrap();
    });
    catch_up(client, reader);
    for index in &indexes {
        prefer_index(reader);
        index.assert_verified(reader);
        assert_same_answers(client, reader, index, &mut Random::new(SEED));
    }
    let pages = assert_same_pages(&primary, &standby, client, reader, &indexes);
    report(
        "W2",
        &format!(
            "{method}: {transactions} transactions, {searches} searches on the standby, {files} files of statements, {pages} pages equal"
        ),
    );
}
