//! The crate postgres with pgvector's crate: everything is binary.

use castmatch_clients::{Given, Metric, Outcome, Row, Value, bits, given, scans, show};
use pgvector::{HalfVector, SparseVector, Vector};
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, NoTls};

type Parameter<'a> = &'a (dyn ToSql + Sync);

const COLUMNS: &str = "id, category, dense, half, sparse, bits";

fn parameter(value: &Value) -> Parameter<'_> {
    match value {
        Value::Dense(value) => value,
        Value::Half(value) => value,
        Value::Sparse(value) => value,
        Value::Bits(value) => value,
    }
}

fn fields(row: &Row) -> [Parameter<'_>; 6] {
    [
        &row.id,
        &row.category,
        &row.dense,
        &row.half,
        &row.sparse,
        &row.bits,
    ]
}

/// A few rows by INSERT, the others by binary COPY, one of NULLs.
fn create_and_fill(client: &mut Client, given: &Given) -> Outcome {
    client.batch_execute(&given.create_table("items"))?;
    let rows = given.rows();
    let (inserted, copied) = rows.split_at(10);
    let insert = client.prepare(&format!(
        "INSERT INTO items ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)"
    ))?;
    for row in inserted {
        client.execute(&insert, &fields(row))?;
    }
    let empty = Row {
        id: 100,
        category: None,
        dense: None,
        half: None,
        sparse: None,
        bits: None,
    };
    client.execute(&insert, &fields(&empty))?;
    let types: Vec<Type> = insert.params().to_vec();
    let copy = client.copy_in(&format!("COPY items ({COLUMNS}) FROM STDIN WITH (FORMAT BINARY)"))?;
    let mut writer = BinaryCopyInWriter::new(copy, &types);
    for row in copied {
        writer.write(&fields(row))?;
    }
    show("copied", writer.finish()?);
    Ok(())
}

fn read(client: &mut Client, given: &Given) -> Outcome {
    let mut read = Vec::new();
    for row in client.query(&format!("SELECT {COLUMNS} FROM items ORDER BY id"), &[])? {
        read.push(Row {
            id: row.try_get(0)?,
            category: row.try_get(1)?,
            dense: row.try_get(2)?,
            half: row.try_get(3)?,
            sparse: row.try_get(4)?,
            bits: row.try_get(5)?,
        });
    }
    for row in &read {
        show("row", row);
    }
    let written = given.rows();
    show("as written", read.get(..written.len()) == Some(&written));
    Ok(())
}

fn distances(client: &mut Client, given: &Given) -> Outcome {
    for column in &given.columns {
        let query = given.query(column)?;
        for Metric { operator, .. } in &column.metrics {
            let distance = format!("{} {operator} $1", column.name);
            let sql = format!("SELECT id, {distance} AS distance FROM items ORDER BY distance, id");
            let mut all: Vec<(i64, Option<f64>)> = Vec::new();
            for row in client.query(&sql, &[parameter(&query)])? {
                all.push((row.try_get(0)?, row.try_get(1)?));
            }
            show(&format!("{} {operator}", column.name), all);
            let sql = format!(
                "SELECT id FROM items WHERE category = $2 AND {} IS NOT NULL ORDER BY {distance}, id LIMIT 5",
                column.name
            );
            show("of category 1", keys(client, &sql, &[parameter(&query), &1])?);
        }
    }
    Ok(())
}

