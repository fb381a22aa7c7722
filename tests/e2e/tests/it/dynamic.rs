//! A server without castmatch in shared_preload_libraries: everything works through workers started on demand.

use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{run, value};
use postgres::error::SqlState;

use crate::setting::{RECOVERY, SOON, attached_talents, best_match, embedded_by_itself, out_of_step, sync};

fn not_preloaded() -> Cluster {
    Cluster::start(&Options {
        preload: false,
        ..Options::default()
    })
}

#[test]
fn everything_works_through_workers_on_demand() {
    let cluster = not_preloaded();
    let mut session = cluster.database("dynamic");
    let client = &mut session;
    let health: serde_json::Value = value(client, "SELECT castmatch.health()");
    assert_eq!(
        (&health["status"], &health["preloaded"]),
        (&"ok".into(), &false.into()),
        "{health}"
    );
    assert_eq!(
        (
            &health["problems"][0]["check"],
            &health["problems"][0]["severity"]
        ),
        (&"preload".into(), &"warning".into()),
        "{health}"
    );
    run(
        client,
        "SELECT castmatch.performance(), count(*) FROM castmatch.metrics()",
    );
    assert!(
        cluster.titled("castmatch").is_empty(),
        "nothing runs before it is used"
    );

    thread::scope(|scope| {
        for number in 0..8 {
            let mut session = cluster.connect("dynamic", "postgres");
            scope.spawn(move || {
                let sql = format!("SELECT vector_dims(castmatch.embed('first call {number}'))");
                assert_eq!(value::<i32>(&mut session, &sql), 384);
            });
        }
    });
    assert_eq!(
        cluster.titled("castmatch embedder").len(),
        1,
        "eight first calls start one worker"
    );

    attached_talents(client);
    assert_eq!(
        best_match(client, "talents", "policeman on horseback", "hybrid").as_deref(),
        Some("1")
    );
    let answer: serde_json::Value = value(client, "SELECT castmatch.chat('I need a dancer')");
    assert_eq!(answer["sources"][0]["key"], "3", "{answer}");
    run(client, "INSERT INTO talents VALUES (6, 'A stunt driver')");
    embedded_by_itself(client, "talents", SOON);
    assert_eq!(out_of_step(client, "talents", "bio"), 0);

    workers_that_end_come_back_on_use(&cluster);
    extension_can_be_dropped_while_workers_run(client);
    drop(session);
    database_can_be_dropped(&cluster);
}

fn workers_that_end_come_back_on_use(cluster: &Cluster) {
    let client = &mut cluster.connect("dynamic", "postgres");
    for name in ["castmatch embedder", "castmatch launcher"] {
        let pids = cluster.titled(name);
        signal("TERM", &pids);
        eventually(SOON, "its end", || {
            cluster
                .titled(name)
                .iter()
                .all(|pid| !pids.contains(pid))
                .then_some(())
        });
    }
    run(client, "INSERT INTO talents VALUES (7, 'A conjurer')");
    embedded_by_itself(client, "talents", RECOVERY);
}

fn extension_can_be_dropped_while_workers_run(client: &mut postgres::Client) {
    run(
        client,
        "INSERT INTO talents SELECT 100 + i, 'person ' || i FROM generate_series(1, 50) i",
    );
    run(
        client,
        "SELECT castmatch.detach('talents', drop_embedding => true)",
    );
    run(client, "DROP EXTENSION castmatch");
    run(client, "CREATE EXTENSION castmatch");
    run(client, "SELECT castmatch.attach('talents', '{bio}')");
    sync(client, "talents");
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    run(
        client,
        "INSERT INTO talents SELECT 200 + i, 'other person ' || i FROM generate_series(1, 50) i",
    );
    // A worker that holds the queue may wait for the table that the triggers are dropped from: one of the two is told of a deadlock.
    eventually(SOON, "DROP EXTENSION", || {
        match client.batch_execute("DROP EXTENSION castmatch CASCADE") {
            Ok(()) => Some(()),
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED), "{error:?}");
                None
            }
        }
    });
    run(
        client,
        "INSERT INTO talents (id, bio) VALUES (999, 'nobody embeds this')",
    );
    run(client, "CREATE EXTENSION castmatch");
    assert_eq!(
        value::<i32>(client, "SELECT vector_dims(castmatch.embed('x'))"),
        384
    );
    run(client, "SELECT castmatch.attach('talents', '{bio}')");
    sync(client, "talents");
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
}

fn database_can_be_dropped(cluster: &Cluster) {
    let client = &mut cluster.connect("postgres", "postgres");
    let dropped = || client.batch_execute("DROP DATABASE dynamic").ok();
    eventually(Duration::from_secs(15), "DROP DATABASE", dropped);
    drop(cluster.database("dynamic"));
}
