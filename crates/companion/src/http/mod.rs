//! The routes and what all of them share: the state, the request counter, the headers. Handlers never touch
//! the database; they read the monitor's snapshot.

mod dashboard;
mod health;
mod metrics;
mod performance;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;

use crate::instruments::Instruments;
use crate::monitor::Observer;

/// Shared by all handlers.
#[derive(Debug, Clone)]
pub struct AppState {
    /// What is known of the database.
    pub observer: Observer,
    /// The companion's own metrics.
    pub instruments: Arc<Instruments>,
}

/// All routes, with those of the HTTP front if there is one. Add a route here and nowhere else: its pattern becomes a value
/// of the label `path`.
pub fn router(state: AppState, api: Option<Router>) -> Router {
    Router::new()
        .route("/health", get(health::report))
        .route("/healthz", get(health::report))
        .route("/readyz", get(health::report))
        .route("/livez", get(health::live))
        .route("/metrics", get(metrics::scrape))
        .route("/performance", get(performance::report))
        .route("/", get(dashboard::page))
        .merge(api.unwrap_or_default().with_state(()))
        .fallback(not_found)
        .layer(from_fn_with_state(state.clone(), finish))
        .with_state(state)
}

/// Counts and times the request, and sets the headers that every answer has.
async fn finish(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let mut response = next.run(request).await;
    let path = path.as_ref().map_or("other", MatchedPath::as_str);
    state
        .instruments
        .count_request(path, response.status().as_u16(), started.elapsed());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn not_found() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "not found; there are /, /health, /livez, /readyz, /metrics and /performance\n",
    )
}
