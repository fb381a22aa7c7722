//! A cluster for the program: any PostgreSQL, with a stand-in for the extension in its database: schema `castmatch` with
//! SQL functions of the agreed shape.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::place::Place;
use serde_json::Value;

/// The agreed shape of both functions; every string that the text format must escape is in a label.
pub const STAND_IN: &str = r#"
CREATE SCHEMA castmatch;
CREATE FUNCTION castmatch.health() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT '{"status": "ok", "version": "0.1.0", "preloaded": true, "pending": 0, "failed": 0,
             "embedder": {"state": "ready", "model": "all-MiniLM-L6-v2", "error": null}}'::jsonb
$$;
CREATE FUNCTION castmatch.metrics()
    RETURNS TABLE (name text, kind text, help text, labels jsonb, value double precision) LANGUAGE sql STABLE AS $$
    VALUES
    ('castmatch_cache_hits_total', 'counter', 'Cache hits.', '{"cache": "reply", "level": "shared"}'::jsonb, 41.0::float8),
    ('castmatch_cache_hits_total', 'counter', 'Cache hits.', '{"cache": "a\"b\\c\nd", "level": "local"}', 2),
    ('castmatch_queue_pending', 'gauge', 'Rows waiting for their embedding.', NULL, 0.1),
    ('castmatch_request_duration_seconds_bucket', 'histogram', 'Duration of calls.', '{"operation": "match", "le": "0.005"}', 3),
    ('castmatch_request_duration_seconds_bucket', 'histogram', 'Duration of calls.', '{"operation": "match", "le": "1"}', 5),
    ('castmatch_request_duration_seconds_bucket', 'histogram', 'Duration of calls.', '{"operation": "match", "le": "+Inf"}', 6),
    ('castmatch_request_duration_seconds_sum', 'histogram', 'Duration of calls.', '{"operation": "match"}', 2.5),
    ('castmatch_request_duration_seconds_count', 'histogram', 'Duration of calls.', '{"operation": "match"}', 6)
$$;
"#;

/// SQL that makes `castmatch.performance()` give this answer from now on.
pub fn performance_function(answer: &Value) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION castmatch.performance() RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT '{}'::jsonb $$",
        answer.to_string().replace('\'', "''")
    )
}

/// A cluster without castmatch, which logs every statement after the name of the application.
pub fn bare_cluster() -> Cluster {
    let options = Options {
        preload: false,
        settings: vec![
            ("log_statement", "all".to_owned()),
            ("log_line_prefix", "%a|".to_owned()),
        ],
        ..Options::default()
    };
    Cluster::start_in(Place::of_any_server(), &options)
}

/// What the server wrote for sessions of this application.
pub fn log_of(cluster: &Cluster, application: &str) -> Vec<String> {
    let prefix = format!("{application}|");
    let log = cluster.log();
    log.lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}
