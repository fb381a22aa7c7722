//! `castmatch.attach`: what makes a table matchable. Its undoing is in `detach`.
//!
//! attach adds the embedding column if it is missing, the triggers that queue changed rows and that keep the caches right, and the text index, notes all
//! that in `castmatch.registrations` and queues the rows that have no embedding yet; in one transaction, under the
//! table lock of ALTER TABLE. DDL runs as the caller, who must own the table; the extension's own tables are written as
//! their owner.

use crate::embed::{client, resolve_model};
use crate::error::{Result, error, internal, invalid_argument, null_argument, unsupported};
use crate::matching::attachment::{Attachment, relation_name};
use crate::matching::target;
use crate::matching::text::{index, statistics};
use crate::matching::trigger;
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as, current};
use crate::pg::setting::with_settings;
use crate::pg::spi::{Access, Session, quote_identifier, session};
use crate::pg::value::{Value, to_portable_text};
use castmatch_engine::vector::f16;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Access methods that a vector index of an attached table can have.
const INDEX_METHODS: [&str; 2] = ["castmatch_hnsw", "castmatch_ivf"];
/// Longest part of a table's name in the name of its text search index (names have 63 bytes).
const INDEX_NAME_STEM_BYTES: usize = 40;
/// Rows queued by one statement.
const QUEUED_AT_ONCE: usize = 10_000;

/// What `attach` was asked for, checked.
struct Plan {
    target: target::Target,
    key: String,
    content: Vec<String>,
    embedding: String,
    model: &'static str,
    filters: Vec<String>,
    text_config: String,
    text_config_oid: pg_sys::Oid,
    index_method: String,
    embed_mode: String,
}

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
    if is_attached(table)? {
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
        check(session, table, text_config, request)
    })?;
    // The model's width decides the column's; asked for before anything is changed.
    let dimensions = client::dimensions()?;
    carry_out(&plan, dimensions)?;
    Ok(())
}

/// The arguments of `attach`, none of them null.
struct Request {
    content: Vec<String>,
    key: Option<Vec<String>>,
    embedding: String,
    model: &'static str,
    filters: Vec<String>,
    index_method: String,
    embed_mode: String,
}

fn names(names: Option<Vec<Option<String>>>, argument: &str) -> Result<Option<Vec<String>>> {
    let Some(names) = names else { return Ok(None) };
    let names = names
        .into_iter()
        .map(|name| name.ok_or_else(|| invalid_argument(format!("{argument} must not contain nulls"))))
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(names))
}

fn is_attached(table: pg_sys::Oid) -> Result<bool> {
    session(Access::ReadOnly, |session| {
        let rows = session.run(
            "SELECT 1 FROM castmatch.registrations r
             WHERE r.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
            &[Value::oid(table)],
        )?;
        Ok(!rows.is_empty())
    })
}

/// What kind of relation it is comes before who owns it: the clearer error first.
fn require_attachable_owner(table: pg_sys::Oid) -> Result<()> {
    session(Access::ReadOnly, |session| {
        target::Target::load(session, table).map(drop)
    })?;
    require_owner(table)
}

