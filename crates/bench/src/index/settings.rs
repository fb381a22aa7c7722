//! The server's settings, and what the report says about the machine and the versions.

use super::Plan;
use super::record::{Record, Results};
use crate::server::{Server, Settings};
use crate::{Error, place};

/// What is set beside PostgreSQL's defaults; durability is left as it is.
pub(crate) fn server(plan: &Plan) -> Settings {
    let mut settings = vec![
        ("shared_buffers", plan.shared_buffers.clone()),
        // No checkpoint but those that are asked for between measurements.
        ("checkpoint_timeout", "1h".to_owned()),
        ("max_wal_size", "16GB".to_owned()),
        // Nor a vacuum.
        ("autovacuum", "off".to_owned()),
        ("max_worker_processes", "16".to_owned()),
        ("max_parallel_workers", "8".to_owned()),
        ("max_connections", "30".to_owned()),
    ];
    if has_castmatch(plan) {
        settings.push(("shared_preload_libraries", "castmatch".to_owned()));
    }
    settings
}

/// Whether castmatch is installed there.
pub(crate) fn has_castmatch(plan: &Plan) -> bool {
    castmatch_library(plan).exists()
}

/// The file of castmatch's library.
pub(crate) fn castmatch_library(plan: &Plan) -> std::path::PathBuf {
    plan.install.join("lib/postgresql/castmatch.so")
}

/// Saves versions and settings, unless the last ones saved are the same.
pub(crate) fn note(server: &Server, results: &mut Results) -> Result<(), Error> {
    let mut client = server.connect("pg_catalog")?;
    let mut values: Vec<(String, String)> = vec![
        ("processor".to_owned(), place::processor()),
        ("processors".to_owned(), place::processors().to_string()),
        ("memory".to_owned(), place::memory()),
    ];
    for name in ["server_version", "shared_buffers", "fsync", "synchronous_commit"] {
        let value: String = client.query_one("SELECT current_setting($1)", &[&name])?.get(0);
        values.push((name.to_owned(), value));
    }
    for row in client.query(
        "SELECT extname::text, extversion::text FROM pg_extension WHERE extname IN ('vector', 'castmatch')
         ORDER BY extname",
        &[],
    )? {
        values.push((format!("extension {}", row.get::<_, String>(0)), row.get(1)));
    }
    let last = results.all().iter().rev().find_map(|record| match record {
        Record::Settings { values } => Some(values),
        _ => None,
    });
    if last == Some(&values) {
        return Ok(());
    }
    results.push(Record::Settings { values })
}
