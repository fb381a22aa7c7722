//! The steps of `attach`: column, indexes, triggers, registration, statistics, queue.

use crate::error::{Result, error};
use crate::matching::attach::plan::Plan;
use crate::matching::attachment::{Attachment, EmbedMode, relation_name};
use crate::matching::text::{index, statistics};
use crate::matching::vector_index::{self, Definition};
use crate::matching::vector_type::VectorType;
use crate::matching::{target, trigger};
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as};
use crate::pg::setting::with_settings;
use crate::pg::spi::{Access, Session, quote_identifier, session};
use crate::pg::value::Value;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Rows queued by one statement.
const QUEUED_AT_ONCE: usize = 10_000;

/// Makes the table what the plan says.
///
/// # Errors
/// 42804 for an embedding column that does not fit the model; otherwise as the statements raise them.
pub fn carry_out(plan: &Plan, dimensions: usize, version: &str) -> Result<()> {
    let types = catalog::extension_types()?;
    let existing = match plan.target.column(&plan.embedding) {
        Some(column) => Some((column, check_embedding_column(plan, column, dimensions)?)),
        None => None,
    };
    let content: Vec<String> = plan
        .content
        .iter()
        .map(|column| quote_identifier(column))
        .collect();
    let average_length = index::average_length(&plan.target, plan.text_config_oid, &content)?;
    let target = session(Access::ReadWrite, |session| {
        add_embedding_column(session, plan, existing.as_ref(), dimensions, &types)?;
        create_text_index(session, plan, average_length, &content)?;
        trigger::create_for_changes(session, &plan.target.name)?;
        trigger::create_for_embedding(session, &plan.target.name, plan.embed_mode)?;
        target::Target::load(session, plan.target.oid)
    })?;
    act_as(types.owner, Restriction::LocalChange, || {
        register(plan, version, existing.is_none())
    })?;
    let attachment = Attachment::load(plan.target.oid)?;
    session(Access::ReadWrite, |session| {
        statistics::refresh(session, &attachment)
    })?;
    let backlog = match plan.embed_mode {
        EmbedMode::Off => 0,
        // What was there before is embedded in the background in either case.
        EmbedMode::Live | EmbedMode::Background => {
            let condition = format!("t.{} IS NULL", quote_identifier(&plan.embedding));
            queue_all(plan.target.oid, &condition, false)?
        }
    };
    create_vector_index(plan, &target, backlog, types.owner)
}

/// A column of the model's dimensions, added or the one that is there.
fn add_embedding_column(
    session: &Session,
    plan: &Plan,
    existing: Option<&(&target::Column, VectorType)>,
    dimensions: usize,
    types: &catalog::ExtensionTypes,
) -> Result<()> {
    let (table, embedding) = (&plan.target.name, quote_identifier(&plan.embedding));
    match existing {
        None if plan.target.is_partition => Err(no_column_of_its_own(plan, dimensions, types)),
        None => session.run_utility(&format!(
            "ALTER TABLE {table} ADD COLUMN {embedding} {}.vector({dimensions})",
            types.schema
        )),
        // An index needs to know the dimensions.
        Some((column, vectors)) if column.typmod < 0 => session.run_utility(&format!(
            "ALTER TABLE {table} ALTER COLUMN {embedding} TYPE {}({dimensions})",
            vectors.name
        )),
        Some(_) => Ok(()),
    }
}

fn no_column_of_its_own(
    plan: &Plan,
    dimensions: usize,
    types: &catalog::ExtensionTypes,
) -> pgrx::pg_sys::panic::ErrorReport {
    let ancestors = catalog::partition_ancestors(plan.target.oid);
    let root = ancestors.last().copied().unwrap_or(plan.target.oid);
    let (partition, root) = (relation_name(plan.target.oid), relation_name(root));
    error(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("partition {partition} has no column \"{}\"", plan.embedding),
    )
    .set_detail(format!("A partition has the columns of its partitioned table {root}."))
    .set_hint(format!(
        "Attach {root}, or give it the column first: ALTER TABLE {root} ADD COLUMN {} {}.vector({dimensions});",
        quote_identifier(&plan.embedding),
        types.schema
    ))
}

fn check_embedding_column(plan: &Plan, column: &target::Column, dimensions: usize) -> Result<VectorType> {
    let mismatch = |message| error(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, message);
    let vectors = session(Access::ReadOnly, |session| VectorType::of_column(session, column))?;
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
        _ => Ok(vectors),
    }
}

