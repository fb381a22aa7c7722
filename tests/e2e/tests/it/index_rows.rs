//! Rows that the table keeps elsewhere: vectors in the TOAST table, of rows that are dead to some snapshots and not to others.

use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::{Index, prefer_index};
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::{self, OperatorClass};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{DATABASE, database, plain, vacuum};
use crate::setting::SOON;

castmatch_e2e::for_each_method! {
    toasted_rows_are_indexed_beside_dead_ones_of_an_old_snapshot,
    old_snapshot_finds_its_toasted_rows_by_the_index,
    build_goes_on_when_vacuum_takes_the_vectors_of_dead_rows,
    toasted_rows_bear_reindexing_under_load,
}

/// Too many for a vector to stay in its row.
const DIMS: usize = 1_100;

/// Rows 1 to `rows` with their vectors in the TOAST table.
fn toasted(client: &mut Client, method: Method, table: &str, class: OperatorClass, rows: i64) -> Index {
    let index = Index::table(client, table, class, DIMS).by(method);
    run(
        client,
        &format!("ALTER TABLE {table} ALTER COLUMN e SET STORAGE EXTERNAL"),
    );
    index.fill(client, 1..rows + 1);
    let toast = toast_table(client, table);
    let chunks: i64 = value(client, &format!("SELECT count(*) FROM {toast}"));
    assert!(
        chunks >= rows / 2,
        "the vectors are not in the TOAST table: {chunks} chunks"
    );
    index
}

/// A snapshot that is held without a lock on any table, so that indexes can be rebuilt meanwhile.
struct OldSnapshot {
    holder: Client,
    name: String,
}

