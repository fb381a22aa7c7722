//! `castmatch.reembed`: the switch of a table to another model, while the old vectors go on serving.
//!
//! A second column takes the vectors of the next model; rows that change meanwhile get both. When every row has one, the index worker
//! builds its index and `switch` puts it in the place of the first. Until then nothing that a search sees has changed.

use crate::embed::{client, resolve_model};
use crate::error::{Result, error, not_in_state, null_argument, unsupported};
use crate::matching::attach::{queue_all, require_owner};
use crate::matching::attachment::{Attachment, EmbedMode, relation_name};
use crate::matching::switch::{dependents, free_column};
use crate::matching::target::Target;
use crate::matching::vector_index::{self, Definition};
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, Session, quote_identifier, session};
use crate::pg::value::Value;
use pgrx::pg_sys;
use pgrx::prelude::*;

#[pg_extern(sql = false)]
fn reembed(table: Option<pg_sys::Oid>, model: Option<&str>) -> Result<()> {
    let table = table.ok_or_else(|| null_argument("target"))?;
    let attachment = Attachment::load(table)?;
    require_owner(table)?;
    match (model, &attachment.next) {
        (None, None) => Err(not_in_state(format!(
            "table {} is not being switched to another model",
            relation_name(table)
        ))
        .set_hint("Name the model to switch to; NULL ends a switch that is going on.")),
        (None, Some(next)) => cancel(&attachment, &next.embedding_name),
        (Some(model), Some(next)) => {
            if resolve_model(Some(model))?.as_str() == next.model {
                pgrx::notice!(
                    "table {} is already being switched to model \"{model}\"",
                    relation_name(table)
                );
                return Ok(());
            }
            Err(not_in_state(format!(
                "table {} is being switched to model \"{}\"",
                relation_name(table),
                next.model
            ))
            .set_hint("Wait with castmatch.sync, or end that switch: castmatch.reembed(target, NULL)."))
        }
        (Some(model), None) => begin(&attachment, model),
    }
}

fn begin(attachment: &Attachment, model: &str) -> Result<()> {
    let name = relation_name(attachment.target);
    if attachment.embed_mode == EmbedMode::Off {
        return Err(
            not_in_state(format!("castmatch does not embed the rows of table {name}"))
                .set_detail("It was attached with embed_mode \"off\": its vectors are the application's.")
                .set_hint("Detach it, and attach it with the vectors of the other model."),
        );
    }
    let model = resolve_model(Some(model))?;
    // Asked for before anything is changed.
    let dimensions = client::dimensions(&model)?;
    vector_index::check_dimensions(&attachment.index_method, dimensions)?;
    let version = client::version_text(&model)?;
    let owner = catalog::extension_types()?.owner;
    let column = session(Access::ReadWrite, |session| {
        let table = Target::load(session, attachment.target)?;
        let column = check(session, attachment, &table)?;
        session.run_utility(&format!(
            "ALTER TABLE {} ADD COLUMN {} {}({dimensions})",
            table.name,
            quote_identifier(&column),
            attachment.vectors()?.name
        ))?;
        Ok(column)
    })?;
    act_as(owner, Restriction::LocalChange, || {
        session(Access::ReadWrite, |session| {
            session.run(
                "UPDATE castmatch.registrations SET next_model = $2, next_version = $3, next_embedding = $4::pg_catalog.name,
                     next_since = pg_catalog.clock_timestamp()
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
                &[
                    Value::oid(attachment.target),
                    Value::of(model.as_str()),
                    Value::of(version),
                    Value::of(column.as_str()),
                ],
            )
        })
    })?;
    let backlog = queue_all(attachment.target, "true", true)?;
    if backlog < vector_index::BACKLOG || attachment.is_partitioned {
        create_index(attachment, &column)?;
    }
    Ok(())
}

/// The column for the next vectors.
fn check(session: &Session, attachment: &Attachment, table: &Target) -> Result<String> {
    if table.is_partition {
        return Err(unsupported(format!(
            "the model of {}, a partition, cannot be switched by itself",
            relation_name(table.oid)
        ))
        .set_detail("A partition has the columns of its partitioned table.")
        .set_hint("Attach the partitioned table."));
    }
    let dependents = dependents(session, table, &attachment.embedding_name)?;
    if !dependents.is_empty() {
        return Err(error(
            PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "column \"{}\" of table {} cannot be replaced",
                attachment.embedding_name,
                relation_name(table.oid)
            ),
        )
        .set_detail(format!("It is used by {}.", dependents.join(", ")))
        .set_hint("Drop what uses the column, and create it again after the switch."));
    }
    free_column(table, &attachment.embedding_name)
}

fn create_index(attachment: &Attachment, column: &str) -> Result<()> {
    session(Access::ReadWrite, |session| {
        let table = Target::load(session, attachment.target)?;
        let definition = Definition {
            target: &table,
            embedding: column,
            filters: &attachment.filters,
            method: &attachment.index_method,
        };
        let name = vector_index::free_name(session, &table, "embedding")?;
        session.run_utility(&definition.statement(session, &name, false)?)
    })
}

/// Ends a switch that is going on: what was embedded for it goes.
fn cancel(attachment: &Attachment, column: &str) -> Result<()> {
    let target = attachment.target;
    let types = catalog::extension_types()?;
    let table = session(Access::ReadWrite, |session| {
        let table = Target::load(session, target)?;
        session.run_utility(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table.name))?;
        Ok(table)
    })?;
    // It may have ended while the lock was waited for.
    if !attachment.is_current()? {
        return Err(not_in_state(format!(
            "table {} has been switched meanwhile",
            relation_name(target)
        )));
    }
    act_as(types.owner, Restriction::LocalChange, || {
        session(Access::ReadWrite, |session| {
            session.run(
                "DELETE FROM castmatch.queue
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass AND for_next",
                &[Value::oid(target)],
            )?;
            session.run(
                "UPDATE castmatch.registrations SET next_model = NULL, next_version = NULL, next_embedding = NULL, next_since = NULL
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
                &[Value::oid(target)],
            )
        })
    })?;
    session(Access::ReadWrite, |session| {
        session.run_utility(&format!(
            "ALTER TABLE {} DROP COLUMN {}",
            table.name,
            quote_identifier(column)
        ))
    })
}
