//! A table with a column of each type and the indexes on them, and what must be the same wherever it has been moved.

use castmatch_e2e::query::{column, run, value};
use postgres::Client;

/// Rows of the table.
const ROWS: i64 = 600;

/// A type as it stands in the table.
struct Kind {
    /// Name of the column and of the type.
    name: &'static str,
    /// The type of the column.
    column: &'static str,
    /// The type for any number of dimensions.
    any: &'static str,
    /// The value of a row, from `dense`, a `vector(40)`.
    from_dense: &'static str,
    /// Access method, operator class and operator of its indexes.
    indexes: &'static [(&'static str, &'static str, &'static str)],
}

/// All of them.
const KINDS: [Kind; 4] = [
    Kind {
        name: "vector",
        column: "vector(40)",
        any: "vector",
        from_dense: "dense",
        indexes: &[
            ("castmatch_hnsw", "vector_l2_ops", "<->"),
            ("castmatch_ivf", "vector_cosine_ops", "<=>"),
        ],
    },
    Kind {
        name: "halfvec",
        column: "halfvec(40)",
        any: "halfvec",
        from_dense: "dense::halfvec(40)",
        indexes: &[
            ("castmatch_hnsw", "halfvec_ip_ops", "<#>"),
            ("castmatch_ivf", "halfvec_l2_ops", "<->"),
        ],
    },
    Kind {
        name: "bit",
        column: "bit(40)",
        any: "bit varying",
        from_dense: "binary_quantize(dense)::bit(40)",
        indexes: &[
            ("castmatch_hnsw", "bit_jaccard_ops", "<%>"),
            ("castmatch_ivf", "bit_hamming_ops", "<~>"),
        ],
    },
    Kind {
        name: "sparsevec",
        column: "sparsevec(40)",
        any: "sparsevec",
        from_dense: "dense::sparsevec(40)",
        indexes: &[("castmatch_hnsw", "sparsevec_l2_ops", "<->")],
    },
];

/// The columns of the types, each followed by a comma.
fn columns(of: impl Fn(&Kind) -> String) -> String {
    KINDS.iter().map(|kind| of(kind) + ", ").collect()
}

/// Creates the extension and the empty table: a column of each type, one of no fixed dimension, an array, and two to filter by.
pub fn create(client: &mut Client) {
    let columns = columns(|kind| {
        format!(
            "{0} {1}, {0}_any {2}, {0}_list {2}[]",
            kind.name, kind.column, kind.any
        )
    });
    run(
        client,
        &format!(
            "CREATE EXTENSION castmatch; CREATE TABLE moved ({columns} city text, age integer, id bigint PRIMARY KEY)"
        ),
    );
}

/// Adds rows from this id on. In some of them the columns are empty.
pub fn fill(client: &mut Client, first: i64) {
    let values = columns(|kind| {
        let name = kind.from_dense;
        format!("{name}, {name}, ARRAY[{name}, NULL]")
    });
    let names = columns(|kind| format!("{0}, {0}_any, {0}_list", kind.name));
    run(
        client,
        &format!(
            "INSERT INTO moved ({names} city, age, id) SELECT {values} 'city ' || id % 7, id % 50, id FROM (
                 SELECT id, CASE WHEN id % 37 > 0 THEN array_agg((sin(id * d) * 100)::real ORDER BY d)::vector(40) END AS dense
                 FROM generate_series({first}, {first} + {ROWS} - 1) id, generate_series(1, 40) d GROUP BY id) t"
        ),
    );
}

/// Gives every tenth row the values of another one.
pub fn exchange(client: &mut Client) {
    let names: Vec<String> = KINDS
        .iter()
        .map(|kind| format!("{0} = o.{0}", kind.name))
        .collect();
    run(
        client,
        &format!(
            "UPDATE moved m SET {} FROM moved o WHERE m.id % 10 = 1 AND o.id = m.id + 3",
            names.join(", ")
        ),
    );
}

/// The columns that mean the same in every database in binary: an array names the type of its elements by the number that it has in one.
pub fn portable_columns() -> String {
    columns(|kind| format!("{0}, {0}_any", kind.name)) + "city, age, id"
}

/// Builds the indexes, with filter columns.
pub fn index(client: &mut Client) {
    for (kind, (method, class, _)) in indexes() {
        run(
            client,
            &format!(
                "CREATE INDEX {} ON moved USING {method} ({} {class}, city, age)",
                index_name(kind, method),
                kind.name
            ),
        );
    }
    run(client, "ANALYZE moved");
}

fn indexes() -> impl Iterator<Item = (&'static Kind, &'static (&'static str, &'static str, &'static str))> {
    KINDS
        .iter()
        .flat_map(|kind| kind.indexes.iter().map(move |index| (kind, index)))
}

fn index_name(kind: &Kind, method: &str) -> String {
    format!("moved_{}_{method}", kind.name)
}

/// Every value of the table as text, in one number.
pub fn digest(client: &mut Client) -> String {
    value(
        client,
        "SELECT concat(count(*), ' ', md5(string_agg(md5(moved::text), '' ORDER BY id))) FROM moved",
    )
}

/// What the indexes answer, for some vectors with and without conditions: the distances of the nearest rows.
///
/// # Panics
/// If a query does not use the index that it is meant for, or the answer is not the exact one.
pub fn answers(client: &mut Client) -> Vec<String> {
    // Candidates enough that nothing is missed by chance.
    run(
        client,
        "SET castmatch.ef_search = 1000; SET castmatch.probes = 65536; SET castmatch.rerank_confidence = 10",
    );
    let mut all = Vec::new();
    for (kind, (method, _, operator)) in indexes() {
        let name = index_name(kind, method);
        for (id, condition) in [(3, "true"), (250, "age < 20"), (447, "city = 'city 3'")] {
            let distance = format!(
                "{0} {operator} (SELECT {0} FROM moved WHERE id = {id})",
                kind.name
            );
            let sql = format!(
                "SELECT ({distance})::text FROM moved WHERE {condition} ORDER BY {distance} LIMIT 20"
            );
            run(client, "BEGIN; SET LOCAL enable_indexscan = off");
            let exact: Vec<String> = column(client, &sql);
            run(client, "ROLLBACK");
            // The other index on the column is out of the way until the rollback.
            run(
                client,
                &format!(
                    "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off;
                     UPDATE pg_index SET indisvalid = false WHERE indrelid = 'moved'::regclass
                         AND indexrelid NOT IN ('{name}'::regclass, 'moved_pkey'::regclass)"
                ),
            );
            let plan: Vec<String> = column(client, &format!("EXPLAIN (COSTS OFF) {sql}"));
            let by_index: Vec<String> = column(client, &sql);
            run(client, "ROLLBACK");
            assert!(plan.iter().any(|line| line.contains(&name)), "{name}: {plan:#?}");
            assert_eq!((by_index.len(), &by_index), (20, &exact), "{name}, {condition}");
            all.push(format!("{name}, {condition}: {by_index:?}"));
        }
    }
    all
}

/// Asserts that `castmatch.verify_index` finds nothing wrong with any of the indexes.
///
/// # Panics
/// If it does.
pub fn verify(client: &mut Client) {
    for (kind, (method, ..)) in indexes() {
        let name = index_name(kind, method);
        let sql =
            format!("SELECT check_name || ': ' || detail FROM castmatch.verify_index('{name}') WHERE NOT ok");
        assert_eq!(column::<String>(client, &sql), Vec::<String>::new(), "{name}");
    }
}
