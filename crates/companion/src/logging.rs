//! The log, on standard error: what happened and with what result; no database URL, no token, no text of a user.

use std::io;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogLevel};
use tracing_subscriber::filter::LevelFilter;

/// Starts it for the whole process; called once. sqlx is silenced: it logs unknown parameters of the database URL with
/// their values, and a misspelt `password=` is one.
pub fn start(level: LogLevel, format: LogFormat) {
    let level = LevelFilter::from(level);
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("castmatch_companion", level)
        .with_target("sqlx", LevelFilter::OFF);
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false);
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Text => registry.with(lines).with(targets).init(),
        LogFormat::Json => registry
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false),
            )
            .with(targets)
            .init(),
    }
}
