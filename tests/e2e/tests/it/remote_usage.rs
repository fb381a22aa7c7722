//! What models cost: by role, model and day, whatever becomes of the transaction; and budgets that refuse.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::poll::eventually;
use castmatch_e2e::query::{fails_with, failure, run, value};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::json;

use crate::remote_setting::{chat_model, chatting_role, say, talents_and_endpoint};
use crate::setting::SOON;

fn requests(client: &mut Client, role: &str) -> (i64, i64) {
    let row = client
        .query_one(
            "SELECT COALESCE(sum(requests), 0)::bigint, COALESCE(sum(failed), 0)::bigint FROM castmatch.usage WHERE role::text = $1",
            &[&role],
        )
        .unwrap();
    (row.get(0), row.get(1))
}

#[test]
fn usage_is_counted_by_role_model_and_day_and_survives_a_rollback() {
    let mut cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "usage");
    chat_model(
        &mut client,
        &endpoint,
        "gpt",
        "ok",
        json!({"price": {"prompt": 1000, "completion": 2000}}),
    );
    chat_model(&mut client, &endpoint, "bad", "error-500", json!({}));
    chatting_role(&mut client, "app", &["gpt", "bad"]);
    {
        let app = &mut cluster.connect("usage", "app");
        say(app, "a dancer please", "gpt");
        run(app, "BEGIN");
        say(app, "a judge please", "gpt");
        run(app, "ROLLBACK");
        say(app, "a cook please", "bad");
        assert_eq!(requests(app, "app"), (3, 1), "at once");
    }
    let sums = "SELECT cost = (prompt_tokens * 1000 + completion_tokens * 2000) / 1000000.0 AND prompt_tokens > 0 AND completion_tokens > 0
        FROM castmatch.usage WHERE role = 'app'::regrole AND model = 'gpt' AND day = (now() AT TIME ZONE 'UTC')::date";
    assert!(value::<bool>(&mut client, sums));
    // Written down within moments, once.
    eventually(SOON, "usage in its table", || {
        let written = "SELECT COALESCE(sum(requests), 0)::bigint FROM castmatch.usage_by_day";
        (value::<i64>(&mut client, written) == 3).then_some(())
    });
    assert_eq!(requests(&mut client, "app"), (3, 1));
    drop(client);
    cluster.restart();
    let client = &mut cluster.connect("usage", "postgres");
    assert_eq!(requests(client, "app"), (3, 1), "after a restart");
    // Another role sees its own only.
    chatting_role(client, "other", &[]);
    assert_eq!(requests(&mut cluster.connect("usage", "other"), "app"), (0, 0));
}

#[test]
fn a_spent_budget_refuses_and_builtin_goes_on() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "budget");
    let client = &mut client;
    chat_model(
        client,
        &endpoint,
        "gpt",
        "ok",
        json!({"price": {"prompt": 1000, "completion": 2000}}),
    );
    chatting_role(client, "app", &["gpt"]);
    run(
        client,
        "CREATE ROLE team; GRANT team TO app; SELECT castmatch.set_budget('team', 'day', max_cost => 0.000001)",
    );
    let app = &mut cluster.connect("budget", "app");
    assert_eq!(
        say(app, "a dancer please", "gpt")["model"],
        "gpt",
        "nothing is spent yet"
    );
    let spent = "SELECT castmatch.chat('another dancer', target => 'talents', model => 'gpt')";
    let error = fails_with(app, &SqlState::CONFIGURATION_LIMIT_EXCEEDED, spent);
    assert_eq!(error.message(), "the budget of role team for the day is spent");
    fails_with(
        app,
        &SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        "SELECT castmatch.generate('x', 'gpt')",
    );
    assert_eq!(say(app, "a dancer please", "builtin")["model"], "builtin");
    assert_eq!(
        say(client, "a dancer please", "gpt")["model"],
        "gpt",
        "not the superuser's budget"
    );
    run(
        client,
        "SELECT castmatch.set_budget('team', 'day', max_tokens => 1000000)",
    );
    assert_eq!(say(app, "a dancer please", "gpt")["model"], "gpt");
    let left: bool = value(
        app,
        "SELECT tokens > 0 AND tokens < max_tokens FROM castmatch.budgets",
    );
    assert!(left);
    run(
        client,
        "SELECT castmatch.set_budget('team', 'month', max_tokens => 1)",
    );
    let error = failure(app, spent);
    assert!(error.detail().unwrap().contains("of 1 tokens"), "{error:?}");
    run(client, "SELECT castmatch.set_budget('team', 'month')");
    assert_eq!(value::<i64>(client, "SELECT count(*) FROM castmatch.budgets"), 1);
}
