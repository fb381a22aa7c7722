//! Models of a server of the tests' own, and what chat says of them.

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::query::{run, value};
use castmatch_test_endpoint::TestEndpoint;
use postgres::Client;
use serde_json::{Value, json};

use crate::setting::attached_talents;

/// Registers a chat model at one of the server's behaviours; `options` are added.
pub fn chat_model(client: &mut Client, endpoint: &TestEndpoint, name: &str, behaviour: &str, options: Value) {
    model(client, endpoint, name, "chat", behaviour, options);
}

/// Registers a model.
pub fn model(
    client: &mut Client,
    endpoint: &TestEndpoint,
    name: &str,
    task: &str,
    behaviour: &str,
    options: Value,
) {
    let mut all = json!({"url": endpoint.url(behaviour), "timeout_ms": 500, "max_attempts": 1});
    for (option, value) in options.as_object().unwrap() {
        all[option] = value.clone();
    }
    client
        .execute(
            "SELECT castmatch.create_model($1, $2, 'openai', $3)",
            &[&name, &task, &all],
        )
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
}

/// A turn of chat about the talents.
pub fn turn(
    client: &mut Client,
    message: &str,
    conversation: Option<&str>,
    model: &str,
    options: &Value,
) -> Value {
    client
        .query_one(
            "SELECT castmatch.chat($1, ($2::text)::uuid, 'talents', model => $3, options => $4)",
            &[&message, &conversation, &model, options],
        )
        .unwrap_or_else(|error| panic!("{message}: {error:?}"))
        .get(0)
}

/// A turn in a new conversation, without further options.
pub fn say(client: &mut Client, message: &str, model: &str) -> Value {
    turn(client, message, None, model, &json!({}))
}

/// A database with attached talents and a server of models.
pub fn talents_and_endpoint(cluster: &Cluster, database: &str) -> (Client, TestEndpoint) {
    let mut client = cluster.database(database);
    attached_talents(&mut client);
    (client, TestEndpoint::start())
}

/// The reasons for which models were passed over.
pub fn reasons(answer: &Value) -> Vec<&str> {
    answer["degraded"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["reason"].as_str().unwrap())
        .collect()
}

/// The sum of a metric over its labels that contain `labels`.
pub fn metric(client: &mut Client, name: &str, labels: &Value) -> f64 {
    client
        .query_one(
            "SELECT COALESCE(sum(value), 0) FROM castmatch.metrics() WHERE name = $1 AND labels @> $2",
            &[&name, labels],
        )
        .unwrap()
        .get(0)
}

/// The conversation of an answer.
pub fn conversation(answer: &Value) -> String {
    answer["conversation_id"].as_str().unwrap().to_owned()
}

/// A login role that may chat, and use the models named.
pub fn chatting_role(client: &mut Client, role: &str, models: &[&str]) {
    let exists: bool = value(
        client,
        &format!("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')"),
    );
    if !exists {
        run(client, &format!("CREATE ROLE {role} LOGIN"));
    }
    run(
        client,
        &format!("GRANT castmatch_user TO {role}; GRANT SELECT ON talents TO {role}"),
    );
    for model in models {
        run(
            client,
            &format!("SELECT castmatch.grant_model('{model}', '{role}')"),
        );
    }
}
