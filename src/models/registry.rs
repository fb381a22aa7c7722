//! Definitions of models: reading them, and who may use which.
//!
//! The tables of models are readable by their owner only. A user learns of a model what `castmatch.models` shows.

use crate::error::{Result, error, internal, registry_error};
use crate::pg::catalog;
use crate::pg::json;
use crate::pg::role::{self, Restriction, act_as};
use crate::pg::spi::{Access, Session, session};
use crate::pg::value::Value;
use castmatch_engine::registry::{Definition, Task};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::Value as Json;
use std::rc::Rc;

/// A model as the table of definitions holds it.
pub struct Stored {
    /// What it is.
    pub definition: Rc<Definition>,
    /// Its options as they were given.
    pub options: Json,
    /// Whether the current role may use it.
    pub usable: bool,
}

/// Runs `f` as the owner of the tables of models.
///
/// # Errors
/// Those of `f`.
pub fn as_owner<R>(access: Access, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    let owner = catalog::extension_types()?.owner;
    act_as(owner, Restriction::LocalChange, || session(access, f))
}

/// The model of that name, if there is one.
///
/// # Errors
/// XX000 if its definition cannot be read.
pub fn find(name: &str, access: Access) -> Result<Option<Stored>> {
    let role = role::current();
    as_owner(access, |session| {
        let rows = session.run(
            "SELECT d.task, d.provider, d.options,
                    pg_catalog.pg_has_role($2, 'castmatch_admin', 'USAGE') OR EXISTS (
                        SELECT FROM castmatch.model_grants g
                        WHERE g.model OPERATOR(pg_catalog.=) d.name AND pg_catalog.pg_has_role($2, g.role, 'USAGE'))
             FROM castmatch.model_definitions d WHERE d.name OPERATOR(pg_catalog.=) $1",
            &[Value::of(name), Value::oid(role)],
        )?;
        if rows.is_empty() {
            return Ok(None);
        }
        let (task, provider): (String, String) = (rows.require(0, 1)?, rows.require(0, 2)?);
        let options = json::cell(&rows, 0, 3)?;
        let definition = Definition::new(name, &task, &provider, &options).map_err(|failure| {
            internal(format!(
                "the definition of model \"{name}\" cannot be read: {failure}"
            ))
        })?;
        Ok(Some(Stored {
            definition: Rc::new(definition),
            options,
            usable: rows.require(0, 4)?,
        }))
    })
}

/// The model of that name for a task, if the current role may use it.
///
/// # Errors
/// 42704 if there is none of that name, 22023 if it is for another task, 42501 if it is not granted to the role.
pub fn usable(name: &str, task: Task, access: Access) -> Result<Rc<Definition>> {
    let stored = find(name, access)?.ok_or_else(|| undefined(name, task))?;
    let definition = stored.definition;
    if definition.task != task {
        return Err(crate::error::invalid_argument(format!(
            "model \"{name}\" is one for {}, not for {}",
            definition.task.name(),
            task.name()
        )));
    }
    if stored.usable {
        return Ok(definition);
    }
    Err(error(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("permission denied for model \"{name}\""),
    )
    .set_hint("A member of castmatch_admin grants it: SELECT castmatch.grant_model('model', 'role');"))
}

/// The error for a model that there is none of.
pub fn undefined(name: &str, task: Task) -> pg_sys::panic::ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("{} model \"{name}\" does not exist", task.name()),
    )
    .set_hint("castmatch.models lists the models; the one that comes with castmatch is called \"builtin\".")
}

/// Reads options as a user gives them.
///
/// # Errors
/// 22023 with what is wrong.
pub fn check(name: &str, task: &str, provider: &str, options: &Json) -> Result<Definition> {
    Definition::new(name, task, provider, options).map_err(registry_error)
}