fn keys(client: &mut Client, sql: &str, parameters: &[Parameter<'_>]) -> Outcome<Vec<i64>> {
    Ok(client
        .query(sql, parameters)?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?)
}

fn searches(client: &mut Client, given: &Given) -> Outcome {
    client.batch_execute("SET enable_seqscan = off")?;
    for column in given.columns.iter().filter(|column| column.in_graphs) {
        let query = given.query(column)?;
        for Metric { operator, opclass } in &column.metrics {
            let index = format!(
                "ON items USING {} ({} {opclass})",
                given.graph_method, column.name
            );
            client.batch_execute(&format!("CREATE INDEX items_index {index}"))?;
            let search = format!(
                "SELECT id FROM items ORDER BY {} {operator} $1 LIMIT 5",
                column.name
            );
            let plan = client.query(&format!("EXPLAIN (COSTS OFF) {search}"), &[parameter(&query)])?;
            let plan = plan
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<Vec<String>, _>>()?;
            show(&format!("{opclass} plan"), scans(plan));
            show(opclass, keys(client, &search, &[parameter(&query)])?);
            client.batch_execute("DROP INDEX items_index")?;
        }
    }
    client.batch_execute("RESET enable_seqscan")?;
    Ok(())
}

fn aggregates_and_casts(client: &mut Client) -> Outcome {
    let sums = "SELECT category, avg(dense), sum(dense), avg(half), sum(half) FROM items GROUP BY category ORDER BY 1";
    for row in client.query(sums, &[])? {
        let category: Option<i32> = row.try_get(0)?;
        let of_dense: (Option<Vector>, Option<Vector>) = (row.try_get(1)?, row.try_get(2)?);
        let of_half: (Option<HalfVector>, Option<HalfVector>) = (row.try_get(3)?, row.try_get(4)?);
        show("aggregates", (category, of_dense, of_half));
    }
    let dense = Vector::from(vec![1.0, -2.0, 0.5]);
    let row = client.query_one(
        "SELECT $1::vector::halfvec, $1::vector::sparsevec, $1::vector::real[], vector_dims($1), vector_norm($1)",
        &[&dense],
    )?;
    let casts: (HalfVector, SparseVector, Vec<f32>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let numbers: (i32, f64) = (row.try_get(3)?, row.try_get(4)?);
    show("casts", (casts, numbers));
    let arrays = "SELECT $1::real[]::vector, $2::vector[], $3::sparsevec::vector";
    let sparse = SparseVector::from_dense(&[0.0, 1.5, 0.0]);
    let row = client.query_one(
        arrays,
        &[&vec![1.5f32, 2.0], &vec![dense.clone(), dense], &sparse],
    )?;
    let arrays: (Vector, Vec<Vector>, Vector) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    show("arrays", arrays);
    Ok(())
}

fn errors(client: &mut Client) -> Outcome {
    let dense = Vector::from(vec![1.0, 2.0]);
    let half = HalfVector::from_f32_slice(&[1.0, 2.0]);
    let sparse = SparseVector::from_dense(&[1.0, 2.0]);
    let few = bits("101");
    let none = Vector::from(Vec::new());
    let undefined = Vector::from(vec![f32::NAN]);
    let attempts: [(&str, Parameter<'_>); 11] = [
        ("INSERT INTO items (id, dense) VALUES (200, $1)", &dense),
        ("INSERT INTO items (id, half) VALUES (200, $1)", &half),
        ("INSERT INTO items (id, sparse) VALUES (200, $1)", &sparse),
        ("INSERT INTO items (id, bits) VALUES (200, $1)", &few),
        ("SELECT dense <-> $1 FROM items WHERE id = 1", &dense),
        ("SELECT half <#> $1 FROM items WHERE id = 1", &half),
        ("SELECT sparse <=> $1 FROM items WHERE id = 1", &sparse),
        ("SELECT bits <~> $1 FROM items WHERE id = 1", &few),
        ("SELECT $1::vector", &none),
        ("SELECT $1::vector", &undefined),
        ("SELECT $1::text::vector", &"[1,2"),
    ];
    for (sql, parameter) in attempts {
        let error = client.query(sql, &[parameter]).err();
        let error = error.as_ref().and_then(|error| error.as_db_error());
        show(
            "error",
            error.map(|error| (error.code().code(), error.message(), error.detail())),
        );
    }
    Ok(())
}

fn main() -> Outcome {
    let given = given()?;
    let mut config = Config::new();
    config
        .host(&std::env::var("PGHOST")?)
        .port(std::env::var("PGPORT")?.parse()?);
    config
        .user(&std::env::var("PGUSER")?)
        .dbname(&std::env::var("PGDATABASE")?);
    let mut client = config.connect(NoTls)?;
    create_and_fill(&mut client, &given)?;
    read(&mut client, &given)?;
    distances(&mut client, &given)?;
    searches(&mut client, &given)?;
    aggregates_and_casts(&mut client)?;
    errors(&mut client)
}
