//! `/performance`: what the dashboard shows, as JSON. Always 200, as `/metrics` is; `database.up` says whether
//! the values are of now.

use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::AppState;
use super::health::describe;
use crate::monitor::{Health, Problem, Snapshot};
use crate::performance::{self, rfc3339};

pub(super) async fn report(State(state): State<AppState>) -> Json<Value> {
    let snapshot = state.observer.latest();
    let (recent, history) = {
        let history = state.observer.history();
        (history.recent(), history.points())
    };
    let known = snapshot.performance.as_deref();
    Json(json!({
        "at": rfc3339(SystemTime::now()),
        "companion": state.instruments.summary(),
        "database": {
            "up": snapshot.health != Health::DatabaseDown,
            "read_at": known.map(|known| rfc3339(known.read_at)),
            "hint": hint(&snapshot),
        },
        "health": describe(&snapshot),
        "castmatch": known.map(|known| &known.answer),
        "recent": recent,
        "history": history,
        "history_seconds": performance::SPAN.as_secs(),
    }))
}

/// Why there are no values of now, where the report of the health does not say it.
fn hint(snapshot: &Snapshot) -> Option<String> {
    Some(match snapshot.performance_problem.as_ref()? {
        Problem::Absent => {
            "this version of castmatch has no castmatch.performance(): run ALTER EXTENSION castmatch UPDATE".to_owned()
        }
        Problem::Rejected(code) if code == "42501" => {
            "the companion's role may not execute castmatch.performance(): grant it the role castmatch_monitor"
                .to_owned()
        }
        Problem::Rejected(code) => format!(
            "castmatch.performance() failed with SQLSTATE {code}; the companion's log has the message"
        ),
        Problem::Malformed => {
            "castmatch.performance() gave an answer that this version of the companion does not know".to_owned()
        }
    })
}
