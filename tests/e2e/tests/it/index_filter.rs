//! Filter columns: random conditions against a sequential scan, columns that change under load, a dump.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::assert_verified;
use castmatch_e2e::method::Method;
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{DATABASE, StopOnDrop, database, plain, repeat, report, searcher, vacuum};

castmatch_e2e::for_each_method! {
    random_filters_give_the_rows_of_a_sequential_scan,
    filter_columns_change_under_load,
    a_dump_restores_filter_columns,
}

/// How much less of the ten nearest than without conditions a search may find under them, over all of them.
const FILTERED_LOSS: f64 = 0.01;

/// A table with a column of every kind of key, three in a hundred of their values NULL, and its index.
fn people(client: &mut Client, method: Method, rows: i64) {
    run(
        client,
        &format!(
            "SELECT setseed(0.25);
             CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
             CREATE TABLE people (id integer PRIMARY KEY, e vector(8), age integer, big bigint, score double precision, price numeric,
                 born date, mood mood, city text, tags text[], note text);
             INSERT INTO people SELECT i,
                 ARRAY(SELECT random() - 0.5 + i % 5 FROM generate_series(1, 8 + 0 * i))::real[]::vector,
                 CASE WHEN random() < 0.97 THEN (random() * 100)::integer END,
                 CASE WHEN random() < 0.97 THEN (random() * 20)::bigint * 1000000000 END,
                 CASE WHEN random() < 0.97 THEN random() * 10 END,
                 CASE WHEN random() < 0.97 THEN (random() * 50)::numeric(10, 1) END,
                 CASE WHEN random() < 0.97 THEN date '2000-01-01' + (random() * 5000)::integer END,
                 CASE WHEN random() < 0.97 THEN (ARRAY['sad', 'ok', 'happy'])[1 + floor(random() * 3)]::mood END,
                 CASE WHEN random() < 0.97 THEN 'city ' || floor(power(random(), 3) * 100) END,
                 CASE WHEN random() < 0.97 THEN ARRAY['t' || floor(random() * 30), 't' || floor(random() * 30)] END,
                 'note ' || i % 3
             FROM generate_series(1, {rows}) i;
             CREATE INDEX people_e ON people USING {method} (e vector_l2_ops, age, big, score, price, born, mood, city, tags);
             ANALYZE people"
        ),
    );
}

/// A condition on one column, of any selectivity.
fn condition(random: &mut Random) -> String {
    let comparison = |random: &mut Random| *random.of(&["<", "<=", "=", ">=", ">"]);
    match random.within(0..16) {
        0 | 1 => format!("age {} {}", comparison(random), random.within(-5..105)),
        2 => format!("age BETWEEN {0} AND {0} + 3", random.within(0..100)),
        3 => format!(
            "age IN ({}, NULL, {})",
            random.within(0..100),
            random.within(0..100)
        ),
        4 => format!(
            "big {} {}",
            comparison(random),
            random.within(-1..21) * 1_000_000_000
        ),
        5 => format!(
            "score {} {}",
            comparison(random),
            random.within(0..100) as f64 / 10.0
        ),
        6 => format!(
            "price {} {}",
            comparison(random),
            random.within(0..500) as f64 / 10.0
        ),
        7 => format!(
            "born {} date '2000-01-01' + {}",
            comparison(random),
            random.within(0..5000)
        ),
        8 => format!(
            "born {} timestamp '2000-01-01 12:00' + interval '{} days'",
            comparison(random),
            random.within(0..5000)
        ),
        9 => format!("mood = '{}'", random.of(&["sad", "ok", "happy"])),
        10 => format!("city = 'city {}'", random.within(0..100)),
        11 => format!("city = ANY ('{{city {},city 0,NULL}}')", random.within(0..100)),
        12 => format!(
            "tags && '{{t{},t{}}}'",
            random.within(0..32),
            random.within(0..32)
        ),
        13 => format!("tags @> '{{t{}}}'", random.within(0..32)),
        14 => {
            let column = random.of(&["age", "big", "score", "price", "born", "mood", "city", "tags"]);
            let no = if random.percent(70) { "NOT " } else { "" };
            format!("{column} IS {no}NULL")
        }
        // One that the executor tests.
        _ => format!("note <> 'note {}'", random.within(0..3)),
    }
}

