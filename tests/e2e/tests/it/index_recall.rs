//! Recall by the recipes of pgvector's own tests and by its floors, so that the figures compare: 10,000 rows of 3
//! coordinates that are products of two uniform ones, 20 uniform queries, the 20 nearest rows, `ef_search` 40.

use std::thread;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::index::{assert_verified, prefer_index};
use castmatch_e2e::opclass::{self, OperatorClass};
use castmatch_e2e::query::{run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{plain, report, vacuum};

const DATABASE: &str = "recall";
const ROWS: i64 = 10_000;
const QUERIES: i64 = 20;
const K: i64 = 20;
/// Rows in both element types.
const POINTS: &str = "SELECT i, v, v::halfvec(3) FROM (
    SELECT i, ARRAY[random() * random(), random() * random(), random() * random()]::vector(3) AS v FROM generate_series";

fn floor(class: OperatorClass) -> f64 {
    if class.operator == "<#>" { 0.97 } else { 0.99 }
}

/// `tst (i, v, h)` without indexes.
fn database(cluster: &Cluster, rows: i64) -> Client {
    let mut client = cluster.database(DATABASE);
    prefer_index(&mut client);
    run(
        &mut client,
        &format!(
            "CREATE TABLE tst (i integer PRIMARY KEY, v vector(3), h halfvec(3));
             SELECT setseed(0.25);
             INSERT INTO tst {POINTS}(1, {rows}) i) r"
        ),
    );
    client
}

/// With few neighbours, or a filter, the largest inner products are hard to find: they are those of a few long vectors, and a graph of
/// inner products has few ways to any other. Floors of pgvector for these cases are of the other distances.
fn is_inner_product(class: OperatorClass) -> bool {
    class.operator == "<#>"
}

fn column_of(class: OperatorClass) -> &'static str {
    if class.element == "vector" { "v" } else { "h" }
}

fn index_of(class: OperatorClass) -> String {
    format!("tst_{}", class.name)
}

fn build(client: &mut Client, class: OperatorClass, with: &str) {
    let (name, column, class) = (index_of(class), column_of(class), class.name);
    run(
        client,
        &format!("CREATE INDEX {name} ON tst USING castmatch_hnsw ({column} {class}) {with}"),
    );
}

/// Share of the nearest rows that are found; a row as near as the last of them counts, whichever it is. Asserts that as
/// many rows come back as there are, each once.
fn recall(client: &mut Client, class: OperatorClass, filter: &str, k: i64) -> f64 {
    let (column, operator, element) = (column_of(class), class.operator, class.element);
    let (mut hits, mut all) = (0, 0);
    for query in 0..QUERIES {
        let vector: String = value(
            client,
            &format!(
                "SELECT setseed({query} / 100.0 - 0.9)::text || ARRAY[random(), random(), random()]::vector::text"
            ),
        );
        let distance = format!("{column} {operator} '{vector}'::{element}");
        let sql = format!(
            "WITH truth AS MATERIALIZED (SELECT ({distance}) + 0 AS d FROM tst WHERE {filter} ORDER BY d LIMIT {k}),
                  found AS MATERIALIZED (SELECT i, {distance} AS d FROM tst WHERE {filter} ORDER BY {distance} LIMIT {k})
             SELECT (SELECT count(*) FROM found WHERE d <= (SELECT max(d) FROM truth)), (SELECT count(*) FROM truth),
                    (SELECT count(DISTINCT i) FROM found)"
        );
        let row = client
            .query_one(&sql, &[])
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let (hit, wanted, distinct): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(
            distinct, wanted,
            "{} query {vector}: rows found and rows there are",
            class.name
        );
        hits += hit;
        all += wanted;
    }
    assert!(all > 0, "there are no rows to find");
    hits as f64 / all as f64
}

fn assert_recall(client: &mut Client, class: OperatorClass, least: f64, what: &str) {
    let found = recall(client, class, "true", K);
    report("Q1", &format!("{what}, {}: recall@{K} {found:.4}", class.name));
    assert!(
        found >= least,
        "{what}, {}: recall@{K} {found:.4} < {least}",
        class.name
    );
}

#[test]
fn built_graphs_reach_the_recall_floor() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, ROWS);
    let ways = [
        (
            "one thread",
            "SET max_parallel_maintenance_workers = 0; SET maintenance_work_mem = '64MB'",
        ),
        (
            "four threads",
            "SET max_parallel_maintenance_workers = 3; SET min_parallel_table_scan_size = 1; SET maintenance_work_mem = '128MB'",
        ),
        ("4 MB", "SET maintenance_work_mem = '4MB'"),
        (
            "1 MB",
            "SET max_parallel_maintenance_workers = 0; SET maintenance_work_mem = '1MB'",
        ),
    ];
    run(client, "ALTER TABLE tst SET (parallel_workers = 3)");
    for (way, settings) in ways {
        run(client, settings);
        for class in opclass::ALL {
            build(client, class, "");
            assert_recall(client, class, floor(class), way);
            assert_verified(client, &index_of(class));
            run(client, &format!("DROP INDEX {}", index_of(class)));
        }
    }
}

#[test]
fn codes_of_every_width_reach_the_recall_floor() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, ROWS);
    // Four bits are few for 3 dimensions: distances are ranked anew from the table, but the walk is a coarse one.
    for (bits, least) in [(4, 0.9), (8, 0.95), (32, 0.97)] {
        for class in opclass::ALL {
            build(client, class, &format!("WITH (code_bits = {bits})"));
            assert_recall(client, class, least, &format!("{bits} bits"));
            run(client, &format!("DROP INDEX {}", index_of(class)));
        }
    }
}

