//! Indexes of castmatch on columns of pgvector's types: each is used for pgvector's operator and finds what a sequential scan finds.

use std::fmt::Write;
use std::io::Write as _;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::{assert_verified, prefer_index};
use castmatch_e2e::method::Method;
use castmatch_e2e::query::{column, fails_with, run, value};
use castmatch_e2e::random::Random;
use castmatch_e2e::vectors;
use postgres::Client;
use postgres::error::SqlState;

use super::{OWN, apart, bridged};
use crate::index_setting::{plain, vacuum};

castmatch_e2e::for_each_method! {
    every_class_finds_what_a_sequential_scan_finds,
    vectors_that_pgvector_keeps_out_of_line_are_indexed,
}

const DIMS: usize = 32;
const ROWS: i64 = 1_500;
const SEED: u64 = 10;

/// An operator class of the bridge.
struct Class {
    name: String,
    element: String,
    operator: String,
}

impl Class {
    /// Those of a method, as the catalogs say.
    fn all(client: &mut Client, method: Method) -> Vec<Self> {
        let sql = format!(
            "SELECT c.opcname::text, format_type(c.opcintype, NULL), o.oprname::text
             FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'castmatch_pgvector'
             JOIN pg_opclass c ON c.oid = d.objid JOIN pg_am m ON m.oid = c.opcmethod
             JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype JOIN pg_operator o ON o.oid = a.amopopr
             WHERE d.classid = 'pg_opclass'::regclass AND d.deptype = 'e' AND m.amname = '{method}' ORDER BY c.oid"
        );
        let rows = client.query(&sql, &[]).unwrap();
        let class = |row: &postgres::Row| Self {
            name: row.get(0),
            element: row.get(1),
            operator: row.get(2),
        };
        rows.iter().map(class).collect()
    }

    /// A value of the class's type as text.
    fn text(&self, number: i64) -> String {
        let dense = vectors::query(SEED, number, DIMS);
        match self.element.as_str() {
            "vector" | "halfvec" => dense,
            "sparsevec" => sparse(&dense),
            "bit" => {
                let mut random = Random::new(SEED.wrapping_add(number.unsigned_abs()));
                (0..DIMS)
                    .map(|_| if random.within(0..2) == 0 { '0' } else { '1' })
                    .collect()
            }
            other => panic!("type {other}"),
        }
    }

