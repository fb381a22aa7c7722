//! What the database says of itself and of castmatch.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::report::Report;
use crate::session::{CallError, Limits, Session, within};

const VERSION: &str = env!("CARGO_PKG_VERSION");

const GRACE: Duration = Duration::from_secs(1);

/// Facts that every role may see. Functions are looked up in the catalog: a look-up by name fails without USAGE.
const FACTS: &str = "SELECT pg_catalog.json_build_object(
    'user', CURRENT_USER,
    'superuser', (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER),
    'standby', pg_catalog.pg_is_in_recovery(),
    'workers', pg_catalog.current_setting('max_worker_processes'),
    'prune_policy', COALESCE(pg_catalog.current_setting('castmatch.prune_policy', true), ''),
    'installed', (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'castmatch'),
    'available', (SELECT a.default_version FROM pg_catalog.pg_available_extensions a
        WHERE a.name OPERATOR(pg_catalog.=) 'castmatch'),
    'usage', (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace n
        WHERE n.nspname OPERATOR(pg_catalog.=) 'castmatch'),
    'functions', COALESCE((SELECT pg_catalog.json_object_agg(p.proname, pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE n.nspname OPERATOR(pg_catalog.=) 'castmatch'), '{}')
)::pg_catalog.text";

#[derive(Debug, Deserialize)]
pub(super) struct Facts {
    pub(super) user: String,
    superuser: Option<bool>,
    pub(super) standby: bool,
    workers: String,
    prune_policy: String,
    installed: Option<String>,
    available: Option<String>,
    usage: Option<bool>,
    functions: BTreeMap<String, bool>,
}

/// A question to the database, as the login.
pub(super) async fn ask(session: &mut Session, sql: &str, limit: Duration) -> Result<String, CallError> {
    let limits = Limits {
        statement: limit,
        lock: limit,
        read_only: true,
        role: None,
    };
    let answer = within(limit + GRACE, session.call(&limits, sql, &[])).await?;
    answer.ok_or_else(|| CallError::Malformed("null".to_owned()))
}

pub(super) async fn facts(session: &mut Session, limit: Duration) -> Result<Facts, CallError> {
    let text = ask(session, FACTS, limit).await?;
    serde_json::from_str(&text).map_err(|error| CallError::Malformed(error.to_string()))
}

/// The extension and its version; whether there is one.
pub(super) fn extension(report: &mut Report, facts: &Facts) -> bool {
    let Some(installed) = &facts.installed else {
        let remedy = match &facts.available {
            Some(_) => "run CREATE EXTENSION castmatch in it, or name another database in the URL",
            None => "install castmatch into this server (make install), then run CREATE EXTENSION castmatch",
        };
        // A stand-in for the extension, or one whose objects were made by hand, answers all the same.
        if facts.functions.contains_key("health") {
            report.warning(
                "extension",
                "the schema castmatch belongs to no extension",
                remedy,
            );
            return true;
        }
        report.error("extension", "castmatch is not installed in this database", remedy);
        return false;
    };
    if facts
        .available
        .as_ref()
        .is_some_and(|available| available != installed)
    {
        let available = facts.available.as_deref().unwrap_or_default();
        report.warning(
            "extension",
            format!("castmatch {installed} is installed here, {available} is there"),
            "run ALTER EXTENSION castmatch UPDATE",
        );
    } else if installed != VERSION {
        report.warning(
            "extension",
            format!("castmatch is {installed}, the companion {VERSION}"),
            "install the same version of both",
        );
    } else {
        report.ok("extension", format!("castmatch {installed}"));
    }
    true
}

