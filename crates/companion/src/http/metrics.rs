//! `/metrics` in the Prometheus text format 0.0.4, or in that of OpenMetrics where the client prefers it. Always
//! 200 with `castmatch_up`: an error status would hide the companion's own metrics exactly when they are needed.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::response::IntoResponse;

use super::AppState;
use crate::error::Error;
use crate::instruments::Format;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn scrape(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Error> {
    let format = preferred(&headers);
    let snapshot = state.observer.scrape().await;
    let text = state.instruments.render(&snapshot, format)?;
    let content_type = match format {
        Format::Text => TEXT_FORMAT,
        Format::OpenMetrics => OPENMETRICS,
    };
    Ok(([(CONTENT_TYPE, content_type), (VARY, "accept")], text))
}

/// OpenMetrics when it is named and no text type is liked better; a wildcard alone means the text format.
fn preferred(headers: &HeaderMap) -> Format {
    let (mut openmetrics, mut text) = (0.0f32, 0.0f32);
    let values = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut known) = (1.0f32, true);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.trim().parse().unwrap_or(0.0),
                "version" => known = ["1.0.0", "0.0.1"].contains(&value.trim().trim_matches('"')),
                _ => {}
            }
        }
        match kind.as_str() {
            "application/openmetrics-text" if known => openmetrics = openmetrics.max(quality),
            "text/plain" | "text/*" | "*/*" => text = text.max(quality),
            _ => {}
        }
    }
    if openmetrics > 0.0 && openmetrics >= text {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn format(accept: &[&str]) -> Format {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        preferred(&headers)
    }

    #[test]
    fn openmetrics_is_given_to_those_who_prefer_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let cases = [
            (vec![], Format::Text),
            (vec![prometheus], Format::OpenMetrics),
            (vec!["*/*"], Format::Text),
            (vec!["application/*"], Format::Text),
            (vec!["text/plain"], Format::Text),
            (vec!["Application/OpenMetrics-Text"], Format::OpenMetrics),
            (
                vec!["text/plain;q=0.2", "application/openmetrics-text; q=0.3"],
                Format::OpenMetrics,
            ),
            (
                vec!["application/openmetrics-text;q=0.3, text/plain"],
                Format::Text,
            ),
            (vec!["application/openmetrics-text;q=0, */*;q=0.1"], Format::Text),
            (vec!["application/openmetrics-text;version=2.0.0"], Format::Text),
            (vec!["application/openmetrics-text;q=x"], Format::Text),
            (vec![";;,=,q=1"], Format::Text),
        ];
        for (accept, expected) in cases {
            assert_eq!(format(&accept), expected, "{accept:?}");
        }
    }
}
