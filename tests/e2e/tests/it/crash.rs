//! Crashes of one process and of the whole server: what was committed is there, what was pending is embedded.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{run, value};
use postgres::Client;

use crate::setting::{RECOVERY, attached_talents, best_match, embedded_by_itself, out_of_step, queued, sync};

fn insert(client: &mut Client, first: i32) {
    run(
        client,
        &format!(
            "INSERT INTO talents SELECT {first} + i, repeat('person ' || i || ' ', 20) FROM generate_series(1, 120) i"
        ),
    );
}

/// Rows that were pending are embedded although no session asks for anything of castmatch.
fn recovers(cluster: &Cluster, rows: i64) -> Client {
    let connected = || {
        let mut client = cluster.try_connect("crash", "postgres").ok()?;
        // A session of just before the crash may still be let in.
        client.batch_execute("SELECT 1").ok().map(|()| client)
    };
    let (mut client, _) = eventually(RECOVERY, "the server accepts sessions", connected);
    assert_eq!(value::<i64>(&mut client, "SELECT count(*) FROM talents"), rows);
    embedded_by_itself(&mut client, "talents", RECOVERY);
    sync(&mut client, "talents");
    assert_eq!(queued(&mut client), 0);
    client
}

/// What the server says when all processes have ended after the crash of one.
const REINITIALIZED: &str = "all server processes terminated; reinitializing";

/// The processes to kill; none while there is none.
fn pids_of(victim: &str, cluster: &Cluster, client: &mut Client) -> Vec<u32> {
    match victim {
        "a backend" => {
            let row = client.query_one("SELECT pg_backend_pid()", &[]);
            let pid = row.ok().and_then(|row| u32::try_from(row.get::<_, i32>(0)).ok());
            pid.into_iter().collect()
        }
        "the embedder" => cluster.titled("castmatch embedder"),
        _ => cluster.titled("castmatch sync worker"),
    }
}

#[test]
fn pending_rows_are_embedded_after_a_crash() {
    let mut cluster = Cluster::start(&Options {
        crashes: true,
        ..Options::default()
    });
    let mut client = cluster.database("crash");
    attached_talents(&mut client);
    let mut rows = 5;

    for victim in ["a backend", "the embedder", "the sync worker"] {
        let restarts = || cluster.log().matches(REINITIALIZED).count();
        let before = restarts();
        insert(&mut client, rows);
        rows += 120;
        // Again and again: a worker may have ended by itself between the look for it and the signal. That the server has begun
        // anew is taken from its log: sessions of before may be let in after the client has seen the end of its own.
        eventually(
            RECOVERY,
            &format!("the restart of the server after the end of {victim}"),
            || {
                if client.is_closed() || client.batch_execute("SELECT 1").is_err() {
                    return (restarts() > before).then_some(());
                }
                signal("KILL", &pids_of(victim, &cluster, &mut client));
                None
            },
        );
        client = recovers(&cluster, rows.into());
    }

    insert(&mut client, rows);
    rows += 120;
    run(
        &mut client,
        "BEGIN; INSERT INTO talents VALUES (-1, 'never committed')",
    );
    cluster.kill_immediately();
    cluster.boot();
    client = recovers(&cluster, rows.into());

    insert(&mut client, rows);
    rows += 120;
    cluster.restart();
    client = recovers(&cluster, rows.into());
    assert_eq!(out_of_step(&mut client, "talents", "bio"), 0);
    assert_eq!(
        best_match(&mut client, "talents", "kathak dance", "hybrid").as_deref(),
        Some("3")
    );
}
