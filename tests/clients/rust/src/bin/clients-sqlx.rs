//! sqlx with pgvector's crate: everything is binary.

use castmatch_clients::{Given, Metric, Outcome, Row, Value, bits, given, scans, show};
use pgvector::{HalfVector, SparseVector, Vector};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Postgres, Row as _, query};

const COLUMNS: &str = "id, category, dense, half, sparse, bits";

/// A statement made of names from the dataset.
fn statement<'q>(sql: String) -> Query<'q, Postgres, PgArguments> {
    query(AssertSqlSafe(sql))
}

fn bind<'q>(query: Query<'q, Postgres, PgArguments>, value: &'q Value) -> Query<'q, Postgres, PgArguments> {
    match value {
        Value::Dense(value) => query.bind(value),
        Value::Half(value) => query.bind(value),
        Value::Sparse(value) => query.bind(value),
        Value::Bits(value) => query.bind(value),
    }
}

/// All rows by INSERT, one of NULLs.
async fn create_and_fill(connection: &mut PgConnection, given: &Given) -> Outcome {
    statement(given.create_table("items"))
        .execute(&mut *connection)
        .await?;
    let empty = Row {
        id: 100,
        category: None,
        dense: None,
        half: None,
        sparse: None,
        bits: None,
    };
    for row in given.rows().into_iter().chain([empty]) {
        query("INSERT INTO items (id, category, dense, half, sparse, bits) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(row.id)
            .bind(row.category)
            .bind(row.dense)
            .bind(row.half)
            .bind(row.sparse)
            .bind(row.bits)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        id: row.try_get("id")?,
        category: row.try_get("category")?,
        dense: row.try_get("dense")?,
        half: row.try_get("half")?,
        sparse: row.try_get("sparse")?,
        bits: row.try_get("bits")?,
    })
}

/// Reads everything; then copies it out and, into another table, in again.
async fn read(connection: &mut PgConnection, given: &Given) -> Outcome {
    let all = format!("SELECT {COLUMNS} FROM items ORDER BY id");
    let read = statement(all.clone()).fetch_all(&mut *connection).await?;
    let read = read.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    for row in &read {
        show("row", row);
    }
    let written = given.rows();
    show("as written", read.get(..written.len()) == Some(&written));
    let mut copied = Vec::new();
    let mut stream = connection
        .copy_out_raw(&format!("COPY ({all}) TO STDOUT WITH (FORMAT BINARY)"))
        .await?;
    while let Some(piece) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        copied.extend_from_slice(&piece?);
    }
    drop(stream);
    statement(given.create_table("copies"))
        .execute(&mut *connection)
        .await?;
    let mut copy = connection
        .copy_in_raw("COPY copies FROM STDIN WITH (FORMAT BINARY)")
        .await?;
    copy.send(copied.as_slice()).await?;
    show("copied", (copied.len(), copy.finish().await?));
    let differ = query("SELECT count(*) FROM (SELECT * FROM items EXCEPT SELECT * FROM copies) AS different");
    show(
        "copies that differ",
        differ.fetch_one(&mut *connection).await?.try_get::<i64, _>(0)?,
    );
    Ok(())
}

