//! The binary against a real server: loss, return, hang, missing extension, limits, start errors, signals.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::http::{Response, get};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::scale::scaled;

use crate::cluster::{STAND_IN, bare_cluster, log_of, performance_function};
use crate::program::{Program, output};
use crate::source::performance;

const SOON: Duration = Duration::from_secs(10);
/// The promises of docs/companion.md.
const LOSS_SEEN: Duration = Duration::from_secs(2);
const RETURN_SEEN: Duration = Duration::from_secs(5);
/// No single answer may take as long as the database's own limit of 1 s, however busy the test machine is.
const PROMPT: Duration = Duration::from_millis(900);
/// The usual answer is due within 50 ms; the rest is for a busy test machine.
const USUAL: Duration = Duration::from_millis(150);

fn cluster() -> Cluster {
    let cluster = bare_cluster();
    cluster.psql(STAND_IN);
    cluster
}

fn health_becomes(program: &Program, status: u16, limit: Duration) -> (Response, Duration) {
    let attempt = || Some(prompt_get(program, "/health")).filter(|answer| answer.status == status);
    eventually(limit, &format!("/health {status}"), attempt)
}

fn up_becomes(program: &Program, up: f64, limit: Duration) -> Response {
    let attempt =
        || Some(prompt_get(program, "/metrics")).filter(|answer| answer.sample("castmatch_up") == Some(up));
    eventually(limit, &format!("castmatch_up {up}"), attempt).0
}

fn prompt_get(program: &Program, path: &str) -> Response {
    let start = Instant::now();
    let answer = get(program.address, path);
    assert!(start.elapsed() < PROMPT, "{path} took {:?}", start.elapsed());
    answer
}

pub fn promtool_accepts(text: &str) {
    // The set-up of the tests unpacks it somewhere and says where.
    let program = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let promtool = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.unwrap_or_else(|error| {
        panic!("this test needs promtool (Debian package prometheus; set PROMTOOL to it): {error}")
    });
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = promtool.wait_with_output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    assert!(
        out.status.success() && said.is_empty(),
        "{}\n{text}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn lost_server_is_seen_within_2_s_and_its_return_within_5_s() {
    let mut cluster = cluster();
    let mut program = Program::start(&cluster.url("postgres"), &[]);
    let (answer, _) = health_becomes(&program, 200, SOON);
    assert_eq!(answer.json()["castmatch"]["embedder"]["state"], "ready");
    up_becomes(&program, 1.0, SOON);
    let (mut slowest_loss, mut slowest_return) = (Duration::ZERO, Duration::ZERO);
    for round in 0..scaled(3, 20) {
        let start = Instant::now();
        if round % 2 == 0 {
            cluster.kill_immediately()
        } else {
            cluster.stop()
        }
        let (answer, _) = health_becomes(&program, 503, LOSS_SEEN);
        let loss = start.elapsed();
        assert_eq!(
            (&answer.json()["status"], &answer.json()["database"]),
            (&json!("unavailable"), &json!("down"))
        );
        let metrics = up_becomes(&program, 0.0, LOSS_SEEN);
        let hits = "castmatch_cache_hits_total{cache=\"reply\",level=\"shared\"}";
        assert_eq!(metrics.sample(hits), Some(41.0), "the last good values stay");
        promtool_accepts(&metrics.body);
        assert_eq!(get(program.address, "/livez").status, 200);
        cluster.boot();
        let (_, back) = health_becomes(&program, 200, RETURN_SEEN);
        up_becomes(&program, 1.0, RETURN_SEEN);
        slowest_loss = slowest_loss.max(loss);
        slowest_return = slowest_return.max(back);
    }
    println!("[D1] loss seen after {slowest_loss:?} at most, return after {slowest_return:?}");
    assert_eq!(program.exit_code(), None);
}

#[test]
fn frozen_server_does_not_hold_up_answers() {
    let cluster = cluster();
    let mut program = Program::start(&cluster.url("postgres"), &[]);
    health_becomes(&program, 200, SOON);
    up_becomes(&program, 1.0, SOON);
    cluster.freeze();
    let start = Instant::now();
    let metrics = up_becomes(&program, 0.0, LOSS_SEEN);
    health_becomes(&program, 503, LOSS_SEEN.saturating_sub(start.elapsed()));
    println!("frozen: seen after {:?}", start.elapsed());
    promtool_accepts(&metrics.body);
    // Frozen long enough for several attempts to connect, each of them left hanging by the server.
    let mut answers = Vec::new();
    while start.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        assert_eq!(prompt_get(&program, "/metrics").sample("castmatch_up"), Some(0.0));
        answers.push(asked.elapsed());
        assert_eq!(prompt_get(&program, "/health").status, 503);
        std::thread::sleep(Duration::from_millis(50));
    }
    answers.sort();
    println!(
        "[D2] /metrics with a frozen server: {} answers, half within {:?}, all within {:?}",
        answers.len(),
        answers[answers.len() / 2],
        answers[answers.len() - 1]
    );
    assert!(answers[answers.len() / 2] < USUAL, "{answers:?}");
    cluster.thaw();
    let (_, back) = health_becomes(&program, 200, RETURN_SEEN);
    up_becomes(&program, 1.0, RETURN_SEEN);
    println!("thawed: return seen after {back:?}");
    // Abandoned sessions end by themselves; exactly one stays.
    let one = || {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'castmatch-companion'";
        (cluster.psql(count) == "1").then_some(())
    };
    eventually(SOON, "one session", one);
    assert_eq!(program.exit_code(), None);
}

