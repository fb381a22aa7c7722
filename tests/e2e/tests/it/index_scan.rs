//! What a scan promises whoever reads it: the same rows each time, nearest first, and every row once if read to its end.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::Index;
use castmatch_e2e::opclass::{self, OperatorClass};
use castmatch_e2e::query::{column, run, value};
use castmatch_e2e::scale::scaled;
use postgres::Client;

use crate::index_setting::{DATABASE, database, plain, searcher, vacuum};

/// Dimensions and bits of codes for them: each class is tried with one of them.
const SHAPES: [(usize, &str); 4] = [(3, ""), (40, "code_bits = 4"), (40, "code_bits = 8"), (130, "")];

fn shapes() -> impl Iterator<Item = (usize, OperatorClass, usize, &'static str)> {
    opclass::ALL.into_iter().enumerate().map(|(number, class)| {
        let (dims, with) = SHAPES[number % SHAPES.len()];
        (number, class, dims, with)
    })
}

fn filled(
    client: &mut Client,
    number: usize,
    class: OperatorClass,
    dims: usize,
    with: &str,
    rows: i64,
) -> Index {
    let index = Index::table(client, &format!("rows_{number}"), class, dims);
    index.fill(client, 1..rows + 1);
    index.build(client, with);
    index.assert_used(client);
    index
}

#[test]
fn same_query_gives_the_same_rows() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for (number, class, dims, with) in shapes() {
        let index = filled(client, number, class, dims, with, scaled(1_500, 20_000));
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

#[test]
fn fewer_rows_are_the_first_of_more_rows_and_come_nearest_first() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for (number, class, dims, with) in shapes() {
        let index = filled(client, number, class, dims, with, scaled(1_500, 20_000));
        for ef in [1, 10, 40, 100] {
            run(client, &format!("SET castmatch.ef_search = {ef}"));
            for number in 0..scaled(3, 20) {
                let query = index.query(number);
                let all = index.nearest(client, &query, ef);
                assert_eq!(all.len(), usize::try_from(ef).unwrap());
                for (first, second) in all.iter().zip(all.iter().skip(1)) {
                    assert!(
                        first.1 <= second.1,
                        "{} ef {ef}: {first:?} before {second:?}",
                        class.name
                    );
                }
                for k in 1..ef {
                    let fewer = index.nearest(client, &query, k);
                    assert_eq!(
                        fewer,
                        all[..usize::try_from(k).unwrap()],
                        "{} ef {ef} k {k}",
                        class.name
                    );
                }
            }
        }
        run(client, "RESET castmatch.ef_search");
    }
}

/// Each row with a vector once, whatever the search starts with and however little memory it may use.
#[test]
fn reading_to_the_end_returns_every_row_once() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for (number, class, dims, with) in shapes() {
        let rows = scaled(1_500, 20_000);
        let index = filled(client, number, class, dims, with, rows);
        let settings = [
            (1, "64kB"),
            (40, "64kB"),
            (1, "4MB"),
            (40, "4MB"),
            (10_000, "4MB"),
        ];
        let every_way = |client: &mut Client, state: &str| {
            for (ef, memory) in settings {
                run(
                    client,
                    &format!("SET castmatch.ef_search = {ef}; SET work_mem = '{memory}'"),
                );
                let live = index.assert_exhaustive(client, &index.query(i64::from(ef)));
                assert!(live > 0, "{} {state}", class.name);
            }
            run(client, "RESET castmatch.ef_search; RESET work_mem");
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

#[test]
fn filters_leave_as_many_rows_as_there_are() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    for (number, class, dims, with) in shapes() {
        let rows = scaled(3_000, 50_000);
        let index = filled(client, number, class, dims, with, rows);
        for (ef, memory) in [(1, "64kB"), (40, "4MB")] {
            run(
                client,
                &format!("SET castmatch.ef_search = {ef}; SET work_mem = '{memory}'"),
            );
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
        run(client, "RESET castmatch.ef_search; RESET work_mem");
    }
}

/// Row security filters what the index returns: as many rows as asked for, none of them hidden.
#[test]
fn row_security_leaves_as_many_rows_as_there_are() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut database(&cluster);
    let index = filled(client, 0, opclass::VECTOR_L2, 3, "", 3_000);
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
