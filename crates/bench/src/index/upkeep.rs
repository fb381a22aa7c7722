//! Inserts into a half-full index, and VACUUM after deleting 20 % of the rows.

use std::time::Instant;

use super::method::{K, Method, TABLES, index_name, table_name};
use super::record::Record;
use super::search::{self, Point};
use super::{Run, cpu, recall, table};
use crate::Error;
use crate::wire::{self, Vector};

/// Rows of a transaction of single-row inserts.
const TRANSACTION: usize = 100;
/// One row of so many is deleted.
const DELETED_SHARE: usize = 5;
/// Search parameter at which the recall after a vacuum is measured.
const EFFORT: u32 = 80;

/// Inserts a batch of rows from number `first` on, one statement each, and gives the record.
pub(crate) fn insert(
    run: &Run<'_>,
    method: Method,
    round: usize,
    first: usize,
    count: usize,
) -> Result<Record, Error> {
    let name = format!("{TABLES}.{}", table_name("insert", run.set, method));
    let mut client = run.server.connect(&method.search_path())?;
    let before: i64 = client
        .query_one(&format!("SELECT count(*) FROM {name}"), &[])?
        .get(0);
    let statement = client.prepare(&format!("INSERT INTO {name} (id, embedding) VALUES ($1, $2)"))?;
    let ids: Vec<usize> = (first..run.data.base.len()).take(count).collect();
    let backend = table::backend(&mut client)?;
    let (before_cpu, started) = (cpu::of_backend(backend), Instant::now());
    for ids in ids.chunks(TRANSACTION) {
        let mut transaction = client.transaction()?;
        for &id in ids {
            transaction.execute(&statement, &[&i32::try_from(id)?, &Vector(run.data.base.row(id))])?;
        }
        transaction.commit()?;
    }
    Ok(Record::Insert {
        key: run.key(method, round),
        before: usize::try_from(before)?,
        inserted: ids.len(),
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu::since(before_cpu, backend),
    })
}

/// Makes the half-full table of the inserts, with its index.
pub(crate) fn half_full(run: &Run<'_>, method: Method, half: usize, workers: usize) -> Result<(), Error> {
    let table = table_name("insert", run.set, method);
    let mut client = run.server.connect(&method.search_path())?;
    table::drop_table(&mut client, &table)?;
    table::load(run, &mut client, &table, "in use", 0..half)?;
    table::build(run, method, &table, workers)?;
    Ok(())
}

/// Fills a table, builds its index, deletes every fifth row and times VACUUM.
pub(crate) fn vacuum(run: &Run<'_>, method: Method, round: usize, workers: usize) -> Result<Record, Error> {
    let table = table_name("vacuum", run.set, method);
    let name = format!("{TABLES}.{table}");
    let mut client = run.server.connect(&method.search_path())?;
    table::drop_table(&mut client, &table)?;
    table::load(run, &mut client, &table, "in use", 0..run.data.base.len())?;
    table::build(run, method, &table, workers)?;
    let deleted = client.execute(&format!("DELETE FROM {name} WHERE id % {DELETED_SHARE} = 0"), &[])?;
    client.batch_execute("CHECKPOINT")?;
    let backend = table::backend(&mut client)?;
    let (before_cpu, started) = (cpu::of_backend(backend), Instant::now());
    client.batch_execute(&format!("VACUUM (INDEX_CLEANUP on, PARALLEL 0) {name}"))?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu_seconds = cpu::since(before_cpu, backend);
    let point = Point {
        method,
        table: &table,
        effort: EFFORT,
        clients: 1,
    };
    let answers = search::measure(run, point)?.rows;
    table::drop_table(&mut client, &table)?;
    Ok(Record::Vacuum {
        key: run.key(method, round),
        deleted: usize::try_from(deleted)?,
        seconds,
        cpu_seconds,
        recall: recall_of_rest(run, &answers),
        effort: EFFORT,
    })
}

/// One row of so many is there before the growth.
const GROWTH: usize = 10;

/// Builds an index over a tenth of the rows, inserts the rest, vacuums, and builds it anew: the recall after each step, at the settings
/// that were asked for, or else the method's own choice where it has one.
pub(crate) fn growth(run: &Run<'_>, method: Method, workers: usize) -> Result<Vec<Record>, Error> {
    let table = table_name("growth", run.set, method);
    let name = format!("{TABLES}.{table}");
    let mut client = run.server.connect(&method.search_path())?;
    table::drop_table(&mut client, &table)?;
    let rows = run.data.base.len();
    table::load(run, &mut client, &table, "in use", 0..rows / GROWTH)?;
    table::build(run, method, &table, workers)?;
    wire::copy(&mut client, &name, &run.data.base, rows / GROWTH..rows)?;
    let efforts = run.plan.efforts_or(method.own_effort());
    let recalls = || -> Result<Vec<f64>, Error> {
        efforts
            .iter()
            .map(|&effort| {
                let point = Point {
                    method,
                    table: &table,
                    effort,
                    clients: 1,
                };
                Ok(search::mean_recall(run, &search::measure(run, point)?.rows))
            })
            .collect()
    };
    let inserted = recalls()?;
    let started = Instant::now();
    client.batch_execute(&format!("VACUUM (INDEX_CLEANUP on, PARALLEL 0) {name}"))?;
    let vacuum_seconds = started.elapsed().as_secs_f64();
    let vacuumed = recalls()?;
    client.batch_execute(&format!("DROP INDEX {TABLES}.{}", index_name(&table)))?;
    table::build(run, method, &table, workers)?;
    let anew = recalls()?;
    table::drop_table(&mut client, &table)?;
    let steps = inserted.into_iter().zip(vacuumed).zip(anew);
    Ok(efforts
        .iter()
        .zip(steps)
        .map(|(&effort, ((inserted, vacuumed), anew))| Record::Growth {
            key: run.key(method, 1),
            effort,
            inserted,
            vacuumed,
            anew,
            vacuum_seconds,
        })
        .collect())
}

/// Mean recall where the deleted rows are no neighbours any more.
fn recall_of_rest(run: &Run<'_>, answers: &[Vec<usize>]) -> f64 {
    let data = run.data;
    let sum: f64 = answers
        .iter()
        .enumerate()
        .map(|(number, answer)| {
            let rest: Vec<f32> = data
                .ids
                .row(number)
                .iter()
                .zip(data.distances.row(number))
                .filter(|&(&id, _)| !(id as usize).is_multiple_of(DELETED_SHARE))
                .map(|(_, &distance)| distance)
                .collect();
            recall::recall(
                &data.base,
                data.queries.row(number),
                &rest,
                run.set.metric(),
                K,
                answer,
            )
        })
        .sum();
    sum / answers.len().max(1) as f64
}