#[test]
fn frozen_session_is_given_up_for_a_new_one() {
    let cluster = cluster();
    let program = Program::start(&cluster.url("postgres"), &[]);
    up_becomes(&program, 1.0, SOON);
    let session = "SELECT pid FROM pg_stat_activity WHERE application_name = 'castmatch-companion'";
    let frozen: u32 = cluster.psql(session).parse().unwrap();
    signal("STOP", &[frozen]);
    let start = Instant::now();
    // The session's own limits do not help: only a deadline of the companion's ends the wait.
    health_becomes(&program, 503, LOSS_SEEN);
    health_becomes(&program, 200, RETURN_SEEN);
    let metrics = up_becomes(&program, 1.0, RETURN_SEEN);
    println!("[D2] a frozen session was replaced after {:?}", start.elapsed());
    assert!(metrics.sample("castmatch_scrape_errors_total").is_some());
    signal("CONT", &[frozen]);
    let one = || {
        let sessions = cluster.psql(session);
        (sessions.lines().count() == 1 && sessions != frozen.to_string()).then_some(())
    };
    eventually(SOON, "the old session has ended", one);
}

#[test]
fn performance_is_read_over_the_one_connection_and_survives_a_restart() {
    let mut cluster = cluster();
    let program = Program::start(&cluster.url("postgres"), &[]);
    health_becomes(&program, 200, SOON);
    let seen = |what: &str, accept: &dyn Fn(&serde_json::Value) -> bool| {
        let attempt = || Some(get(program.address, "/performance").json()).filter(|body| accept(body));
        eventually(SOON, what, attempt).0
    };
    seen("no function yet", &|body| body["database"]["hint"].is_string());
    let asked_again = || {
        let log = log_of(&cluster, "castmatch-companion");
        let looks = log.iter().filter(|line| line.contains("to_regprocedure")).count();
        let errors = log.iter().filter(|line| line.starts_with("ERROR")).count();
        assert!(errors <= 1, "the log of the server fills up: {log:?}");
        (looks >= 2).then_some(())
    };
    eventually(SOON, "a second look for the function", asked_again);
    cluster.psql(&performance_function(&performance(100)));
    let first = seen("values", &|body| body["castmatch"].is_object());
    assert_eq!(first["castmatch"]["operations"]["match"]["requests"], 100);
    assert_eq!(
        cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'castmatch-companion'"),
        "1"
    );
    cluster.stop();
    let down = seen("down", &|body| body["database"]["up"] == false);
    assert_eq!(down["castmatch"], first["castmatch"]);
    cluster.boot();
    // The counters have begun again, as those in shared memory do.
    let mut restarted = performance(30);
    restarted["since"] = json!("2026-11-23T08:00:00Z");
    cluster.psql(&performance_function(&restarted));
    let back = seen("values after the restart", &|body| {
        body["castmatch"]["operations"]["match"]["requests"] == 30
    });
    assert_eq!(back["recent"]["operations"]["match"]["requests"], 30, "{back}");
}

#[test]
fn starts_without_a_server_and_sigterm_ends_it_with_code_0() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for name in ["TERM", "INT"] {
        let url = format!("postgresql://someone:h1dden@127.0.0.1:{free}/nowhere");
        let mut program = Program::start(&url, &["--log-level", "debug"]);
        health_becomes(&program, 503, SOON);
        promtool_accepts(&up_becomes(&program, 0.0, SOON).body);
        program.signal(name);
        let (code, _) = eventually(SOON, "exit", || program.exit_code());
        assert_eq!(code, 0);
        assert!(!program.log().contains("h1dden"), "{}", program.log());
    }
}

#[test]
fn exposition_is_complete_and_promtool_accepts_it() {
    let cluster = cluster();
    let program = Program::start(&cluster.url("postgres"), &[]);
    let answer = up_becomes(&program, 1.0, SOON);
    promtool_accepts(&answer.body);
    let series = [
        (
            r#"castmatch_cache_hits_total{cache="a\"b\\c\nd",level="local"}"#,
            2.0,
        ),
        ("castmatch_queue_pending", 0.1),
        (
            r#"castmatch_request_duration_seconds_bucket{operation="match",le="0.005"}"#,
            3.0,
        ),
        (
            r#"castmatch_request_duration_seconds_bucket{operation="match",le="+Inf"}"#,
            6.0,
        ),
        (
            r#"castmatch_request_duration_seconds_sum{operation="match"}"#,
            2.5,
        ),
        ("castmatch_companion_dropped_samples_total", 0.0),
    ];
    for (name, value) in series {
        assert_eq!(answer.sample(name), Some(value), "{name}\n{}", answer.body);
    }
}

