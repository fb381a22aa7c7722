//! An attached table's embeddings follow its texts through every kind of change.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;

use crate::setting::{
    PROMPT, SOON, attached_talents, best_match, embedded_by_itself, missing, out_of_step, queued, sync,
};

fn step(client: &mut Client, what: &str) {
    sync(client, "talents");
    assert_eq!(out_of_step(client, "talents", "bio"), 0, "after {what}");
    assert_eq!(queued(client), 0, "after {what}");
}

#[test]
fn embeddings_follow_every_kind_of_change() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("upkeep");
    attached_talents(client);
    step(client, "attach");
    let best = best_match(client, "talents", "policeman on horseback", "semantic");
    assert_eq!(best.as_deref(), Some("1"));
    let best = best_match(client, "talents", "young person good at sports", "semantic");
    assert_eq!(best.as_deref(), Some("4"));
    let best = best_match(client, "talents", "kathak", "text");
    assert_eq!(best.as_deref(), Some("3"));

    run(
        client,
        "INSERT INTO talents VALUES (6, 'A stunt driver', 'Delhi', 33), (7, NULL, 'Goa', 20), (8, '  ', 'Goa', 20)",
    );
    step(client, "INSERT");
    run(
        client,
        "UPDATE talents SET bio = 'A violin player' WHERE id IN (2, 7)",
    );
    step(client, "UPDATE of the text");
    run(client, "UPDATE talents SET bio = NULL WHERE id = 6");
    step(client, "UPDATE to NULL");
    assert_eq!(missing(client, "talents"), 2);

    let embedded = "SELECT embedded FROM castmatch.attachments";
    let before: i64 = value(client, embedded);
    run(client, "UPDATE talents SET city = 'Agra', age = age + 1");
    assert_eq!(
        queued(client),
        0,
        "another column does not make a row embedded again"
    );
    run(client, "UPDATE talents SET bio = bio");
    assert_eq!(queued(client), 0, "nor does the same text");
    step(client, "UPDATE of another column");
    assert_eq!(value::<i64>(client, embedded), before);

    run(client, "UPDATE talents SET id = id + 100 WHERE id < 4");
    step(client, "UPDATE of the key");
    run(client, "DELETE FROM talents WHERE id = 101");
    step(client, "DELETE");
    run(
        client,
        "INSERT INTO talents VALUES (9, 'A juggler') ; DELETE FROM talents WHERE id = 9",
    );
    step(client, "INSERT and DELETE");
    run(
        client,
        "INSERT INTO talents VALUES (4, 'A fencer') ON CONFLICT (id) DO UPDATE SET bio = excluded.bio",
    );
    step(client, "upsert");

    let mut copy = client.copy_in("COPY talents (id, bio) FROM STDIN").unwrap();
    for id in 1000..1100 {
        writeln!(
            copy,
            "{id}\tPerson number {id} plays the {} part",
            ["first", "second", "last"][id % 3]
        )
        .unwrap();
    }
    copy.finish().unwrap();
    step(client, "COPY");
    run(client, "TRUNCATE talents");
    step(client, "TRUNCATE");
    assert_eq!(best_match(client, "talents", "police", "hybrid"), None);
    run(client, "INSERT INTO talents VALUES (1, 'A mime')");
    run(client, "TRUNCATE talents");
    step(client, "TRUNCATE of pending rows");
    run(client, "INSERT INTO talents VALUES (1, 'A mime')");
    embedded_by_itself(client, "talents", SOON);
    detaching_undoes_everything(client);
}

fn detaching_undoes_everything(client: &mut Client) {
    run(
        client,
        "INSERT INTO talents VALUES (2, 'A clown'); SELECT castmatch.detach('talents', drop_embedding => true)",
    );
    assert_eq!(queued(client), 0);
    let columns: Vec<String> = column(
        client,
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'talents'::regclass AND attnum > 0 AND NOT attisdropped
         ORDER BY attnum",
    );
    assert_eq!(columns, ["id", "bio", "city", "age"]);
    run(client, "INSERT INTO talents VALUES (3, 'A fire eater')");
    fails_with(
        client,
        &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "SELECT * FROM castmatch.match('talents', 'clown')",
    );
    run(client, "SELECT castmatch.attach('talents', '{bio}')");
    step(client, "attaching again");
}

