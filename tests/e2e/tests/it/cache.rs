//! The caches as a place for values: who finds what, how much fits, what survives what.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{fails_with, run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;
use postgres::error::SqlState;

use crate::cache_setting::{embedding, stats, without_local};
use crate::model::{configured, copy_model};
use crate::setting::{RECOVERY, SOON};

const DATABASE: &str = "cached";

fn with_settings(settings: &[(&'static str, &str)]) -> Options {
    Options {
        settings: settings
            .iter()
            .map(|&(name, value)| (name, value.to_owned()))
            .collect(),
        ..Options::default()
    }
}

#[test]
fn sessions_find_each_others_values_and_every_call_is_counted() {
    let cluster = Cluster::start(&Options::default());
    let one = &mut cluster.database(DATABASE);
    let other = &mut cluster.connect(DATABASE, "postgres");
    let vector = embedding(one, "a lion tamer");
    assert_eq!(embedding(other, "a lion tamer"), vector);
    assert_eq!(embedding(other, "  a lion tamer\n"), vector, "outer white space");
    assert_eq!(
        embedding(one, "cafe\u{301}"),
        embedding(other, "caf\u{e9}"),
        "NFC"
    );
    let (local, shared) = (
        stats(one, "embedding", "local"),
        stats(one, "embedding", "shared"),
    );
    assert_eq!((local.requests, local.hits), (5, 1));
    assert_eq!((shared.requests, shared.hits, shared.stored), (4, 2, 2));
    assert_eq!(
        local.misses, shared.requests,
        "what one level misses the next one is asked for"
    );

    run(
        one,
        "SELECT castmatch.embed_batch(ARRAY['a lion tamer', 'new', 'new', NULL])",
    );
    let batch = stats(one, "embedding", "local");
    assert_eq!((batch.requests - local.requests, batch.hits - local.hits), (2, 1));
    assert_eq!(embedding(other, "new"), embedding(one, "new"));

    let metric: f64 = value(
        one,
        r#"SELECT value FROM castmatch.metrics() WHERE name = 'castmatch_cache_hits_total'
           AND labels = '{"cache": "embedding", "level": "shared"}'"#,
    );
    assert_eq!(metric as i64, stats(one, "embedding", "shared").hits);
    let calls: f64 = value(
        one,
        "SELECT sum(value) FROM castmatch.metrics() WHERE name = 'castmatch_cache_request_duration_seconds_count'
         AND labels ->> 'cache' = 'embedding'",
    );
    assert!(calls >= 5.0, "{calls}");
    administrators_empty_the_caches(&cluster, one, other);
}

fn administrators_empty_the_caches(cluster: &Cluster, one: &mut Client, other: &mut Client) {
    run(
        one,
        "CREATE ROLE nobody LOGIN; CREATE ROLE admin LOGIN; GRANT castmatch_admin TO admin",
    );
    let nobody = &mut cluster.connect(DATABASE, "nobody");
    for sql in [
        "SELECT castmatch.cache_reset()",
        "SELECT castmatch.cache_invalidate('match')",
    ] {
        fails_with(nobody, &SqlState::INSUFFICIENT_PRIVILEGE, sql);
    }
    let admin = &mut cluster.connect(DATABASE, "admin");
    let held = stats(one, "embedding", "shared").entries;
    assert_eq!(
        value::<i64>(admin, "SELECT castmatch.cache_invalidate('embedding')"),
        held
    );
    let before = stats(one, "embedding", "shared");
    embedding(other, "a lion tamer");
    let after = stats(one, "embedding", "shared");
    assert_eq!(
        (after.misses - before.misses, after.entries),
        (1, 1),
        "no session kept its own value"
    );
    run(admin, "SELECT castmatch.cache_reset()");
    assert_eq!(stats(one, "embedding", "shared").entries, 0);
    assert_eq!(stats(one, "embedding", "local").entries, 0);
    let error = fails_with(
        admin,
        &SqlState::INVALID_PARAMETER_VALUE,
        "SELECT castmatch.cache_invalidate('replies')",
    );
    assert_eq!(error.hint(), Some("Kinds are embedding, reply, match."));
}

#[test]
fn values_grow_old_as_the_setting_says() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database(DATABASE);
    embedding(client, "a juggler");
    run(client, "SET castmatch.embedding_ttl = '1 s'");
    embedding(client, "a juggler");
    assert_eq!(stats(client, "embedding", "local").hits, 1);
    let expired = "SELECT sum(expired)::bigint FROM castmatch.cache_stats()";
    let (on_both_levels, _) = eventually(SOON, "the value is too old", || {
        embedding(client, "a juggler");
        let expired: i64 = value(client, expired);
        (expired > 0).then_some(expired)
    });
    assert_eq!(on_both_levels, 2);
    let hits = stats(client, "embedding", "local").hits;
    embedding(client, "a juggler");
    assert_eq!(
        stats(client, "embedding", "local").hits,
        hits + 1,
        "the new value is as good as any"
    );
    run(client, "SET castmatch.embedding_ttl = 0");
    let before = stats(client, "embedding", "local");
    embedding(client, "a juggler");
    let off = stats(client, "embedding", "local");
    assert_eq!((off.requests, off.bypassed), (before.requests, 1));
}

/// A text longer than a value may be, of letters of two bytes that no border falls between.
#[test]
fn what_is_too_long_is_computed_each_time() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database(DATABASE);
    run(client, "SET castmatch.local_cache_size = '100 kB'");
    let vector = embedding(client, &format!("x{}", "é".repeat(700_000)));
    assert_eq!(embedding(client, &format!("x{}", "é".repeat(700_000))), vector);
    let shared = stats(client, "embedding", "shared");
    assert_eq!((shared.misses, shared.stored, shared.entries), (2, 0, 0));
    let refused: i64 = value(client, "SELECT sum(refused)::bigint FROM castmatch.cache_stats()");
    assert_eq!(refused, 2);
    let held: i64 = value(client, "SELECT sum(entries)::bigint FROM castmatch.cache_stats()");
    assert_eq!(held, 0);
}

