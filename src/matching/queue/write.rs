//! Writing a batch's vectors, as the table's owner.

use super::{Row, Work, entries};
use crate::error::{Result, not_in_state};
use crate::matching::attachment::Attachment;
use crate::matching::vector_type::VectorType;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use crate::stats;
use core::sync::atomic::Ordering;
use std::collections::BTreeSet;

/// A vector for each row that one was asked for, none for a row without text; `Err` where the model fails on the text.
pub type Vectors = Vec<Result<Option<Vec<f32>>, String>>;

/// What is to be written into a row: for each column a vector or NULL, or nothing at all.
struct Change<'a> {
    row: &'a Row,
    own: Option<Option<&'a [f32]>>,
    next: Option<Option<&'a [f32]>>,
}

/// Writes what the models gave, `own` for the rows that want it and `next` for all, and says in the queue what became of each row.
///
/// # Errors
/// As the statements on castmatch's own tables raise them.
pub fn write(
    session: &Session,
    work: &Work,
    own: Option<&Vectors>,
    next: Option<&Vectors>,
    rows_per_second: f64,
) -> Result<()> {
    let mut own = own.map(|own| own.iter());
    let mut next = next.map(|next| next.iter());
    let mut changes = Vec::new();
    for row in &work.rows {
        let wanted = [
            own.as_mut().filter(|_| row.for_own).and_then(Iterator::next),
            next.as_mut().and_then(Iterator::next),
        ];
        let failed = wanted.iter().flatten().find_map(|given| given.as_ref().err());
        if let Some(message) = failed {
            entries::note_failure(session, &row.entries, message)?;
            continue;
        }
        let [own, next] =
            wanted.map(|given| given.and_then(|given| given.as_ref().ok()).map(Option::as_deref));
        changes.push(Change { row, own, next });
    }
    let table = &work.attachment;
    let all: Vec<&Change> = changes.iter().collect();
    if let Ok(written) = write_rows(session, table, &all) {
        return note_written(session, table, &all, &written, rows_per_second);
    }
    // One of the rows does not take its vector: find out which.
    for change in all {
        match write_rows(session, table, &[change]) {
            Ok(written) => note_written(session, table, &[change], &written, rows_per_second)?,
            Err(message) => entries::note_failure(session, &change.row.entries, &message)?,
        }
    }
    Ok(())
}

/// Writes the vectors of those rows that nobody else has locked; returns their places among the changes.
fn write_rows(session: &Session, table: &Attachment, changes: &[&Change]) -> Result<BTreeSet<usize>, String> {
    let lock = format!(
        "SELECT k.place FROM {keys} JOIN {table} t ON {joined}
         ORDER BY {columns} FOR NO KEY UPDATE OF t SKIP LOCKED",
        keys = table.key.unnest(1),
        table = table.table,
        joined = table.key.joined("t"),
        columns = table.key.columns("t"),
    );
    table.as_owner(|| {
        let keys: Vec<String> = changes.iter().map(|change| change.row.key.clone()).collect();
        let locked = session.run(&lock, &table.key.arrays(&keys)?)?;
        // With the table locked nobody changes its registration.
        if !table.is_current()? {
            return Err(not_in_state("the table was attached in another way meanwhile"));
        }
        let written: BTreeSet<usize> = locked
            .column_values::<i64>(1)?
            .into_iter()
            .filter_map(|place| usize::try_from(place - 1).ok())
            .collect();
        let of_locked = || written.iter().filter_map(|&place| changes.get(place));
        let own = of_locked().filter_map(|change| Some((change.row.key.clone(), change.own?)));
        set(session, table, (&table.embedding, table.vectors()?), own)?;
        if let Some(column) = &table.next {
            let next = of_locked().filter_map(|change| Some((change.row.key.clone(), change.next?)));
            set(session, table, (&column.embedding, column.vectors()?), next)?;
        }
        Ok(written)
    })
}

/// Sets one column of rows.
fn set<'a>(
    session: &Session,
    table: &Attachment,
    (column, vector_type): (&str, &VectorType),
    vectors: impl Iterator<Item = (String, Option<&'a [f32]>)>,
) -> Result<()> {
    let (keys, vectors): (Vec<String>, Vec<Option<&[f32]>>) = vectors.unzip();
    if keys.is_empty() {
        return Ok(());
    }
    let update = format!(
        "UPDATE {table} t SET {column} = k.value FROM {keys} WHERE {joined}",
        table = table.table,
        keys = table.key.unnest_with_value(1),
        joined = table.key.joined("t"),
    );
    let mut values = table.key.arrays(&keys)?;
    values.push(vector_type.array_value(vectors.into_iter())?);
    session.run(&update, &values).map(drop)
}

/// Settles the rows that were written and postpones those that were locked.
fn note_written(
    session: &Session,
    table: &Attachment,
    changes: &[&Change],
    written: &BTreeSet<usize>,
    rows_per_second: f64,
) -> Result<()> {
    let (mut done, mut locked, mut embedded, mut rows) = (Vec::new(), Vec::new(), 0_i64, 0_u64);
    for (place, change) in changes.iter().enumerate() {
        if written.contains(&place) {
            done.extend(&change.row.entries);
            embedded +=
                i64::from(matches!(change.own, Some(Some(_))) || matches!(change.next, Some(Some(_))));
            rows += 1;
        } else {
            locked.extend(&change.row.entries);
        }
    }
    entries::settle(session, done.into_iter())?;
    entries::postpone(session, locked)?;
    session.run(
        "INSERT INTO castmatch.progress AS p (target, embedded_rows, rows_per_second, measured_at)
         VALUES ($1::pg_catalog.oid::pg_catalog.regclass, $2, $3, pg_catalog.clock_timestamp())
         ON CONFLICT (target) DO UPDATE SET embedded_rows = p.embedded_rows + EXCLUDED.embedded_rows,
             rows_per_second = EXCLUDED.rows_per_second, measured_at = EXCLUDED.measured_at",
        &[
            Value::oid(table.target),
            Value::of(embedded),
            Value::of(rows_per_second),
        ],
    )?;
    if let Some(counters) = stats::counters() {
        counters.rows_embedded.fetch_add(rows, Ordering::Relaxed);
    }
    Ok(())
}
