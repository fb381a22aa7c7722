//! The text index of an attached table: how it is made, and how it is found.
//!
//! It is found by what it is, an index over castmatch.text_terms, so that neither a new name nor a restore matters. A partitioned table
//! has one for each of its partitions.

use crate::error::{Result, not_in_state};
use crate::matching::attachment::{Attachment, relation_name};
use crate::matching::target::Target;
use crate::matching::text::terms;
use crate::pg::buffer::PAGE_BYTES;
use crate::pg::invalidation::{self, Known};
use crate::pg::snapshot::with_latest;
use crate::pg::spi::{Access, Session, session};
use crate::pg::value::Value;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::rc::Rc;

/// A table with rows and its text index.
pub struct Leaf {
    /// The table: the attached one, or a partition of it.
    pub table: pg_sys::Oid,
    /// Its index.
    pub index: pg_sys::Oid,
    /// Rows as the planner estimates them.
    pub rows: f64,
}

/// Whether an index `i` of pg_index is over castmatch.text_terms.
const IS_TEXT_INDEX: &str = "EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.refobjid
        JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) p.pronamespace
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.objid OPERATOR(pg_catalog.=) i.indexrelid
      AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
      AND p.proname OPERATOR(pg_catalog.=) 'text_terms' AND s.nspname OPERATOR(pg_catalog.=) 'castmatch')";

thread_local! {
    /// What this backend has looked up, by attached table.
    static KNOWN: RefCell<Known<Rc<[Leaf]>>> = RefCell::default();
}

/// Drops what is known of a table, or of all (`None`).
fn forget(table: Option<pg_sys::Oid>) {
    let has = |leaves: &Rc<[Leaf]>, table| leaves.iter().any(|leaf| leaf.table == table);
    KNOWN.with_borrow_mut(|known| known.forget(table, has));
}

/// The tables that hold the rows of an attached table, with their text indexes. The table and its partitions are locked, so that what is
/// found stays.
///
/// # Errors
/// 55000 if one has no text index.
pub fn leaves(attachment: &Attachment) -> Result<Rc<[Leaf]>> {
    invalidation::watch(forget);
    let target = attachment.target;
    let (known, changes) = KNOWN.with_borrow(|known| (known.get(target), known.changes()));
    if let Some(known) = known {
        return Ok(known);
    }
    let found: Rc<[Leaf]> =
        with_latest(|| session(Access::ReadOnly, |session| look_up(session, attachment)))?.into();
    KNOWN.with_borrow_mut(|known| known.keep(target, Rc::clone(&found), changes));
    Ok(found)
}

fn look_up(session: &Session, attachment: &Attachment) -> Result<Vec<Leaf>> {
    let sql = format!(
        "SELECT c.oid, c.reltuples, COALESCE((SELECT i.indexrelid FROM pg_catalog.pg_index i
                    JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
                    JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) x.relam
                WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisvalid AND i.indnatts OPERATOR(pg_catalog.=) 1
                  AND i.indpred IS NULL AND a.amname OPERATOR(pg_catalog.=) 'gin' AND {IS_TEXT_INDEX}
                ORDER BY i.indexrelid LIMIT 1), 0::pg_catalog.oid)
         FROM pg_catalog.pg_class t
         CROSS JOIN LATERAL (
             SELECT t.oid WHERE t.relkind OPERATOR(pg_catalog.<>) 'p'
             UNION ALL
             SELECT p.relid FROM pg_catalog.pg_partition_tree(t.oid) p
             WHERE t.relkind OPERATOR(pg_catalog.=) 'p' AND p.isleaf) l (oid)
         JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.oid
         WHERE t.oid OPERATOR(pg_catalog.=) $1
         ORDER BY c.oid"
    );
    let rows = session.run(&sql, &[Value::oid(attachment.target)])?;
    (0..rows.len())
        .map(|row| {
            let leaf = Leaf {
                table: rows.require(row, 1)?,
                index: rows.require(row, 3)?,
                rows: f64::from(rows.require::<f32>(row, 2)?.max(0.0)),
            };
            if leaf.index == pg_sys::InvalidOid {
                return Err(no_index(attachment, leaf.table));
            }
            Ok(leaf)
        })
        .collect()
}

