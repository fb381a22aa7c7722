//! A table of known vectors with an index of castmatch, and what every test asks of it: the rows nearest to a vector,
//! recall against brute force, that every row is found, and that `castmatch.verify_index` has nothing to say.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use postgres::{Client, Row};

use crate::method::Method;
use crate::opclass::OperatorClass;
use crate::query::{column, run, value};
use crate::vectors;

/// Rows of a table by id, with their versions.
pub type Rows = BTreeMap<i64, i32>;

/// A table `(id, version, touched, e)` and the index on `e`.
#[derive(Clone, Debug)]
pub struct Index {
    /// Name of the table.
    pub table: String,
    /// Access method of the index.
    pub method: Method,
    /// Operator class of the index.
    pub class: OperatorClass,
    /// Dimensions of the vectors.
    pub dims: usize,
    /// Where the vectors come from.
    pub seed: u64,
    /// Further columns of the index, each after a comma: what it is filtered by.
    pub filters: &'static str,
}

impl Index {
    /// Creates the empty table, without the index.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn table(client: &mut Client, table: &str, class: OperatorClass, dims: usize) -> Self {
        let created = Self::of(table, class, dims);
        run(client, &created.definition(""));
        created
    }

    /// A table that is created elsewhere with [`Self::definition`].
    #[must_use]
    pub fn of(table: &str, class: OperatorClass, dims: usize) -> Self {
        let seed = table.bytes().fold(1, |hash: u64, byte| {
            hash.wrapping_mul(257).wrapping_add(byte.into())
        });
        Self {
            table: table.to_owned(),
            method: Method::Hnsw,
            class,
            dims,
            seed,
            filters: "",
        }
    }

    /// With an index of that method; without, it is castmatch_hnsw.
    #[must_use]
    pub fn by(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// With the version and the number of touches as filter columns: a touch is then a new entry of the index.
    #[must_use]
    pub fn filtered(mut self) -> Self {
        self.filters = ", version, touched";
        self
    }

    /// The statement that creates the table; `kind` may be `UNLOGGED`. Vacuum looks at the index each time, although
    /// it could leave few dead rows to the next time, and never gives the table's end back: TIDs are used again.
    #[must_use]
    pub fn definition(&self, kind: &str) -> String {
        let Self { table, dims, .. } = self;
        format!(
            "CREATE {kind} TABLE {table} (id bigint PRIMARY KEY, version integer NOT NULL,
                 touched integer NOT NULL DEFAULT 0, e {}({dims}))
             WITH (fillfactor = 90, vacuum_index_cleanup = on, vacuum_truncate = off)",
            self.class.element
        )
    }

    /// Rows of those ids, of version 0.
    ///
    /// # Panics
    /// If they cannot be copied.
    pub fn fill(&self, client: &mut Client, ids: Range<i64>) {
        let sql = format!("COPY {} (id, version, e) FROM STDIN", self.table);
        let mut copy = client
            .copy_in(&sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        for id in ids {
            let vector = self.vector(id, 0);
            writeln!(copy, "{id}\t0\t{}", vector.as_deref().unwrap_or("\\N")).unwrap();
        }
        copy.finish().unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The vector of a row as text, if it has one.
    #[must_use]
    pub fn vector(&self, id: i64, version: i32) -> Option<String> {
        vectors::of_row(self.seed, id, version, self.dims)
    }

    /// The vector of a row as an SQL literal.
    #[must_use]
    pub fn literal(&self, id: i64, version: i32) -> String {
        self.vector(id, version)
            .map_or_else(|| "NULL".to_owned(), |vector| format!("'{vector}'"))
    }

    /// A vector to search for, as text.
    #[must_use]
    pub fn query(&self, number: i64) -> String {
        vectors::query(self.seed, number, self.dims)
    }

    /// Name of the index.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}_e", self.table)
    }

    /// The statement that builds the index; `with` holds its options, `how` may be `CONCURRENTLY`.
    #[must_use]
    pub fn build_statement(&self, how: &str, with: &str) -> String {
        let options = if with.is_empty() {
            String::new()
        } else {
            format!("WITH ({with})")
        };
        let (name, table, class, filters) = (self.name(), &self.table, self.class.name, self.filters);
        let method = self.method;
        format!("CREATE INDEX {how} {name} ON {table} USING {method} (e {class}{filters}) {options}")
    }

    /// Builds the index.
    ///
    /// # Panics
    /// If that fails.
    pub fn build(&self, client: &mut Client, with: &str) {
        run(client, &self.build_statement("", with));
    }

    /// The query for the `k` rows nearest to `query`, as `(id, d)`; `filter` is the text of a WHERE clause or empty.
    #[must_use]
    pub fn nearest_sql(&self, query: &str, k: i64, filter: &str) -> String {
        let (table, distance) = (&self.table, self.distance(query));
        format!("SELECT id, {distance} AS d FROM {table} {filter} ORDER BY {distance} LIMIT {k}")
    }

    fn distance(&self, query: &str) -> String {
        format!("e {} '{query}'::{}", self.class.operator, self.class.element)
    }

    /// The `k` rows that the index finds nearest, with their distances.
    ///
    /// # Panics
    /// If the query fails.
    pub fn nearest(&self, client: &mut Client, query: &str, k: i64) -> Vec<(i64, f64)> {
        let sql = self.nearest_sql(query, k, "");
        let rows = client
            .query(&sql, &[])
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Share of the `k` nearest rows that the index finds, over those queries. A row as near as the `k`-th counts,
    /// whichever it is. Brute force sees the same snapshot, so other sessions may write meanwhile.
    ///
    /// # Errors
    /// As the server gives them.
    ///
    /// # Panics
    /// If the index gives fewer rows than there are, or one of them twice.
    pub fn try_recall(
        &self,
        client: &mut Client,
        queries: Range<i64>,
        k: i64,
        filter: &str,
    ) -> Result<f64, postgres::Error> {
        let (mut hits, mut all) = (0, 0);
        for number in queries {
            let query = self.query(number);
            let found = one_row(client, &self.recall_sql(&query, k, filter))?;
            let (hit, wanted, distinct): (i64, i64, i64) = (found.get(0), found.get(1), found.get(2));
            assert_eq!(distinct, wanted, "rows found and rows there are, query {number}");
            hits += hit;
            all += wanted;
        }
        assert!(all > 0, "there are no rows to find");
        Ok(hits as f64 / all as f64)
    }

    /// [`Self::try_recall`] where nothing may fail.
    ///
    /// # Panics
    /// As there, and if a query fails.
    pub fn recall(&self, client: &mut Client, queries: Range<i64>, k: i64) -> f64 {
        self.try_recall(client, queries, k, "")
            .unwrap_or_else(|error| panic!("search in {}: {error:?}", self.table))
    }

    fn recall_sql(&self, query: &str, k: i64, filter: &str) -> String {
        let (table, distance) = (&self.table, self.distance(query));
        let nearest = self.nearest_sql(query, k, filter);
        let filter = if filter.is_empty() { "WHERE true" } else { filter };
        format!(
            "WITH every AS MATERIALIZED (SELECT {distance} AS d FROM {table} {filter} AND e IS NOT NULL),
                  truth AS MATERIALIZED (SELECT d FROM every ORDER BY d LIMIT {k}),
                  found AS MATERIALIZED ({nearest})
             SELECT (SELECT count(*) FROM found WHERE d <= (SELECT max(d) FROM truth)),
                    (SELECT count(*) FROM truth), (SELECT count(DISTINCT id) FROM found)"
        )
    }

    /// Asserts that a scan to its end returns every row that has a vector exactly once; returns their number.
    ///
    /// # Panics
    /// If it does not.
    pub fn assert_exhaustive(&self, client: &mut Client, query: &str) -> i64 {
        let nearest = self.nearest_sql(query, i64::MAX, "");
        let sql = format!(
            "SELECT count(*), count(DISTINCT id), (SELECT count(e) FROM {}) FROM ({nearest}) x",
            self.table
        );
        let row = one_row(client, &sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let (rows, distinct, live): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        if (rows, distinct) != (live, live) {
            // Whether the rows are missing from the index or this scan passed them by.
            let again = one_row(client, &sql).unwrap();
            let again: (i64, i64, i64) = (again.get(0), again.get(1), again.get(2));
            println!("the next scan finds {again:?}");
        }
        assert_eq!(
            (rows, distinct),
            (live, live),
            "rows and ids of a scan to the end"
        );
        live
    }

    /// Share of the rows that a search for their own vector finds (or one as near), with that effort.
    ///
    /// # Panics
    /// If the query fails.
    pub fn self_search(&self, client: &mut Client, effort: u32) -> f64 {
        let (table, operator) = (&self.table, self.class.operator);
        run(client, &self.method.set_effort(effort));
        let share = value(
            client,
            &format!(
                "SELECT COALESCE(avg((found.d <= a.e {operator} a.e)::integer), 1)::float8
                 FROM {table} a CROSS JOIN LATERAL
                      (SELECT b.e {operator} a.e AS d FROM {table} b ORDER BY b.e {operator} a.e LIMIT 1) found
                 WHERE a.e IS NOT NULL"
            ),
        );
        run(client, &self.method.reset_effort());
        share
    }

    /// Asserts that searches use the index.
    ///
    /// # Panics
    /// If they do not.
    pub fn assert_used(&self, client: &mut Client) {
        let sql = format!("EXPLAIN {}", self.nearest_sql(&self.query(0), 10, ""));
        let plan = column::<String>(client, &sql).join("\n");
        assert!(
            plan.contains(&format!("Index Scan using {}", self.name())),
            "{plan}"
        );
    }

    /// Asserts that `castmatch.verify_index` finds nothing wrong.
    ///
    /// # Panics
    /// If it does.
    pub fn assert_verified(&self, client: &mut Client) {
        assert_verified(client, &self.name());
    }

    /// Every row of the table; asserts that each vector is that of its id and version.
    ///
    /// # Panics
    /// If one is not.
    pub fn rows(&self, client: &mut Client) -> Rows {
        let sql = format!("SELECT id, version, e::text FROM {}", self.table);
        let mut rows = Rows::new();
        for row in client.query(&sql, &[]).unwrap() {
            let (id, version, vector): (i64, i32, Option<String>) = (row.get(0), row.get(1), row.get(2));
            assert_eq!(vector, self.vector(id, version), "row {id} of version {version}");
            assert!(rows.insert(id, version).is_none(), "row {id} is there twice");
        }
        rows
    }

    /// Size of the index in bytes.
    pub fn bytes(&self, client: &mut Client) -> i64 {
        value(client, &format!("SELECT pg_relation_size('{}')", self.name()))
    }
}

fn one_row(client: &mut Client, sql: &str) -> Result<Row, postgres::Error> {
    client.query_one(sql, &[])
}

/// Asserts that `castmatch.verify_index` finds nothing wrong with the index of that name.
///
/// # Panics
/// If it does, or checks nothing.
pub fn assert_verified(client: &mut Client, name: &str) {
    let sql = format!("SELECT check_name, ok, detail FROM castmatch.verify_index('{name}')");
    let rows = client
        .query(&sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert!(!rows.is_empty(), "verify_index checked nothing");
    let failed: Vec<(String, Option<String>)> = rows
        .iter()
        .filter(|row| !row.get::<_, bool>(1))
        .map(|row| (row.get(0), row.get(2)))
        .collect();
    assert!(failed.is_empty(), "{name}: {failed:#?}");
}

/// Has the planner of this session answer ORDER BY from the index, whatever it thinks of the costs. What it may not do
/// costs so much then that it would compile every other plan.
///
/// # Panics
/// If that fails.
pub fn prefer_index(client: &mut Client) {
    run(
        client,
        "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off;
         SET max_parallel_workers_per_gather = 0; SET jit = off",
    );
}