#[test]
fn what_a_session_used_last_stays() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database(DATABASE);
    // Room for two or three vectors.
    run(client, "SET castmatch.local_cache_size = '5 kB'");
    for text in ["a", "b", "a", "c", "a", "d", "a"] {
        embedding(client, text);
    }
    let local = stats(client, "embedding", "local");
    assert_eq!(local.hits, 3, "the text that was read again and again: {local:?}");
    assert!(local.evicted >= 1, "{local:?}");
    embedding(client, "b");
    assert_eq!(
        stats(client, "embedding", "local").hits,
        3,
        "the one used longest ago went first"
    );
}

/// A byte of the configuration makes another model of it, whose vectors may be others.
#[test]
fn s2_another_model_has_vectors_of_its_own() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database(DATABASE);
    let vector = embedding(client, "a conjurer");
    let folder = cluster.new_folder("other");
    copy_model(&cluster.place().share.join("castmatch/models"), &folder);
    let file = folder.join("all-MiniLM-L6-v2/config.json");
    let content = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{content}\n")).unwrap();
    configured(&cluster, &folder);
    let before = stats(client, "embedding", "local");
    eventually(SOON, "the other model", || {
        embedding(client, "a conjurer");
        (stats(client, "embedding", "local").misses > before.misses).then_some(())
    });
    assert_eq!(
        embedding(client, "a conjurer"),
        vector,
        "they are the same after all"
    );
}

#[test]
fn roles_share_embeddings_unless_told_not_to() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database(DATABASE);
    run(client, "CREATE ROLE a LOGIN; CREATE ROLE b LOGIN");
    let (a, b) = (
        &mut cluster.connect(DATABASE, "a"),
        &mut cluster.connect(DATABASE, "b"),
    );
    embedding(a, "a secret project");
    embedding(b, "a secret project");
    assert_eq!(stats(client, "embedding", "shared").hits, 1);
    fails_with(
        a,
        &SqlState::INSUFFICIENT_PRIVILEGE,
        "SET castmatch.share_embeddings = off",
    );
    run(
        client,
        "ALTER DATABASE cached SET castmatch.share_embeddings = off",
    );
    let (a, b) = (
        &mut cluster.connect(DATABASE, "a"),
        &mut cluster.connect(DATABASE, "b"),
    );
    embedding(a, "another secret");
    embedding(b, "another secret");
    assert_eq!(stats(client, "embedding", "shared").hits, 1);
    // The role that counts is the current one.
    run(client, "SET castmatch.share_embeddings = off; SET ROLE a");
    embedding(client, "another secret");
    assert_eq!(stats(client, "embedding", "shared").hits, 2);
}