fn check(session: &Session, table: pg_sys::Oid, text_config: pg_sys::Oid, request: Request) -> Result<Plan> {
    let target = target::Target::load(session, table)?;
    if !INDEX_METHODS.contains(&request.index_method.as_str()) {
        return Err(
            invalid_argument(format!("unknown index method \"{}\"", request.index_method))
                .set_hint(format!("Index methods are {}.", INDEX_METHODS.join(" and "))),
        );
    }
    match request.embed_mode.as_str() {
        "background" | "off" => {}
        "live" => {
            return Err(unsupported("embed_mode \"live\" is not available yet")
                .set_hint("Use \"background\", and castmatch.sync where a program must wait."));
        }
        other => {
            return Err(invalid_argument(format!("unknown embed_mode \"{other}\""))
                .set_hint("Modes are \"background\" and \"off\"."));
        }
    }
    if request.content.is_empty() {
        return Err(invalid_argument("content must name at least one column"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for column in &request.content {
        target.require_text_column(column)?;
        if !seen.insert(column) {
            return Err(invalid_argument(format!(
                "column \"{column}\" is named twice in content"
            )));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for column in &request.filters {
        target.require_column(column)?;
        if !seen.insert(column) {
            return Err(invalid_argument(format!(
                "column \"{column}\" is named twice in filters"
            )));
        }
    }
    let key = target.key_column(session, request.key.as_deref())?;
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
    Ok(Plan {
        target,
        key,
        content: request.content,
        embedding: request.embedding,
        model: request.model,
        filters: request.filters,
        text_config: rows.require(0, 1)?,
        text_config_oid: text_config,
        index_method: request.index_method,
        embed_mode: request.embed_mode,
    })
}

fn carry_out(plan: &Plan, dimensions: usize) -> Result<()> {
    let types = catalog::extension_types()?;
    let table = &plan.target.name;
    let embedding = quote_identifier(&plan.embedding);
    let content: Vec<String> = plan
        .content
        .iter()
        .map(|column| quote_identifier(column))
        .collect();
    let background = plan.embed_mode == "background";
    let embedding_added = match plan.target.column(&plan.embedding) {
        Some(column) => {
            check_embedding_column(plan, column, dimensions, &types)?;
            false
        }
        None => true,
    };
    let average_length = index::average_length(plan.target.oid, table, plan.text_config_oid, &content)?;
    session(Access::ReadWrite, |session| {
        if embedding_added {
            session.run_utility(&format!(
                "ALTER TABLE {table} ADD COLUMN {embedding} {}.vector({dimensions})",
                types.schema
            ))?;
        }
        let name = free_index_name(session, plan)?;
        // Without a pending list: castmatch reads the tree only.
        session.run_utility(&format!(
            "CREATE INDEX {} ON {table} USING gin ({}) WITH (fastupdate = off)",
            quote_identifier(&name),
            index::terms_expression(&plan.text_config, average_length, &content, "")
        ))?;
        trigger::create_for_changes(session, table)?;
        if background {
            trigger::create_for_queue(session, table, &plan.key, &plan.content)?;
        }
        Ok(())
    })?;
    act_as(types.owner, Restriction::LocalChange, || {
        register(plan, embedding_added)
    })?;
    session(Access::ReadWrite, |session| {
        statistics::refresh(session, &Attachment::load(session, plan.target.oid)?)
    })?;
    if background {
        queue_rows(plan, &embedding, types.owner)
    } else {
        Ok(())
    }
}

fn check_embedding_column(
    plan: &Plan,
    column: &target::Column,
    dimensions: usize,
    types: &catalog::ExtensionTypes,
) -> Result<()> {
    let mismatch = |message| error(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, message);
    let type_name = <f16 as castmatch_engine::vector::Element>::TYPE_NAME;
    if column.type_oid != types.vector && column.type_oid != types.halfvec {
        return Err(mismatch(format!(
            "column \"{}\" has type {}, not vector or {type_name}",
            plan.embedding, column.type_name
        )));
    }
    if column.generated {
        return Err(
            mismatch(format!("column \"{}\" is a generated column", plan.embedding))
                .set_hint("castmatch writes the embedding itself: name an ordinary column."),
        );
    }
    match usize::try_from(column.typmod) {
        Ok(actual) if actual != dimensions => Err(mismatch(format!(
            "column \"{}\" has {actual} dimensions, not the {dimensions} of model \"{}\"",
            plan.embedding, plan.model
        ))),
        _ => Ok(()),
    }
}

fn free_index_name(session: &Session, plan: &Plan) -> Result<String> {
    let stem = plan
        .target
        .bare_name
        .get(..plan.target.bare_name.floor_char_boundary(INDEX_NAME_STEM_BYTES));
    let base = format!("{}_castmatch_text", stem.unwrap_or_default());
    for number in 0..1000 {
        let name = if number == 0 {
            base.clone()
        } else {
            format!("{base}{number}")
        };
        let taken = session.run(
            "SELECT 1 FROM pg_catalog.pg_class WHERE relname OPERATOR(pg_catalog.=) $1::pg_catalog.name
                AND relnamespace OPERATOR(pg_catalog.=) $2",
            &[Value::of(name.clone()), Value::oid(plan.target.schema)],
        )?;
        if taken.is_empty() {
            return Ok(name);
        }
    }
    Err(internal(format!("no free index name like \"{base}\"")))
}

fn register(plan: &Plan, embedding_added: bool) -> Result<()> {
    session(Access::ReadWrite, |session| {
        session.run(
            "INSERT INTO castmatch.registrations (target, key_column, content_columns, embedding_column, model,
                 filter_columns, text_config, index_method, embed_mode, embedding_added)
             VALUES ($1::pg_catalog.oid::pg_catalog.regclass, $2::pg_catalog.name, $3::pg_catalog.name[],
                 $4::pg_catalog.name, $5, $6::pg_catalog.name[], $7, $8::pg_catalog.name, $9, $10)",
            &[
                Value::oid(plan.target.oid),
                Value::of(plan.key.clone()),
                Value::of(plan.content.clone()),
                Value::of(plan.embedding.clone()),
                Value::of(plan.model),
                Value::of(plan.filters.clone()),
                Value::of(plan.text_config.clone()),
                Value::of(plan.index_method.clone()),
                Value::of(plan.embed_mode.clone()),
                Value::of(embedding_added),
            ],
        )
    })
    .map(drop)
}

/// Queues the rows without an embedding: read as the caller, written as the queue's owner.
fn queue_rows(plan: &Plan, embedding: &str, owner: pg_sys::Oid) -> Result<()> {
    let sql = format!(
        "SELECT t.{} FROM ONLY {} t WHERE t.{embedding} IS NULL",
        quote_identifier(&plan.key),
        plan.target.name
    );
    // With row security off a policy that hides rows from their owner is an error now, not rows without an embedding.
    with_settings(&[(c"row_security", c"off")], || {
        session(Access::ReadWrite, |session| {
            session.run_in_portions(&sql, QUEUED_AT_ONCE, |rows| {
                let mut keys = Vec::new();
                for row in 0..rows.len() {
                    let (type_oid, datum) = rows.cell(row, 1)?;
                    keys.extend(datum.map(|datum| to_portable_text(type_oid, datum)));
                }
                act_as(owner, Restriction::LocalChange, || {
                    session.run(
                        "INSERT INTO castmatch.queue (target, key)
                     SELECT $1::pg_catalog.oid::pg_catalog.regclass, k FROM pg_catalog.unnest($2) k",
                        &[Value::oid(plan.target.oid), Value::of(keys)],
                    )
                })
                .map(drop)
            })
        })
    })
}