/// What the login may do: all that it needs and not much more.
pub(super) fn privileges(report: &mut Report, facts: &Facts, prunes: bool) {
    let user = &facts.user;
    if facts.superuser == Some(true) {
        report.warning(
            "privileges",
            format!("\"{user}\" is a superuser, which the companion need not be"),
            "make a role with LOGIN for it and GRANT castmatch_monitor to it, castmatch_pruner too where it prunes",
        );
    }
    if facts.usage == Some(false) {
        report.error(
            "privileges",
            format!("\"{user}\" may not use the schema castmatch"),
            format!("run GRANT USAGE ON SCHEMA castmatch TO \"{user}\""),
        );
    }
    let mut fine = facts.usage != Some(false);
    for function in ["health", "metrics", "performance"] {
        fine &= may_execute(report, facts, function, "castmatch_monitor");
    }
    if prunes {
        fine &= prune_privilege(report, facts);
    }
    if fine && facts.superuser != Some(true) {
        report.ok("privileges", format!("\"{user}\" has those it needs"));
    }
}

/// Whether the login may prune.
pub(super) fn prune_privilege(report: &mut Report, facts: &Facts) -> bool {
    may_execute(report, facts, "prune", "castmatch_pruner")
}

fn may_execute(report: &mut Report, facts: &Facts, function: &str, role: &str) -> bool {
    let user = &facts.user;
    match facts.functions.get(function) {
        Some(true) => return true,
        Some(false) => report.error(
            "privileges",
            format!("\"{user}\" may not execute castmatch.{function}()"),
            format!("run GRANT {role} TO \"{user}\""),
        ),
        None => report.error(
            "privileges",
            format!("there is no function castmatch.{function}()"),
            "castmatch is older than the companion: install the same version of both",
        ),
    }
    false
}

/// Whether pruning can work.
pub(super) fn pruning(report: &mut Report, facts: &Facts, has_policy: bool) {
    if facts.standby {
        report.error(
            "pruning",
            "this is a standby, where nothing can be deleted",
            "prune at the primary",
        );
    } else if !has_policy && facts.prune_policy.is_empty() {
        report.error(
            "pruning",
            "nothing says what to prune",
            "set [prune] policy in the configuration file, or castmatch.prune_policy in the server",
        );
    } else {
        report.ok("pruning", "there is a policy");
    }
}

/// What `castmatch.health()` says.
pub(super) fn health(report: &mut Report, facts: &Facts, health: &Value) {
    if health.get("preloaded").and_then(Value::as_bool) == Some(false) {
        report.warning(
            "preload",
            "castmatch is not in shared_preload_libraries: caches are each session's own, and workers start with their first use only",
            "add it there in postgresql.conf and restart the server",
        );
    } else {
        report.ok("preload", "castmatch is preloaded");
    }
    let empty = Vec::new();
    let problems = health.get("problems").and_then(Value::as_array);
    for problem in problems.unwrap_or(&empty) {
        let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
        let message = format!("{}: {}", text("check"), text("problem"));
        match (text("check"), text("severity")) {
            // Told above.
            ("preload", _) => {}
            (_, "error") => report.error("health", message, text("remedy")),
            _ => report.warning("health", message, text("remedy")),
        }
    }
    embedder(report, facts, health);
}

fn embedder(report: &mut Report, facts: &Facts, health: &Value) {
    let embedder = health.get("embedder").unwrap_or(&Value::Null);
    let text = |key: &str| embedder.get(key).and_then(Value::as_str).unwrap_or_default();
    let preloaded = health.get("preloaded").and_then(Value::as_bool) == Some(true);
    match text("state") {
        "ready" => report.ok("model", format!("{} is loaded", text("model"))),
        "starting" => report.warning("model", "the model is being loaded", "wait a moment"),
        "stopped" if preloaded => report.error(
            "model",
            "the embedding worker does not run",
            format!(
                "the log of the server says why; if it is out of worker processes, raise max_worker_processes (now {})",
                facts.workers
            ),
        ),
        "stopped" => report.ok("model", "the embedding worker starts with the first text"),
        _ => report.error(
            "model",
            format!("the model cannot be loaded: {}", text("error")),
            "install it with make model, or set castmatch.model_path to where it is",
        ),
    }
    let failed = health.get("failed").and_then(Value::as_i64).unwrap_or(0);
    if failed > 0 {
        report.warning(
            "queue",
            format!("{failed} rows could not be embedded"),
            "see castmatch.failures, then castmatch.retry_failed()",
        );
    }
}
