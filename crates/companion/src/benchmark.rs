//! `castmatch-companion benchmark`: castmatch.benchmark() with its result for people or programs.

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;

use crate::config::BenchmarkArgs;
use crate::output::{print, table};
use crate::session::{Bind, CallError, Limits, Session, within};

const APPLICATION: &str = "castmatch-companion benchmark";

/// The server gives up first: its error says why.
const GRACE: Duration = Duration::from_secs(2);

/// Columns of the table, where a part has them.
const FIGURES: [(&str, &str); 6] = [
    ("average_ms", "average ms"),
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("per_second", "per second"),
    ("recall", "recall"),
];

/// Measures and prints. A dropped future has the server end its work.
///
/// # Errors
/// When the database is not there, or refuses.
pub async fn run(
    database: &PgConnectOptions,
    connect_timeout: Duration,
    args: &BenchmarkArgs,
) -> Result<(), CallError> {
    let mut session = Session::open(database, APPLICATION, connect_timeout).await?;
    let limits = Limits {
        statement: args.timeout,
        lock: args.timeout,
        read_only: false,
        role: None,
    };
    let sql = "SELECT castmatch.benchmark(target => $1::pg_catalog.text::pg_catalog.regclass, \
               queries => $2::pg_catalog.int4, k => $3::pg_catalog.int4)::pg_catalog.text";
    let binds = [
        Bind::Text(args.target.clone()),
        Bind::Integer(args.queries),
        Bind::Integer(args.k),
    ];
    let text = within(args.timeout + GRACE, session.call(&limits, sql, &binds)).await?;
    session.close().await;
    let text = text.ok_or_else(|| CallError::Malformed("null".to_owned()))?;
    let result: Value =
        serde_json::from_str(&text).map_err(|error| CallError::Malformed(error.to_string()))?;
    if args.json {
        print(&format!("{result}\n"));
    } else {
        print(&describe(&result));
    }
    Ok(())
}

/// First what was measured, then a line for each part that has figures.
fn describe(result: &Value) -> String {
    let mut facts = Vec::new();
    let mut rows = Vec::new();
    for (key, value) in result.as_object().into_iter().flatten() {
        match value.as_object() {
            None => facts.push(format!("{key} {}", plain(value))),
            Some(part) => {
                let mut row = vec![key.clone()];
                row.extend(
                    FIGURES
                        .iter()
                        .map(|(figure, _)| part.get(*figure).map_or(String::new(), plain)),
                );
                rows.push(row);
            }
        }
    }
    let mut head = vec![""];
    head.extend(FIGURES.iter().map(|(_, title)| *title));
    format!("{}\n{}", facts.join(", "), table(&head, &rows))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(number)) => format!("{number:.3}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_are_lines_and_missing_figures_blank() {
        let text = describe(&json!({
            "target": "talents", "rows": 500,
            "match": {"average_ms": 2.5, "p50_ms": 2, "per_second": 400.0},
            "vector": {"p50_ms": 1.25, "recall": 0.99, "index": "talents_embedding_idx"},
        }));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[0].contains("target talents") && lines[0].contains("rows 500"),
            "{text}"
        );
        assert!(
            lines[2].starts_with("match") && lines[2].contains("2.500") && lines[2].contains("400.000"),
            "{text}"
        );
        assert!(lines[3].ends_with("0.990"), "{text}");
    }
}
