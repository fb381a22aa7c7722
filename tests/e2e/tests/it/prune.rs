//! What pruning deletes: each policy beside an independent statement of what is to be left, dry runs, roles, rights.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{column, fails_with, failure, run, value};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::prune_setting::{Pruned, empty, fill, id_sql, noted, pass, prune, rows, would};

/// Messages as text, in order.
fn messages(client: &mut Client, condition: &str) -> Vec<String> {
    column(
        client,
        &format!(
            "SELECT m.conversation_id || ' ' || m.seq FROM castmatch.messages m JOIN castmatch.conversations c ON c.id = m.conversation_id
             WHERE {condition} ORDER BY m.conversation_id, m.seq"
        ),
    )
}

/// Runs a pass in a transaction that is rolled back: the messages left are those of the condition, as a dry run has counted.
fn leaves(client: &mut Client, policy: &Value, condition: &str) -> u32 {
    run(client, "BEGIN");
    let expected = messages(client, condition);
    let counted = would(client, policy);
    let before = rows(client);
    let (pruned, calls) = pass(client, policy);
    assert_eq!(pruned, counted, "{policy}");
    assert_eq!(rows(client) + pruned.rows(), before);
    assert_eq!(messages(client, "true"), expected, "{policy}");
    assert_eq!(empty(client), 0, "{policy}");
    let (again, _) = pass(client, policy);
    assert_eq!(again.rows(), 0, "a second pass finds nothing: {policy}");
    run(client, "ROLLBACK");
    calls
}

const NEWEST: &str =
    "m.seq > (SELECT max(l.seq) FROM castmatch.messages l WHERE l.conversation_id = m.conversation_id)";

#[test]
fn each_policy_leaves_what_it_says() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    run(client, "CREATE ROLE app; CREATE ROLE other");
    fill(client, "postgres", 1..=30, 12);
    fill(client, "app", 31..=45, 7);
    fill(client, "other", 46..=50, 3);
    for batch_rows in [5_000, 23] {
        let policy = |mut policy: Value| {
            policy["batch_rows"] = batch_rows.into();
            policy
        };
        let idle = "c.last_message_at >= now() - '20 days'::interval";
        let calls = leaves(client, &policy(json!({"max_idle": "20 days"})), idle);
        assert!(batch_rows == 5_000 || calls > 10, "{calls}");
        let young = "m.created_at >= now() - '480 hours'::interval";
        leaves(client, &policy(json!({"max_age": "20 days"})), young);
        leaves(
            client,
            &policy(json!({"max_messages": 5})),
            &format!("{NEWEST} - 5"),
        );
        leaves(
            client,
            &policy(json!({"max_messages": 4, "max_age": "20 days", "max_idle": "10 days"})),
            &format!("{NEWEST} - 4 AND {young} AND c.last_message_at >= now() - '10 days'::interval"),
        );
    }
    for (policy, condition) in [
        (
            json!({"max_idle": "40 days", "batch_rows": 2}),
            "c.last_message_at >= now() - '40 days'::interval",
        ),
        (json!({"max_messages": 0}), "false"),
        (json!({"max_age": "0 days"}), "false"),
        (json!({"max_idle": "0 days"}), "false"),
        (json!({}), "true"),
        (json!({"max_messages": i64::MAX, "max_age": "4000 years"}), "true"),
        (json!({"max_bytes": "1GB"}), "true"),
        (json!({"max_bytes": 0}), "false"),
    ] {
        leaves(client, &policy, condition);
    }
}

#[test]
fn roles_have_limits_of_their_own() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    run(
        client,
        "CREATE ROLE \"App one\"; CREATE ROLE other; CREATE ROLE gone",
    );
    fill(client, "postgres", 1..=20, 6);
    fill(client, "\"App one\"", 21..=40, 6);
    fill(client, "other", 41..=60, 6);
    fill(client, "gone", 61..=70, 6);
    // An owner that is no more has the general limits.
    run(client, "DROP ROLE gone");
    let of = |role: &str| format!("c.owner = '{role}'::regrole");
    let policy = json!({"max_idle": "15 days", "max_messages": 4, "roles": {
        "App one": {"max_idle": null, "max_messages": 2},
        "other": {"max_idle": "50 days", "max_messages": null},
    }});
    leaves(
        client,
        &policy,
        &format!(
            "{app} AND {NEWEST} - 2 OR {other} AND c.last_message_at >= now() - '50 days'::interval
             OR {NEWEST} - 4 AND c.last_message_at >= now() - '15 days'::interval AND NOT ({app}) AND NOT ({other})",
            app = of("\"App one\""),
            other = of("other"),
        ),
    );
    let error = fails_with(
        client,
        &SqlState::UNDEFINED_OBJECT,
        "SELECT castmatch.prune('{\"roles\": {\"gone\": {\"max_age\": \"1 day\"}}}')",
    );
    assert_eq!(error.message(), "role \"gone\" in the policy does not exist");
}

