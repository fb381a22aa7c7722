//! `/metrics` in the Prometheus text format 0.0.4. Always 200 with `castmatch_up`: an error status would hide
//! the companion's own metrics exactly when they are needed.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::AppState;
use crate::error::Error;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn scrape(State(state): State<AppState>) -> Result<impl IntoResponse, Error> {
    let snapshot = state.observer.scrape().await;
    let text = state.instruments.render(&snapshot)?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text))
}