#[test]
fn session_uses_the_simple_protocol_with_limits_and_one_connection() {
    let cluster = cluster();
    let program = Program::start(&cluster.url("postgres"), &[]);
    for _ in 0..20 {
        up_becomes(&program, 1.0, SOON);
    }
    assert_eq!(
        cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'castmatch-companion'"),
        "1"
    );
    let log = log_of(&cluster, "castmatch-companion");
    let metrics = log
        .iter()
        .filter(|line| line.contains("castmatch.metrics()"))
        .count();
    assert!(metrics > 0, "{log:?}");
    for line in &log {
        // The extended protocol logs "execute".
        assert!(!line.contains("execute "), "{line}");
        assert!(
            !line.contains("statement:") || line.contains("SET LOCAL statement_timeout = 900"),
            "{line}"
        );
    }
}

#[test]
fn statement_timeout_ends_a_slow_function_and_keeps_the_session() {
    let cluster = cluster();
    let program = Program::start(&cluster.url("postgres"), &["--query-timeout", "500ms"]);
    health_becomes(&program, 200, SOON);
    let session = "SELECT pid FROM pg_stat_activity WHERE application_name = 'castmatch-companion'";
    let pid = cluster.psql(session);
    cluster.psql(
        "CREATE OR REPLACE FUNCTION castmatch.health() RETURNS jsonb LANGUAGE sql VOLATILE AS \
         $$ SELECT '{\"status\": \"ok\"}'::jsonb FROM pg_sleep(3600) $$",
    );
    let (answer, _) = health_becomes(&program, 503, SOON);
    let body = answer.json();
    assert_eq!(body["database"], "up", "{body}");
    assert!(body["hint"].as_str().unwrap().contains("57014"), "{body}");
    assert_eq!(cluster.psql(session), pid);
    cluster.psql(
        STAND_IN
            .split_once(';')
            .unwrap()
            .1
            .replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
            .as_str(),
    );
    health_becomes(&program, 200, SOON);
}

#[test]
fn ended_session_is_replaced_without_a_503() {
    let cluster = cluster();
    let program = Program::start(&cluster.url("postgres"), &[]);
    health_becomes(&program, 200, SOON);
    let session = "SELECT pid FROM pg_stat_activity WHERE application_name = 'castmatch-companion'";
    let old = cluster.psql(session);
    cluster.psql(&format!("SELECT pg_terminate_backend({old})"));
    let replaced = || {
        assert_eq!(get(program.address, "/health").status, 200, "{}", program.log());
        let new = cluster.psql(session);
        (!new.is_empty() && new != old).then_some(())
    };
    eventually(SOON, "a new session", replaced);
}

#[test]
fn missing_extension_and_missing_right_are_told_apart() {
    let cluster = bare_cluster();
    let program = Program::start(&cluster.url("postgres"), &[]);
    let state = |expected: &str| {
        let attempt =
            || Some(get(program.address, "/health")).filter(|answer| answer.body.contains(expected));
        eventually(SOON, expected, attempt).0
    };
    assert_eq!(state("not installed").status, 503);
    cluster.psql(STAND_IN);
    assert_eq!(state("\"ok\"").status, 200);
    up_becomes(&program, 1.0, SOON);
    // An undefined function inside health() is a failure of health(), not a missing extension.
    cluster.psql(
        "CREATE OR REPLACE FUNCTION castmatch.health() RETURNS jsonb LANGUAGE plpgsql AS \
         $$ BEGIN RETURN nowhere(); END $$",
    );
    assert_eq!(state("SQLSTATE 42883").status, 503);
    cluster.psql("DROP SCHEMA castmatch CASCADE");
    assert_eq!(state("not installed").status, 503);
    let metrics = up_becomes(&program, 0.0, SOON);
    assert!(
        !metrics.body.contains("castmatch_cache_hits_total"),
        "{}",
        metrics.body
    );

    cluster.psql(STAND_IN);
    cluster.psql("CREATE ROLE watcher LOGIN; REVOKE ALL ON SCHEMA castmatch FROM PUBLIC");
    let url = cluster.url("postgres").replace("postgres@", "watcher@");
    let program = Program::start(&url, &[]);
    let refused =
        || Some(get(program.address, "/health")).filter(|answer| answer.body.contains("may not execute"));
    assert_eq!(eventually(SOON, "permission hint", refused).0.status, 503);
}

#[test]
fn start_errors_are_one_line_and_do_not_repeat_the_url() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let good = Some("postgresql://someone:h1dden@127.0.0.1/nowhere");
    let cases: [(Option<&str>, Vec<&str>, &str); 4] = [
        (None, vec![], "set DATABASE_URL"),
        (
            Some("host=127.0.0.1 password=h1dden"),
            vec![],
            "does not begin with postgresql://",
        ),
        (Some("postgresql://u:h1dden@h:port/d"), vec![], "percent-encoded"),
        (good, vec!["--listen", &address], "in use"),
    ];
    for (url, arguments, expected) in cases {
        let out = output(url, &arguments);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(expected) && !said.contains("h1dden"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(output(good, &["--listen", "nonsense"]).status.code(), Some(2));
}
