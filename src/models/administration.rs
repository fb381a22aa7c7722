//! `castmatch.create_model` and its relatives: for members of `castmatch_admin`; what makes the server read files or its environment, and
//! where a key read from there is sent, is a superuser's.

use crate::embed::local;
use crate::error::{Result, error, invalid_argument, null_argument, registry_error};
use crate::models::ready::without_secret;
use crate::models::registry::{as_owner, check, find};
use crate::pg::json::JsonArg;
use crate::pg::role::{self, is_superuser};
use crate::pg::spi::{Access, session};
use crate::pg::value::Value;
use castmatch_engine::model_name::{BUILTIN, ModelName};
use castmatch_engine::registry::{Definition, Options, Provider, RegistryError, Task, merge};
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::{Value as Json, json};

/// Models that a chain of fallbacks may have.
const MAX_FALLBACKS: usize = 8;

/// Whether the current role is a member of `castmatch_admin`.
///
/// # Errors
/// 42704 if that role is not there any more.
pub fn is_admin() -> Result<bool> {
    let role = role::current();
    session(Access::ReadOnly, |session| {
        session
            .run(
                "SELECT pg_catalog.pg_has_role($1, 'castmatch_admin', 'USAGE')",
                &[Value::oid(role)],
            )?
            .require(0, 1)
    })
}

fn require_admin() -> Result<()> {
    if is_admin()? {
        return Ok(());
    }
    Err(error(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "only members of role castmatch_admin may change models",
    ))
}

fn require_superuser_for(before: &Options, after: &Options) -> Result<()> {
    if !before.needs_superuser(after) || is_superuser() {
        return Ok(());
    }
    Err(error(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "only a superuser may say which file or variable of the server a model reads, and where its key is sent",
    )
    .set_hint("Options secret_env, secret_file and ca_file, and url and headers of a model that has a key."))
}

/// Refuses what would only be noticed when the model is called.
fn check_use(definition: &Definition) -> Result<()> {
    let options = &definition.options;
    match (definition.provider, definition.task) {
        (Provider::OpenAi, _) => {
            without_secret(definition).map_err(invalid_argument)?;
        }
        (Provider::Builtin, Task::Embedding) => {
            local::folder_of(options.model.as_deref().unwrap_or_default())?;
        }
        (Provider::Builtin, Task::Chat) => {}
    }
    let mut next = options.fallback.clone();
    for _ in 0..MAX_FALLBACKS {
        let Some(name) = next else { return Ok(()) };
        if name == definition.name {
            return Err(invalid_argument(format!(
                "model \"{name}\" would be its own fallback"
            )));
        }
        if name == BUILTIN {
            return Ok(());
        }
        let stored = find(&name, Access::ReadWrite)?
            .filter(|stored| stored.definition.task == Task::Chat)
            .ok_or_else(|| {
                error(
                    PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                    format!(
                        "chat model \"{name}\", the fallback of \"{}\", does not exist",
                        definition.name
                    ),
                )
            })?;
        next = stored.definition.options.fallback.clone();
    }
    Err(invalid_argument(format!(
        "model \"{}\" has more than {MAX_FALLBACKS} fallbacks behind it",
        definition.name
    )))
}

fn given(options: Option<JsonArg>) -> Result<Json> {
    options.map_or_else(|| Ok(json!({})), |options| options.parse("options"))
}

#[pg_extern(sql = false)]
fn create_model(
    name: Option<&str>,
    task: Option<&str>,
    provider: Option<&str>,
    options: Option<JsonArg>,
) -> Result<()> {
    require_admin()?;
    let name = name.ok_or_else(|| null_argument("name"))?;
    let task = task.ok_or_else(|| null_argument("task"))?;
    let provider = provider.ok_or_else(|| null_argument("provider"))?;
    if ModelName::parse(name).is_none_or(|parsed| parsed.is_builtin() || name == BUILTIN) {
        return Err(registry_error(RegistryError::BadName(name.to_owned())));
    }
    let options = given(options)?;
    let definition = check(name, task, provider, &options)?;
    require_superuser_for(&Options::default(), &definition.options)?;
    check_use(&definition)?;
    as_owner(Access::ReadWrite, |session| {
        let made = session.run(
            "INSERT INTO castmatch.model_definitions (name, task, provider, options) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO NOTHING RETURNING name",
            &[
                Value::of(name),
                Value::of(task),
                Value::of(provider),
                Value::of(JsonB(options)),
            ],
        )?;
        if made.is_empty() {
            return Err(error(
                PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
                format!("model \"{name}\" already exists"),
            )
            .set_hint("castmatch.alter_model changes its options."));
        }
        Ok(())
    })
}

#[pg_extern(sql = false)]
fn alter_model(name: Option<&str>, options: Option<JsonArg>) -> Result<()> {
    require_admin()?;
    let name = name.ok_or_else(|| null_argument("name"))?;
    let changes = options
        .ok_or_else(|| null_argument("options"))?
        .parse("options")?;
    lock(name)?;
    let before = find(name, Access::ReadWrite)?.ok_or_else(|| no_such(name))?;
    let merged = merge(&before.options, &changes).map_err(registry_error)?;
    let former = &before.definition;
    let definition = check(name, former.task.name(), former.provider.name(), &merged)?;
    require_superuser_for(&former.options, &definition.options)?;
    check_use(&definition)?;
    as_owner(Access::ReadWrite, |session| {
        session
            .run(
                "UPDATE castmatch.model_definitions SET options = $2, changed_at = pg_catalog.now()
                 WHERE name OPERATOR(pg_catalog.=) $1",
                &[Value::of(name), Value::of(JsonB(merged))],
            )
            .map(drop)
    })
}

