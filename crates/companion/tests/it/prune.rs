//! The pruner against a real server, with a stand-in for `castmatch.prune()` that deletes rows of a table `stock` in
//! batches: once, on a schedule, two at once, stopped midway, without a database.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::http::get;
use castmatch_e2e::poll::eventually;
use castmatch_e2e::process::signal;

use crate::cluster::{STAND_IN, bare_cluster, log_of};
use crate::program::{Ended, Program, TemporaryFile, bare_command, run};

const SOON: Duration = Duration::from_secs(20);

/// As castmatch.prune() is agreed, over rows that are all old. `tuning.delay` is how long a batch takes.
const PRUNE: &str = "
CREATE TABLE stock (id integer PRIMARY KEY);
CREATE TABLE tuning (delay double precision);
INSERT INTO tuning VALUES (0);
CREATE FUNCTION castmatch.prune(policy jsonb DEFAULT NULL, dry_run boolean DEFAULT false) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    last_id integer := COALESCE((policy->'resume'->>'id')::integer, 0);
    gone integer;
    more boolean;
    busy boolean := false;
BEGIN
    IF COALESCE(policy, '{}') - 'resume' = '{}' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'there is no policy', HINT = 'Set castmatch.prune_policy.';
    END IF;
    IF dry_run THEN
        gone := (SELECT count(*) FROM stock);
    ELSIF pg_try_advisory_xact_lock(1234) THEN
        WITH batch AS (
            DELETE FROM stock WHERE id IN (
                SELECT id FROM stock WHERE id > last_id ORDER BY id LIMIT COALESCE((policy->>'batch_rows')::integer, 5000))
            RETURNING id)
        SELECT count(*), COALESCE(max(id), last_id) FROM batch INTO gone, last_id;
        more := EXISTS (SELECT FROM stock WHERE id > last_id);
        PERFORM pg_sleep((SELECT delay FROM tuning));
    ELSE
        gone := 0;
        busy := true;
    END IF;
    RETURN jsonb_build_object('dry_run', dry_run, 'conversations', 0, 'messages', gone, 'requests', 0, 'skipped', 0,
        'more', COALESCE(more, false), 'next', CASE WHEN more THEN jsonb_build_object('id', last_id) END, 'busy', busy,
        'elapsed_ms', 1.5);
END;
$$;
CREATE ROLE pruner LOGIN;
GRANT SELECT, DELETE ON stock TO pruner;
GRANT SELECT ON tuning TO pruner;
";

fn cluster(rows: u32, delay: f64) -> Cluster {
    let cluster = bare_cluster();
    cluster.psql(STAND_IN);
    cluster.psql(PRUNE);
    cluster.psql("GRANT USAGE ON SCHEMA castmatch TO pruner");
    stock(&cluster, rows, delay);
    cluster
}

fn stock(cluster: &Cluster, rows: u32, delay: f64) {
    cluster.psql(&format!(
        "INSERT INTO stock SELECT generate_series(1, {rows}) ON CONFLICT DO NOTHING; UPDATE tuning SET delay = {delay}"
    ));
}

fn left(cluster: &Cluster) -> u32 {
    cluster.psql("SELECT count(*) FROM stock").parse().unwrap()
}

fn url(cluster: &Cluster) -> String {
    cluster.url("postgres").replace("postgres@", "pruner@")
}

