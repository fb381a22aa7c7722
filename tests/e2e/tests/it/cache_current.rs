//! S2: a cached result is one that the query would get without the caches, whatever happened to the table, to the role, to the
//! settings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{fails_with, run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;
use postgres::error::SqlState;

use crate::cache_setting::{cached_and_fresh, current, match_hits, stats, without_local};
use crate::setting::{SOON, TALENTS, sync};

const DATABASE: &str = "cached";
/// A search that all rows of [`TALENTS`] are in the result of.
const SEARCH: &str = "'talents', 'a dancer who rides horses', 20";

fn attached(cluster: &Cluster) -> Client {
    let mut client = cluster.database(DATABASE);
    run(&mut client, TALENTS);
    run(
        &mut client,
        "SELECT castmatch.attach('talents', '{bio}', filters => '{age}')",
    );
    sync(&mut client, "talents");
    client
}

/// Asserts that the search was served from the caches the second time.
fn served(client: &mut Client) -> String {
    let before = match_hits(client);
    let rows = current(client, SEARCH);
    assert!(match_hits(client) > before, "no hit");
    rows
}

/// Asserts that the search is right and never served from the caches.
fn bypassed(client: &mut Client) -> String {
    let before = match_hits(client);
    let rows = current(client, SEARCH);
    assert_eq!(match_hits(client), before, "a hit");
    rows
}

#[test]
fn s2_every_change_of_a_row_ends_what_was_cached() {
    let cluster = Cluster::start(&Options::default());
    let writer = &mut attached(&cluster);
    // Nothing is to be written between two searches that are compared: what a worker adds to the text index counts among the frequencies of
    // words at once, for older snapshots too.
    run(
        writer,
        "SELECT castmatch.detach('talents'); SELECT castmatch.attach('talents', '{bio}', filters => '{age}', embed_mode => 'live')",
    );
    let reader = &mut cluster.connect(DATABASE, "postgres");
    let mut before = served(reader);
    for change in [
        "UPDATE talents SET age = 46 WHERE id = 1",
        "INSERT INTO talents VALUES (6, 'A horse trainer', 'Pune', 30)",
        "UPDATE talents SET bio = 'A dancer on horseback' WHERE id = 5",
        "UPDATE talents SET id = 50 WHERE id = 4",
        "DELETE FROM talents WHERE id = 2",
        "MERGE INTO talents t USING (VALUES (3)) v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET age = 29",
        "COPY talents (id, bio) FROM PROGRAM 'printf \"7\\tA dancer from Goa\\n\"'",
        "BEGIN; SAVEPOINT s; DELETE FROM talents WHERE id = 6; RELEASE s; COMMIT",
        "SET session_replication_role = replica; UPDATE talents SET age = 47 WHERE id = 1; RESET session_replication_role",
        "ALTER TABLE talents DISABLE TRIGGER ALL; UPDATE talents SET age = 48 WHERE id = 1;
         ALTER TABLE talents ENABLE ALWAYS TRIGGER zzz_castmatch_embed_change; ALTER TABLE talents ENABLE ALWAYS TRIGGER castmatch_note_change;
         ALTER TABLE talents ENABLE ALWAYS TRIGGER castmatch_note_truncate",
        "ALTER TABLE talents ALTER age TYPE text USING 'about ' || age",
        "TRUNCATE talents",
    ] {
        run(writer, change);
        let (cached, fresh) = cached_and_fresh(reader, SEARCH);
        assert_eq!(cached, fresh, "{change}");
        assert_ne!(cached, before, "{change}");
        sync(writer, "talents");
        before = if change == "TRUNCATE talents" { current(reader, SEARCH) } else { served(reader) };
    }
    // With its triggers off the table is not to be cached at all.
    run(writer, "INSERT INTO talents (id, bio) VALUES (1, 'A dancer')");
    sync(writer, "talents");
    served(reader);
    run(
        writer,
        "ALTER TABLE talents DISABLE TRIGGER castmatch_note_change",
    );
    bypassed(reader);
}