#[test]
fn rows_inserted_by_several_clients_reach_the_recall_floor() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, 0);
    let classes: &[OperatorClass] = scaled(&opclass::ALL[..2], &opclass::ALL[..]);
    for &class in classes {
        build(client, class, "");
    }
    let clients = scaled(5, 10);
    let each = ROWS / clients;
    thread::scope(|scope| {
        for number in 0..clients {
            let mut session = cluster.connect(DATABASE, "postgres");
            scope.spawn(move || {
                run(&mut session, &format!("SELECT setseed({number} / 10.0)"));
                for first in (number * each + 1..=(number + 1) * each).step_by(10) {
                    let last = first + 9;
                    run(
                        &mut session,
                        &format!("INSERT INTO tst {POINTS}({first}, {last}) i) r"),
                    );
                }
            });
        }
    });
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM tst"), ROWS);
    for &class in classes {
        assert_recall(
            client,
            class,
            floor(class),
            &format!("inserted by {clients} clients"),
        );
        assert_verified(client, &index_of(class));
    }
}

#[test]
fn recall_survives_the_deletion_of_three_quarters() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, ROWS);
    for class in opclass::ALL {
        build(client, class, "WITH (m = 4, ef_construction = 8)");
    }
    run(client, "DELETE FROM tst WHERE i > 2500");
    for (ef, least) in [(20, 0.18), (100, 0.93)] {
        run(client, &format!("SET castmatch.ef_search = {ef}"));
        for class in opclass::ALL {
            let least = if is_inner_product(class) { 0.18 } else { least };
            assert_recall(client, class, least, &format!("m = 4, 75 % deleted, ef {ef}"));
        }
    }
    run(client, "RESET castmatch.ef_search");
    vacuum(client, "tst");
    for class in opclass::ALL {
        let least = if is_inner_product(class) { 0.5 } else { 0.95 };
        assert_recall(client, class, least, "m = 4, 75 % deleted and vacuumed");
        assert_verified(client, &index_of(class));
    }
}

#[test]
fn recall_survives_updates_of_every_row() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, ROWS);
    let classes: &[OperatorClass] = scaled(&opclass::ALL[..2], &opclass::ALL[..]);
    for &class in classes {
        build(client, class, "");
    }
    for round in 1..=3 {
        run(
            client,
            "UPDATE tst SET v = r.v, h = r.v::halfvec(3) FROM (
                 SELECT i, ARRAY[random() * random(), random() * random(), random() * random()]::vector(3) AS v
                 FROM generate_series(1, 10000) i) r WHERE tst.i = r.i",
        );
        // The first time the old versions are still in the graph when they are searched.
        if round > 1 {
            vacuum(client, "tst");
        }
        for &class in classes {
            let least = if round == 1 { 0.95 } else { floor(class) };
            assert_recall(client, class, least, &format!("after update {round}"));
        }
    }
    for &class in classes {
        assert_verified(client, &index_of(class));
    }
}

#[test]
fn filtered_searches_reach_the_recall_floor() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, ROWS);
    for class in opclass::ALL {
        build(client, class, "");
        let least = if is_inner_product(class) { 0.4 } else { 0.99 };
        for (filter, share) in [
            ("i % 10 = 3", "10 %"),
            ("i % 50 = 3", "2 %"),
            ("i % 500 = 3", "0.2 %"),
        ] {
            let k = 10;
            let found = recall(client, class, filter, k);
            report(
                "Q1",
                &format!(
                    "filter that leaves {share}, {}: recall@{k} {found:.4}",
                    class.name
                ),
            );
            assert!(found >= least, "{filter}, {}: recall {found:.4}", class.name);
        }
        run(client, &format!("DROP INDEX {}", index_of(class)));
    }
}

/// Distances that many rows share: which of them come back is free, how near they are is not.
#[test]
fn ties_count_by_their_distance() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, 0);
    run(
        client,
        "INSERT INTO tst SELECT i, v, v::halfvec(3) FROM (
             SELECT i, ARRAY[i % 5, i / 5 % 5, i / 25 % 5]::vector(3) AS v FROM generate_series(1, 10000) i) r",
    );
    for class in opclass::ALL {
        build(client, class, "");
        assert_recall(client, class, floor(class), "80 rows at each of 125 points");
        assert_verified(client, &index_of(class));
        run(client, &format!("DROP INDEX {}", index_of(class)));
    }
}

/// A larger table of more dimensions, in groups as embeddings are.
#[test]
fn grouped_rows_of_many_dimensions_reach_the_recall_floor() {
    let cluster = Cluster::start(&Options {
        settings: vec![
            ("autovacuum", "off".to_owned()),
            ("shared_buffers", "256MB".to_owned()),
        ],
        ..plain(&[])
    });
    let client = &mut cluster.database(DATABASE);
    prefer_index(client);
    let (rows, dims) = scaled((5_000, 96), (100_000, 384));
    for (class, with) in [
        (opclass::VECTOR_L2, ""),
        (opclass::HALFVEC_COSINE, "code_bits = 4"),
        (opclass::ALL[3], ""),
    ] {
        let index = castmatch_e2e::index::Index::table(client, "grouped", class, dims);
        index.fill(client, 1..rows + 1);
        index.build(client, with);
        let found = index.recall(client, 0..QUERIES, 10);
        report(
            "Q1",
            &format!(
                "{rows} rows of {dims} dimensions, {}: recall@10 {found:.4}",
                class.name
            ),
        );
        assert!(found >= 0.9, "{}: recall@10 {found:.4}", class.name);
        run(client, "DROP TABLE grouped");
    }
}
