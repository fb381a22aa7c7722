//! `castmatch.health()` names each fault, with what is to be done about it.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{run, value};
use postgres::Client;
use serde_json::Value;

use crate::performance::{metric, performance};
use crate::setting::{RECOVERY, TALENTS, attached_talents, embedded_by_itself};

fn health(client: &mut Client) -> Value {
    value(client, "SELECT castmatch.health()")
}

/// The problems that a check found: severity, problem and remedy.
fn found(health: &Value, check: &str) -> Vec<(String, String, String)> {
    let text = |problem: &Value, name: &str| problem[name].as_str().unwrap().to_owned();
    let problems = health["problems"].as_array().unwrap().iter();
    let of_check = problems.filter(|problem| problem["check"] == check);
    of_check
        .map(|problem| {
            let remedy = text(problem, "remedy");
            assert!(remedy.len() > 10, "{problem}");
            (text(problem, "severity"), text(problem, "problem"), remedy)
        })
        .collect()
}

/// The one problem of a check; the status is as its severity says.
fn the_one(client: &mut Client, check: &str, severity: &str) -> (String, String) {
    let health = health(client);
    let problems = found(&health, check);
    assert_eq!(problems.len(), 1, "{health}");
    let status = if severity == "error" { "degraded" } else { "ok" };
    assert_eq!(
        (problems[0].0.as_str(), &health["status"]),
        (severity, &status.into()),
        "{health}"
    );
    (problems[0].1.clone(), problems[0].2.clone())
}

fn is_sound(client: &mut Client) {
    let health = health(client);
    assert_eq!(
        (&health["status"], &health["problems"]),
        (&"ok".into(), &Value::Array(vec![])),
        "{health}"
    );
}

#[test]
fn faults_are_named_with_their_remedies() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("ill");
    attached_talents(client);
    is_sound(client);
    let workers = health(client)["workers"].take();
    for kind in ["embedder", "launcher"] {
        assert_eq!(workers[kind]["running"], true, "{workers}");
    }
    for kind in ["embedder", "launcher", "sync"] {
        assert!(workers[kind]["last_heartbeat"].is_string(), "{workers}");
        let beat = metric(
            client,
            "castmatch_worker_last_heartbeat_timestamp_seconds",
            &format!(r#"{{"worker": "{kind}"}}"#),
        );
        let now: f64 = value(client, "SELECT extract(epoch FROM clock_timestamp())::float8");
        assert!((now - beat.unwrap()).abs() < 60.0, "{kind}: {beat:?} at {now}");
    }

    failed_rows(client);
    rows_that_wait(client);
    invalid_index(client);
    breaker(&cluster, client);
    worker_away(&cluster, client);
}

fn failed_rows(client: &mut Client) {
    run(
        client,
        "INSERT INTO castmatch.queue (target, key, tries, error, failed_at) VALUES ('talents', '1', 8, 'no', now()), ('talents', '2', 8, 'no', now())",
    );
    let (problem, remedy) = the_one(client, "queue", "warning");
    assert!(
        problem.contains("2 rows") && remedy.contains("retry_failed"),
        "{problem} {remedy}"
    );
    run(client, "DELETE FROM castmatch.queue");
    is_sound(client);
}

fn rows_that_wait(client: &mut Client) {
    // For later, so that no worker takes it.
    run(
        client,
        "INSERT INTO castmatch.queue (target, key, not_before, queued_at) VALUES ('talents', '1', now() + '1 day'::interval, now() - '7 minutes'::interval)",
    );
    // Rows are being embedded.
    run(
        client,
        "UPDATE castmatch.progress SET measured_at = clock_timestamp(), rows_per_second = 0.001",
    );
    let (problem, _) = the_one(client, "queue", "warning");
    assert!(
        problem.contains("7 minutes") && problem.contains("17 minutes"),
        "{problem}"
    );
    // None is.
    run(
        client,
        "UPDATE castmatch.progress SET measured_at = clock_timestamp() - '1 hour'::interval",
    );
    let (problem, _) = the_one(client, "queue", "error");
    assert!(problem.contains("none is being embedded"), "{problem}");
    run(
        client,
        "UPDATE castmatch.queue SET queued_at = now() - '1 minute'::interval",
    );
    is_sound(client);
    run(client, "DELETE FROM castmatch.queue");
}

