//! An attached table: what `castmatch.registrations` says about it, joined with what the catalogs say now.

use crate::error::{Result, error, internal};
use crate::pg::catalog;
use crate::pg::spi::{Session, quote_identifier};
use crate::pg::value::Value;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Characters of a row's text that are embedded or quoted from.
const MAX_CONTENT_CHARS: usize = 1 << 18;

/// An attached table. Names are quoted for use in SQL where the field says so.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The table.
    pub target: pg_sys::Oid,
    /// Schema and name, quoted.
    pub table: String,
    /// Owner of the table.
    pub owner: pg_sys::Oid,
    /// Key column, quoted.
    pub key: String,
    /// Array type of the key column.
    pub key_array_type: pg_sys::Oid,
    /// Columns whose text is embedded, quoted.
    pub content: Vec<String>,
    /// Embedding column, quoted.
    pub embedding: String,
    /// Columns whose text is embedded, not quoted.
    pub content_names: Vec<String>,
    /// Embedding column, not quoted.
    pub embedding_name: String,
    /// Columns that reasons report on, not quoted.
    pub filters: Vec<String>,
    /// Text search configuration, quoted.
    pub text_config: String,
    /// Rows as the planner estimates them.
    pub estimated_rows: f64,
    /// Whether rows are embedded in the background.
    pub in_background: bool,
}

const LOAD_SQL: &str = "
    SELECT n.nspname::text, c.relname::text, c.relowner, r.key_column::text, COALESCE(k.typarray, 0::pg_catalog.oid),
           r.content_columns::text[], r.embedding_column::text, r.filter_columns::text[], r.text_config, r.embed_mode,
           c.reltuples,
           (SELECT pg_catalog.min(m.name) FROM pg_catalog.unnest(r.content_columns OPERATOR(pg_catalog.||) r.filter_columns
                OPERATOR(pg_catalog.||) r.key_column OPERATOR(pg_catalog.||) r.embedding_column) AS m (name)
            WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute x WHERE x.attrelid OPERATOR(pg_catalog.=) c.oid
                AND x.attname OPERATOR(pg_catalog.=) m.name AND NOT x.attisdropped))::text
    FROM castmatch.registrations r
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.target
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
        AND a.attname OPERATOR(pg_catalog.=) r.key_column AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_type k ON k.oid OPERATOR(pg_catalog.=) a.atttypid
    WHERE r.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass";

impl Attachment {
    /// The attachment of a table, if it is attached.
    ///
    /// # Errors
    /// 42703 if a column of the attachment was renamed or dropped since.
    pub fn find(session: &Session, target: pg_sys::Oid) -> Result<Option<Self>> {
        let rows = session.run(LOAD_SQL, &[Value::oid(target)])?;
        if rows.is_empty() {
            return Ok(None);
        }
        if let Some(column) = rows.get::<String>(0, 12)? {
            return Err(column_gone(&column));
        }
        let name = |column| rows.require::<String>(0, column);
        let content_names: Vec<String> = rows.require(0, 6)?;
        let embedding_name = name(7)?;
        Ok(Some(Self {
            target,
            table: format!("{}.{}", quote_identifier(&name(1)?), quote_identifier(&name(2)?)),
            owner: rows.require(0, 3)?,
            key: quote_identifier(&name(4)?),
            key_array_type: rows.require(0, 5)?,
            content: content_names
                .iter()
                .map(|column| quote_identifier(column))
                .collect(),
            content_names,
            embedding: quote_identifier(&embedding_name),
            embedding_name,
            filters: rows.require(0, 8)?,
            text_config: name(9)?,
            estimated_rows: f64::from(rows.require::<f32>(0, 11)?.max(0.0)),
            in_background: name(10)? == "background",
        }))
    }

    /// The attachment of a table.
    ///
    /// # Errors
    /// 55000 if the table is not attached.
    pub fn load(session: &Session, target: pg_sys::Oid) -> Result<Self> {
        Self::find(session, target)?.ok_or_else(|| not_attached(target))
    }

    /// The text that is embedded, as an SQL expression over the table alias `t`: no more of it than can matter, so that a
    /// batch of rows stays small.
    pub fn content_expression(&self) -> String {
        let columns: Vec<String> = self
            .content
            .iter()
            .map(|column| format!("t.{column}::text"))
            .collect();
        format!(
            "pg_catalog.\"left\"(pg_catalog.concat_ws(E'\\n', {}), {MAX_CONTENT_CHARS})",
            columns.join(", ")
        )
    }
}

/// The error for a table that is not attached.
pub fn not_attached(target: pg_sys::Oid) -> pgrx::pg_sys::panic::ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("table {} is not attached", relation_name(target)),
    )
    .set_hint("Attach it first: SELECT castmatch.attach('table', content => '{text_column}');")
}

/// The error for a column of an attachment that was renamed or dropped.
pub fn column_gone(column: &str) -> pgrx::pg_sys::panic::ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        format!("column \"{column}\", which the table was attached with, does not exist any more"),
    )
    .set_hint("Run castmatch.detach and castmatch.attach again with the new column names.")
}

/// A relation's name for messages, in double quotes.
pub fn relation_name(relation: pg_sys::Oid) -> String {
    catalog::relation_name(relation).map_or_else(
        || format!("with OID {}", relation.to_u32()),
        |name| format!("\"{name}\""),
    )
}

/// The cosine distance operator with its schema, for use between two expressions.
///
/// # Errors
/// XX000 if the extension is not installed here.
pub fn cosine_operator() -> Result<String> {
    Ok(format!("OPERATOR({}.<=>)", catalog::extension_types()?.schema))
}

/// Keys as a parameter of the key column's array type.
///
/// # Errors
/// XX000 if the key's type has no array type; a key that the type refuses raises the type's error.
pub fn key_array(attachment: &Attachment, keys: &[String]) -> Result<Value> {
    if attachment.key_array_type == pg_sys::InvalidOid {
        return Err(internal("the key column's type has no array type"));
    }
    Value::parse(
        attachment.key_array_type,
        &castmatch_engine::filter::array_literal(keys),
    )
}