    /// The 30 rows nearest to a value, nearest first.
    fn nearest(&self, client: &mut Client, number: i64) -> Vec<(i64, f64)> {
        let distance = format!("e {} '{}'", self.operator, self.text(number));
        let sql = format!("SELECT id, {distance} FROM t ORDER BY {distance} LIMIT 30");
        let rows = client
            .query(&sql, &[])
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

/// A third of the coordinates of a vector, in pgvector's form of sparse vectors.
fn sparse(dense: &str) -> String {
    let mut text = String::from("{");
    for (place, coordinate) in dense.trim_matches(['[', ']']).split(',').enumerate() {
        if place % 3 == 0 && coordinate != "0" {
            let comma = if text.len() == 1 { "" } else { "," };
            write!(text, "{comma}{}:{coordinate}", place + 1).unwrap();
        }
    }
    write!(text, "}}/{DIMS}").unwrap();
    text
}

/// Rows of a table `t (id, e)`, every 50th without a value.
fn fill(client: &mut Client, class: &Class, from: i64, to: i64) {
    let mut copy = client.copy_in("COPY t (id, e) FROM STDIN").unwrap();
    for id in from..to {
        let text = if id % 50 == 0 {
            "\\N".to_owned()
        } else {
            class.text(id)
        };
        writeln!(copy, "{id}\t{text}").unwrap();
    }
    copy.finish().unwrap();
}

/// Asserts that searches through the index give the rows and distances of sequential scans.
fn assert_exact(client: &mut Client, class: &Class) {
    for query in -5..0 {
        run(client, "SET enable_indexscan = off; SET enable_seqscan = on");
        let mut truth = class.nearest(client, query);
        run(client, "RESET enable_indexscan; SET enable_seqscan = off");
        let explain = format!(
            "EXPLAIN SELECT id FROM t ORDER BY e {} '{}' LIMIT 30",
            class.operator,
            class.text(query)
        );
        let plan = column::<String>(client, &explain).join("\n");
        assert!(plan.contains("Index Scan using t_e on t"), "{plan}");
        let mut found = class.nearest(client, query);
        // The index orders by the exact distance, pgvector's operator computes with 32 bits: neighbours may differ by the last of them.
        found.sort_by(|a, b| a.1.total_cmp(&b.1));
        let distances = |rows: &[(i64, f64)]| rows.iter().map(|row| row.1).collect::<Vec<_>>();
        assert_eq!(distances(&found), distances(&truth), "{}", class.name);
        // Rows that are equally far, as bits often are, have no order, and those as far as the last may be others.
        let last = truth.last().map_or(0.0, |row| row.1);
        found.retain(|row| row.1 < last);
        truth.retain(|row| row.1 < last);
        if truth.windows(2).all(|pair| pair[0].1 < pair[1].1) {
            assert_eq!(found, truth, "{}", class.name);
        }
    }
}

fn every_class_finds_what_a_sequential_scan_finds(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "exact");
    let classes = Class::all(client, method);
    let least = method.either(8, 6);
    assert!(classes.len() >= least, "{} classes", classes.len());
    run(
        client,
        &format!(
            "SET castmatch.rerank_confidence = 10; {}",
            method.set_effort(method.either(10_000, 65_536))
        ),
    );
    for class in &classes {
        run(
            client,
            &format!(
                "CREATE TABLE t (id bigint PRIMARY KEY, e {}({DIMS}))",
                class.element
            ),
        );
        fill(client, class, 0, ROWS);
        run(
            client,
            &format!("CREATE INDEX t_e ON t USING {method} (e {})", class.name),
        );
        assert_exact(client, class);
        // Rows that come, change and go afterwards.
        fill(client, class, ROWS, ROWS + 300);
        run(
            client,
            "UPDATE t SET e = (SELECT o.e FROM t o WHERE o.id = t.id + 1) WHERE id % 7 = 0; DELETE FROM t WHERE id % 5 = 0",
        );
        assert_exact(client, class);
        vacuum(client, "t");
        assert_exact(client, class);
        assert_verified(client, "t_e");
        run(client, "DROP TABLE t");
    }
}

/// pgvector's types have storage EXTERNAL: from about 500 dimensions on a vector is not in its row.
fn vectors_that_pgvector_keeps_out_of_line_are_indexed(method: Method) {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "long");
    prefer_index(client);
    run(
        client,
        "CREATE TABLE t (id integer PRIMARY KEY, age integer, e vector(700))",
    );
    let mut copy = client.copy_in("COPY t FROM STDIN").unwrap();
    for id in 0..300 {
        writeln!(copy, "{id}\t{}\t{}", id % 10, vectors::query(SEED, id, 700)).unwrap();
    }
    copy.finish().unwrap();
    let outside = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 't'::regclass";
    assert!(value::<i64>(client, outside) > 300 * 700 * 4);
    run(
        client,
        &format!("CREATE INDEX t_e ON t USING {method} (e vector_l2_ops, age)"),
    );
    for id in [1, 77, 299] {
        let sql = format!(
            "SELECT id FROM t WHERE age = {} ORDER BY e <-> '{}' LIMIT 1",
            id % 10,
            vectors::query(SEED, id, 700)
        );
        let plan = column::<String>(client, &format!("EXPLAIN {sql}")).join("\n");
        assert!(plan.contains("Index Cond: (age ="), "{plan}");
        assert_eq!(column::<i32>(client, &sql), [i32::try_from(id).unwrap()]);
    }
    assert_verified(client, "t_e");
}

