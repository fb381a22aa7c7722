//! What is queued is what was committed.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::error::SqlState;

use crate::setting::{
    SOON, attached_talents, best_match, embedded_by_itself, missing, out_of_step, queued, sync,
};

#[test]
fn only_what_commits_is_embedded() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("transactions");
    attached_talents(client);
    run(
        client,
        "BEGIN; INSERT INTO talents VALUES (6, 'A ghost'); UPDATE talents SET bio = 'Nobody'",
    );
    run(client, "ROLLBACK");
    assert_eq!((queued(client), out_of_step(client, "talents", "bio")), (0, 0));

    run(
        client,
        "BEGIN; INSERT INTO talents VALUES (6, 'A violinist'); SAVEPOINT s; INSERT INTO talents VALUES (7, 'A ghost')",
    );
    run(
        client,
        "UPDATE talents SET bio = 'Nobody' WHERE id = 1; ROLLBACK TO s; INSERT INTO talents VALUES (8, 'A cellist'); COMMIT",
    );
    embedded_by_itself(client, "talents", SOON);
    assert_eq!(sync(client, "talents"), 0);
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    let ids: Vec<i64> = column(client, "SELECT id FROM talents WHERE id > 5 ORDER BY id");
    assert_eq!(ids, [6, 8]);

    run(client, "BEGIN; INSERT INTO talents VALUES (9, 'Not yet')");
    fails_with(
        client,
        &SqlState::ACTIVE_SQL_TRANSACTION,
        "SELECT castmatch.sync('talents')",
    );
    run(client, "ROLLBACK");
    sync_in_a_transaction_of_one_snapshot_is_refused(client);
}

fn sync_in_a_transaction_of_one_snapshot_is_refused(client: &mut postgres::Client) {
    run(client, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    fails_with(
        client,
        &SqlState::ACTIVE_SQL_TRANSACTION,
        "SELECT castmatch.sync('talents')",
    );
    run(client, "ROLLBACK");
    // In one of READ COMMITTED it sees what others commit.
    run(client, "BEGIN; SELECT castmatch.sync('talents', '30 s'); COMMIT");
}

#[test]
fn prepared_transactions_are_embedded_after_their_commit() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("transactions");
    attached_talents(client);
    run(client, "BEGIN; INSERT INTO talents VALUES (6, 'A violinist')");
    run(client, "PREPARE TRANSACTION 'one'");
    run(client, "BEGIN; INSERT INTO talents VALUES (7, 'A cellist')");
    run(client, "PREPARE TRANSACTION 'two'");
    assert_eq!(sync(client, "talents"), 0);
    run(client, "COMMIT PREPARED 'one'");
    run(client, "ROLLBACK PREPARED 'two'");
    assert_eq!(sync(client, "talents"), 1);
    assert_eq!((missing(client, "talents"), queued(client)), (0, 0));
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
}

#[test]
fn read_only_transactions_embed_and_match() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("transactions");
    attached_talents(client);
    run(client, "BEGIN READ ONLY ISOLATION LEVEL SERIALIZABLE");
    assert_eq!(
        value::<i32>(client, "SELECT vector_dims(castmatch.embed('x'))"),
        384
    );
    for mode in ["hybrid", "semantic", "text"] {
        assert_eq!(
            best_match(client, "talents", "kathak", mode).as_deref(),
            Some("3"),
            "{mode}"
        );
    }
    run(
        client,
        "SELECT castmatch.health(); SELECT count(*) FROM castmatch.metrics()",
    );
    run(client, "COMMIT");
    run(client, "SET default_transaction_read_only = on");
    fails_with(
        client,
        &SqlState::READ_ONLY_SQL_TRANSACTION,
        "SELECT castmatch.chat('who sings?')",
    );
    run(client, "RESET default_transaction_read_only");
    assert_eq!(
        value::<i64>(client, "SELECT count(*) FROM castmatch.conversations"),
        0
    );
}

#[test]
fn isolation_and_long_transactions_do_not_lose_rows() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("transactions");
    attached_talents(client);
    // A transaction that queues early and commits late: its entries have lower numbers than those dealt with meanwhile.
    let late = &mut cluster.connect("transactions", "postgres");
    run(late, "BEGIN; INSERT INTO talents VALUES (6, 'Committed late')");
    run(client, "INSERT INTO talents VALUES (7, 'Committed early')");
    embedded_by_itself(client, "talents", SOON);
    let serial = &mut cluster.connect("transactions", "postgres");
    run(
        serial,
        "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO talents VALUES (8, 'Committed serializably')",
    );
    run(late, "COMMIT");
    run(serial, "COMMIT");
    eventually(SOON, "all three rows", || {
        (value::<i64>(
            client,
            "SELECT count(*) FROM talents WHERE id > 5 AND embedding IS NOT NULL",
        ) == 3)
            .then_some(())
    });
}
