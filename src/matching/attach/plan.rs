//! What `attach` is asked for, checked against the table before anything is changed.

use crate::embed::Embedder;
use crate::error::{Result, error, invalid_argument};
use crate::matching::attachment::{EmbedMode, relation_name};
use crate::matching::target;
use crate::matching::vector_index::{self, Definition};
use crate::pg::spi::Session;
use crate::pg::value::Value;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The arguments of `attach`, none of them null.
pub struct Request {
    pub content: Vec<String>,
    pub key: Option<Vec<String>>,
    pub embedding: String,
    pub model: Embedder,
    pub filters: Vec<String>,
    pub index_method: String,
    pub embed_mode: String,
}

/// What `attach` was asked for, checked.
pub struct Plan {
    pub target: target::Target,
    pub key: Vec<String>,
    pub content: Vec<String>,
    pub embedding: String,
    pub model: Embedder,
    pub filters: Vec<String>,
    pub text_config: String,
    pub text_config_oid: pg_sys::Oid,
    pub index_method: String,
    pub embed_mode: EmbedMode,
}

/// The arguments as a plan.
///
/// # Errors
/// 22023, 42703, 42704, 42804, 42P10, 42P16, 55000 and 0A000 for what cannot be attached.
pub fn check(
    session: &Session,
    table: pg_sys::Oid,
    text_config: pg_sys::Oid,
    request: Request,
) -> Result<Plan> {
    let target = target::Target::load(session, table)?;
    let method = vector_index::check_method(&request.index_method)?;
    let embed_mode = EmbedMode::from_name(&request.embed_mode).ok_or_else(|| {
        let names = EmbedMode::NAMES.map(|(name, _)| format!("\"{name}\""));
        invalid_argument(format!("unknown embed_mode \"{}\"", request.embed_mode))
            .set_hint(format!("Modes are {}.", names.join(", ")))
    })?;
    if request.content.is_empty() {
        return Err(invalid_argument("content must name at least one column"));
    }
    for column in &request.content {
        target.require_text_column(column)?;
    }
    refuse_repeated(&request.content, "content")?;
    for column in &request.filters {
        target.require_column(column)?;
    }
    refuse_repeated(&request.filters, "filters")?;
    Definition {
        target: &target,
        embedding: &request.embedding,
        filters: &request.filters,
        method: &request.index_method,
    }
    .check_filters(method)?;
    let key = target.key_columns(session, request.key)?;
    refuse_related(session, table)?;
    Ok(Plan {
        target,
        key,
        content: request.content,
        embedding: request.embedding,
        model: request.model,
        filters: request.filters,
        text_config: text_config_name(session, text_config)?,
        text_config_oid: text_config,
        index_method: request.index_method,
        embed_mode,
    })
}

fn refuse_repeated(columns: &[String], argument: &str) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    match columns.iter().find(|column| !seen.insert(*column)) {
        Some(column) => Err(invalid_argument(format!(
            "column \"{column}\" is named twice in {argument}"
        ))),
        None => Ok(()),
    }
}

/// A row belongs to one attached table: its partition or the partitioned table, not both.
fn refuse_related(session: &Session, table: pg_sys::Oid) -> Result<()> {
    let related = session.run(
        "SELECT r.target::oid FROM castmatch.registrations r
         WHERE r.target OPERATOR(pg_catalog.<>) $1 AND (
             r.target OPERATOR(pg_catalog.=) ANY (SELECT a.relid FROM pg_catalog.pg_partition_ancestors($1) a)
             OR $1::pg_catalog.regclass OPERATOR(pg_catalog.=) ANY (SELECT a.relid FROM pg_catalog.pg_partition_ancestors(r.target) a))
         LIMIT 1",
        &[Value::oid(table)],
    )?;
    if related.is_empty() {
        return Ok(());
    }
    let other = relation_name(related.require(0, 1)?);
    Err(error(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "table {} cannot be attached while {other} is",
            relation_name(table)
        ),
    )
    .set_detail("One is a partition of the other.")
    .set_hint("Attach the partitioned table or its partitions, not both."))
}

fn text_config_name(session: &Session, text_config: pg_sys::Oid) -> Result<String> {
    let rows = session.run(
        "SELECT pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.'
                OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.cfgname)
         FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.cfgnamespace
         WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[Value::oid(text_config)],
    )?;
    if rows.is_empty() {
        return Err(error(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!(
                "text search configuration with OID {} does not exist",
                text_config.to_u32()
            ),
        ));
    }
    rows.require(0, 1)
}