/// The index of the text leg; without a pending list, for it reads the tree only.
fn create_text_index(session: &Session, plan: &Plan, average_length: f32, content: &[String]) -> Result<()> {
    let index = vector_index::free_name(session, &plan.target, "text")?;
    session.run_utility(&format!(
        "CREATE INDEX {} ON {} USING gin ({}) WITH (fastupdate = off)",
        quote_identifier(&index),
        plan.target.name,
        index::terms_expression(&plan.text_config, average_length, content, "")
    ))
}

fn register(plan: &Plan, version: &str, embedding_added: bool) -> Result<()> {
    session(Access::ReadWrite, |session| {
        session.run(
            "INSERT INTO castmatch.registrations (target, key_columns, content_columns, embedding_column, model, model_version,
                 filter_columns, text_config, index_method, embed_mode, embedding_added)
             VALUES ($1::pg_catalog.oid::pg_catalog.regclass, $2::pg_catalog.name[], $3::pg_catalog.name[],
                 $4::pg_catalog.name, $5, $11, $6::pg_catalog.name[], $7, $8::pg_catalog.name, $9, $10)",
            &[
                Value::oid(plan.target.oid),
                Value::of(plan.key.clone()),
                Value::of(plan.content.clone()),
                Value::of(plan.embedding.clone()),
                Value::of(plan.model.as_str()),
                Value::of(plan.filters.clone()),
                Value::of(plan.text_config.clone()),
                Value::of(plan.index_method.clone()),
                Value::of(plan.embed_mode.name()),
                Value::of(embedding_added),
                Value::of(version),
            ],
        )
    })
    .map(drop)
}

/// Queues the rows for which the condition on `t` holds: read as the caller, written as the queue's owner. Returns how many.
///
/// # Errors
/// As the statements raise them; 42501 if row security hides rows from the caller.
pub fn queue_all(target: pg_sys::Oid, condition: &str, for_next: bool) -> Result<i64> {
    let attachment = Attachment::load(target)?;
    queue_rows(&attachment, &attachment.table, condition, for_next)
}

/// The same for the rows of one item of FROM: the table, or a partition of it.
///
/// # Errors
/// As for [`queue_all`].
pub fn queue_rows(attachment: &Attachment, from: &str, condition: &str, for_next: bool) -> Result<i64> {
    let target = attachment.target;
    let owner = catalog::extension_types()?.owner;
    let sql = format!(
        "SELECT {key} FROM {from} t WHERE {condition}",
        key = attachment.key.text("t"),
    );
    let mut queued = 0;
    // With row security off a policy that hides rows from their owner is an error now, not rows without an embedding. Dates and
    // intervals are written so that any session reads them back.
    let settings = [
        (c"row_security", c"off"),
        (c"datestyle", c"ISO"),
        (c"intervalstyle", c"postgres"),
    ];
    with_settings(&settings, || {
        session(Access::ReadWrite, |session| {
            session.run_in_portions(&sql, QUEUED_AT_ONCE, |rows| {
                let keys: Vec<String> = rows.column_values(1)?;
                queued += keys.len() as i64;
                act_as(owner, Restriction::LocalChange, || {
                    session.run(
                        "INSERT INTO castmatch.queue (target, key, for_next)
                         SELECT $1::pg_catalog.oid::pg_catalog.regclass, k, $3 FROM pg_catalog.unnest($2) k",
                        &[Value::oid(target), Value::of(keys), Value::of(for_next)],
                    )
                })
                .map(drop)
            })
        })
    })?;
    Ok(queued)
}

/// Builds the vector index, or notes that it is wanted once the backlog is embedded.
fn create_vector_index(plan: &Plan, target: &target::Target, backlog: i64, owner: pg_sys::Oid) -> Result<()> {
    let definition = Definition {
        target,
        embedding: &plan.embedding,
        filters: &plan.filters,
        method: &plan.index_method,
    };
    session(Access::ReadWrite, |session| {
        if definition.exists(session)? {
            return Ok(());
        }
        // The index of a partitioned table cannot be built without holding up its writers.
        let is_deferred = backlog >= vector_index::BACKLOG && !target.is_partitioned;
        let name = vector_index::free_name(session, target, "embedding")?;
        if !is_deferred {
            session.run_utility(&definition.statement(session, &name, false)?)?;
        }
        act_as(owner, Restriction::LocalChange, || {
            session.run(
                "UPDATE castmatch.registrations SET vector_index = $2::pg_catalog.name, index_is_due = $3
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
                &[Value::oid(target.oid), Value::of(name), Value::of(is_deferred)],
            )
        })
        .map(drop)
    })
}
