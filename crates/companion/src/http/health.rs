//! `/health`, `/healthz`, `/readyz`: is the database there and castmatch in it. `/livez`: is this process
//! there. The body is made of fixed texts and of what `castmatch.health()` says; errors of the database stay
//! in the log.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::AppState;
use crate::monitor::{Health, Snapshot};
use crate::performance::rfc3339;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    status: &'static str,
    database: &'static str,
    castmatch: Value,
    checked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// 200 for ok and degraded, 503 otherwise.
pub(super) async fn report(State(state): State<AppState>) -> (StatusCode, Json<Report>) {
    let report = describe(&state.observer.latest());
    let code = if report.status == "unavailable" {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (code, Json(report))
}

/// Always 200: whoever gets it knows that the process lives.
pub(super) async fn live() -> Json<Value> {
    Json(serde_json::json!({"status": "ok"}))
}

pub(super) fn describe(snapshot: &Snapshot) -> Report {
    let (status, database, castmatch, hint) = match &snapshot.health {
        Health::Ok(report) => ("ok", "up", report.clone(), None),
        Health::Degraded(report) => ("degraded", "up", report.clone(), None),
        Health::DatabaseDown => ("unavailable", "down", Value::Null, None),
        Health::NotInstalled => (
            "unavailable",
            "up",
            Value::from("not installed"),
            Some("run CREATE EXTENSION castmatch in the database that the companion connects to".to_owned()),
        ),
        Health::Failed { sqlstate } => (
            "unavailable",
            "up",
            Value::Null,
            Some(failure_hint(sqlstate.as_deref())),
        ),
    };
    Report {
        status,
        database,
        castmatch,
        checked_at: snapshot.checked_at.map(rfc3339),
        hint,
    }
}

fn failure_hint(sqlstate: Option<&str>) -> String {
    match sqlstate {
        Some("42501") => "the companion's role may not execute castmatch.health()".to_owned(),
        Some(code) => {
            format!("castmatch.health() failed with SQLSTATE {code}; the companion's log has the message")
        }
        None => {
            "castmatch.health() gave an answer that this version of the companion does not know".to_owned()
        }
    }
}
