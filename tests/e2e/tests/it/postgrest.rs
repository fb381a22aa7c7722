//! What PostgREST does over the shipped SQL, done by hand: the role `authenticator`, a transaction that is read-only for functions that
//! only read, the request's role and claims by `set_config`, arguments by name from the JSON of the body.

use std::fs;
use std::path::Path;

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{run, value};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::setting::{attached_talents, sync};

/// A request as PostgREST hands it on.
struct Request<'a> {
    role: &'a str,
    claims: Value,
    function: &'a str,
    body: Value,
}

/// Names, types and volatility of a function of the exposed schema, as the schema cache holds them.
fn signature(client: &mut Client, function: &str) -> (Vec<(String, String)>, bool, bool) {
    let row = client
        .query_one(
            "SELECT p.proargnames[1:p.pronargs], (SELECT array_agg(format_type(t, NULL) ORDER BY n) FROM unnest(p.proargtypes)
                 WITH ORDINALITY AS a(t, n)), p.provolatile = 'v', p.proretset
             FROM pg_proc p WHERE p.pronamespace = 'api'::regnamespace AND p.proname = $1",
            &[&function],
        )
        .unwrap();
    let (names, types): (Vec<String>, Vec<String>) = (row.get(0), row.get(1));
    (names.into_iter().zip(types).collect(), row.get(2), row.get(3))
}

/// POST /rpc/FUNCTION: the body of the answer.
fn post(client: &mut Client, request: &Request) -> Result<Value, postgres::Error> {
    let (arguments, writes, set) = signature(client, request.function);
    let given = request.body.as_object().unwrap();
    let used: Vec<_> = arguments
        .iter()
        .filter(|(name, _)| given.contains_key(name))
        .collect();
    assert_eq!(
        used.len(),
        given.len(),
        "PGRST202: no such arguments: {}",
        request.body
    );
    let columns: Vec<_> = used
        .iter()
        .map(|(name, kind)| format!("\"{name}\" {kind}"))
        .collect();
    let call: Vec<_> = used
        .iter()
        .map(|(name, _)| format!("\"{name}\" := pgrst_body.\"{name}\""))
        .collect();
    let aggregate = if set {
        "coalesce(json_agg(pgrst_source), '[]')"
    } else {
        "to_json((SELECT pgrst_scalar FROM pgrst_source))"
    };
    let sql = format!(
        "WITH pgrst_source AS (
             SELECT pgrst_call{} FROM (SELECT $1::json AS json_data) pgrst_payload,
             LATERAL (SELECT * FROM json_to_record(pgrst_payload.json_data) AS _({})) pgrst_body,
             LATERAL \"api\".\"{}\"({}) pgrst_call)
         SELECT ({aggregate})::json FROM pgrst_source LIMIT 1",
        if set { ".*" } else { " AS pgrst_scalar" },
        columns.join(", "),
        request.function,
        call.join(", "),
    );
    let empty = if set {
        format!("SELECT coalesce((SELECT ({sql})), '[]'::json)")
    } else {
        sql
    };
    let mut transaction = client.build_transaction().read_only(!writes).start()?;
    transaction.execute(
        "SELECT set_config('search_path', '\"api\", \"public\"', true), set_config('role', $1, true),
         set_config('request.jwt.claims', $2, true), set_config('request.method', 'POST', true)",
        &[&request.role, &request.claims.to_string()],
    )?;
    let answer = transaction.query_one(&empty, &[&request.body])?.get(0);
    transaction.commit()?;
    Ok(answer)
}

fn serving(cluster: &Cluster) -> (Client, Client) {
    let mut admin = cluster.database("app");
    attached_talents(&mut admin);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../extension/deploy/postgrest.sql");
    // \set and comments are psql's.
    assert!(
        fs::read_to_string(&script)
            .unwrap()
            .contains("\\set ON_ERROR_STOP on")
    );
    let url = cluster.url("app");
    let copy = cluster.new_folder("postgrest").join("postgrest.sql");
    fs::copy(&script, &copy).unwrap();
    cluster.program("psql", &["-X", "-q", "-f", copy.to_str().unwrap(), &url]);
    run(
        &mut admin,
        "GRANT SELECT ON talents TO web_user;
         ALTER TABLE talents ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own_city ON talents TO web_user
             USING (city = current_setting('request.jwt.claims', true)::json ->> 'city');",
    );
    let web = cluster.connect("app", "authenticator");
    (admin, web)
}

fn keys(answer: &Value) -> Vec<&str> {
    let rows = answer.as_array().unwrap().iter();
    rows.map(|row| row["key"].as_str().unwrap()).collect()
}