async fn keys(connection: &mut PgConnection, query: Query<'_, Postgres, PgArguments>) -> Outcome<Vec<i64>> {
    let rows = query.fetch_all(connection).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

async fn distances(connection: &mut PgConnection, given: &Given) -> Outcome {
    for column in &given.columns {
        let value = given.query(column)?;
        for Metric { operator, .. } in &column.metrics {
            let distance = format!("{} {operator} $1", column.name);
            let all = format!("SELECT id, {distance} AS distance FROM items ORDER BY distance, id");
            let mut found: Vec<(i64, Option<f64>)> = Vec::new();
            for row in bind(statement(all), &value).fetch_all(&mut *connection).await? {
                found.push((row.try_get(0)?, row.try_get(1)?));
            }
            show(&format!("{} {operator}", column.name), found);
            let near = statement(format!(
                "SELECT id FROM items WHERE category = $2 AND {} IS NOT NULL ORDER BY {distance}, id LIMIT 5",
                column.name
            ));
            show(
                "of category 1",
                keys(connection, bind(near, &value).bind(1)).await?,
            );
        }
    }
    Ok(())
}

async fn searches(connection: &mut PgConnection, given: &Given) -> Outcome {
    query("SET enable_seqscan = off")
        .execute(&mut *connection)
        .await?;
    for column in given.columns.iter().filter(|column| column.in_graphs) {
        let value = given.query(column)?;
        for Metric { operator, opclass } in &column.metrics {
            let index = format!(
                "ON items USING {} ({} {opclass})",
                given.graph_method, column.name
            );
            statement(format!("CREATE INDEX items_index {index}"))
                .execute(&mut *connection)
                .await?;
            let search = format!(
                "SELECT id FROM items ORDER BY {} {operator} $1 LIMIT 5",
                column.name
            );
            let explain = statement(format!("EXPLAIN (COSTS OFF) {search}"));
            let plan = bind(explain, &value).fetch_all(&mut *connection).await?;
            let plan = plan
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<Vec<String>, _>>()?;
            show(&format!("{opclass} plan"), scans(plan));
            show(opclass, keys(connection, bind(statement(search), &value)).await?);
            query("DROP INDEX items_index").execute(&mut *connection).await?;
        }
    }
    query("RESET enable_seqscan").execute(&mut *connection).await?;
    Ok(())
}

async fn aggregates_and_casts(connection: &mut PgConnection) -> Outcome {
    let sums = "SELECT category, avg(dense), sum(dense), avg(half), sum(half) FROM items GROUP BY category ORDER BY 1";
    for row in query(sums).fetch_all(&mut *connection).await? {
        let category: Option<i32> = row.try_get(0)?;
        let of_dense: (Option<Vector>, Option<Vector>) = (row.try_get(1)?, row.try_get(2)?);
        let of_half: (Option<HalfVector>, Option<HalfVector>) = (row.try_get(3)?, row.try_get(4)?);
        show("aggregates", (category, of_dense, of_half));
    }
    let dense = Vector::from(vec![1.0, -2.0, 0.5]);
    let casts = "SELECT $1::halfvec, $1::sparsevec, $1::real[], vector_dims($1), vector_norm($1)";
    let row = query(casts).bind(&dense).fetch_one(&mut *connection).await?;
    let casts: (HalfVector, SparseVector, Vec<f32>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let numbers: (i32, f64) = (row.try_get(3)?, row.try_get(4)?);
    show("casts", (casts, numbers));
    let arrays = query("SELECT $1::real[]::vector, $2::vector[], $3::sparsevec::vector")
        .bind(vec![1.5f32, 2.0])
        .bind(vec![dense.clone(), dense])
        .bind(SparseVector::from_dense(&[0.0, 1.5, 0.0]));
    let row = arrays.fetch_one(&mut *connection).await?;
    let arrays: (Vector, Vec<Vector>, Vector) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    show("arrays", arrays);
    Ok(())
}

async fn errors(connection: &mut PgConnection) -> Outcome {
    let dense = Vector::from(vec![1.0, 2.0]);
    let half = HalfVector::from_f32_slice(&[1.0, 2.0]);
    let sparse = SparseVector::from_dense(&[1.0, 2.0]);
    for attempt in [
        query("INSERT INTO items (id, dense) VALUES (200, $1)").bind(&dense),
        query("INSERT INTO items (id, half) VALUES (200, $1)").bind(&half),
        query("INSERT INTO items (id, sparse) VALUES (200, $1)").bind(&sparse),
        query("INSERT INTO items (id, bits) VALUES (200, $1)").bind(bits("101")),
        query("SELECT dense <-> $1 FROM items WHERE id = 1").bind(&dense),
        query("SELECT half <#> $1 FROM items WHERE id = 1").bind(&half),
        query("SELECT sparse <=> $1 FROM items WHERE id = 1").bind(&sparse),
        query("SELECT bits <%> $1 FROM items WHERE id = 1").bind(bits("101")),
        query("SELECT $1::vector").bind(Vector::from(Vec::new())),
        query("SELECT $1::vector").bind(Vector::from(vec![f32::INFINITY])),
        query("SELECT $1::text::sparsevec").bind("{1:2"),
    ] {
        let error = attempt.fetch_all(&mut *connection).await.err();
        let error = error.as_ref().and_then(|error| error.as_database_error());
        show("error", error.map(|error| (error.code(), error.message())));
    }
    Ok(())
}

async fn run(given: &Given) -> Outcome {
    // From the variables PGHOST, PGPORT, PGUSER and PGDATABASE.
    let mut connection = PgConnectOptions::new().connect().await?;
    create_and_fill(&mut connection, given).await?;
    read(&mut connection, given).await?;
    distances(&mut connection, given).await?;
    searches(&mut connection, given).await?;
    aggregates_and_casts(&mut connection).await?;
    errors(&mut connection).await
}

fn main() -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run(&given()?))
}
