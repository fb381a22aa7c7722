//! `castmatch.attach`: what makes a table matchable. Its undoing is in `detach`.
//!
//! attach adds the embedding column if it is missing, the triggers that queue or embed changed rows and that keep the caches right,
//! and the indexes, notes all that in `castmatch.registrations` and queues the rows that have no embedding yet; in one
//! transaction, under the table lock of ALTER TABLE. DDL runs as the caller, who must own the table; the extension's own tables are written
//! as their owner.

mod plan;
mod steps;

pub use steps::{queue_all, queue_rows};

use crate::embed::{client, resolve_model};
use crate::error::{Result, error, invalid_argument, null_argument};
use crate::matching::attachment::{Attachment, relation_name};
use crate::matching::{target, vector_index};
use crate::pg::catalog;
use crate::pg::role::current;
use crate::pg::spi::{Access, session};
use crate::pg::value::Value;
use pgrx::pg_sys;
use pgrx::prelude::*;
use plan::Request;

/// Refuses callers that do not own the table.
///
/// # Errors
/// 42501.
pub fn require_owner(table: pg_sys::Oid) -> Result<()> {
    let owns = session(Access::ReadOnly, |session| {
        let rows = session.run(
            "SELECT pg_catalog.pg_has_role($2, c.relowner, 'USAGE') FROM pg_catalog.pg_class c
             WHERE c.oid OPERATOR(pg_catalog.=) $1",
            &[Value::oid(table), Value::oid(current())],
        )?;
        if rows.is_empty() {
            Ok(false)
        } else {
            rows.require(0, 1)
        }
    })?;
    if owns {
        return Ok(());
    }
    Err(error(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("must be owner of table {}", relation_name(table)),
    ))
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn attach(
    table: Option<pg_sys::Oid>,
    content: Option<Vec<Option<String>>>,
    key: Option<Vec<Option<String>>>,
    embedding: Option<&core::ffi::CStr>,
    model: Option<&str>,
    filters: Option<Vec<Option<String>>>,
    text_config: Option<pg_sys::Oid>,
    index_method: Option<&core::ffi::CStr>,
    embed_mode: Option<&str>,
    if_not_exists: Option<bool>,
) -> Result<()> {
    let table = table.ok_or_else(|| null_argument("target"))?;
    let text_config = text_config.ok_or_else(|| null_argument("text_config"))?;
    catalog::require_utf8()?;
    let name = |name: Option<&core::ffi::CStr>, argument| {
        name.map(|name| name.to_string_lossy().into_owned())
            .ok_or_else(|| null_argument(argument))
    };
    let request = Request {
        content: names(content, "content")?.ok_or_else(|| null_argument("content"))?,
        key: names(key, "key")?,
        embedding: name(embedding, "embedding")?,
        model: resolve_model(model)?,
        filters: names(filters, "filters")?.unwrap_or_default(),
        index_method: name(index_method, "index_method")?,
        embed_mode: embed_mode.ok_or_else(|| null_argument("embed_mode"))?.to_owned(),
    };
    if Attachment::find(table)?.is_some() {
        if if_not_exists == Some(true) {
            pgrx::notice!("table {} is already attached, skipping", relation_name(table));
            return Ok(());
        }
        return Err(error(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("table {} is already attached", relation_name(table)),
        )
        .set_hint("Run castmatch.detach first to attach it in another way, or pass if_not_exists => true."));
    }
    require_attachable_owner(table)?;
    let plan = session(Access::ReadOnly, |session| {
        plan::check(session, table, text_config, request)
    })?;
    // The model's width decides the column's; asked for before anything is changed.
    let dimensions = client::dimensions(&plan.model)?;
    vector_index::check_dimensions(&plan.index_method, dimensions)?;
    let version = client::version_text(&plan.model)?;
    steps::carry_out(&plan, dimensions, &version)?;
    Ok(())
}

fn names(names: Option<Vec<Option<String>>>, argument: &str) -> Result<Option<Vec<String>>> {
    let Some(names) = names else { return Ok(None) };
    let names = names
        .into_iter()
        .map(|name| name.ok_or_else(|| invalid_argument(format!("{argument} must not contain nulls"))))
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(names))
}

/// What kind of relation it is comes before who owns it: the clearer error first.
fn require_attachable_owner(table: pg_sys::Oid) -> Result<()> {
    session(Access::ReadOnly, |session| {
        target::Target::load(session, table).map(drop)
    })?;
    require_owner(table)
}