fn no_index(attachment: &Attachment, table: pg_sys::Oid) -> pgrx::pg_sys::panic::ErrorReport {
    let expression = terms_expression(&attachment.text_config, DEFAULT_AVERAGE, &attachment.content, "");
    not_in_state(format!(
        "table {} has no valid text index",
        relation_name(table)
    ))
    .set_hint(format!(
        "Run castmatch.detach and castmatch.attach again, or CREATE INDEX … USING gin ({expression}) WITH (fastupdate = off)."
    ))
}

/// The text indexes of a table that can be dropped by themselves, with their schemas, quoted.
///
/// # Errors
/// As the statement raises them.
pub fn names(session: &Session, table: pg_sys::Oid) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
         FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND NOT c.relispartition AND {IS_TEXT_INDEX}
         ORDER BY i.indexrelid"
    );
    session.run(&sql, &[Value::oid(table)])?.column_values(1)
}

/// The text that is searched, as an SQL expression over columns that are quoted; immutable, so that an index can hold it.
fn searched_text(content: &[String], alias: &str) -> String {
    let parts: Vec<String> = content
        .iter()
        .map(|column| format!("COALESCE({alias}{column}::text, ''::text)"))
        .collect();
    parts.join(" OPERATOR(pg_catalog.||) ' '::text OPERATOR(pg_catalog.||) ")
}

/// The expression of the text index.
pub fn terms_expression(text_config: &str, average_length: f32, content: &[String], alias: &str) -> String {
    format!(
        "castmatch.text_terms({}::pg_catalog.regconfig, '{average_length}'::pg_catalog.float4, {})",
        pgrx::spi::quote_literal(text_config),
        searched_text(content, alias)
    )
}

/// Words of a row in a table that has none to measure.
const DEFAULT_AVERAGE: f32 = 50.0;
/// Blocks and rows that the average length is measured over, at most.
const SAMPLE_BLOCKS: f64 = 50.0;
const SAMPLE_ROWS: usize = 1000;
/// Words after which the sample is large enough, however few rows it has.
const SAMPLE_WORDS: usize = 200_000;

/// The average number of words in the rows of a table that have any, measured over a sample. Content columns are quoted.
///
/// # Errors
/// As the statements raise them.
pub fn average_length(target: &Target, text_config: pg_sys::Oid, content: &[String]) -> Result<f32> {
    session(Access::ReadWrite, |session| {
        let rows = session.run(
            "SELECT pg_catalog.sum(pg_catalog.pg_relation_size(l.oid))::pg_catalog.float8
             FROM (SELECT $1::pg_catalog.oid UNION SELECT p.relid FROM pg_catalog.pg_partition_tree($1) p) l (oid)",
            &[Value::oid(target.oid)],
        )?;
        let blocks = rows.get::<f64>(0, 1)?.unwrap_or(0.0) / PAGE_BYTES as f64;
        let sql = format!(
            "SELECT {text} FROM {only} {name} t TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0) LIMIT {SAMPLE_ROWS}",
            text = searched_text(content, "t."),
            only = if target.is_partitioned { "" } else { "ONLY" },
            name = target.name,
            percent = (100.0 * SAMPLE_BLOCKS / blocks.max(1.0)).min(100.0),
        );
        let (mut words, mut texts) = (0_usize, 0_usize);
        session.run_in_portions(&sql, 10, |rows| {
            for row in 0..rows.len() {
                if words >= SAMPLE_WORDS {
                    return Ok(());
                }
                let length = terms::read(text_config, &rows.require::<String>(row, 1)?)?.length();
                words += length;
                texts += usize::from(length > 0);
            }
            Ok(())
        })?;
        if texts == 0 {
            return Ok(DEFAULT_AVERAGE);
        }
        // One decimal: the rest would only make the index's definition longer.
        Ok(((words as f32 / texts as f32) * 10.0).round() / 10.0)
    })
}
