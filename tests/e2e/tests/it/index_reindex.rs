//! REINDEX, alone and concurrently among writers, and what a failed one leaves (L4).

use std::sync::atomic::AtomicBool;
use std::thread;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::{Index, assert_verified};
use castmatch_e2e::ledger::{Writer, is_terminated};
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::VECTOR_L2;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;
use postgres::error::SqlState;

use crate::index_setting::{DATABASE, StopOnDrop, database, plain, recall_floor, repeat, report, vacuum};
use crate::setting::SOON;

castmatch_e2e::for_each_method! {
    l4_reindex_alone_and_concurrently_among_writers,
    l4_failed_concurrent_reindex_leaves_an_index_that_can_be_dropped,
    l4_terminated_concurrent_build_leaves_an_index_that_can_be_dropped,
}

fn assert_answers(client: &mut Client, index: &Index) {
    index.assert_used(client);
    index.assert_verified(client);
    index.assert_exhaustive(client, &index.query(-1));
    let recall = index.recall(client, 0..20, 10);
    assert!(recall >= recall_floor(index.method), "recall {recall}");
}

/// Indexes of the table but the named one and the primary key.
fn others(client: &mut Client, index: &Index) -> Vec<String> {
    column(
        client,
        &format!(
            "SELECT indexrelid::regclass::text FROM pg_index
             WHERE indrelid = '{}'::regclass AND NOT indisprimary AND indexrelid <> '{}'::regclass",
            index.table,
            index.name()
        ),
    )
}

fn l4_reindex_alone_and_concurrently_among_writers(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "rebuilt", VECTOR_L2, 16).by(method);
    index.fill(client, 1..3_001);
    // Few lists, so that half the rows take fewer pages.
    index.build(client, method.either("m = 10, ef_construction = 40", "lists = 4"));
    run(client, "DELETE FROM rebuilt WHERE id % 2 = 0");
    vacuum(client, "rebuilt");
    let before = index.bytes(client);
    run(client, "REINDEX INDEX rebuilt_e");
    assert_answers(client, &index);
    let after = index.bytes(client);
    assert!(after < before, "half the rows take {after} bytes, all {before}");
    run(client, "REINDEX TABLE rebuilt");
    assert_answers(client, &index);

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
        for _ in 0..rounds {
            run(client, "REINDEX INDEX CONCURRENTLY rebuilt_e");
            index.assert_exhaustive(client, &index.query(-2));
            assert_eq!(others(client, &index), Vec::<String>::new());
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
    assert_answers(client, &index);
    report(
        "L4",
        &format!("{method}: {rounds} REINDEX CONCURRENTLY among {transactions} transactions"),
    );
}

/// Runs the statement in a session of its own and cancels it once the build is in that phase.
fn cancelled_in(cluster: &Cluster, admin: &mut Client, statement: &str, phase: &str) {
    let mut session = cluster.connect(DATABASE, "postgres");
    let pid: i32 = value(&mut session, "SELECT pg_backend_pid()");
    thread::scope(|scope| {
        let work = scope.spawn(move || session.batch_execute(statement));
        let reached = format!(
            "SELECT pid FROM pg_stat_progress_create_index WHERE pid = {pid} AND phase LIKE '{phase}%'"
        );
        eventually(SOON, phase, || {
            assert!(!work.is_finished(), "{statement} ended before it was {phase}");
            column::<i32>(admin, &reached).pop()
        });
        run(admin, &format!("SELECT pg_cancel_backend({pid})"));
        let error = work.join().unwrap().unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::QUERY_CANCELED),
            "{phase}: {error:?}"
        );
    });
}

/// An index that a failed statement has left takes writes and vacuum as long as it is there, and can be dropped.
fn assert_droppable(client: &mut Client, index: &Index, name: &str, round: i64) {
    assert!(name.contains("_ccnew") || name.contains("_ccold"), "{name}");
    let table = &index.table;
    index.fill(client, 100_000 + 1_000 * round..100_100 + 1_000 * round);
    run(
        client,
        &format!(
            "DELETE FROM {table} WHERE id >= 100000 AND id % 2 = {}",
            round % 2
        ),
    );
    vacuum(client, table);
    let sql = format!("SELECT indisready AND indislive FROM pg_index WHERE indexrelid = '{name}'::regclass");
    if value::<bool>(client, &sql) {
        assert_verified(client, name);
    }
    run(client, &format!("DROP INDEX {name}"));
}

fn l4_failed_concurrent_reindex_leaves_an_index_that_can_be_dropped(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "failing", VECTOR_L2, 48).by(method);
    index.fill(client, 1..scaled(method.either(4_000, 20_000), 20_000));
    index.build(
        client,
        method.either("m = 24, ef_construction = 200", "lists = 400, refine_bits = 3"),
    );
    let old = &mut cluster.connect(DATABASE, "postgres");
    let mut left = 0;
    for (transaction, phase) in [
        (None, "building index"),
        (Some("REPEATABLE READ"), "waiting for old snapshots"),
        // After the new index has taken the place of the old one.
        (Some("READ COMMITTED"), "waiting for readers"),
    ] {
        if let Some(isolation) = transaction {
            run(
                old,
                &format!("BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM failing"),
            );
        }
        cancelled_in(&cluster, client, "REINDEX INDEX CONCURRENTLY failing_e", phase);
        run(old, "COMMIT");
        let names = others(client, &index);
        assert_eq!(names.len(), 1, "{phase}: {names:?}");
        assert_droppable(client, &index, &names[0], left);
        assert_answers(client, &index);
        left += 1;
    }
    run(client, "REINDEX INDEX CONCURRENTLY failing_e");
    assert_eq!(others(client, &index), Vec::<String>::new());
    assert_answers(client, &index);
    report(
        "L4",
        &format!(
            "{method}: {left} indexes left by failed REINDEX CONCURRENTLY written to, vacuumed, dropped"
        ),
    );
}

fn l4_terminated_concurrent_build_leaves_an_index_that_can_be_dropped(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = Index::table(client, "ended", VECTOR_L2, 48).by(method);
    index.fill(client, 1..scaled(4_000, 20_000));
    let old = &mut cluster.connect(DATABASE, "postgres");
    run(old, "BEGIN; INSERT INTO ended (id, version) VALUES (-37, 0)");
    let mut builder = cluster.connect(DATABASE, "postgres");
    let pid: i32 = value(&mut builder, "SELECT pg_backend_pid()");
    let statement = index.build_statement("CONCURRENTLY", "");
    let building = thread::spawn(move || builder.batch_execute(&statement).unwrap_err());
    let waits =
        format!("SELECT pid FROM pg_stat_progress_create_index WHERE pid = {pid} AND phase LIKE 'waiting%'");
    eventually(SOON, "the build waits for the old transaction", || {
        column::<i32>(client, &waits).pop()
    });
    run(client, &format!("SELECT pg_terminate_backend({pid})"));
    let error = building.join().unwrap();
    assert!(is_terminated(&error), "{error:?}");
    run(old, "COMMIT");
    let valid: bool = value(
        client,
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ended_e'::regclass",
    );
    assert!(!valid);
    index.fill(client, 100_000..100_100);
    run(client, "DROP INDEX ended_e");
    index.build(client, "");
    assert_answers(client, &index);
}
