//! Values of both extensions' types in one query, and columns that change from one to the other.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::index::{assert_verified, prefer_index};
use castmatch_e2e::query::{column, fails_with, run, value};
use postgres::Client;
use postgres::error::SqlState;

use super::bridged;
use crate::index_setting::plain;

/// Where the rows of a table and the pages of its indexes are.
fn files(client: &mut Client) -> Vec<u32> {
    column(
        client,
        "SELECT relfilenode FROM pg_class WHERE relname IN ('t', 't_e', 't_h') ORDER BY relname",
    )
}

fn is_true(client: &mut Client, sql: &str) {
    assert_eq!(
        client.query_one(sql, &[]).unwrap().get::<_, Option<bool>>(0),
        Some(true),
        "{sql}"
    );
}

#[test]
fn both_types_meet_in_one_query() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "casts");
    run(
        client,
        "CREATE TABLE theirs (id integer, e vector(3), h halfvec(3)); CREATE TABLE ours (id integer, e castmatch_types.vector(3), h castmatch_types.halfvec(3));
         INSERT INTO theirs VALUES (1, '[1,2,3]', '[1,2,3]'), (2, '[-0.5,1e-9,7]', '[-0.5,0,7]');
         -- On assignment, in either direction.
         INSERT INTO ours SELECT * FROM theirs; INSERT INTO theirs SELECT id + 10, e, h FROM ours; DELETE FROM theirs WHERE id > 2",
    );
    for path in ["public", "public, castmatch_types", "castmatch_types, public"] {
        run(client, &format!("SET search_path = {path}"));
        for (a, b) in [("public.theirs", "public.ours"), ("public.ours", "public.theirs")] {
            for condition in [
                "a.e = b.e",
                "a.h = b.h",
                "a.e <-> b.e = 0",
                "a.h <#> b.h < 0",
                "a.e <=> b.e < 1e-6",
                "a.e <+> b.e = 0",
                "l2_distance(a.e, b.e) = 0",
                "a.e + b.e = b.e + a.e",
                "a.e <= b.e AND NOT a.e < b.e",
            ] {
                is_true(
                    client,
                    &format!("SELECT bool_and({condition}) FROM {a} a JOIN {b} b USING (id)"),
                );
            }
        }
        is_true(
            client,
            "SELECT count(*) = 2 FROM (SELECT e FROM public.ours UNION SELECT e FROM public.theirs) u",
        );
        is_true(
            client,
            "SELECT bool_and(o.e = ANY (ARRAY[t.e, o.e])) FROM public.ours o JOIN public.theirs t USING (id)",
        );
        is_true(
            client,
            "SELECT (SELECT array_agg(e ORDER BY id) FROM public.ours)::public.vector[] = (SELECT array_agg(e ORDER BY id) FROM public.theirs)",
        );
    }
    run(client, "RESET search_path");
    // To the bit.
    is_true(
        client,
        "SELECT bool_and(vector_send(t.e) = castmatch_types.vector_send(t.e::castmatch_types.vector) AND halfvec_send(o.h) = castmatch_types.halfvec_send(o.h))
         FROM theirs t JOIN ours o USING (id)",
    );
    // A function of castmatch's takes pgvector's value by a cast that is written.
    is_true(
        client,
        "SELECT castmatch_types.vector_norm(e::castmatch_types.vector) = vector_norm(e) FROM theirs WHERE id = 1",
    );
    for wrong in [
        "INSERT INTO theirs (e) VALUES ('[1,2]'::castmatch_types.vector)",
        "INSERT INTO ours (e) VALUES ('[1,2]'::vector)",
        "SELECT '[1,2]'::vector::castmatch_types.vector(3)",
        "SELECT '[1,2]'::castmatch_types.vector::vector(3)",
    ] {
        let error = fails_with(client, &SqlState::DATA_EXCEPTION, wrong);
        assert_eq!(error.message(), "expected 3 dimensions, not 2");
    }
}

const INDEXED: &str = "
    CREATE TABLE t (id integer PRIMARY KEY, e vector(3) NOT NULL, h halfvec(3));
    INSERT INTO t SELECT i, (ARRAY[sin(i), cos(i), 1])::vector, (ARRAY[sin(i), cos(i), 1])::vector FROM generate_series(1, 400) i;
    CREATE INDEX t_e ON t USING castmatch_hnsw (e vector_cosine_ops); CREATE INDEX t_h ON t USING hnsw (e vector_l2_ops)";