#[test]
fn s2_snapshots_see_their_own_time() {
    let cluster = Cluster::start(&Options::default());
    let writer = &mut attached(&cluster);
    let reader = &mut cluster.connect(DATABASE, "postgres");
    let old = &mut cluster.connect(DATABASE, "postgres");
    without_local(reader);
    let before = served(reader);
    run(old, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(served(old), before);

    run(writer, "BEGIN; DELETE FROM talents WHERE id = 1");
    assert_eq!(served(reader), before, "what is not committed is not there");
    let own = bypassed(writer);
    assert_ne!(own, before);
    run(
        writer,
        "SAVEPOINT s; DELETE FROM talents WHERE id = 2; ROLLBACK TO s",
    );
    assert_eq!(bypassed(writer), own);
    run(writer, "COMMIT");
    assert_eq!(served(reader), own);
    assert_eq!(bypassed(old), before, "an older snapshot");
    run(old, "COMMIT");
    assert_eq!(served(old), own);

    run(writer, "BEGIN; DELETE FROM talents WHERE id = 2");
    bypassed(writer);
    run(writer, "ROLLBACK");
    assert_eq!(served(reader), own, "what was rolled back never was");
    assert_eq!(served(writer), own);
    run(old, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    bypassed(old);
    run(old, "COMMIT");
}

/// What a trigger sees that fires before castmatch's own, and a function inside the statement that changes the table.
#[test]
fn s2_a_statement_that_is_under_way_stores_nothing() {
    let cluster = Cluster::start(&Options::default());
    let writer = &mut attached(&cluster);
    let reader = &mut cluster.connect(DATABASE, "postgres");
    run(
        writer,
        &format!(
            "CREATE FUNCTION rows(options jsonb) RETURNS text VOLATILE LANGUAGE plpgsql AS $$ BEGIN
                 RETURN (SELECT string_agg(m::text, ',' ORDER BY m.score DESC, m.key)
                         FROM castmatch.match({SEARCH}, options => options) m); END $$;
             CREATE FUNCTION seen() RETURNS bigint VOLATILE LANGUAGE plpgsql AS $$ BEGIN
                 ASSERT rows('{{}}') IS NOT DISTINCT FROM rows('{{\"cache\": \"bypass\"}}');
                 RETURN length(rows('{{\"cache\": \"refresh\"}}')); END $$;
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM seen(); RETURN NULL; END $$;
             CREATE TRIGGER a_look AFTER UPDATE OR DELETE ON talents FOR EACH ROW EXECUTE FUNCTION look()"
        ),
    );
    let before = served(reader);
    for change in [
        "UPDATE talents SET age = 99",
        "DELETE FROM talents WHERE id > 2",
        "UPDATE talents SET age = seen()",
        "WITH gone AS (DELETE FROM talents RETURNING id) SELECT sum(seen()) FROM gone",
    ] {
        run(writer, "BEGIN");
        run(writer, change);
        run(writer, "ROLLBACK");
        assert_eq!(current(reader, SEARCH), before, "{change}");
        assert_eq!(current(writer, SEARCH), before, "{change}");
    }
}

#[test]
fn s2_prepared_transactions_count_when_they_commit() {
    let mut cluster = Cluster::start(&Options::default());
    let writer = &mut attached(&cluster);
    let reader = &mut cluster.connect(DATABASE, "postgres");
    let before = served(reader);
    run(
        writer,
        "BEGIN; DELETE FROM talents WHERE id = 1; PREPARE TRANSACTION 'one'",
    );
    assert_eq!(bypassed(reader), before, "it may commit at any moment");
    run(reader, "COMMIT PREPARED 'one'");
    let after = served(reader);
    assert_ne!(after, before);
    run(
        writer,
        "BEGIN; DELETE FROM talents WHERE id = 2; PREPARE TRANSACTION 'two'",
    );
    cluster.restart();
    let reader = &mut cluster.connect(DATABASE, "postgres");
    assert_eq!(
        bypassed(reader),
        after,
        "a new server does not know what it changed"
    );
    run(reader, "COMMIT PREPARED 'two'");
    assert_ne!(served(reader), after);
}

#[test]
fn s2_roles_and_row_security() {
    let cluster = Cluster::start(&Options::default());
    let owner = &mut attached(&cluster);
    run(
        owner,
        "CREATE ROLE a LOGIN; CREATE ROLE b LOGIN; GRANT SELECT ON talents TO a, b",
    );
    let (a, b) = (
        &mut cluster.connect(DATABASE, "a"),
        &mut cluster.connect(DATABASE, "b"),
    );
    let all = served(a);
    let hits = match_hits(owner);
    let (of_b, _) = cached_and_fresh(b, SEARCH);
    assert_eq!(of_b, all);
    assert_eq!(match_hits(owner), hits, "not what another role has stored");

    run(
        owner,
        "ALTER TABLE talents ENABLE ROW LEVEL SECURITY;
         CREATE POLICY young ON talents TO a USING (age < 40); CREATE POLICY old ON talents TO b USING (age >= 40)",
    );
    let (young, old) = (bypassed(a), bypassed(b));
    assert!(young.len() < all.len() && old.len() < all.len() && young != old);
    assert_eq!(served(owner), all, "the owner is not subject to it");
    // The same through SET ROLE in one session, whose local level is one.
    run(owner, "SET ROLE a");
    assert_eq!(bypassed(owner), young);
    run(owner, "SET ROLE b");
    assert_eq!(bypassed(owner), old);
    run(
        owner,
        "RESET ROLE; ALTER TABLE talents DISABLE ROW LEVEL SECURITY",
    );
    assert_eq!(served(a), all);

    run(owner, "REVOKE SELECT ON talents FROM a");
    fails_with(
        a,
        &SqlState::INSUFFICIENT_PRIVILEGE,
        &format!("SELECT * FROM castmatch.match({SEARCH})"),
    );
    run(owner, "GRANT SELECT (id, bio, age, embedding) ON talents TO a");
    assert_eq!(bypassed(a), all, "in doubt about columns");
    run(
        owner,
        "CREATE SCHEMA hidden; ALTER TABLE talents SET SCHEMA hidden",
    );
    fails_with(
        b,
        &SqlState::INSUFFICIENT_PRIVILEGE,
        &format!(
            "SELECT * FROM castmatch.match({})",
            SEARCH.replace("'talents'", &oid(owner))
        ),
    );
}

fn oid(client: &mut Client) -> String {
    value::<u32>(client, "SELECT 'hidden.talents'::regclass::oid").to_string()
}

#[test]
fn s2_settings_and_arguments_are_part_of_the_key() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut attached(&cluster);
    run(
        client,
        "ALTER TABLE talents ADD seen timestamptz DEFAULT '2026-01-01 00:00+00'",
    );
    let filtered = "'talents', 'a dancer', 5, filter => '{\"seen\": {\"gte\": \"2020-01-01\"}}'";
    let utc = current(client, filtered);
    run(client, "SET TimeZone = 'Asia/Kolkata'");
    let indian = current(client, filtered);
    assert_ne!(utc, indian, "values are shown as the session wants them");
    for arguments in [
        "'talents', 'a dancer', 5",
        "'talents', 'a dancer', 4",
        "'talents', 'a  dancer', 5",
        "'talents', 'a dancer', 5, mode => 'text'",
        "'talents', 'a dancer', 5, mode => 'semantic'",
        "'talents', 'a dancer', 5, filter => '{\"age\": {\"lt\": 30}}'",
        "'talents', 'a dancer', 5, prefer => '[{\"column\": \"age\", \"weight\": 0.3, \"higher\": true}]'",
    ] {
        current(client, arguments);
    }
    // A column whose name contains the key's.
    run(
        client,
        "ALTER TABLE talents ADD paid boolean; UPDATE talents SET paid = id > 2",
    );
    let paid = current(client, "'talents', 'a dancer', 5, filter => '{\"paid\": true}'");
    assert_eq!(paid.lines().count(), 3, "{paid}");
    // The same words mean another moment the next time.
    run(
        client,
        "UPDATE talents SET seen = clock_timestamp() + i * interval '0.2 s' FROM generate_series(1, 5) i WHERE id = i",
    );
    let seen = "'talents', 'a dancer', 5, filter => '{\"seen\": {\"lt\": \"now\"}}'";
    eventually(SOON, "all rows are in the past", || {
        (current(client, seen).lines().count() == 5).then_some(())
    });
    run(client, "SET castmatch.match_cache = off");
    let before = stats(client, "match", "local");
    bypassed(client);
    assert_eq!(stats(client, "match", "local").requests, before.requests);
    run(client, "RESET castmatch.match_cache");
    let error = fails_with(
        client,
        &SqlState::INVALID_PARAMETER_VALUE,
        r#"SELECT castmatch.match('talents', 'x', options => '{"cache": "no"}')"#,
    );
    assert_eq!(error.hint(), Some(r#"It is one of "use", "refresh", "bypass"."#));
    run(client, "SELECT castmatch.detach('talents')");
    run(client, "SELECT castmatch.attach('talents', '{city}')");
    sync(client, "talents");
    current(client, SEARCH);
}

#[test]
fn s2_replies_rest_on_rows_that_are_current() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut attached(&cluster);
    let other = &mut cluster.connect(DATABASE, "postgres");
    let ask = |client: &mut Client, options: &str| -> serde_json::Value {
        value(
            client,
            &format!("SELECT castmatch.chat('Who dances?', target => 'talents', options => '{options}')"),
        )
    };
    let first = ask(client, "{}");
    assert_eq!(first["cache"]["hit"], false);
    let second = ask(other, "{}");
    assert_eq!(
        (&second["cache"]["hit"], &second["cache"]["kind"]),
        (&true.into(), &"exact".into())
    );
    assert!(second["cache"]["age_seconds"].as_f64().unwrap() >= 0.0);
    assert_eq!(
        (&second["reply"], &second["sources"]),
        (&first["reply"], &first["sources"])
    );
    assert_ne!(second["conversation_id"], first["conversation_id"]);
    assert_eq!(ask(other, r#"{"cache": "refresh"}"#)["cache"]["hit"], false);
    assert_eq!(ask(other, r#"{"cache": "bypass"}"#)["cache"]["hit"], false);

    // Text of any kind goes in and comes out as it is.
    let odd = |client: &mut Client| -> serde_json::Value {
        let sql = r#"SELECT castmatch.chat('Who''s "dancing" with $$ and \ or 𝄞?', target => 'talents',
            filter => '{"city": {"ne": "$$ '' \" \\ \u00e9"}}')"#;
        value(client, sql)
    };
    let (computed, cached) = (odd(client), odd(other));
    assert_eq!(cached["cache"]["hit"], true);
    assert_eq!(
        (&cached["reply"], &cached["sources"]),
        (&computed["reply"], &computed["sources"])
    );

    // What was said before is part of the question.
    let follow = |client: &mut Client, id: &serde_json::Value| -> serde_json::Value {
        let id = id.as_str().unwrap();
        value(
            client,
            &format!("SELECT castmatch.chat('…and someone younger?', '{id}')"),
        )
    };
    let third = follow(client, &first["conversation_id"]);
    assert_eq!(third["cache"]["hit"], false);
    let fourth = follow(other, &second["conversation_id"]);
    assert_eq!(
        (&fourth["cache"]["hit"], &fourth["reply"]),
        (&true.into(), &third["reply"])
    );

    run(client, "DELETE FROM talents WHERE id = 3");
    let after = ask(other, "{}");
    assert_eq!(after["cache"]["hit"], false);
    assert!(!after["sources"].to_string().contains("\"3\""), "{after}");
    run(client, "SET castmatch.reply_ttl = 0");
    ask(client, "{}");
    assert_eq!(ask(client, "{}")["cache"]["hit"], false);
}

/// Writers and readers for a while; every cached answer beside one that the same snapshot gives without the caches.
#[test]
fn s2_stale_read_hunter() {
    let cluster = Cluster::start(&Options::default());
    drop(attached(&cluster));
    let over = AtomicBool::new(false);
    let end = Instant::now() + Duration::from_secs(scaled(6, 60));
    let (reads, writes) = thread::scope(|scope| {
        let over = &over;
        let writers: Vec<_> = (0..3_u64)
            .map(|writer| {
                let mut client = cluster.connect(DATABASE, "postgres");
                scope.spawn(move || write(&mut client, writer, over))
            })
            .collect();
        let readers: Vec<_> = (0..4_u64)
            .map(|reader| {
                let mut client = cluster.connect(DATABASE, "postgres");
                scope.spawn(move || read(&mut client, reader, over))
            })
            .collect();
        while Instant::now() < end && !readers.iter().any(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
        let reads: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        let writes: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        (reads, writes)
    });
    let hits = match_hits(&mut cluster.connect(DATABASE, "postgres"));
    println!("[S2] {reads} answers compared, {hits} from the caches, {writes} changes");
    assert!(hits > 20 && writes > 20, "{hits} hits, {writes} writes");
}

fn write(client: &mut Client, writer: u64, over: &AtomicBool) -> u64 {
    let mut random = Random::new(100 + writer);
    let mut writes = 0;
    while !over.load(Ordering::Relaxed) {
        let id = 1 + random.within(0..5);
        let age = random.within(0..90);
        let change = format!("UPDATE talents SET age = {age} WHERE id = {id}");
        let sql = match random.within(0..8) {
            0 => format!("BEGIN; {change}; SELECT pg_sleep(0.01); COMMIT"),
            1 => format!("BEGIN; {change}; ROLLBACK"),
            2 => format!("BEGIN; SAVEPOINT s; {change}; ROLLBACK TO s; COMMIT"),
            3 => format!(
                "BEGIN; {change}; PREPARE TRANSACTION 'w{writer}'; SELECT pg_sleep(0.005); COMMIT PREPARED 'w{writer}'"
            ),
            4 => format!("BEGIN; {change}; PREPARE TRANSACTION 'w{writer}'; ROLLBACK PREPARED 'w{writer}'"),
            5 => format!(
                "DELETE FROM talents WHERE id = {}; INSERT INTO talents (id, bio, age) VALUES ({0}, 'A dancer', {age})",
                10 + writer
            ),
            _ => change,
        };
        for statement in sql.split("; ") {
            run(client, statement);
        }
        writes += 1;
        // Pauses, so that there is something to find.
        thread::sleep(Duration::from_millis(random.within(0..60).unsigned_abs()));
    }
    writes
}

fn read(client: &mut Client, reader: u64, over: &AtomicBool) -> u64 {
    let mut random = Random::new(200 + reader);
    let mut reads = 0;
    while !over.load(Ordering::Relaxed) {
        let repeatable = random.within(0..4) == 0;
        if repeatable {
            run(client, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        }
        for _ in 0..1 + random.within(0..3) {
            let age = 20 * (1 + random.within(0..3));
            let search = format!(
                "'talents', 'a dancer who rides horses', 20, filter => '{{\"age\": {{\"gte\": {age}}}}}'"
            );
            let (cached, fresh) = cached_and_fresh(client, &search);
            assert_eq!(cached, fresh, "answer {reads} of reader {reader}");
            reads += 1;
        }
        if repeatable {
            run(client, "COMMIT");
        }
    }
    reads
}