#[test]
fn s1_a_full_cache_under_sixteen_sessions_gives_right_values_only() {
    let cluster = Cluster::start(&with_settings(&[("castmatch.shared_cache_size", "1MB")]));
    let client = &mut cluster.database(DATABASE);
    let texts = 900;
    run(
        client,
        &format!(
            "CREATE TABLE texts AS SELECT i AS id, 'performer number ' || i AS body FROM generate_series(0, {texts} - 1) i;
             ALTER TABLE texts ADD v vector(384);
             UPDATE texts SET v = e.v FROM unnest(castmatch.embed_batch(ARRAY(SELECT body FROM texts ORDER BY id)))
                 WITH ORDINALITY AS e (v, place) WHERE id = place - 1;
             ALTER TABLE texts ADD PRIMARY KEY (id)"
        ),
    );
    let before = stats(client, "embedding", "local");
    let calls = scaled(120, 20_000);
    thread::scope(|scope| {
        for session in 0..16_u64 {
            let mut client = cluster.connect(DATABASE, "postgres");
            scope.spawn(move || {
                run(
                    &mut client,
                    &format!("SET castmatch.local_cache_size = '{} kB'", 64 * (session % 2)),
                );
                let mut random = Random::new(session);
                for _ in 0..calls {
                    // Few are asked for often, most seldom.
                    let id = random.within(0..texts) * random.within(0..texts) / texts;
                    let sql = format!("SELECT castmatch.embed(body) <=> v < 1e-5 FROM texts WHERE id = {id}");
                    assert!(value::<bool>(&mut client, &sql), "{id}");
                }
            });
        }
    });
    let (local, shared) = (
        stats(client, "embedding", "local"),
        stats(client, "embedding", "shared"),
    );
    assert_eq!(local.requests - before.requests, 16 * calls);
    assert!(shared.evicted > 0 && shared.hits > 0, "{shared:?}");
    assert_eq!(local.misses, shared.requests);
    let damaged: i64 = value(client, "SELECT sum(damaged)::bigint FROM castmatch.cache_stats()");
    assert_eq!(damaged, 0);
    let bytes: i64 = value(
        client,
        "SELECT sum(bytes)::bigint FROM castmatch.cache_stats() WHERE level = 'shared'",
    );
    assert!((800_000..1 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn the_size_is_that_of_server_start() {
    let mut cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database(DATABASE);
    fails_with(
        client,
        &SqlState::CANT_CHANGE_RUNTIME_PARAM,
        "SET castmatch.shared_cache_size = '1MB'",
    );
    cluster.configure(&[("castmatch.shared_cache_size", "0".to_owned())]);
    cluster.reload();
    eventually(SOON, "the server says that it needs a restart", || {
        cluster
            .log()
            .contains(
                r#"parameter "castmatch.shared_cache_size" cannot be changed without restarting the server"#,
            )
            .then_some(())
    });
    embedding(client, "a rope dancer");
    assert!(stats(client, "embedding", "shared").active);
    cluster.restart();
    let client = &mut cluster.connect(DATABASE, "postgres");
    embedding(client, "a rope dancer");
    embedding(client, "a rope dancer");
    assert_eq!(stats(client, "embedding", "local").hits, 1);
    let shared = stats(client, "embedding", "shared");
    assert_eq!((shared.active, shared.requests), (false, 0));
}

#[test]
fn without_preloading_each_session_has_its_own_values_and_is_told_once() {
    let cluster = Cluster::start(&Options {
        preload: false,
        settings: vec![("log_min_messages", "notice".to_owned())],
        ..Options::default()
    });
    let client = &mut cluster.database(DATABASE);
    for _ in 0..3 {
        embedding(client, "a fire eater");
        embedding(client, "a sword swallower");
    }
    assert_eq!(stats(client, "embedding", "local").hits, 4);
    assert!(!stats(client, "embedding", "shared").active);
    let notices = cluster
        .log()
        .matches("caches values for this session only")
        .count();
    assert_eq!(notices, 1);
}

#[test]
fn a_standby_and_read_only_transactions_use_the_caches() {
    let primary = Cluster::start(&Options::default());
    let client = &mut primary.database(DATABASE);
    let mut standby = primary.standby();
    for server in [&primary, &standby] {
        let one = &mut server.connect(DATABASE, "postgres");
        let other = &mut server.connect(DATABASE, "postgres");
        run(other, "SET default_transaction_read_only = on");
        embedding(one, "a bell ringer");
        embedding(other, "a bell ringer");
        assert_eq!(stats(other, "embedding", "shared").hits, 1);
    }
    drop(client.batch_execute("SELECT 1"));
    standby.stop();
}

/// A backend that is killed inside a lock takes the server down with it; the cache is empty then, and works.
#[test]
fn s1_a_backend_killed_inside_a_lock_leaves_a_working_cache() {
    let cluster = Cluster::start(&Options {
        crashes: true,
        settings: vec![("castmatch.shared_cache_size", "64MB".to_owned())],
        ..Options::default()
    });
    drop(cluster.database(DATABASE));
    for _ in 0..scaled(3, 30) {
        kill_inside_a_lock(&cluster);
        let client = &mut eventually(RECOVERY, "the server is back", || {
            let mut client = cluster.try_connect(DATABASE, "postgres").ok()?;
            client
                .batch_execute("SELECT castmatch.embed('x')")
                .ok()
                .map(|()| client)
        })
        .0;
        without_local(client);
        let before = stats(client, "embedding", "shared");
        embedding(client, "x");
        assert_eq!(stats(client, "embedding", "shared").hits, before.hits + 1);
    }
}

/// Stops a session that holds the locks much of the time until another one waits for one that it holds; kills it then.
fn kill_inside_a_lock(cluster: &Cluster) {
    let watch = &mut cluster.connect("postgres", "postgres");
    let mut holder = cluster.connect(DATABASE, "postgres");
    let mut waiter = cluster.connect(DATABASE, "postgres");
    without_local(&mut waiter);
    let pid: i32 = value(&mut holder, "SELECT pg_backend_pid()");
    let pid = u32::try_from(pid).unwrap();
    thread::scope(|scope| {
        // Both end with the server.
        scope.spawn(move || {
            while holder
                .batch_execute("SELECT castmatch.cache_invalidate('reply') FROM generate_series(1, 1000)")
                .is_ok()
            {}
        });
        scope.spawn(move || {
            let sql = "SELECT castmatch.embed('text ' || i) FROM generate_series(1, 200) i";
            while waiter.batch_execute(sql).is_ok() {}
        });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'castmatch_cache'";
        eventually(
            RECOVERY,
            "a wait for a lock that the stopped session holds",
            || {
                signal("STOP", &[pid]);
                thread::sleep(Duration::from_millis(20));
                let first: i64 = value(watch, waits);
                thread::sleep(Duration::from_millis(20));
                if first > 0 && value::<i64>(watch, waits) > 0 {
                    return Some(());
                }
                signal("CONT", &[pid]);
                None
            },
        );
        signal("KILL", &[pid]);
    });
}

#[test]
fn eight_sessions_that_miss_at_once_agree() {
    let cluster = Cluster::start(&Options::default());
    drop(cluster.database(DATABASE));
    let barrier = Barrier::new(8);
    let vectors: Vec<String> = thread::scope(|scope| {
        let sessions: Vec<_> = (0..8)
            .map(|_| {
                let mut client = cluster.connect(DATABASE, "postgres");
                let barrier = &barrier;
                scope.spawn(move || {
                    (0..20)
                        .map(|round| {
                            barrier.wait();
                            embedding(&mut client, &format!("round {round}"))
                        })
                        .collect::<Vec<String>>()
                        .join("\n")
                })
            })
            .collect();
        sessions
            .into_iter()
            .map(|session| session.join().unwrap())
            .collect()
    });
    assert!(vectors.windows(2).all(|pair| pair[0] == pair[1]));
    let client = &mut cluster.connect(DATABASE, "postgres");
    let shared = stats(client, "embedding", "shared");
    assert_eq!((shared.requests, shared.misses, shared.stored), (160, 20, 20));
}