const BY_INDEX: &str = "SET enable_indexscan = on; SET enable_seqscan = off; SET enable_sort = off";
const EXACTLY: &str =
    "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_seqscan = on; SET enable_sort = on";

/// The share of the ten nearest that the index gives, without a condition.
fn unfiltered(client: &mut Client, query: &str) -> f64 {
    let sql = format!("SELECT id FROM people ORDER BY e <-> '{query}'::vector LIMIT 10");
    run(client, EXACTLY);
    let expected: Vec<i32> = column(client, &sql);
    run(client, BY_INDEX);
    let found: Vec<i32> = column(client, &sql);
    found.iter().filter(|id| expected.contains(id)).count() as f64 / 10.0
}

/// The rows under a condition in the order of the distance from a vector: by the index and without it, and the share of the ten nearest
/// that the index gives first.
fn compare(client: &mut Client, conditions: &str, query: &str) -> f64 {
    let sql = |limit: &str| {
        format!("SELECT id FROM people WHERE {conditions} ORDER BY e <-> '{query}'::vector {limit}")
    };
    run(client, EXACTLY);
    let mut expected: Vec<i32> = column(client, &sql(""));
    run(client, BY_INDEX);
    let plan = column::<String>(client, &format!("EXPLAIN (COSTS OFF) {}", sql("LIMIT 10"))).join("\n");
    // PostgreSQL 18 sees that two conditions contradict each other before it looks for an index.
    assert!(
        plan.contains("Index Scan using people_e") || plan.contains("One-Time Filter: false"),
        "{conditions}: {plan}"
    );
    let first: Vec<i32> = column(client, &sql("LIMIT 10"));
    assert_eq!(first.len(), expected.len().min(10), "rows under {conditions}");
    let near = expected.get(..first.len()).unwrap();
    let hits = first.iter().filter(|id| near.contains(id)).count();
    let share = if first.is_empty() {
        1.0
    } else {
        hits as f64 / first.len() as f64
    };
    let mut all: Vec<i32> = column(client, &sql(""));
    all.sort_unstable();
    expected.sort_unstable();
    assert_eq!(all, expected, "all rows under {conditions}");
    share
}

fn random_filters_give_the_rows_of_a_sequential_scan(method: Method) {
    const SEED: u64 = 20_261_128;
    println!("seed {SEED}");
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    people(client, method, scaled(4_000, 40_000));
    let mut random = Random::new(SEED);
    let count = scaled(method.either(200, 100), 2_000);
    let (mut sum, mut plain_sum) = (0.0, 0.0);
    for number in 0..count {
        if number == count / 2 {
            run(
                client,
                "DELETE FROM people WHERE id % 7 = 0; UPDATE people SET age = age + 1, city = NULL WHERE id % 5 = 0",
            );
            vacuum(client, "people");
        }
        let conditions: Vec<String> = (0..random.within(1..4)).map(|_| condition(&mut random)).collect();
        let query: Vec<String> = (0..8)
            .map(|_| (random.within(-500..4_500) as f64 / 1000.0).to_string())
            .collect();
        let query = format!("[{}]", query.join(","));
        sum += compare(client, &conditions.join(" AND "), &query);
        plain_sum += unfiltered(client, &query);
    }
    assert_verified(client, "people_e");
    let (recall, plain) = (sum / f64::from(count), plain_sum / f64::from(count));
    assert!(
        recall >= plain - FILTERED_LOSS,
        "recall {recall} under filters, {plain} without"
    );
    report(
        "Q3",
        &format!(
            "{method}: {count} random filters: recall {recall:.4} (without filters {plain:.4}), all rows equal"
        ),
    );
}

