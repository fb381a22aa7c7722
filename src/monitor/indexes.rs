//! Indexes: their sizes and how many rows they have, by what the server notes about them. Nothing is counted and nobody is waited for,
//! whatever their size.

use super::sample::{MOST_SERIES, Sample};
use crate::error::Result;
use crate::matching::vector_index::METHODS;
use crate::pg::buffer::PAGE_BYTES;
use crate::pg::relation::blocks_without_waiting;
use crate::pg::snapshot::in_recovery;
use crate::pg::spi::{Rows, Session};
use crate::pg::value::Value;
use castmatch_engine::measure::estimate::{self, Noted};
use pgrx::pg_sys;
use serde_json::{Value as Json, json};

/// Columns of what is noted about the relation of that alias of pg_class, for [`noted`].
pub(super) fn noted_columns(alias: &str) -> String {
    format!(
        "{alias}.oid, {alias}.reltuples::pg_catalog.float8, {alias}.relpages, pg_catalog.pg_stat_get_live_tuples({alias}.oid),
         pg_catalog.pg_stat_get_dead_tuples({alias}.oid), pg_catalog.num_nonnulls(
            pg_catalog.pg_stat_get_last_vacuum_time({alias}.oid), pg_catalog.pg_stat_get_last_autovacuum_time({alias}.oid),
            pg_catalog.pg_stat_get_last_analyze_time({alias}.oid), pg_catalog.pg_stat_get_last_autoanalyze_time({alias}.oid))"
    )
}

/// Columns that [`noted_columns`] gives.
const NOTED_COLUMNS: usize = 6;

/// What is noted about the relation in the columns from `first` on.
pub(super) fn noted(rows: &Rows, row: usize, first: usize) -> Result<Noted> {
    let relation: pg_sys::Oid = rows.require(row, first)?;
    let count = |column| -> Result<u64> {
        let number: Option<i64> = rows.get(row, column)?;
        Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    };
    let blocks_then = u32::try_from(rows.require::<i32>(row, first + 2)?).unwrap_or(0);
    Ok(Noted {
        rows_then: rows.require(row, first + 1)?,
        blocks_then,
        blocks: blocks_without_waiting(relation).unwrap_or(blocks_then),
        live: count(first + 3)?,
        dead: count(first + 4)?,
        is_calibrated: rows.require::<i32>(row, first + 5)? > 0,
    })
}

/// An index of castmatch.
pub(super) struct Index {
    name: String,
    table: String,
    method: String,
    rows: Option<u64>,
    bytes: u64,
    /// The share of its table's rows that are dead: at most so many of its entries lead nowhere.
    dead_ratio: Option<f64>,
    valid: bool,
}

/// The indexes of this database, the largest first; and whether there are more than are listed.
pub(super) struct Indexes {
    list: Vec<Index>,
    pub(super) truncated: bool,
}

impl Indexes {
    /// Reads them.
    pub(super) fn read(session: &Session) -> Result<Self> {
        let sql = format!(
            "SELECT c.oid::pg_catalog.regclass::text, t.oid::pg_catalog.regclass::text, m.amname::text, i.indisvalid, {index}, {table}
             FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) c.relam
             JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
             JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) i.indrelid
             WHERE m.amname::text OPERATOR(pg_catalog.=) ANY ($1) AND c.relkind::text OPERATOR(pg_catalog.=) 'i'
               AND c.relpersistence::text OPERATOR(pg_catalog.<>) 't'
             ORDER BY c.relpages DESC, c.oid LIMIT $2",
            index = noted_columns("c"),
            table = noted_columns("t"),
        );
        let limit = i64::try_from(MOST_SERIES + 1).unwrap_or(i64::MAX);
        let methods = METHODS.map(str::to_owned).to_vec();
        let rows = session.run(&sql, &[Value::of(methods), Value::of(limit)])?;
        let recovering = in_recovery();
        let read = |row| -> Result<Index> {
            let index = noted(&rows, row, 5)?;
            let table = noted(&rows, row, 5 + NOTED_COLUMNS)?;
            Ok(Index {
                name: rows.require(row, 1)?,
                table: rows.require(row, 2)?,
                method: rows.require(row, 3)?,
                valid: rows.require(row, 4)?,
                rows: estimate::index_rows(&index, estimate::rows(&table, recovering)),
                bytes: u64::from(index.blocks).saturating_mul(PAGE_BYTES as u64),
                dead_ratio: estimate::dead_share(&table, recovering),
            })
        };
        let list = (0..rows.len().min(MOST_SERIES))
            .map(read)
            .collect::<Result<_>>()?;
        Ok(Self {
            list,
            truncated: rows.len() > MOST_SERIES,
        })
    }

    pub(super) fn samples(&self, samples: &mut Vec<Sample>) {
        for index in &self.list {
            let mut gauge =
                |name: &str, help, value: Option<f64>| {
                    samples.extend(value.map(|value| {
                        Sample::labelled(name, "gauge", help, json!({"index": index.name}), value)
                    }));
                };
            gauge(
                "castmatch_index_rows",
                "Rows in an index of castmatch, as the planner estimates them; of this database's 50 largest indexes.",
                index.rows.map(|rows| rows as f64),
            );
            gauge(
                "castmatch_index_size_bytes",
                "Bytes of an index of castmatch on disk; of this database's 50 largest indexes.",
                Some(index.bytes as f64),
            );
            gauge(
                "castmatch_index_dead_ratio",
                "Share, 0 to 1, of the rows of an index's table that are dead and not vacuumed yet: at most so many entries of the index lead nowhere; absent on a standby.",
                index.dead_ratio,
            );
        }
    }

    pub(super) fn report(&self) -> Json {
        let report = |index: &Index| {
            json!({
                "index": index.name,
                "table": index.table,
                "method": index.method,
                "rows": index.rows,
                "bytes": index.bytes,
                "dead_ratio": index.dead_ratio,
                "valid": index.valid,
            })
        };
        self.list.iter().map(report).collect()
    }
}

/// Names of indexes of castmatch that no search uses because their build came to nothing; one whose table has an index built just now may be that
/// one, or its predecessor.
pub(super) fn invalid_indexes(session: &Session, most: i64) -> Result<Vec<String>> {
    session
        .run(
            "SELECT c.oid::pg_catalog.regclass::text
             FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_am m ON m.oid OPERATOR(pg_catalog.=) c.relam
             JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
             WHERE m.amname::text OPERATOR(pg_catalog.=) ANY ($1) AND NOT i.indisvalid
               AND c.relkind::text OPERATOR(pg_catalog.=) 'i'
               AND c.relpersistence::text OPERATOR(pg_catalog.<>) 't' AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_stat_progress_create_index p
                JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) p.datid
                WHERE p.relid OPERATOR(pg_catalog.=) i.indrelid AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
             ORDER BY c.oid LIMIT $2",
            &[Value::of(METHODS.map(str::to_owned).to_vec()), Value::of(most)],
        )?
        .column_values(1)
}