impl OldSnapshot {
    fn take(cluster: &Cluster) -> Self {
        let mut holder = cluster.connect(DATABASE, "postgres");
        run(&mut holder, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        let name = value(&mut holder, "SELECT pg_export_snapshot()");
        Self { holder, name }
    }

    /// What a transaction with this snapshot gives.
    fn see<T>(&self, cluster: &Cluster, look: impl FnOnce(&mut Client) -> T) -> T {
        let mut reader = cluster.connect(DATABASE, "postgres");
        prefer_index(&mut reader);
        let name = &self.name;
        run(
            &mut reader,
            &format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '{name}'"),
        );
        let seen = look(&mut reader);
        run(&mut reader, "COMMIT");
        seen
    }

    fn end(mut self) {
        run(&mut self.holder, "COMMIT");
    }
}

fn toast_table(client: &mut Client, table: &str) -> String {
    value(
        client,
        &format!("SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = '{table}'::regclass"),
    )
}

fn toasted_rows_are_indexed_beside_dead_ones_of_an_old_snapshot(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for class in [opclass::VECTOR_L2, opclass::HALFVEC_COSINE] {
        let rows = scaled(400, 5_000);
        let table = format!("t_{}", class.name);
        let index = toasted(client, method, &table, class, rows);
        index.build(client, "");
        let query = index.query(1);

        let old = OldSnapshot::take(&cluster);
        let seen = old.see(&cluster, |reader| index.rows(reader));
        run(
            client,
            &format!(
                "DELETE FROM {table} WHERE id % 2 = 0; UPDATE {table} SET touched = 1, e = e WHERE id % 3 = 0"
            ),
        );
        let name = index.name();
        let rebuilt = |client: &mut Client, how: &str| {
            run(client, how);
            index.assert_exhaustive(client, &query);
            index.assert_verified(client);
        };
        rebuilt(client, &format!("REINDEX INDEX {name}"));
        rebuilt(client, &format!("REINDEX TABLE {table}"));
        let still = old.see(&cluster, |reader| index.rows(reader));
        assert_eq!(still, seen, "the old snapshot still reads what it saw");
        // A concurrent one would wait for it.
        old.end();
        rebuilt(client, &format!("REINDEX INDEX CONCURRENTLY {name}"));
        vacuum(client, &table);
        rebuilt(client, &format!("REINDEX INDEX {name}"));
        let found = index.recall(client, 0..20, 10);
        assert!(found >= 0.9, "{}: recall {found}", class.name);
    }
}

/// The old snapshot sees its rows by the index too, where that was made before they were deleted and after.
fn old_snapshot_finds_its_toasted_rows_by_the_index(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = toasted(client, method, "t", opclass::VECTOR_L2, 200);
    index.build(client, "");
    let old = OldSnapshot::take(&cluster);
    let found = |old: &OldSnapshot| {
        old.see(&cluster, |reader| {
            index.assert_exhaustive(reader, &index.query(1))
        })
    };
    let live = found(&old);
    run(client, "DELETE FROM t WHERE id > 100");
    vacuum(client, "t");
    assert_eq!(found(&old), live);
    run(client, "REINDEX INDEX t_e");
    assert_eq!(found(&old), live);
    old.end();
    vacuum(client, "t");
    assert!(index.assert_exhaustive(client, &index.query(1)) < live);
    index.assert_verified(client);
}

/// A build that is on its way when the last snapshot that could see some dead rows ends, and vacuum takes their vectors from
/// the TOAST table: the build still meets the rows, and goes on without them.
fn build_goes_on_when_vacuum_takes_the_vectors_of_dead_rows(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    // The predicate stops the build at row 1 until the test lets go of a lock, another one each time it gets there.
    run(
        client,
        "CREATE SEQUENCE visits;
         CREATE FUNCTION gate(id bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
         BEGIN
             IF id = 1 THEN
                 PERFORM pg_advisory_xact_lock_shared(nextval('public.visits'));
             END IF;
             RETURN true;
         END $$",
    );
    for (number, class, with) in [
        (1, opclass::VECTOR_L2, method.either("code_bits = 32", "")),
        (
            2,
            opclass::HALFVEC_COSINE,
            method.either("code_bits = 4", "lists = 5"),
        ),
        (
            3,
            method.either(opclass::VECTOR_L1, opclass::ALL[1]),
            method.either("code_bits = 8", "lists = 3, refine_bits = 3"),
        ),
    ] {
        let table = format!("t_{number}");
        let index = toasted(client, method, &table, class, 300);
        let old = OldSnapshot::take(&cluster);
        run(client, &format!("DELETE FROM {table} WHERE id > 100"));
        // The count of dead rows below is to be vacuum's, not that of this statement arriving late.
        run(client, "SELECT pg_stat_force_next_flush()");
        run(client, "SELECT setval('visits', 1, false)");
        let statement = index.build_statement("", with) + " WHERE gate(id)";
        // How often does a build come by? Each visit may be the one that matters, so the last one is stopped.
        run(client, &statement);
        let visits: i64 = value(client, "SELECT last_value FROM visits");
        run(client, &format!("DROP INDEX {}", index.name()));
        run(client, "SELECT setval('visits', 1, false)");
        run(client, &format!("SELECT pg_advisory_lock({visits})"));
        let mut builder = cluster.connect(DATABASE, "postgres");
        thread::scope(|scope| {
            let building = scope.spawn(|| builder.batch_execute(&statement));
            let waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            eventually(SOON, "the build waits", || column::<i32>(client, waiting).pop());
            old.end();
            let toast = toast_table(client, &table);
            run(client, &format!("VACUUM {toast}"));
            let left = format!("SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = '{toast}'::regclass");
            assert_eq!(
                value::<i64>(client, &left),
                0,
                "vacuum could not take the vectors of the dead rows"
            );
            run(client, &format!("SELECT pg_advisory_unlock({visits})"));
            let built = building.join().unwrap();
            assert!(built.is_ok(), "{}: {built:?}", class.name);
        });
        vacuum(client, &table);
        let sql = index.nearest_sql(&index.query(1), 1000, "WHERE gate(id)");
        let found: i64 = value(client, &format!("SELECT count(*) FROM ({sql}) found"));
        let live: i64 = value(client, &format!("SELECT count(e) FROM {table}"));
        assert_eq!(found, live, "{}", class.name);
        index.assert_verified(client);
    }
}

/// The same by chance and many times: rows come and go, TOAST tables are vacuumed, snapshots are held, indexes rebuilt.
fn toasted_rows_bear_reindexing_under_load(method: Method) {
    let cluster = Cluster::start(&plain(&[("autovacuum", "on"), ("autovacuum_naptime", "1s")]));
    let client = &mut database(&cluster);
    let index = &toasted(client, method, "t", opclass::VECTOR_L2, 300);
    index.build(client, method.either("m = 8, ef_construction = 16", ""));
    let rounds = scaled(method.either(8, 4), 200);
    thread::scope(|scope| {
        let mut writer = cluster.connect(DATABASE, "postgres");
        let work = scope.spawn(move || {
            let writer = &mut writer;
            for round in 0..rounds * 4 {
                let low = (round * 37) % 200;
                let high = low + 60;
                run(
                    writer,
                    &format!("DELETE FROM t WHERE id BETWEEN {low} AND {high}"),
                );
                vacuum(writer, "t");
                index.fill(writer, low.max(1)..high + 1);
                run(
                    writer,
                    &format!("UPDATE t SET e = e, touched = touched + 1 WHERE id BETWEEN {low} AND {high}"),
                );
            }
        });
        let mut holder = cluster.connect(DATABASE, "postgres");
        let reader = scope.spawn(move || {
            let holder = &mut holder;
            prefer_index(holder);
            for round in 0..rounds * 4 {
                run(holder, "BEGIN ISOLATION LEVEL REPEATABLE READ");
                index.assert_exhaustive(holder, &index.query(round));
                thread::sleep(Duration::from_millis(20));
                index.assert_exhaustive(holder, &index.query(round));
                run(holder, "COMMIT");
            }
        });
        for _ in 0..rounds {
            run(client, "REINDEX INDEX t_e");
            run(client, "REINDEX INDEX CONCURRENTLY t_e");
        }
        work.join().unwrap();
        reader.join().unwrap();
    });
    index.assert_exhaustive(client, &index.query(0));
    index.assert_verified(client);
}