fn filter_columns_change_under_load(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let rows = scaled(3_000, 20_000);
    people(client, method, rows);
    let stop = AtomicBool::new(false);
    let (updates, reads) = (AtomicI64::new(0), AtomicI64::new(0));
    let span = Duration::from_secs(scaled(method.either(8, 4), 60));
    thread::scope(|scope| {
        let stopped = StopOnDrop(&stop);
        let (stop, updates, reads) = (&stop, &updates, &reads);
        let mut threads = Vec::new();
        for number in 0..3 {
            let mut client = cluster.connect(DATABASE, "postgres");
            threads.push(scope.spawn(move || {
                let mut random = Random::new(number);
                repeat(stop, || {
                    // Each session changes rows of its own, so that none waits for another.
                    let id = random.within(0..rows / 3) * 3 + i64::try_from(number).unwrap();
                    let change = match random.within(0..4) {
                        0 => format!("age = {}", random.within(0..100)),
                        1 => "age = NULL, city = 'city 1'".to_owned(),
                        2 => format!("tags = '{{t{}}}', mood = 'ok'", random.within(0..30)),
                        _ => format!("big = {}, e = e", random.within(0..20)),
                    };
                    updates.fetch_add(1, Ordering::Relaxed);
                    client.batch_execute(&format!("UPDATE people SET {change} WHERE id = {id}"))
                })
                .unwrap();
            }));
        }
        let mut sweeper = cluster.connect(DATABASE, "postgres");
        threads.push(scope.spawn(move || {
            repeat(stop, || {
                vacuum(&mut sweeper, "people");
                Ok::<_, postgres::Error>(())
            })
            .unwrap();
        }));
        let mut reader = searcher(&cluster);
        threads.push(scope.spawn(move || {
            let mut random = Random::new(99);
            repeat(stop, || {
                let age = random.within(0..100);
                // By one snapshot: as many rows as there are, up to ten, and each of them passes.
                let row = reader.query_one(
                    &format!(
                        "WITH found AS MATERIALIZED (SELECT id, age FROM people WHERE age = {age} AND mood = 'ok'
                             ORDER BY e <-> '[1,2,3,4,3,2,1,0]' LIMIT 10)
                         SELECT (SELECT count(*) FROM found WHERE age = {age}), (SELECT count(DISTINCT id) FROM found),
                             (SELECT count(*) FROM (SELECT FROM people WHERE age + 0 = {age} AND mood::text = 'ok' LIMIT 10) t)"
                    ),
                    &[],
                )?;
                let counts: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
                assert_eq!(counts, (counts.2, counts.2, counts.2), "rows of age {age}");
                reads.fetch_add(1, Ordering::Relaxed);
                Ok::<_, postgres::Error>(())
            })
            .unwrap();
        }));
        thread::sleep(span);
        drop(stopped);
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert_verified(client, "people_e");
    report(
        "K1",
        &format!(
            "{method}, {span:?}: {} updates of filter columns, {} searches beside them",
            updates.into_inner(),
            reads.into_inner()
        ),
    );
}

fn a_dump_restores_filter_columns(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    people(client, method, 500);
    let definition = "SELECT pg_get_indexdef('people_e'::regclass)";
    let original: String = value(client, definition);
    assert!(
        original.ends_with("(e vector_l2_ops, age, big, score, price, born, mood, city, tags)"),
        "{original}"
    );
    let file = cluster
        .new_folder("dumps")
        .join("filter.dump")
        .display()
        .to_string();
    cluster.program(
        "pg_dump",
        &["--format=custom", "--file", &file, &cluster.url(DATABASE)],
    );
    let admin = &mut cluster.connect("postgres", "postgres");
    run(admin, "CREATE DATABASE restored TEMPLATE template0");
    cluster.program(
        "pg_restore",
        &["--exit-on-error", "--dbname", &cluster.url("restored"), &file],
    );
    let copy = &mut cluster.connect("restored", "postgres");
    assert_eq!(value::<String>(copy, definition), original);
    assert_verified(copy, "people_e");
    run(copy, "ANALYZE people");
    let share = compare(copy, "age > 50 AND tags && '{t1,t2,t3}'", "[1,2,3,4,3,2,1,0]");
    assert!(share >= 0.9, "{share}");
}
