//! Single flight: one session computes, the others wait, and take over when it does not come to an end.

use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{run, value};
use postgres::Client;
use postgres::error::SqlState;

use crate::cache_setting::{Stats, embedding, stats};
use crate::setting::SOON;

const DATABASE: &str = "cached";
const TEXT: &str = "everybody asks for this at once";

/// The embedding worker, stopped where it stands until the guard goes.
struct Halted(Vec<u32>);

impl Drop for Halted {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

/// A server whose model is loaded.
fn started() -> (Cluster, Client) {
    let cluster = Cluster::start(&Options::default());
    let mut client = cluster.database(DATABASE);
    embedding(&mut client, "the first text loads the model");
    (cluster, client)
}

fn halt(cluster: &Cluster) -> Halted {
    let workers = cluster.titled("castmatch embedder");
    assert_eq!(workers.len(), 1);
    signal("STOP", &workers);
    Halted(workers)
}

/// Waits until so many sessions ask; returns the one that computes: the first that asked.
fn asking(watch: &mut Client, sessions: i64) -> i32 {
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%castmatch.embed($1)%' AND state = 'active'
               AND wait_event_type = 'Extension'";
    eventually(SOON, "all sessions ask", || {
        (value::<i64>(watch, sql) == sessions).then_some(())
    });
    value(
        watch,
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%castmatch.embed($1)%' AND state = 'active'
         ORDER BY query_start LIMIT 1",
    )
}

fn since(before: Stats, after: Stats) -> (i64, i64, i64, i64) {
    (
        after.requests - before.requests,
        after.misses - before.misses,
        after.stored - before.stored,
        after.takeovers - before.takeovers,
    )
}

#[test]
fn sixty_four_sessions_compute_one_text_once() {
    let (cluster, mut watch) = started();
    let before = stats(&mut watch, "embedding", "shared");
    let halted = halt(&cluster);
    let vectors: Vec<String> = thread::scope(|scope| {
        let sessions: Vec<_> = (0..64)
            .map(|_| {
                let mut client = cluster.connect(DATABASE, "postgres");
                scope.spawn(move || embedding(&mut client, TEXT))
            })
            .collect();
        asking(&mut watch, 64);
        drop(halted);
        sessions
            .into_iter()
            .map(|session| session.join().unwrap())
            .collect()
    });
    assert!(vectors.windows(2).all(|pair| pair[0] == pair[1]));
    let after = stats(&mut watch, "embedding", "shared");
    assert_eq!(since(before, after), (64, 1, 1, 0));
    assert_eq!(after.waits - before.waits, 63);
}

/// The leader's statement is cancelled, its session terminated, its time runs out: another one computes in its place.
#[test]
fn waiting_sessions_take_over_from_a_leader_that_ends() {
    let (cluster, mut watch) = started();
    for end in ["pg_cancel_backend", "pg_terminate_backend", "statement_timeout"] {
        run(&mut watch, "SELECT castmatch.cache_reset()");
        let before = stats(&mut watch, "embedding", "shared");
        let halted = halt(&cluster);
        thread::scope(|scope| {
            let mut leader = cluster.connect(DATABASE, "postgres");
            if end == "statement_timeout" {
                run(&mut leader, "SET statement_timeout = '3 s'");
            }
            let leading = scope.spawn(move || {
                leader
                    .query_one("SELECT castmatch.embed($1)::text", &[&TEXT])
                    .err()
            });
            let pid = asking(&mut watch, 1);
            let followers: Vec<_> = (0..8)
                .map(|_| {
                    let mut client = cluster.connect(DATABASE, "postgres");
                    scope.spawn(move || embedding(&mut client, TEXT))
                })
                .collect();
            if end != "statement_timeout" {
                assert_eq!(asking(&mut watch, 9), pid);
                run(&mut watch, &format!("SELECT {end}({pid})"));
            }
            let error = leading.join().unwrap().expect("it was ended");
            assert!(
                castmatch_e2e::ledger::is_terminated(&error)
                    || error.code() == Some(&SqlState::QUERY_CANCELED),
                "{error:?}"
            );
            eventually(SOON, "another one takes over", || {
                (stats(&mut watch, "embedding", "shared").takeovers == before.takeovers + 1).then_some(())
            });
            drop(halted);
            for follower in followers {
                follower.join().unwrap();
            }
        });
        let (requests, _, stored, takeovers) = since(before, stats(&mut watch, "embedding", "shared"));
        // The leader's look-up is counted when it begins to compute.
        assert_eq!((requests, stored, takeovers), (9, 1, 1), "{end}");
    }
}

#[test]
fn a_waiting_session_can_be_cancelled_without_harm_to_the_others() {
    let (cluster, mut watch) = started();
    let before = stats(&mut watch, "embedding", "shared");
    let halted = halt(&cluster);
    thread::scope(|scope| {
        let ask = || {
            let mut client = cluster.connect(DATABASE, "postgres");
            scope.spawn(move || {
                client
                    .query_one("SELECT castmatch.embed($1)::text", &[&TEXT])
                    .map(drop)
            })
        };
        let leader = ask();
        let pid = asking(&mut watch, 1);
        let waiter = ask();
        asking(&mut watch, 2);
        run(
            &mut watch,
            &format!(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                 WHERE query LIKE '%castmatch.embed($1)%' AND state = 'active' AND pid NOT IN ({pid}, pg_backend_pid())"
            ),
        );
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        let mut hasty = cluster.connect(DATABASE, "postgres");
        run(&mut hasty, "SET statement_timeout = '200 ms'");
        let error = hasty
            .query_one("SELECT castmatch.embed($1)::text", &[&TEXT])
            .unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        drop(halted);
        leader.join().unwrap().unwrap();
    });
    let (_, misses, stored, takeovers) = since(before, stats(&mut watch, "embedding", "shared"));
    assert_eq!((misses, stored, takeovers), (1, 1, 0));
    // An error inside a block that catches it leaves no flight behind.
    run(&mut watch, "SET statement_timeout = '30 s'");
    let halted = halt(&cluster);
    let sql = "DO $$ BEGIN
                   SET LOCAL statement_timeout = '100 ms';
                   PERFORM castmatch.embed('caught');
               EXCEPTION WHEN query_canceled THEN NULL; END $$";
    let mut client = cluster.connect(DATABASE, "postgres");
    thread::scope(|scope| {
        let caught = scope.spawn(move || {
            // The timeout holds from the next statement on: this one is cancelled from outside.
            client.batch_execute(sql).unwrap();
            client
        });
        let pid: i32 = eventually(SOON, "the block waits", || {
            watch
                .query_opt(
                    "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %' AND wait_event_type = 'Extension'",
                    &[],
                )
                .unwrap()
                .map(|row| row.get(0))
        })
        .0;
        thread::sleep(Duration::from_millis(100));
        run(&mut watch, &format!("SELECT pg_cancel_backend({pid})"));
        drop(caught.join().unwrap());
        drop(halted);
        assert!(!embedding(&mut watch, "caught").is_empty());
    });
}
