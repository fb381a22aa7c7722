//! The companion's pruner against castmatch.prune() itself, as a login that is a member of castmatch_pruner and nothing else.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::place::required;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;
use castmatch_e2e::query::{run, value};
use postgres::Client;
use serde_json::Value;

use crate::setting::SOON;

/// Conversations of two messages each, without a turn of the model. Odd ones are 100 days old.
fn conversations(client: &mut Client, count: u32) {
    run(
        client,
        &format!(
            "INSERT INTO castmatch.conversations (id, owner, created_at, last_message_at)
             SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'postgres'::regrole,
                 now() - days, now() - days
             FROM generate_series(1, {count}) n, LATERAL (SELECT CASE WHEN n % 2 = 1 THEN interval '100 days' ELSE interval '1 day' END) d (days);
             INSERT INTO castmatch.messages (conversation_id, seq, role, content, tokens, created_at)
             SELECT c.id, r.seq, r.role, 'text', 1, c.last_message_at
             FROM castmatch.conversations c, (VALUES (1, 'user'), (2, 'assistant')) r (seq, role)"
        ),
    );
}

fn messages(client: &mut Client) -> i64 {
    value(client, "SELECT count(*) FROM castmatch.messages")
}

fn command(cluster: &Cluster, arguments: &[&str]) -> Command {
    let mut command = Command::new(required("CASTMATCH_COMPANION"));
    command
        .arg("prune")
        .args(arguments)
        .env(
            "DATABASE_URL",
            cluster.url("pruned").replace("postgres@", "pruner@"),
        )
        .stdin(Stdio::null());
    command
}

fn prune(cluster: &Cluster, arguments: &[&str]) -> (Option<i32>, Value) {
    let all: Vec<&str> = ["--json"].iter().chain(arguments).copied().collect();
    let out: Output = command(cluster, &all).output().unwrap();
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    let report = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{log}"));
    (out.status.code(), report)
}

#[test]
fn the_companion_prunes_what_the_policy_says_in_batches_and_nothing_else() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("pruned");
    run(
        client,
        "CREATE ROLE pruner LOGIN; GRANT castmatch_pruner TO pruner",
    );
    conversations(client, 600);
    let policy = ["--policy", r#"{"batch_rows": 100}"#, "--max-idle", "90 days"];
    let dry: Vec<&str> = ["--dry-run"].iter().chain(&policy).copied().collect();
    let (code, report) = prune(&cluster, &dry);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(
        (&report["conversations"], &report["messages"]),
        (&300.into(), &600.into()),
        "{report}"
    );
    assert_eq!(messages(client), 1200);
    let (code, report) = prune(&cluster, &policy);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(
        (&report["outcome"], &report["conversations"], &report["messages"]),
        (&"done".into(), &300.into(), &600.into())
    );
    assert!(report["batches"].as_i64().unwrap() >= 6, "{report}");
    assert_eq!(messages(client), 600);
    let old: i64 = value(
        client,
        "SELECT count(*) FROM castmatch.conversations WHERE last_message_at < now() - interval '90 days'",
    );
    assert_eq!(old, 0);
    // The setting of the server, which the pruner reads itself.
    run(
        client,
        r#"ALTER DATABASE pruned SET castmatch.prune_policy = '{"max_messages": 1}'"#,
    );
    let (code, report) = prune(&cluster, &[]);
    assert_eq!((code, &report["messages"]), (Some(0), &300.into()), "{report}");
    assert_eq!(messages(client), 300);
    let (code, report) = prune(&cluster, &["--max-age", "no interval"]);
    assert_eq!(code, Some(1));
    assert!(
        report["error"].as_str().unwrap().contains("SQLSTATE 22"),
        "{report}"
    );
}

#[test]
fn sigterm_leaves_no_half_conversation() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("pruned");
    run(
        client,
        "CREATE ROLE pruner LOGIN; GRANT castmatch_pruner TO pruner",
    );
    conversations(client, 4000);
    let arguments = [
        "--policy",
        r#"{"batch_rows": 50}"#,
        "--max-idle",
        "90 days",
        "--batch-pause",
        "20ms",
    ];
    let mut child = command(&cluster, &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually(SOON, "the first batches", || {
        (messages(client) < 8000).then_some(())
    });
    signal("TERM", &[child.id()]);
    let (status, _) = eventually(Duration::from_secs(10), "its end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    let left = messages(client);
    assert!((4001..8000).contains(&left), "{left}");
    let torn: i64 = value(
        client,
        "SELECT count(*) FROM castmatch.conversations c WHERE (SELECT count(*) FROM castmatch.messages m WHERE m.conversation_id = c.id) <> 2",
    );
    assert_eq!(torn, 0);
    let (code, report) = prune(&cluster, &["--max-idle", "90 days"]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(messages(client), 4000);
}

#[test]
fn a_login_without_the_grant_prunes_nothing_and_check_says_so() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("pruned");
    run(client, "CREATE ROLE pruner LOGIN");
    conversations(client, 2);
    let (code, report) = prune(&cluster, &["--max-idle", "90 days"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(
        report["error"].as_str().unwrap().contains("SQLSTATE 42501"),
        "{report}"
    );
    assert_eq!(messages(client), 4);
    let out = Command::new(required("CASTMATCH_COMPANION"))
        .args([
            "check",
            "--listen",
            "127.0.0.1:0",
            "--prune-schedule",
            "1h",
            "--prune-policy",
            r#"{"max_age": "1 day"}"#,
        ])
        .env(
            "DATABASE_URL",
            cluster.url("pruned").replace("postgres@", "pruner@"),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(
        said.contains("run GRANT castmatch_pruner TO \"pruner\""),
        "{said}"
    );
}