/// What messages hold, as the limits of bytes count it.
const BYTES: &str =
    "64 + pg_column_size(m.role) + pg_column_size(m.content) + COALESCE(pg_column_size(m.context), 0)";

#[test]
fn bytes_are_what_the_longest_idle_conversations_give() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    run(client, "CREATE ROLE app; CREATE ROLE free");
    fill(client, "postgres", 1..=60, 20);
    fill(client, "app", 61..=100, 20);
    fill(client, "free", 101..=120, 20);
    // Of one age: ties go by id.
    run(
        client,
        "UPDATE castmatch.conversations SET last_message_at = now() - '30 days'::interval WHERE last_message_at < now() - '20 days'::interval",
    );
    let held = |client: &mut Client, owners: &str| -> i64 {
        value(
            client,
            &format!(
                "SELECT COALESCE(sum({BYTES}), 0)::bigint FROM castmatch.messages m JOIN castmatch.conversations c ON c.id = m.conversation_id
                 WHERE c.owner::text = ANY ('{owners}')"
            ),
        )
    };
    let (general, app) = (held(client, "{postgres}"), held(client, "{app}"));
    let policy = json!({"max_bytes": general / 2, "batch_rows": 50,
        "roles": {"app": {"max_bytes": format!("{} bytes", app / 3)}, "free": {"max_bytes": null}}});
    let newest = |owner: &str, most: i64| {
        format!(
            "c.owner = '{owner}'::regrole AND (SELECT sum(h.bytes) FROM (
                 SELECT n.id, n.last_message_at, (SELECT sum({BYTES}) FROM castmatch.messages m WHERE m.conversation_id = n.id) AS bytes
                 FROM castmatch.conversations n WHERE n.owner = c.owner) h
             WHERE (h.last_message_at, h.id) >= (c.last_message_at, c.id)) <= {most}"
        )
    };
    let left = format!(
        "({}) OR ({}) OR c.owner = 'free'::regrole",
        newest("postgres", general / 2),
        newest("app", app / 3)
    );
    run(client, "BEGIN");
    let expected = messages(client, &left);
    let counted = would(client, &policy);
    let (pruned, calls) = pass(client, &policy);
    assert_eq!(pruned, counted);
    assert!(calls > 10 && pruned.conversations > 30, "{calls} {pruned:?}");
    assert_eq!(messages(client, "true"), expected);
    run(client, "ROLLBACK");

    // Measured once, at the beginning of the pass.
    let first = prune(client, &policy, false);
    let cutoffs = &first["next"]["cutoffs"];
    assert_eq!(cutoffs.as_array().unwrap().len(), 2, "{first}");
    let mut resumed = policy.clone();
    resumed["resume"] = first["next"].clone();
    let second = prune(client, &resumed, false);
    assert_eq!(&second["next"]["cutoffs"], cutoffs);
    // A limit that the policy does not have is none, whatever the cursor says.
    resumed["max_bytes"] = Value::Null;
    resumed["roles"] = json!({});
    assert_eq!(would(client, &resumed).rows(), 0);
}

#[test]
fn requests_go_with_age_and_with_their_conversation() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    fill(client, "postgres", 1..=30, 2);
    run(
        client,
        &format!(
            "INSERT INTO castmatch.requests (conversation_id, arguments, state, finished_at)
             SELECT {}, '{{}}', CASE s % 2 WHEN 0 THEN 'done' ELSE 'failed' END, now() - s * '1 day'::interval
             FROM generate_series(1, 30) n, generate_series(1, 40) s",
            id_sql("n")
        ),
    );
    for batch_rows in [5_000, 7] {
        let policy = json!({"max_request_age": "10 days", "max_idle": "20 days", "batch_rows": batch_rows});
        run(client, "BEGIN");
        let counted = would(client, &policy);
        let (pruned, _) = pass(client, &policy);
        assert_eq!(pruned, counted);
        // Those of 20 days and more go: now() is a little later than when the rows were made. Of the others, requests of 10 days and more.
        let left: i64 = value(client, "SELECT count(*) FROM castmatch.requests");
        assert_eq!((pruned.conversations, pruned.messages, left), (11, 22, 19 * 9));
        run(client, "ROLLBACK");
    }
    let (pruned, _) = pass(client, &json!({"max_request_age": "30 days"}));
    assert_eq!((pruned.requests, pruned.rows()), (11 * 30, 11 * 30));
}