#[test]
fn requests_match_with_named_arguments_under_the_row_security_of_their_claims() {
    let cluster = Cluster::start(&Options::default());
    let (_admin, mut web) = serving(&cluster);
    let ask = |city: &str| Request {
        role: "web_user",
        claims: json!({"role": "web_user", "city": city}),
        function: "match",
        body: json!({"target": "talents", "query": "someone who dances or rides", "k": 5, "mode": "semantic"}),
    };
    // The same question of the same role in the same session: only the claims differ, so no cache may answer for the other.
    for _ in 0..2 {
        assert_eq!(keys(&post(&mut web, &ask("Mumbai")).unwrap()), ["1"]);
        assert_eq!(keys(&post(&mut web, &ask("Chennai")).unwrap()), ["3"]);
        assert!(keys(&post(&mut web, &ask("Nowhere")).unwrap()).is_empty());
    }
    let filtered = Request {
        body: json!({"target": "talents", "query": "a dancer", "filter": {"age": {"gte": 40}}, "prefer": [{"column": "age", "weight": 0.2, "higher": true}]}),
        ..ask("Pune")
    };
    let answer = post(&mut web, &filtered).unwrap();
    assert_eq!(keys(&answer), ["2"]);
    assert!(
        answer[0]["reasons"].is_object() && answer[0]["score"].is_number(),
        "{answer}"
    );
    // What is too much is cut, not refused.
    let many = Request {
        body: json!({"target": "talents", "query": "a dancer", "k": 100_000}),
        ..ask("Mumbai")
    };
    assert_eq!(keys(&post(&mut web, &many).unwrap()), ["1"]);
    let like = Request {
        function: "similar",
        body: json!({"target": "talents", "key": "1"}),
        ..ask("Mumbai")
    };
    assert!(
        keys(&post(&mut web, &like).unwrap())
            .iter()
            .all(|key| *key == "1")
    );
}

#[test]
fn requests_hold_conversations_of_their_role() {
    let cluster = Cluster::start(&Options::default());
    let (mut admin, mut web) = serving(&cluster);
    sync(&mut admin, "talents");
    let ask = |function, body| Request {
        role: "web_user",
        claims: json!({"role": "web_user", "city": "Mumbai"}),
        function,
        body,
    };
    let chat = ask(
        "chat",
        json!({"message": "Who rides horses?", "target": "talents"}),
    );
    let reply = post(&mut web, &chat).unwrap();
    let id = reply["conversation_id"].as_str().unwrap().to_owned();
    assert_eq!(reply["sources"][0]["key"], "1", "{reply}");
    let again = ask(
        "chat",
        json!({"message": "How old?", "conversation_id": id, "target": "talents", "k": 3}),
    );
    assert_eq!(post(&mut web, &again).unwrap()["conversation_id"], id.as_str());
    let history = post(&mut web, &ask("history", json!({"conversation_id": id}))).unwrap();
    assert_eq!(history.as_array().unwrap().len(), 4, "{history}");
    let owner: String = value(
        &mut admin,
        "SELECT DISTINCT owner::text FROM castmatch.conversations",
    );
    assert_eq!(owner, "web_user");
    let forgotten = post(&mut web, &ask("forget", json!({"conversation_id": id}))).unwrap();
    assert_eq!(forgotten, 4);
}

#[test]
fn anonymous_requests_are_refused_and_so_is_what_is_not_exposed() {
    let cluster = Cluster::start(&Options::default());
    let (mut admin, mut web) = serving(&cluster);
    for (function, body) in [
        ("match", json!({"target": "talents", "query": "a dancer"})),
        ("chat", json!({"message": "Hello"})),
    ] {
        let anonymous = Request {
            role: "web_anon",
            claims: json!({"role": "web_anon"}),
            function,
            body,
        };
        let refused = post(&mut web, &anonymous).unwrap_err();
        assert_eq!(
            refused.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{refused:?}"
        );
    }
    // A table that was not granted, though it is attached.
    run(&mut admin, "REVOKE SELECT ON talents FROM web_user");
    let body = json!({"target": "talents", "query": "a dancer"});
    let request = Request {
        role: "web_user",
        claims: json!({"city": "Mumbai"}),
        function: "match",
        body,
    };
    let refused = post(&mut web, &request).unwrap_err();
    assert_eq!(
        refused.code(),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE),
        "{refused:?}"
    );
    // PUBLIC has none of the functions, and the exposed schema holds no table.
    let open: i64 = value(
        &mut admin,
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'api'::regnamespace AND has_function_privilege('web_anon', oid, 'EXECUTE')",
    );
    let tables: i64 = value(
        &mut admin,
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'api'::regnamespace",
    );
    assert_eq!((open, tables), (0, 0));
    let nothing: bool = value(
        &mut admin,
        "SELECT has_function_privilege('authenticator', oid, 'EXECUTE') OR has_schema_privilege('authenticator', 'api', 'USAGE')
         FROM pg_proc WHERE oid = 'api.match'::regproc",
    );
    assert!(!nothing, "authenticator itself has no rights");
}