/// Whichever class an index is of and whichever extension's operator a query finds, for a column of either type.
#[test]
fn an_index_serves_the_operators_of_both_extensions() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "served");
    prefer_index(client);
    let own = format!("{OWN}.vector_cosine_ops");
    for (kind, classes) in [
        ("vector", vec!["vector_cosine_ops"]),
        ("castmatch_types.vector", vec!["vector_cosine_ops", own.as_str()]),
    ] {
        for class in classes {
            run(
                client,
                &format!(
                    "CREATE TABLE t (id integer PRIMARY KEY, e {kind}(3));
                     INSERT INTO t SELECT i, (ARRAY[sin(i), cos(i), 1])::vector FROM generate_series(1, 500) i;
                     CREATE INDEX t_e ON t USING castmatch_hnsw (e {class}); ANALYZE t"
                ),
            );
            for path in [
                "public".to_owned(),
                format!("public, {OWN}"),
                format!("{OWN}, public"),
                OWN.to_owned(),
            ] {
                if path == OWN && kind == "vector" {
                    continue;
                }
                run(client, &format!("SET search_path = {path}"));
                let query = "SELECT id FROM public.t ORDER BY e <=> '[0.5,0.5,1]' LIMIT 3";
                let plan = column::<String>(client, &format!("EXPLAIN {query}")).join("\n");
                assert!(
                    plan.contains("Index Scan using t_e"),
                    "{kind} {class} {path}: {plan}"
                );
                let found: Vec<i32> = column(client, query);
                run(client, "SET enable_indexscan = off");
                assert_eq!(found, column::<i32>(client, query), "{kind} {class} {path}");
                run(client, "RESET enable_indexscan");
            }
            // A query's vector of the other type.
            run(client, "RESET search_path");
            for other in ["vector", "castmatch_types.vector"] {
                let query = format!("EXPLAIN SELECT id FROM t ORDER BY e <=> '[1,2,3]'::{other} LIMIT 3");
                let plan = column::<String>(client, &query).join("\n");
                assert!(
                    plan.contains("Index Scan using t_e"),
                    "{kind} {class} {other}: {plan}"
                );
            }
            run(client, "DROP TABLE t");
        }
    }
}

#[test]
fn classes_are_valid_and_what_they_do_not_take_is_refused() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "valid");
    let invalid: Vec<String> = column(
        client,
        "SELECT opcname::text FROM pg_opclass c JOIN pg_am m ON m.oid = opcmethod WHERE m.amname ~ 'castmatch' AND NOT amvalidate(c.oid)",
    );
    assert_eq!(invalid, [""; 0]);
    run(
        client,
        "CREATE TABLE t (id integer, e vector(3), free vector, long vector(16000))",
    );
    // castmatch's class for its own type, which the type of the column does not become by itself.
    let error = fails_with(
        client,
        &SqlState::DATATYPE_MISMATCH,
        &format!("CREATE INDEX ON t USING castmatch_hnsw (e {OWN}.vector_cosine_ops)"),
    );
    assert!(error.message().contains("does not accept data type"), "{error}");
    fails_with(
        client,
        &SqlState::INVALID_PARAMETER_VALUE,
        "CREATE INDEX ON t USING castmatch_hnsw (free vector_cosine_ops)",
    );
    fails_with(
        client,
        &SqlState::PROGRAM_LIMIT_EXCEEDED,
        "CREATE INDEX ON t USING castmatch_ivf (long vector_cosine_ops)",
    );
    // Without the bridge there is none.
    let client = &mut apart(&cluster, "none");
    run(client, "CREATE TABLE t (id integer, e vector(3))");
    let error = fails_with(
        client,
        &SqlState::UNDEFINED_OBJECT,
        "CREATE INDEX ON t USING castmatch_hnsw (e vector_cosine_ops)",
    );
    assert!(error.message().contains("vector_cosine_ops"), "{error}");
}