#[test]
fn update_during_embedding_ends_with_the_vector_of_the_new_text() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("race");
    run(
        client,
        "CREATE TABLE talents (id bigint PRIMARY KEY, bio text); SELECT castmatch.attach('talents', '{bio}')",
    );
    run(
        client,
        "INSERT INTO talents SELECT i, repeat('the first text of this row ' || i || ' ', 30) FROM generate_series(1, 120) i",
    );
    let other = &mut cluster.connect("race", "postgres");
    // Changes while batches are on their way through the model, some rows several times.
    for round in 0..20 {
        run(
            other,
            &format!(
                "UPDATE talents SET bio = 'text {round} of ' || id || ' about cooking' WHERE id % 20 IN ({round}, 0)"
            ),
        );
    }
    step(client, "updates meanwhile");
}

#[test]
fn sixteen_writers_and_a_locked_row_do_not_hold_each_other_up() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("writers");
    attached_talents(client);
    thread::scope(|scope| {
        for writer in 0..16_i64 {
            let mut session = cluster.connect("writers", "postgres");
            scope.spawn(move || {
                for step in 0..10_i64 {
                    let id = 1000 + writer * 100 + step;
                    let bio = format!("Writer {writer} adds person {step}");
                    session
                        .execute("INSERT INTO talents VALUES ($1, $2)", &[&id, &bio])
                        .unwrap();
                    let shared = 1 + (writer + step) % 5;
                    session
                        .execute(
                            "UPDATE talents SET bio = bio || $2 WHERE id = $1",
                            &[&shared, &" and more"],
                        )
                        .unwrap();
                }
            });
        }
    });
    step(client, "sixteen writers");
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM talents"), 165);
    locked_row_is_postponed(&cluster, client);
}

fn locked_row_is_postponed(cluster: &Cluster, client: &mut Client) {
    run(client, "UPDATE talents SET bio = 'locked ' || id WHERE id = 1");
    run(client, "INSERT INTO talents VALUES (21, 'Before the lock')");
    sync(client, "talents");
    let holder = &mut cluster.connect("writers", "postgres");
    run(
        holder,
        "BEGIN; SELECT FROM talents WHERE id = 1 FOR UPDATE; SELECT FROM talents WHERE id = 21 FOR NO KEY UPDATE",
    );
    // Queued again without touching the locked rows, as a retry would.
    run(
        client,
        "INSERT INTO castmatch.queue (target, key) VALUES ('talents', '1'), ('talents', '21')",
    );
    run(client, "INSERT INTO talents VALUES (22, 'After the lock')");
    eventually(SOON, "the row that is not locked", || {
        (missing(client, "talents") == 0).then_some(())
    });
    assert_eq!(queued(client), 2, "locked rows wait");
    fails_with(
        client,
        &SqlState::QUERY_CANCELED,
        "SELECT castmatch.sync('talents', '1500 ms')",
    );
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.failures"), 0);
    run(
        holder,
        "UPDATE talents SET bio = 'after the long transaction' WHERE id = 1; COMMIT",
    );
    step(client, "the end of the lock");
}

#[test]
fn row_that_refuses_its_embedding_is_reported_and_can_be_retried() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("poison");
    attached_talents(client);
    run(
        client,
        "ALTER TABLE talents ADD CONSTRAINT no_embedding CHECK (age IS DISTINCT FROM 99 OR embedding IS NULL)",
    );
    run(
        client,
        "INSERT INTO talents VALUES (10, 'A lion tamer', NULL, 20), (11, 'Refuses it', NULL, 99), (12, 'A trapeze artist', NULL, 20)",
    );
    eventually(PROMPT, "the other rows", || {
        (missing(client, "talents") == 1).then_some(())
    });
    let start = Instant::now();
    let failed = || {
        client
            .query_opt("SELECT key, tries, error FROM castmatch.failures", &[])
            .unwrap()
    };
    let (row, _) = eventually(Duration::from_secs(90), "the row is given up", failed);
    assert!(
        start.elapsed() > Duration::from_secs(15),
        "tries are spread out: {:?}",
        start.elapsed()
    );
    let (key, tries, error): (String, i32, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((key.as_str(), tries), ("11", 5));
    assert!(error.contains("no_embedding"), "{error}");
    assert_eq!(sync(client, "talents"), 0, "a failed row is not pending");
    let counts = client
        .query_one("SELECT pending, failed FROM castmatch.attachments", &[])
        .unwrap();
    assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (0, 1));
    let health: serde_json::Value = value(client, "SELECT castmatch.health()");
    assert_eq!(health["failed"], 1, "{health}");

    run(client, "ALTER TABLE talents DROP CONSTRAINT no_embedding");
    assert_eq!(
        value::<i64>(client, "SELECT castmatch.retry_failed('talents')"),
        1
    );
    step(client, "retry_failed");
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.failures"), 0);
}
