//! Background workers that are ended in the middle of their work come back, and nothing is lost or done twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{run, value};

use crate::setting::{RECOVERY, SOON, embedded_by_itself, out_of_step, queued, sync};

/// Between two calls of a session that asks again and again.
const PAUSE: Duration = Duration::from_millis(30);
const EMBEDDER: &str = "castmatch embedder";
const LAUNCHER: &str = "castmatch launcher";
const SYNC_WORKER: &str = "castmatch sync worker";

/// Ends what waits for the flag also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The process id of the one background worker of that name.
fn worker(cluster: &Cluster, name: &str) -> u32 {
    let one = || match cluster.titled(name).as_slice() {
        [pid] => Some(*pid),
        _ => None,
    };
    eventually(RECOVERY, name, one).0
}

#[test]
fn terminated_workers_come_back_and_lose_nothing() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("workers");
    run(client, "CREATE TABLE talents (id bigint PRIMARY KEY, bio text)");
    run(client, "SELECT castmatch.attach('talents', '{bio}')");
    run(client, "CREATE TABLE writes (id bigint)");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = Over(&over);
        // Sessions that ask all the while: none of their calls may fail or hang.
        let askers: Vec<_> = (0..3)
            .map(|asker| {
                let mut session = cluster.connect("workers", "postgres");
                let over = &over;
                scope.spawn(move || {
                    let mut calls = 0_u32;
                    while !over.load(Ordering::Relaxed) {
                        let sql =
                            format!("SELECT vector_dims(castmatch.embed('asker {asker} call {calls}'))");
                        assert_eq!(value::<i32>(&mut session, &sql), 384);
                        calls += 1;
                        thread::sleep(PAUSE);
                    }
                    calls
                })
            })
            .collect();
        for (round, name) in [SYNC_WORKER, EMBEDDER, LAUNCHER, EMBEDDER, SYNC_WORKER]
            .into_iter()
            .enumerate()
        {
            run(
                client,
                &format!(
                    "INSERT INTO talents SELECT {round} * 1000 + i, repeat('round {round} person ' || i || ' ', 20)
                     FROM generate_series(1, 100) i"
                ),
            );
            // The sync worker runs now, and with it the others.
            worker(&cluster, SYNC_WORKER);
            let pid = worker(&cluster, name);
            // What pg_terminate_backend sends; the embedder is in no list of sessions.
            signal("TERM", &[pid]);
            let replaced = || (!cluster.titled(name).contains(&pid)).then_some(());
            eventually(SOON, "its end", replaced);
            embedded_by_itself(client, "talents", RECOVERY);
        }
        drop(end);
        for asker in askers {
            assert!(asker.join().unwrap() > 0);
        }
    });
    sync(client, "talents");
    assert_eq!(queued(client), 0);
    assert_eq!(out_of_step(client, "talents", "bio"), 0);
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM talents"), 500);
    assert_eq!(cluster.titled(EMBEDDER).len(), 1);
    assert_eq!(cluster.titled(LAUNCHER).len(), 1);
    workers_say_who_they_are(&cluster);
}

/// A DBA looks for them in pg_stat_activity and in the output of ps.
fn workers_say_who_they_are(cluster: &Cluster) {
    let client = &mut cluster.connect("postgres", "postgres");
    let listed: i64 = value(
        client,
        &format!("SELECT count(*) FROM pg_stat_activity WHERE backend_type = '{LAUNCHER}'"),
    );
    assert_eq!(listed, 1, "the launcher is in pg_stat_activity");
}

#[test]
fn five_databases_at_once_are_all_embedded() {
    let cluster = Cluster::start(&Options::default());
    let mut clients: Vec<_> = (0..5)
        .map(|number| cluster.database(&format!("tenant{number}")))
        .collect();
    for client in &mut clients {
        run(client, "CREATE TABLE talents (id bigint PRIMARY KEY, bio text)");
        run(client, "SELECT castmatch.attach('talents', '{bio}')");
    }
    for client in &mut clients {
        run(
            client,
            "INSERT INTO talents SELECT i, 'person ' || i || ' of ' || current_database() FROM generate_series(1, 40) i",
        );
    }
    for client in &mut clients {
        embedded_by_itself(client, "talents", RECOVERY);
        assert_eq!(out_of_step(client, "talents", "bio"), 0);
        assert_eq!(sync(client, "talents"), 0);
    }
    // A sync worker that has nothing more to do ends, so that its database can be dropped.
    drop(clients);
    let client = &mut cluster.connect("postgres", "postgres");
    let dropped = || client.batch_execute("DROP DATABASE tenant0").ok();
    eventually(SOON, "DROP DATABASE", dropped);
    let client = &mut cluster.connect("tenant1", "postgres");
    run(
        client,
        "INSERT INTO talents VALUES (100, 'after another database went away')",
    );
    embedded_by_itself(client, "talents", SOON);
}

/// Queries go first, but not so that rows wait for as long as queries keep coming.
#[test]
fn rows_are_embedded_while_sessions_ask_without_pause() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("busy");
    run(client, "CREATE TABLE talents (id bigint PRIMARY KEY, bio text)");
    run(client, "SELECT castmatch.attach('talents', '{bio}')");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = Over(&over);
        for asker in 0..16 {
            let mut session = cluster.connect("busy", "postgres");
            let over = &over;
            scope.spawn(move || {
                let mut calls = 0;
                while !over.load(Ordering::Relaxed) {
                    run(
                        &mut session,
                        &format!("SELECT castmatch.embed('asker {asker} asks for the {calls}th time')"),
                    );
                    calls += 1;
                }
            });
        }
        run(
            client,
            "INSERT INTO talents SELECT i, 'person ' || i FROM generate_series(1, 20) i",
        );
        embedded_by_itself(client, "talents", RECOVERY);
    });
}