/// A pruner that runs.
fn start(cluster: &Cluster, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    let url = url(cluster);
    let all: Vec<&str> = ["prune", "--json"].iter().chain(arguments).copied().collect();
    bare_command(&all, environment)
        .env("DATABASE_URL", url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sessions of the pruner that are in a batch.
fn in_batch(cluster: &Cluster) -> u32 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'castmatch-companion prune' \
               AND wait_event = 'PgSleep'";
    cluster.psql(sql).parse().unwrap()
}

fn batch_begins(cluster: &Cluster) {
    eventually(SOON, "a batch is in flight", || {
        (in_batch(cluster) > 0).then_some(())
    });
}

#[test]
fn once_prunes_in_bounded_batches_and_ends() {
    let cluster = cluster(10, 0.0);
    let ended = run(
        &url(&cluster),
        &[
            "prune",
            "--json",
            "--policy",
            r#"{"batch_rows": 3}"#,
            "--max-age",
            "90 days",
        ],
    );
    assert_eq!(ended.code, 0, "{}", ended.log);
    let report = ended.json();
    assert_eq!(
        (&report["outcome"], &report["messages"], &report["batches"]),
        (&"done".into(), &10.into(), &4.into())
    );
    assert_eq!(left(&cluster), 0);
    let log = log_of(&cluster, "castmatch-companion prune");
    let said = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        said("BEGIN; SET LOCAL statement_timeout = 10000; SET LOCAL lock_timeout = 1000;"),
        4,
        "{log:#?}"
    );
    assert_eq!(said("COMMIT"), 4, "{log:#?}");
    assert!(
        ended.log.contains("pruning done") && ended.log.contains("messages=10"),
        "{}",
        ended.log
    );
}

#[test]
fn a_dry_run_counts_in_a_read_only_transaction() {
    let cluster = cluster(10, 0.0);
    let arguments = ["prune", "--dry-run", "--max-idle", "90 days"];
    let ended = run(&url(&cluster), &arguments);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(
        ended.said,
        "                    would go\nconversations              0\nmessages                  10\n\
         requests                   0\nin use, left alone         0\n"
    );
    assert_eq!(left(&cluster), 10);
    let log = log_of(&cluster, "castmatch-companion prune").join("\n");
    assert!(log.contains("SET LOCAL transaction_read_only = on"), "{log}");
}

#[test]
fn the_servers_policy_is_used_and_without_any_the_error_says_what_to_do() {
    let cluster = cluster(10, 0.0);
    let ended = run(&url(&cluster), &["prune", "--json"]);
    assert_eq!((ended.code, left(&cluster)), (1, 10));
    assert!(
        ended.json()["error"].as_str().unwrap().contains("SQLSTATE 22023"),
        "{}",
        ended.said
    );
    cluster.psql(
        r#"ALTER DATABASE postgres SET castmatch.prune_policy = '{"max_age": "1 day", "batch_rows": 4}'"#,
    );
    let report = run(&url(&cluster), &["prune", "--json"]).json();
    assert_eq!((&report["messages"], &report["batches"]), (&10.into(), &3.into()));
}