/// Two changes of one model happen one after the other.
fn lock(name: &str) -> Result<()> {
    as_owner(Access::ReadWrite, |session| {
        session
            .run(
                "SELECT FROM castmatch.model_definitions WHERE name OPERATOR(pg_catalog.=) $1 FOR UPDATE",
                &[Value::of(name)],
            )
            .map(drop)
    })
}

fn no_such(name: &str) -> pg_sys::panic::ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("model \"{name}\" does not exist"),
    )
    .set_hint("castmatch.models lists the models.")
}

#[pg_extern(sql = false)]
fn drop_model(name: Option<&str>) -> Result<()> {
    require_admin()?;
    let name = name.ok_or_else(|| null_argument("name"))?;
    as_owner(Access::ReadWrite, |session| {
        let users = session.run(
            "SELECT r.target::pg_catalog.text FROM castmatch.registrations r 
             WHERE $1 OPERATOR(pg_catalog.=) r.model OR $1 OPERATOR(pg_catalog.=) r.next_model
             UNION ALL SELECT d.name FROM castmatch.model_definitions d
             WHERE (d.options OPERATOR(pg_catalog.->>) 'fallback') OPERATOR(pg_catalog.=) $1 LIMIT 1",
            &[Value::of(name)],
        )?;
        if !users.is_empty() {
            return Err(error(
                PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
                format!("model \"{name}\" is still used by {}", users.require::<String>(0, 1)?),
            )
            .set_hint("Tables change their model with castmatch.reembed, models their fallback with castmatch.alter_model."));
        }
        let dropped = session.run(
            "DELETE FROM castmatch.model_definitions WHERE name OPERATOR(pg_catalog.=) $1 RETURNING name",
            &[Value::of(name)],
        )?;
        if dropped.is_empty() {
            Err(no_such(name))
        } else {
            Ok(())
        }
    })
}

/// Changes who may use a model; `sql` has the model's name and the role as its parameters.
fn change_grant(name: Option<&str>, role: Option<pg_sys::Oid>, sql: &str) -> Result<()> {
    require_admin()?;
    let name = name.ok_or_else(|| null_argument("name"))?;
    let role = role.ok_or_else(|| null_argument("role"))?;
    find(name, Access::ReadWrite)?.ok_or_else(|| no_such(name))?;
    as_owner(Access::ReadWrite, |session| {
        session.run(sql, &[Value::of(name), Value::oid(role)]).map(drop)
    })
}

#[pg_extern(sql = false)]
fn grant_model(name: Option<&str>, role: Option<pg_sys::Oid>) -> Result<()> {
    change_grant(
        name,
        role,
        "INSERT INTO castmatch.model_grants (model, role) VALUES ($1, $2::pg_catalog.oid::pg_catalog.regrole)
         ON CONFLICT DO NOTHING",
    )
}

#[pg_extern(sql = false)]
fn revoke_model(name: Option<&str>, role: Option<pg_sys::Oid>) -> Result<()> {
    change_grant(
        name,
        role,
        "DELETE FROM castmatch.model_grants WHERE model OPERATOR(pg_catalog.=) $1
           AND role OPERATOR(pg_catalog.=) $2::pg_catalog.oid::pg_catalog.regrole",
    )
}

#[pg_extern(sql = false)]
fn set_budget(
    role: Option<pg_sys::Oid>,
    period: Option<&str>,
    max_cost: Option<f64>,
    max_tokens: Option<i64>,
) -> Result<()> {
    require_admin()?;
    let role = role.ok_or_else(|| null_argument("role"))?;
    let period = period.ok_or_else(|| null_argument("period"))?;
    if !matches!(period, "day" | "month") {
        return Err(invalid_argument(format!("unknown period \"{period}\""))
            .set_hint("Periods are \"day\" and \"month\"."));
    }
    if max_cost.is_some_and(|most| !most.is_finite() || most < 0.0) || max_tokens.is_some_and(|most| most < 0)
    {
        return Err(invalid_argument("a budget must not be negative, infinite or NaN"));
    }
    let values = [
        Value::oid(role),
        Value::of(period),
        max_cost.map_or(Value::datum(pg_sys::FLOAT8OID, None), Value::of),
        max_tokens.map_or(Value::datum(pg_sys::INT8OID, None), Value::of),
    ];
    let sql = if max_cost.is_none() && max_tokens.is_none() {
        "DELETE FROM castmatch.budget_limits b WHERE b.role OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regrole
           AND b.period OPERATOR(pg_catalog.=) $2 AND $3 IS NULL AND $4 IS NULL"
    } else {
        "INSERT INTO castmatch.budget_limits (role, period, max_cost, max_tokens)
         VALUES ($1::pg_catalog.oid::pg_catalog.regrole, $2, $3, $4)
         ON CONFLICT (role, period) DO UPDATE SET max_cost = EXCLUDED.max_cost, max_tokens = EXCLUDED.max_tokens"
    };
    as_owner(Access::ReadWrite, |session| session.run(sql, &values).map(drop))
}
