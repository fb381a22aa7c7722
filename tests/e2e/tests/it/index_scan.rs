//! What a scan promises whoever reads it: the same rows each time, nearest first, and every row once if read to its end.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::Index;
use castmatch_e2e::method::Method;
use castmatch_e2e::opclass::{self, OperatorClass};
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{DATABASE, database, plain, searcher, vacuum};

castmatch_e2e::for_each_method! {
    same_query_gives_the_same_rows,
    fewer_rows_are_the_first_of_more_rows_and_come_nearest_first,
    reading_to_the_end_returns_every_row_once,
    filters_leave_as_many_rows_as_there_are,
    row_security_leaves_as_many_rows_as_there_are,
}

/// Dimensions, and options of the graph and of the inverted file for them: each class is tried with one of them.
const SHAPES: [(usize, &str, &str); 4] = [
    (3, "", ""),
    (40, "code_bits = 4", "refine_bits = 3"),
    (40, "code_bits = 8", "lists = 100"),
    (130, "", ""),
];

fn shapes(method: Method) -> impl Iterator<Item = (usize, OperatorClass, usize, &'static str)> {
    method.classes().iter().enumerate().map(move |(number, &class)| {
        let (dims, of_graph, of_inverted_file) = SHAPES[number % SHAPES.len()];
        (number, class, dims, method.either(of_graph, of_inverted_file))
    })
}

/// Efforts to search with: the least, the usual one and more.
fn efforts(method: Method) -> [i64; 4] {
    method.either([1, 10, 40, 100], [1, 2, 0, 65_536])
}

fn filled(
    client: &mut Client,
    method: Method,
    number: usize,
    class: OperatorClass,
    dims: usize,
    with: &str,
    rows: i64,
) -> Index {
    let index = Index::table(client, &format!("rows_{number}"), class, dims).by(method);
    index.fill(client, 1..rows + 1);
    index.build(client, with);
    index.assert_used(client);
    index
}

fn same_query_gives_the_same_rows(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for (number, class, dims, with) in shapes(method) {
        let index = filled(client, method, number, class, dims, with, scaled(1_500, 20_000));
        let other = &mut searcher(&cluster);
        for number in 0..10 {
            for k in [1, 10, 40, 200] {
                let query = index.query(number);
                let first = index.nearest(client, &query, k);
                assert_eq!(first, index.nearest(client, &query, k), "{} again", class.name);
                assert_eq!(
                    first,
                    index.nearest(other, &query, k),
                    "{} in another session",
                    class.name
                );
            }
        }
    }
}

fn fewer_rows_are_the_first_of_more_rows_and_come_nearest_first(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for (number, class, dims, with) in shapes(method) {
        let index = filled(client, method, number, class, dims, with, scaled(1_500, 20_000));
        for effort in efforts(method) {
            run(client, &method.set_effort(effort));
            // As many rows as a graph search keeps; lists have any number.
            let most = method.either(effort, 40);
            // The rows of some lists are not all in the order of all rows.
            let is_ordered = method.either(true, effort > 1_000);
            // Codes of one bit are wrong more often than a scan believes by default.
            let confidence = method.either(3, 10);
            run(client, &format!("SET castmatch.rerank_confidence = {confidence}"));
            for number in 0..scaled(3, 20) {
                let query = index.query(number);
                let all = index.nearest(client, &query, most);
                assert_eq!(all.len(), usize::try_from(most).unwrap());
                for (first, second) in all.iter().zip(all.iter().skip(1)) {
                    assert!(
                        !is_ordered || first.1 <= second.1,
                        "{} effort {effort}: {first:?} before {second:?}",
                        class.name
                    );
                }
                for k in 1..most {
                    let fewer = index.nearest(client, &query, k);
                    assert_eq!(
                        fewer,
                        all[..usize::try_from(k).unwrap()],
                        "{} effort {effort} k {k}",
                        class.name
                    );
                }
            }
        }
        run(client, &method.reset_effort());
        run(client, "RESET castmatch.rerank_confidence");
    }
}

/// Each row with a vector once, whatever the search starts with and however little memory it may use.
fn reading_to_the_end_returns_every_row_once(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for (number, class, dims, with) in shapes(method) {
        let rows = scaled(1_500, 20_000);
        let index = filled(client, method, number, class, dims, with, rows);
        let (usual, most) = method.either((40, 10_000), (0, 65_536));
        let settings = [
            (1, "64kB"),
            (usual, "64kB"),
            (1, "4MB"),
            (usual, "4MB"),
            (most, "4MB"),
        ];
        let every_way = |client: &mut Client, state: &str| {
            for (effort, memory) in settings {
                run(client, &method.set_effort(effort));
                run(client, &format!("SET work_mem = '{memory}'"));
                let live = index.assert_exhaustive(client, &index.query(effort));
                assert!(live > 0, "{} {state}", class.name);
            }
            run(client, &method.reset_effort());
            run(client, "RESET work_mem");
        };
        every_way(client, "built");
        run(client, &format!("DELETE FROM {} WHERE id % 3 = 0", index.table));
        every_way(client, "with dead rows");
        vacuum(client, &index.table);
        every_way(client, "vacuumed");
        index.fill(client, rows + 1..rows + 201);
        run(
            client,
            &format!("UPDATE {} SET touched = 1, e = e WHERE id % 5 = 0", index.table),
        );
        every_way(client, "with new rows");
    }
}

fn filters_leave_as_many_rows_as_there_are(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for (number, class, dims, with) in shapes(method) {
        let rows = scaled(3_000, 50_000);
        let index = filled(client, method, number, class, dims, with, rows);
        for (effort, memory) in [(1, "64kB"), (method.either(40, 0), "4MB")] {
            run(client, &method.set_effort(effort));
            run(client, &format!("SET work_mem = '{memory}'"));
            for (filter, k) in [
                ("id % 100 = 1", 10_i64),
                ("id % 100 = 1", i64::MAX),
                ("id % 1000 = 1", 3),
                ("id < 0", 10),
                ("touched = 1", 10),
                ("version = 0", 25),
            ] {
                let table = &index.table;
                let there: i64 = value(
                    client,
                    &format!("SELECT count(*) FROM {table} WHERE e IS NOT NULL AND {filter}"),
                );
                let sql = index.nearest_sql(&index.query(7), k, &format!("WHERE {filter}"));
                let mut ids: Vec<i64> = column(client, &format!("SELECT id FROM ({sql}) found"));
                assert_eq!(
                    i64::try_from(ids.len()).unwrap(),
                    k.min(there),
                    "{}: {sql}",
                    class.name
                );
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(
                    i64::try_from(ids.len()).unwrap(),
                    k.min(there),
                    "{}: each once",
                    class.name
                );
            }
        }
        run(client, &method.reset_effort());
        run(client, "RESET work_mem");
    }
}

/// Row security filters what the index returns: as many rows as asked for, none of them hidden.
fn row_security_leaves_as_many_rows_as_there_are(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = filled(client, method, 0, opclass::VECTOR_L2, 3, "", 3_000);
    run(
        client,
        "CREATE ROLE reader LOGIN; GRANT SELECT ON rows_0 TO reader; ALTER TABLE rows_0 ENABLE ROW LEVEL SECURITY;
         CREATE POLICY few ON rows_0 USING (id % 100 = 1)",
    );
    let reader = &mut cluster.connect(DATABASE, "reader");
    castmatch_e2e::index::prefer_index(reader);
    for number in 0..20 {
        let found = index.nearest(reader, &index.query(number), 10);
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|(id, _)| id % 100 == 1), "{found:?}");
    }
}
