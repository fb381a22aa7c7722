//! Recall by the recipes of pgvector's own tests and by its floors, so that the figures compare: 10,000 rows of 3
//! coordinates that are products of two uniform ones, 20 uniform queries, the 20 nearest rows, `ef_search` 40, or 30 of 100 lists.

use std::thread;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::index::{assert_verified, prefer_index};
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::{self, OperatorClass};
use castmatch_e2e::query::{run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{plain, report, vacuum};

castmatch_e2e::for_each_method! {
    built_indexes_reach_the_recall_floor,
    rows_inserted_by_several_clients_reach_the_recall_floor,
    recall_survives_the_deletion_of_three_quarters,
    recall_survives_updates_of_every_row,
    filtered_searches_reach_the_recall_floor,
    ties_count_by_their_distance,
    grouped_rows_of_many_dimensions_reach_the_recall_floor,
}

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

/// The statement that has a session search as hard as the floors are for.
fn usual_effort(method: Method) -> String {
    method.either(method.reset_effort(), method.set_effort(30))
}

/// Options of an index that the floors are for.
fn usual(method: Method) -> &'static str {
    method.either("", "WITH (lists = 100)")
}

/// `tst (i, v, h)` without indexes.
fn database(cluster: &Cluster, method: Method, rows: i64) -> Client {
    let mut client = cluster.database(DATABASE);
    prefer_index(&mut client);
    run(&mut client, &usual_effort(method));
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

fn build(client: &mut Client, method: Method, class: OperatorClass, with: &str) {
    let (name, column, class) = (index_of(class), column_of(class), class.name);
    run(
        client,
        &format!("CREATE INDEX {name} ON tst USING {method} ({column} {class}) {with}"),
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

fn built_indexes_reach_the_recall_floor(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, method, ROWS);
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
        for &class in method.classes() {
            build(client, method, class, usual(method));
            assert_recall(client, class, floor(class), &format!("{method}, {way}"));
            assert_verified(client, &index_of(class));
            run(client, &format!("DROP INDEX {}", index_of(class)));
        }
    }
}

#[test]
fn codes_of_every_width_reach_the_recall_floor() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, Method::Hnsw, ROWS);
    // Four bits are few for 3 dimensions: distances are ranked anew from the table, but the walk is a coarse one.
    for (bits, least) in [(4, 0.9), (8, 0.95), (32, 0.97)] {
        for class in opclass::ALL {
            build(client, Method::Hnsw, class, &format!("WITH (code_bits = {bits})"));
            assert_recall(client, class, least, &format!("{bits} bits"));
            run(client, &format!("DROP INDEX {}", index_of(class)));
        }
    }
}

/// The floors of an inverted file by how much of it is searched: a hundredth, a tenth, all; and those of its own choice.
#[test]
fn lists_that_are_searched_reach_the_recall_floors() {
    let method = Method::Ivf;
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, method, ROWS);
    for workers in [0, 2] {
        run(
            client,
            &format!("SET max_parallel_maintenance_workers = {workers}"),
        );
        for &class in method.classes() {
            build(client, method, class, "WITH (lists = 100)");
            let by_choice = floor(class);
            for (probes, confidence, least) in
                [(1, 3, 0.71), (10, 3, 0.95), (100, 10, 1.0), (0, 3, by_choice)]
            {
                // The 20 largest inner products are rarely those of one list of a hundred rows.
                let least = if is_inner_product(class) && probes == 1 {
                    0.57
                } else {
                    least
                };
                run(
                    client,
                    &format!(
                        "SET castmatch.probes = {probes}; SET castmatch.rerank_confidence = {confidence}"
                    ),
                );
                assert_recall(
                    client,
                    class,
                    least,
                    &format!("{method}, {workers} workers, {probes} of 100 lists"),
                );
            }
            run(client, &format!("DROP INDEX {}", index_of(class)));
        }
    }
}

fn rows_inserted_by_several_clients_reach_the_recall_floor(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, method, 0);
    let classes = scaled(&method.classes()[..2], method.classes());
    for &class in classes {
        build(client, method, class, usual(method));
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
            &format!("{method}, inserted by {clients} clients"),
        );
        assert_verified(client, &index_of(class));
    }
}

fn recall_survives_the_deletion_of_three_quarters(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, method, ROWS);
    for &class in method.classes() {
        build(
            client,
            method,
            class,
            method.either("WITH (m = 4, ef_construction = 8)", usual(method)),
        );
    }
    run(client, "DELETE FROM tst WHERE i > 2500");
    let efforts = method.either([(20, 0.18), (100, 0.93)], [(2, 0.18), (30, 0.93)]);
    for (effort, least) in efforts {
        run(client, &method.set_effort(effort));
        for &class in method.classes() {
            let least = if is_inner_product(class) { 0.18 } else { least };
            assert_recall(
                client,
                class,
                least,
                &format!("{method}, 75 % deleted, effort {effort}"),
            );
        }
    }
    run(client, &usual_effort(method));
    vacuum(client, "tst");
    for &class in method.classes() {
        let least = if is_inner_product(class) { 0.5 } else { 0.95 };
        assert_recall(
            client,
            class,
            least,
            &format!("{method}, 75 % deleted and vacuumed"),
        );
        assert_verified(client, &index_of(class));
    }
}

fn recall_survives_updates_of_every_row(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, method, ROWS);
    let classes = scaled(&method.classes()[..2], method.classes());
    for &class in classes {
        build(client, method, class, usual(method));
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
            assert_recall(client, class, least, &format!("{method}, after update {round}"));
        }
    }
    for &class in classes {
        assert_verified(client, &index_of(class));
    }
}

fn filtered_searches_reach_the_recall_floor(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, method, ROWS);
    for &class in method.classes() {
        build(client, method, class, usual(method));
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
                    "{method}, filter that leaves {share}, {}: recall@{k} {found:.4}",
                    class.name
                ),
            );
            assert!(found >= least, "{filter}, {}: recall {found:.4}", class.name);
        }
        run(client, &format!("DROP INDEX {}", index_of(class)));
    }
}

/// Distances that many rows share: which of them come back is free, how near they are is not.
fn ties_count_by_their_distance(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster, method, 0);
    run(
        client,
        "INSERT INTO tst SELECT i, v, v::halfvec(3) FROM (
             SELECT i, ARRAY[i % 5, i / 5 % 5, i / 25 % 5]::vector(3) AS v FROM generate_series(1, 10000) i) r",
    );
    for &class in method.classes() {
        build(client, method, class, usual(method));
        assert_recall(
            client,
            class,
            floor(class),
            &format!("{method}, 80 rows at each of 125 points"),
        );
        assert_verified(client, &index_of(class));
        run(client, &format!("DROP INDEX {}", index_of(class)));
    }
}

/// A larger table of more dimensions, in groups as embeddings are.
fn grouped_rows_of_many_dimensions_reach_the_recall_floor(method: Method) {
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
        (
            opclass::HALFVEC_COSINE,
            method.either("code_bits = 4", "refine_bits = 3"),
        ),
        (method.either(opclass::VECTOR_L1, opclass::ALL[1]), ""),
    ] {
        let index = castmatch_e2e::index::Index::table(client, "grouped", class, dims).by(method);
        index.fill(client, 1..rows + 1);
        index.build(client, with);
        let found = index.recall(client, 0..QUERIES, 10);
        report(
            "Q1",
            &format!(
                "{method}, {rows} rows of {dims} dimensions, {}: recall@10 {found:.4}",
                class.name
            ),
        );
        assert!(found >= 0.9, "{}: recall@10 {found:.4}", class.name);
        run(client, "DROP TABLE grouped");
    }
}
