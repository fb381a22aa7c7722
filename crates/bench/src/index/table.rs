//! Tables and indexes: each method has its own table, so that each query has one index to choose.

use postgres::Client;

use super::method::{Method, TABLES, index_name};
use super::{Run, cpu, memory};
use crate::{Error, wire};

/// Makes and fills a table with rows of the data set, unless it is there with the same rows.
///
/// `content` says which rows; it becomes the table's comment when the table is complete.
pub(crate) fn load(
    run: &Run<'_>,
    client: &mut Client,
    table: &str,
    content: &str,
    ids: impl Iterator<Item = usize>,
) -> Result<(), Error> {
    let name = format!("{TABLES}.{table}");
    let present: Option<String> = client
        .query_one(
            "SELECT obj_description(to_regclass($1::text), 'pg_class')",
            &[&name],
        )?
        .get(0);
    if present.as_deref() == Some(content) {
        return Ok(());
    }
    let dimensions = run.data.base.columns();
    client.batch_execute(&format!(
        "DROP TABLE IF EXISTS {name}; CREATE TABLE {name} (id integer NOT NULL, embedding vector({dimensions}))"
    ))?;
    wire::copy(client, &name, &run.data.base, ids)?;
    client.batch_execute(&format!("VACUUM (ANALYZE) {name}"))?;
    client.batch_execute(&format!("COMMENT ON TABLE {name} IS '{content}'"))?;
    Ok(())
}

/// What a build took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Built {
    /// Wall time.
    pub(crate) seconds: f64,
    /// CPU time of the backend and its workers.
    pub(crate) cpu_seconds: Option<f64>,
    /// See [`memory`].
    pub(crate) peak_mib: f64,
    /// Size of the index.
    pub(crate) index_mib: f64,
    /// What the index keeps in memory.
    pub(crate) cache_mib: Option<f64>,
}

/// Builds the index of a table anew.
pub(crate) fn build(run: &Run<'_>, method: Method, table: &str, workers: usize) -> Result<Built, Error> {
    let mut client = run.server.connect(&method.search_path())?;
    let index = format!("{TABLES}.{}", index_name(table));
    client.batch_execute(&format!("DROP INDEX IF EXISTS {index}"))?;
    client.batch_execute("CHECKPOINT")?;
    let (rows, dimensions) = (run.data.base.len(), run.data.base.columns());
    let memory = run.plan.maintenance_mib(rows, dimensions);
    client.batch_execute(&format!("SET maintenance_work_mem = '{memory}MB'"))?;
    // The planner gives a table of this size as many workers as it may have; the storage parameter makes sure of it.
    client.batch_execute(&format!(
        "SET max_parallel_maintenance_workers = {workers}; ALTER TABLE {TABLES}.{table} SET (parallel_workers = {workers})"
    ))?;
    let statement = method.create_index(table, run.set, dimensions, rows);
    let (backend, postmaster) = (backend(&mut client)?, run.server.postmaster());
    let before = cpu::of_build(postmaster, backend);
    let started = std::time::Instant::now();
    let ((result, seconds), peak_mib) = memory::peak_mib(postmaster, backend, || {
        let result = client.batch_execute(&statement);
        (result, started.elapsed().as_secs_f64())
    });
    result?;
    // The workers end with the build, and the server may not have waited for them yet.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let cpu_seconds = cpu::of_build(postmaster, backend)
        .zip(before)
        .map(|(after, before)| after - before);
    client.batch_execute(&format!("ALTER TABLE {TABLES}.{table} RESET (parallel_workers)"))?;
    let bytes: i64 = client
        .query_one("SELECT pg_relation_size($1::text::regclass)", &[&index])?
        .get(0);
    Ok(Built {
        seconds,
        cpu_seconds,
        peak_mib,
        index_mib: mib(bytes),
        cache_mib: cache_mib(&mut client, &index),
    })
}

/// Process id of a connection's backend.
pub(crate) fn backend(client: &mut Client) -> Result<u32, Error> {
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    Ok(pid.unsigned_abs())
}

/// Whether a table has its index.
pub(crate) fn has_index(client: &mut Client, table: &str) -> Result<bool, Error> {
    let index = format!("{TABLES}.{}", index_name(table));
    Ok(client
        .query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&index])?
        .get(0))
}

/// Size of what castmatch keeps in memory for an index, if it has a function that tells.
fn cache_mib(client: &mut Client, index: &str) -> Option<f64> {
    let row = client
        .query_one(
            "SELECT to_regprocedure('castmatch.index_info(regclass)') IS NOT NULL AND $1::text::regclass IN
                 (SELECT indexrelid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                  JOIN pg_am ON pg_am.oid = relam WHERE amname LIKE 'castmatch%')",
            &[&index],
        )
        .ok()?;
    if !row.get::<_, bool>(0) {
        return None;
    }
    let row = client
        .query_one(
            "SELECT (to_jsonb(info) ->> 'cache_bytes')::bigint FROM castmatch.index_info($1::text::regclass) AS info",
            &[&index],
        )
        .ok()?;
    row.get::<_, Option<i64>>(0).map(mib)
}

fn mib(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Drops a table if it is there.
pub(crate) fn drop_table(client: &mut Client, table: &str) -> Result<(), Error> {
    Ok(client.batch_execute(&format!("DROP TABLE IF EXISTS {TABLES}.{table}"))?)
}