#[test]
fn sigterm_leaves_whole_batches_whether_the_one_in_flight_ends_in_time_or_not() {
    let cluster = cluster(30, 0.7);
    let policy = ["--policy", r#"{"batch_rows": 10}"#];
    let child = start(&cluster, &policy, &[]);
    batch_begins(&cluster);
    signal("TERM", &[child.id()]);
    let ended = Ended::from(child.wait_with_output().unwrap());
    // The batch in flight was waited for, the rest is for the next time.
    assert_eq!((ended.code, left(&cluster)), (1, 20), "{}", ended.log);
    assert_eq!(
        (&ended.json()["outcome"], &ended.json()["messages"]),
        (&"stopped".into(), &10.into())
    );

    cluster.psql("UPDATE tuning SET delay = 8");
    let child = start(
        &cluster,
        &policy,
        &[("CASTMATCH_COMPANION_SHUTDOWN_TIMEOUT", "200ms")],
    );
    batch_begins(&cluster);
    let asked = Instant::now();
    signal("TERM", &[child.id()]);
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!((ended.code, left(&cluster)), (1, 20), "{}", ended.log);
    // The server notices that nobody waits, rolls back and is free for the next pass long before the batch would have ended.
    eventually(Duration::from_secs(5), "the end of the abandoned batch", || {
        (in_batch(&cluster) == 0).then_some(())
    });
    assert_eq!(left(&cluster), 20);
    cluster.psql("UPDATE tuning SET delay = 0");
    assert_eq!(
        run(&url(&cluster), &["prune", "--json", "--max-age", "1 day"]).json()["messages"],
        20
    );
}

#[test]
fn of_two_pruners_one_prunes_and_the_other_says_so() {
    let cluster = cluster(10, 1.5);
    let first = start(&cluster, &["--max-age", "1 day"], &[]);
    batch_begins(&cluster);
    let second = run(&url(&cluster), &["prune", "--json", "--max-age", "1 day"]);
    assert_eq!(
        (second.code, &second.json()["outcome"]),
        (0, &"busy".into()),
        "{}",
        second.log
    );
    assert!(second.log.contains("another session prunes"), "{}", second.log);
    let first = Ended::from(first.wait_with_output().unwrap());
    assert_eq!((first.code, &first.json()["messages"]), (0, &10.into()));
}

#[test]
fn a_missing_function_and_a_lost_database_are_errors_on_one_line() {
    let mut cluster = cluster(1, 0.0);
    cluster.psql("DROP FUNCTION castmatch.prune");
    let ended = run(&url(&cluster), &["prune", "--max-age", "1 day"]);
    assert_eq!(ended.code, 1);
    assert!(ended.log.contains("SQLSTATE 42883"), "{}", ended.log);
    cluster.stop();
    let ended = run(&url(&cluster), &["prune", "--max-age", "1 day"]);
    assert_eq!((ended.code, ended.log.lines().count()), (1, 1), "{}", ended.log);
    cluster.boot();
}

#[test]
fn serve_prunes_again_and_again_beside_another_and_survives_a_restart_of_the_database() {
    let mut cluster = cluster(10, 0.1);
    let settings =
        TemporaryFile::new("[prune]\nschedule = \"1s\"\njitter = \"1s\"\npolicy = {max_age = \"90 days\"}\n");
    let mut both = [0, 1].map(|_| Program::start(&url(&cluster), &["--config", settings.name()]));
    let sample =
        |program: &Program, series: &str| get(program.address, "/metrics").sample(series).unwrap_or(0.0);
    let runs = |program: &Program, outcome: &str| {
        sample(
            program,
            &format!("castmatch_companion_prune_runs_total{{outcome=\"{outcome}\"}}"),
        )
    };
    eventually(SOON, "nothing left", || (left(&cluster) == 0).then_some(()));
    for program in &both {
        eventually(SOON, "two passes", || {
            (runs(program, "done") >= 2.0).then_some(())
        });
        assert!(
            sample(
                program,
                "castmatch_companion_prune_last_success_timestamp_seconds"
            ) > 1.7e9
        );
        assert!(sample(program, "castmatch_companion_prune_duration_seconds_count") >= 2.0);
    }
    cluster.stop();
    for program in &both {
        eventually(SOON, "a failed pass", || {
            (runs(program, "failed") >= 1.0).then_some(())
        });
    }
    cluster.boot();
    stock(&cluster, 10, 0.0);
    eventually(SOON, "nothing left after the restart", || {
        (left(&cluster) == 0).then_some(())
    });
    // Between passes there is no connection for them.
    cluster.psql("ALTER SYSTEM SET log_statement = 'none'");
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'castmatch-companion prune'";
    eventually(SOON, "no connection", || {
        (cluster.psql(sessions) == "0").then_some(())
    });
    for program in &mut both {
        assert_eq!(program.exit_code(), None, "{}", program.log());
        program.signal("TERM");
        let end = eventually(SOON, "its end", || program.exit_code()).0;
        assert_eq!(end, 0, "{}", program.log());
    }
}

#[test]
fn a_scheduled_pruner_goes_on_until_sigterm() {
    let cluster = cluster(10, 0.0);
    let child = start(
        &cluster,
        &["--schedule", "1s", "--jitter", "1s", "--max-age", "1 day"],
        &[],
    );
    eventually(SOON, "nothing left", || (left(&cluster) == 0).then_some(()));
    stock(&cluster, 10, 0.0);
    eventually(SOON, "nothing left again", || (left(&cluster) == 0).then_some(()));
    signal("TERM", &[child.id()]);
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.log);
}