#[test]
fn who_may_prune_and_what_row_security_hides() {
    let cluster = Cluster::start(&Options::default());
    let admin = &mut cluster.database("prune");
    run(
        admin,
        "CREATE ROLE cleaner LOGIN; CREATE ROLE watcher LOGIN; CREATE ROLE speaker LOGIN; CREATE ROLE chief LOGIN;
         GRANT castmatch_pruner TO cleaner; GRANT castmatch_monitor TO watcher; GRANT castmatch_user TO speaker;
         GRANT castmatch_admin TO chief",
    );
    fill(admin, "speaker", 1..=10, 4);
    let policy = json!({"max_idle": "5 days"});
    for name in ["watcher", "speaker"] {
        let client = &mut cluster.connect("prune", name);
        fails_with(
            client,
            &SqlState::INSUFFICIENT_PRIVILEGE,
            "SELECT castmatch.prune('{}', true)",
        );
        fails_with(
            client,
            &SqlState::INSUFFICIENT_PRIVILEGE,
            "SELECT * FROM castmatch.prune_state",
        );
    }
    let cleaner = &mut cluster.connect("prune", "cleaner");
    for table in ["conversations", "messages", "requests"] {
        for sql in ["SELECT FROM", "DELETE FROM"] {
            fails_with(
                cleaner,
                &SqlState::INSUFFICIENT_PRIVILEGE,
                &format!("{sql} castmatch.{table}"),
            );
        }
    }
    assert_eq!(
        would(&mut cluster.connect("prune", "chief"), &policy).conversations,
        6
    );
    // Whatever his path names, it is the server's operators that compare.
    run(
        cleaner,
        "SET search_path = pg_temp; SET timezone = 'Asia/Kolkata'; SET datestyle = 'German'",
    );
    let (counted, mut pruned) = (would(cleaner, &policy), Pruned::default());
    pruned.add(&prune(cleaner, &policy, false));
    assert_eq!(pruned, counted);
    assert_eq!((pruned.conversations, pruned.messages), (6, 24));
    let state: i64 = value(cleaner, "SELECT messages FROM castmatch.prune_state");
    assert_eq!(state, 24);
    let zone: String = value(cleaner, "SHOW timezone");
    assert_eq!(zone, "Asia/Kolkata");

    // The setting, for a call without a policy.
    let error = failure(cleaner, "SELECT castmatch.prune()");
    assert_eq!(error.message(), "castmatch.prune has no policy");
    // Who may prune for others, by a function of theirs say, does not choose for them.
    let error = failure(cleaner, "SET castmatch.prune_policy = '{}'");
    assert_eq!(error.code().code(), "42501");
    run(
        admin,
        "ALTER DATABASE prune SET castmatch.prune_policy = '{\"max_messages\": 1}'",
    );
    let cleaner = &mut cluster.connect("prune", "cleaner");
    let result: Value = value(cleaner, "SELECT castmatch.prune()");
    assert_eq!(result["messages"], 12, "{result}");
}

#[test]
fn what_was_pruned_is_noted_with_it() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    fill(client, "postgres", 1..=50, 4);
    let policy = json!({"max_idle": "10 days", "batch_rows": 20});
    run(client, "BEGIN");
    prune(client, &policy, false);
    run(client, "ROLLBACK");
    assert_eq!(noted(client), Pruned::default());
    would(client, &policy);
    let first = prune(client, &policy, false);
    let state = |client: &mut Client, column: &str| -> bool {
        value(
            client,
            &format!("SELECT {column} IS NOT NULL FROM castmatch.prune_state"),
        )
    };
    assert_eq!(first["more"], true);
    assert!(state(client, "last_started") && state(client, "last_batch") && !state(client, "last_finished"));
    let (rest, calls) = pass(client, &policy);
    let mut all = rest;
    all.add(&first);
    assert_eq!(noted(client), all);
    let counts: Vec<i64> = column(
        client,
        "SELECT unnest(ARRAY[passes, batches]) FROM castmatch.prune_state",
    );
    assert_eq!(counts, [1, i64::from(calls) + 1]);
    assert!(state(client, "last_finished"));
}

#[test]
fn one_conversation_of_many_messages_goes_over_several_calls() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("prune");
    fill(client, "postgres", 1..=1, 12_000);
    fill(client, "postgres", 2..=3, 2);
    let policy = json!({"max_idle": "0 days", "batch_time": "1 s"});
    let first = prune(client, &policy, false);
    assert_eq!(first["conversations"], 0);
    assert_eq!(first["next"]["from"], "00000000-0000-4000-8000-000000000001");
    // The oldest go first.
    let deleted = first["messages"].as_i64().unwrap();
    let least: i64 = value(client, "SELECT min(seq) FROM castmatch.messages WHERE seq > 2");
    assert_eq!(least, deleted + 1);
    assert_eq!(first["next"]["seq"], deleted + 1);
    let (rest, calls) = pass(client, &policy);
    assert!(calls >= 2, "{calls}");
    assert_eq!(rest.conversations, 3);
    assert_eq!(rows(client), 0);
    // Numbers of messages that a user has taken out are no messages.
    fill(client, "postgres", 1..=1, 100);
    run(client, "DELETE FROM castmatch.messages WHERE seq % 10 <> 0");
    leaves(client, &json!({"max_messages": 10}), "true");
    leaves(client, &json!({"max_messages": 4}), "m.seq > 60");
}