const NEAREST: &str = "SELECT id FROM t ORDER BY e <=> '[0.5,0.5,1]' LIMIT 5";

#[test]
fn a_column_becomes_castmatchs_without_a_copy() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "moved");
    prefer_index(client);
    run(client, INDEXED);
    let before = (files(client), column::<i32>(client, NEAREST));
    run(
        client,
        "ALTER TABLE t ALTER COLUMN e TYPE castmatch_types.vector(3), ALTER COLUMN h TYPE castmatch_types.halfvec(3)",
    );
    let types = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 1 ORDER BY attnum";
    assert_eq!(
        column::<String>(client, types),
        ["castmatch_types.vector(3)", "castmatch_types.halfvec(3)"]
    );
    // The files of the table and of the index are those of before.
    assert_eq!((files(client), column::<i32>(client, NEAREST)), before);
    let plan = column::<String>(client, &format!("EXPLAIN {NEAREST}")).join("\n");
    assert!(plan.contains("Index Scan using t_e"), "{plan}");
    assert_verified(client, "t_e");
    // Dimensions are still looked at.
    fails_with(
        client,
        &SqlState::DATA_EXCEPTION,
        "INSERT INTO t VALUES (0, '[1,2]')",
    );
    run(client, "INSERT INTO t VALUES (0, '[0.5,0.5,1]')");
    assert_eq!(column::<i32>(client, NEAREST)[0], 0);

    // The way back is pgvector's, whose cast checks every row, which is a copy; and no index of castmatch's own classes is on the column.
    run(
        client,
        "CREATE INDEX t_o ON t USING castmatch_hnsw (e castmatch_types.vector_l2_ops)",
    );
    fails_with(
        client,
        &SqlState::DATATYPE_MISMATCH,
        "ALTER TABLE t ALTER COLUMN e TYPE vector(3)",
    );
    run(client, "DROP INDEX t_o");
    run(client, "ALTER TABLE t ALTER COLUMN e TYPE vector(3)");
    assert_ne!(files(client), before.0);
    assert_eq!(column::<i32>(client, NEAREST)[0], 0);
    assert_verified(client, "t_e");
}

#[test]
fn dimensions_are_taken_on_trust_where_they_are_known_only() {
    let cluster = Cluster::start(&plain(&[]));
    let client = &mut bridged(&cluster, "trust");
    let other = |client: &mut Client, kind: &str| {
        run(client, &format!("ALTER TABLE t ALTER COLUMN e TYPE {kind}"));
    };
    run(
        client,
        "CREATE TABLE t (id integer, e vector(3)); INSERT INTO t VALUES (1, '[1,2,3]')",
    );
    let error = fails_with(
        client,
        &SqlState::DATA_EXCEPTION,
        "ALTER TABLE t ALTER COLUMN e TYPE castmatch_types.vector(4)",
    );
    assert_eq!(error.message(), "expected 4 dimensions, not 3");
    let first = files(client);
    other(client, "vector");
    other(client, "castmatch_types.vector");
    assert_eq!(files(client), first);
    // Nobody knows the dimensions now.
    fails_with(
        client,
        &SqlState::DATA_EXCEPTION,
        "ALTER TABLE t ALTER COLUMN e TYPE castmatch_types.vector(4)",
    );
    other(client, "castmatch_types.vector(3)");
    let second = files(client);
    assert_ne!(second, first);
    other(client, "castmatch_types.vector");
    assert_eq!(files(client), second);
    // A type that is not pgvector's may mean anything by the same number.
    run(
        client,
        "DROP TABLE t; CREATE CAST (varchar AS castmatch_types.vector) WITHOUT FUNCTION;
         CREATE TABLE t (id integer, e varchar(4))",
    );
    let number: i32 = value(
        client,
        "SELECT atttypmod FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'e'",
    );
    let first = files(client);
    run(
        client,
        &format!(
            "ALTER TABLE t ALTER COLUMN e TYPE castmatch_types.vector({number}) USING e::castmatch_types.vector({number})"
        ),
    );
    assert_ne!(files(client), first);
}
