//! `castmatch-companion check` and `benchmark` against a real server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use castmatch_e2e::cluster::Cluster;
use serde_json::{Value, json};

use crate::api_setting::{cluster, tokens, url};
use crate::cluster::{STAND_IN, bare_cluster};
use crate::program::{Ended, TemporaryFile, bare_command, run};

/// What performance, prune and health give besides the stand-in; the role has what it needs.
const WHOLE: &str = "
CREATE FUNCTION castmatch.performance() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION castmatch.prune(policy jsonb DEFAULT NULL, dry_run boolean DEFAULT false) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT '{}'::jsonb $$;
CREATE ROLE watcher LOGIN;
GRANT USAGE ON SCHEMA castmatch TO watcher;
";

fn whole() -> Cluster {
    let cluster = bare_cluster();
    cluster.psql(STAND_IN);
    cluster.psql(WHOLE);
    cluster
}

fn watcher(cluster: &Cluster) -> String {
    cluster.url("postgres").replace("postgres@", "watcher@")
}

fn check(url: &str, arguments: &[&str]) -> Ended {
    let all: Vec<&str> = ["check", "--listen", "127.0.0.1:0", "--json"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    run(url, &all)
}

/// The findings of that check: level, message and remedy.
fn found(ended: &Ended, check: &str) -> Vec<(String, String)> {
    let report = ended.json();
    let findings = report["checks"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .filter(|finding| finding["check"] == check)
        .map(|finding| {
            if finding["level"] != "ok" {
                assert!(!text(&finding["remedy"]).is_empty(), "{finding}");
            }
            (
                text(&finding["level"]),
                format!("{}; {}", text(&finding["message"]), text(&finding["remedy"])),
            )
        })
        .collect()
}

fn is_found(ended: &Ended, check: &str, level: &str, words: &[&str]) {
    let all = found(ended, check);
    let fits = |(its_level, text): &(String, String)| {
        its_level == level && words.iter().all(|word| text.contains(word))
    };
    assert!(
        all.iter().any(fits),
        "{check} {level} {words:?}: {}\n{}",
        ended.said,
        ended.log
    );
}

#[test]
fn a_sound_set_up_is_ok_in_every_point() {
    let cluster = whole();
    let ended = check(
        &watcher(&cluster),
        &[
            "--prune-schedule",
            "1h",
            "--prune-policy",
            r#"{"max_age": "1 day"}"#,
        ],
    );
    // The stand-in belongs to no extension: the one warning.
    assert_eq!(
        (ended.code, &ended.json()["status"]),
        (1, &json!("warning")),
        "{}",
        ended.said
    );
    is_found(&ended, "extension", "warning", &["belongs to no extension"]);
    for check in [
        "configuration",
        "address",
        "connection",
        "privileges",
        "preload",
        "model",
        "pruning",
    ] {
        is_found(&ended, check, "ok", &[]);
    }
    let text = run(&watcher(&cluster), &["check", "--listen", "127.0.0.1:0"]);
    assert!(
        text.said
            .contains("ok       preload        castmatch is preloaded\n"),
        "{}",
        text.said
    );
}

#[test]
fn each_way_not_to_get_in_has_its_own_remedy() {
    let mut cluster = whole();
    let hba = cluster.data().join("pg_hba.conf");
    let rules = "host postgres watcher 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n\
                 host closed outsider 127.0.0.1/32 trust\n";
    fs::write(&hba, rules).unwrap();
    cluster.psql("ALTER ROLE watcher PASSWORD 'right'; CREATE ROLE nobody LOGIN; CREATE ROLE outsider LOGIN");
    cluster.psql("CREATE DATABASE closed");
    cluster.psql("REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
    cluster.reload();
    let port = cluster.port;
    let at = |user: &str, database: &str| format!("postgresql://{user}@127.0.0.1:{port}/{database}");
    let failure = |url: &str, words: &[&str]| {
        let ended = check(url, &[]);
        assert_eq!(ended.code, 2, "{}", ended.said);
        is_found(&ended, "connection", "error", words);
        assert!(
            !ended.said.contains("wr0ng") && !ended.log.contains("wr0ng"),
            "{}{}",
            ended.said,
            ended.log
        );
    };
    failure(
        &at("watcher:wr0ng", "postgres"),
        &["refused the password of user \"watcher\""],
    );
    failure(
        &at("nobody", "postgres"),
        &["does not let user \"nobody\" in", "pg_hba.conf"],
    );
    failure(
        &at("outsider", "closed"),
        &["GRANT CONNECT ON DATABASE closed TO outsider"],
    );
    failure(&at("postgres", "nowhere"), &["no database \"nowhere\""]);
    failure(&(at("postgres", "postgres") + "?sslmode=require"), &["TLS"]);
    failure(
        &at("postgres", "postgres").replace("127.0.0.1", "no-such-host.invalid"),
        &["no-such-host.invalid"],
    );
    failure(
        &format!("postgresql:///postgres?host=/nonexistent&port={port}"),
        &["/nonexistent"],
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let ended = check(
        &format!("postgresql://u:wr0ng@{address}/d"),
        &["--connect-timeout", "300ms"],
    );
    is_found(&ended, "connection", "error", &["did not answer within 300 ms"]);
    cluster.stop();
    failure(&at("postgres", "postgres"), &["nothing listens at 127.0.0.1"]);
    cluster.boot();
}

#[test]
fn what_castmatch_lacks_is_named_with_its_remedy() {
    let cluster = whole();
    let url = watcher(&cluster);
    cluster.psql("REVOKE EXECUTE ON FUNCTION castmatch.prune, castmatch.metrics FROM PUBLIC; DROP FUNCTION castmatch.performance");
    let ended = check(&url, &["--prune-schedule", "1h"]);
    assert_eq!(ended.code, 2);
    is_found(
        &ended,
        "privileges",
        "error",
        &["castmatch.prune()", "GRANT castmatch_pruner TO \"watcher\""],
    );
    is_found(
        &ended,
        "privileges",
        "error",
        &["castmatch.metrics()", "GRANT castmatch_monitor TO \"watcher\""],
    );
    is_found(
        &ended,
        "privileges",
        "error",
        &["no function castmatch.performance()", "same version"],
    );
    is_found(&ended, "pruning", "error", &["castmatch.prune_policy"]);
    is_found(
        &check(&cluster.url("postgres"), &[]),
        "privileges",
        "warning",
        &["\"postgres\" is a superuser", "castmatch_monitor"],
    );

    let health = |embedder: Value, preloaded: bool| {
        let report = json!({"status": "degraded", "preloaded": preloaded, "pending": 0, "failed": 3, "embedder": embedder,
            "problems": [{"check": "queue", "severity": "warning", "problem": "it grows", "remedy": "wait"}]});
        cluster.psql(&format!(
            "CREATE OR REPLACE FUNCTION castmatch.health() RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT '{report}'::jsonb $$"
        ));
        check(&url, &[])
    };
    let ended = health(
        json!({"state": "failed", "error": "model.safetensors is not there"}),
        false,
    );
    is_found(
        &ended,
        "model",
        "error",
        &["model.safetensors is not there", "make model"],
    );
    is_found(&ended, "preload", "warning", &["shared_preload_libraries"]);
    is_found(&ended, "health", "warning", &["queue: it grows; wait"]);
    is_found(
        &ended,
        "queue",
        "warning",
        &["3 rows", "castmatch.retry_failed()"],
    );
    let ended = health(json!({"state": "stopped"}), true);
    is_found(
        &ended,
        "model",
        "error",
        &["does not run", "max_worker_processes (now 16)"],
    );

    cluster.psql("REVOKE USAGE ON SCHEMA castmatch FROM watcher");
    is_found(
        &check(&url, &[]),
        "privileges",
        "error",
        &["GRANT USAGE ON SCHEMA castmatch TO \"watcher\""],
    );
    cluster.psql("DROP SCHEMA castmatch CASCADE");
    let ended = check(&url, &[]);
    assert_eq!(ended.code, 2);
    is_found(
        &ended,
        "extension",
        "error",
        &["not installed", "CREATE EXTENSION castmatch"],
    );
}

#[test]
fn a_standby_is_told() {
    let cluster = whole();
    let standby = cluster.standby();
    let ended = check(&watcher(&standby), &["--prune-schedule", "1h"]);
    is_found(&ended, "standby", "warning", &["match works"]);
    is_found(&ended, "pruning", "error", &["standby", "primary"]);
}

#[test]
fn files_addresses_and_settings_are_checked_without_a_database() {
    let nowhere = "postgresql://u:s3cret@127.0.0.1:1/d";
    let settings = TemporaryFile::new("probe_intervall = \"1s\"");
    let ended = check(nowhere, &["--config", settings.name()]);
    assert_eq!(ended.code, 2);
    is_found(
        &ended,
        "configuration",
        "error",
        &["probe_intervall", settings.name(), "probe_interval"],
    );
    let ended: Ended = bare_command(&["check", "--json"], &[]).output().unwrap().into();
    is_found(
        &ended,
        "configuration",
        "error",
        &["DATABASE_URL", "postgresql://"],
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(nowhere, &["check", "--json", "--listen", &address]);
    is_found(&ended, "address", "warning", &["is in use", "--listen"]);
    let tokens = tokens();
    fs::set_permissions(tokens.name(), fs::Permissions::from_mode(0o644)).unwrap();
    let ended = check(nowhere, &["--api", "--api-token-file", tokens.name()]);
    is_found(
        &ended,
        "files",
        "warning",
        &["every user can read", tokens.name(), "chmod 600"],
    );
    is_found(
        &check(nowhere, &["--api"]),
        "configuration",
        "error",
        &["--api-token-file"],
    );
    assert!(!ended.said.contains("s3cret"), "{}", ended.said);
}

#[test]
fn roles_of_tokens_that_cannot_be_taken_are_named() {
    let cluster = cluster();
    let tokens = tokens();
    let ended = check(&url(&cluster), &["--api", "--api-token-file", tokens.name()]);
    is_found(&ended, "api", "error", &["\"foreigner\"", "granted to \"front\""]);
    is_found(&ended, "api", "error", &["\"mighty\"", "superuser"]);
    is_found(&ended, "api", "warning", &["as the monitor does", "NOINHERIT"]);
    assert_eq!(found(&ended, "api").len(), 3, "{}", ended.said);
    cluster.psql("ALTER ROLE mighty NOSUPERUSER; GRANT foreigner TO front");
    let ended = check(&url(&cluster), &["--api", "--api-token-file", tokens.name()]);
    is_found(&ended, "api", "ok", &["5 tokens"]);
}

#[test]
fn a_benchmark_is_a_table_or_json() {
    let cluster = cluster();
    let ended = run(
        &url(&cluster),
        &["benchmark", "talents", "--queries", "20", "--json"],
    );
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(
        (&ended.json()["queries"], &ended.json()["k"]),
        (&json!(20), &json!(10))
    );
    let ended = run(&url(&cluster), &["benchmark", "talents"]);
    let lines: Vec<&str> = ended.said.lines().collect();
    assert!(
        lines[0].contains("target talents") && lines[0].contains("queries 100"),
        "{}",
        ended.said
    );
    assert!(
        lines[1].contains("p95 ms") && lines[2].starts_with("match") && lines[2].contains("2.500"),
        "{}",
        ended.said
    );
    let ended = run(&url(&cluster), &["benchmark", "nowhere"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .log
            .contains("relation \"nowhere\" does not exist (SQLSTATE 42P01)"),
        "{}",
        ended.log
    );
    assert_eq!(
        run(&url(&cluster), &["benchmark", "talents", "--queries", "0"]).code,
        2
    );
}
