//! The text leg reads an index that others write and vacuum: in one snapshot it finds what a scan of the table finds.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{StopOnDrop, repeat, report, vacuum};

const DATABASE: &str = "texts";
/// Of all frequencies: in every row, in a quarter, in some, two at once.
const QUERIES: [&str; 6] = ["alpha", "beta", "gamma", "w17", "delta epsilon", "alpha w5"];

/// Inserts texts of a frequent word, one of four, one of 500 and one of their own, from a number on.
fn insert(first: &str, count: u32) -> String {
    format!(
        "INSERT INTO notes (body) SELECT 'alpha ' || (ARRAY['beta', 'gamma', 'delta', 'epsilon'])[1 + i % 4] || ' w' || (i % 500) || ' n' || i
         FROM (SELECT ({first})::integer AS first) f, generate_series(f.first, f.first + {count} - 1) i"
    )
}

fn write(client: &mut Client) -> Result<(), postgres::Error> {
    client.batch_execute(&format!(
        "{}; DELETE FROM notes WHERE id IN (SELECT id FROM notes ORDER BY random() LIMIT 30)",
        insert("random() * 1000000", 30)
    ))
}

/// How many rows are found by text and how many have the words, in one snapshot.
fn compare(client: &mut Client, query: &str) -> (i64, i64) {
    run(client, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    let found = value(
        client,
        &format!(
            "SELECT count(DISTINCT key) FROM castmatch.match('notes', '{query}', 10000, mode => 'text', options => '{{\"cache\": \"bypass\"}}')"
        ),
    );
    let expected = value(
        client,
        &format!(
            "SELECT least(count(*), 10000) FROM notes WHERE to_tsvector('english', body) @@ '{}'::tsquery",
            query.replace(' ', "|")
        ),
    );
    run(client, "COMMIT");
    (found, expected)
}

#[test]
fn text_is_found_while_others_write_and_vacuum() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database(DATABASE);
    run(
        client,
        &format!(
            "CREATE TABLE notes (id bigserial PRIMARY KEY, body text); {}",
            insert("1", 9000)
        ),
    );
    run(
        client,
        "SELECT castmatch.attach('notes', '{body}', embed_mode => 'off')",
    );
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stopped = StopOnDrop(&stop);
        let stop = &stop;
        let writing: Vec<_> = (0..3)
            .map(|_| {
                let mut client = cluster.connect(DATABASE, "postgres");
                scope.spawn(move || repeat(stop, || write(&mut client)).unwrap())
            })
            .collect();
        let mut sweeper = cluster.connect(DATABASE, "postgres");
        let vacuuming = scope.spawn(move || {
            repeat(stop, || {
                vacuum(&mut sweeper, "notes");
                Ok::<_, postgres::Error>(())
            })
            .unwrap()
        });
        let mut reader = cluster.connect(DATABASE, "postgres");
        let reading = scope.spawn(move || {
            let mut number = 0;
            repeat(stop, || {
                let query = QUERIES[number % QUERIES.len()];
                let (found, expected) = compare(&mut reader, query);
                assert_eq!(found, expected, "{query}, comparison {number}");
                number += 1;
                Ok::<_, postgres::Error>(())
            })
            .unwrap()
        });
        thread::sleep(Duration::from_secs(scaled(10, 60)));
        drop(stopped);
        let writes: u64 = writing.into_iter().map(|thread| thread.join().unwrap()).sum();
        let (vacuums, comparisons) = (vacuuming.join().unwrap(), reading.join().unwrap());
        report(
            "text",
            &format!("{comparisons} comparisons among {writes} writes and {vacuums} vacuums"),
        );
        assert!(comparisons > 0 && writes > 0 && vacuums > 0);
    });
}