fn invalid_index(client: &mut Client) {
    let set = |valid: bool| {
        format!(
            "UPDATE pg_index SET indisvalid = {valid} WHERE indexrelid = 'talents_castmatch_embedding'::regclass"
        )
    };
    run(client, &set(false));
    let (problem, remedy) = the_one(client, "index", "warning");
    assert!(
        problem.contains("public.talents_castmatch_embedding")
            && remedy.contains("REINDEX INDEX CONCURRENTLY"),
        "{problem} {remedy}"
    );
    assert_eq!(performance(client)["indexes"][0]["valid"], false);
    run(client, &set(true));
    is_sound(client);
}

/// A model that does not answer is left alone; who may not use it does not learn its name.
fn breaker(cluster: &Cluster, client: &mut Client) {
    run(
        client,
        r#"SELECT castmatch.create_model('away', 'chat', 'openai', '{"url": "http://127.0.0.1:9/v1", "max_attempts": 1}');
           SET castmatch.breaker_failures = 1"#,
    );
    let answer: Value = value(
        client,
        "SELECT castmatch.chat('a dancer', target => 'talents', model => 'away')",
    );
    assert_eq!(answer["degraded"][0]["model"], "away", "{answer}");
    let (problem, remedy) = the_one(client, "breaker", "warning");
    assert!(
        problem.contains("\"away\"") && remedy.contains("castmatch.models"),
        "{problem} {remedy}"
    );
    let model = performance(client)["models"][1].take();
    assert_eq!(
        (&model["model"], &model["breaker"], &model["state"]),
        (&"away".into(), &"open".into(), &Value::Null)
    );
    assert!(
        model["errors"].as_u64() >= Some(1) && model["requests"] == model["errors"],
        "{model}"
    );
    assert_eq!(
        metric(client, "castmatch_model_breaker_open", r#"{"model": "away"}"#),
        Some(1.0)
    );
    assert!(metric(client, "castmatch_degraded_total", r#"{"part": "reply"}"#) >= Some(1.0));

    run(client, "CREATE ROLE stranger LOGIN");
    let (problem, _) = the_one(&mut cluster.connect("ill", "stranger"), "breaker", "warning");
    assert!(!problem.contains("away") && problem.contains('1'), "{problem}");
    run(client, "SELECT castmatch.drop_model('away')");
    is_sound(client);
}

fn worker_away(cluster: &Cluster, client: &mut Client) {
    signal("TERM", &cluster.titled("castmatch embedder"));
    let ((problem, remedy), _) = eventually(RECOVERY, "the fault is told", || {
        let health = health(client);
        let (_, problem, remedy) = found(&health, "worker").into_iter().next()?;
        assert_eq!(health["status"], "degraded", "{health}");
        (health["workers"]["embedder"]["running"] == false).then_some((problem, remedy))
    });
    assert!(
        problem.contains("embedding worker") && remedy.contains("max_worker_processes"),
        "{problem} {remedy}"
    );
    eventually(RECOVERY, "its end", || {
        let health = health(client);
        (health["status"] == "ok" && health["embedder"]["state"] == "ready").then_some(())
    });
}

/// A server whose slots are taken by the two workers that are always there.
#[test]
fn a_server_without_a_slot_for_workers_says_so() {
    let mut cluster = Cluster::start(&Options {
        settings: vec![
            ("max_worker_processes", "2".to_owned()),
            ("max_logical_replication_workers", "0".to_owned()),
        ],
        ..Options::default()
    });
    let client = &mut cluster.database("crammed");
    run(client, TALENTS);
    run(client, "SELECT castmatch.attach('talents', '{bio}')");
    let (remedy, _) = eventually(RECOVERY, "the want of slots", || {
        let health = health(client);
        let problem = found(&health, "worker")
            .into_iter()
            .find(|(_, problem, _)| problem.contains("slot"))?;
        assert_eq!(health["status"], "degraded", "{health}");
        Some(problem.2)
    });
    assert!(remedy.contains("max_worker_processes"), "{remedy}");
    assert!(metric(client, "castmatch_worker_start_failures_total", "{}") >= Some(1.0));

    cluster.configure(&[("max_worker_processes", "8".to_owned())]);
    cluster.restart();
    let client = &mut cluster.connect("crammed", "postgres");
    embedded_by_itself(client, "talents", RECOVERY);
    assert_eq!(health(client)["status"], "ok");
}
