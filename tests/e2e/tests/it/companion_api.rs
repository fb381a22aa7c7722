//! The companion's HTTP front, check and settings against castmatch itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::http::{Response, get, post};
use castmatch_e2e::place::required;
use castmatch_e2e::query::{column, run, value};
use serde_json::{Value, json};

use crate::companion::Companion;
use crate::setting::attached_talents;

const SHOP: &str = "token-of-the-shop-0123456789";
const READER: &str = "token-of-the-reader-0123456789";

/// Roles as the manual has them: a login that inherits nothing, and a role for each token.
const ROLES: &str = "
    CREATE ROLE front LOGIN NOINHERIT;
    CREATE ROLE shop; CREATE ROLE reader;
    GRANT castmatch_user TO shop;
    GRANT shop, reader TO front;
    GRANT SELECT ON talents TO shop, reader;
    ALTER TABLE talents ENABLE ROW LEVEL SECURITY;
    CREATE POLICY everything ON talents TO shop USING (true);
    CREATE POLICY pune ON talents TO reader USING (city = 'Pune');";

struct Front(Companion);

fn front_url(cluster: &Cluster, database: &str) -> String {
    cluster.url(database).replace("postgres@", "front@")
}

fn companion(cluster: &Cluster, database: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(required("CASTMATCH_COMPANION"));
    command
        .args(arguments)
        .env("DATABASE_URL", front_url(cluster, database))
        .stdin(Stdio::null());
    command
}

/// The file of the tokens, which nobody else can read.
fn token_file(folder: &Path) -> PathBuf {
    let path = folder.join("tokens.toml");
    let entry = |name: &str, token: &str, operations: &str| {
        format!(
            "[[token]]\nname = \"{name}\"\nrole = \"{name}\"\ntoken = \"{token}\"\noperations = [{operations}]\nrequests_per_minute = 6000\n"
        )
    };
    let text = entry("shop", SHOP, "\"match\", \"chat\"") + &entry("reader", READER, "\"match\", \"chat\"");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

impl Front {
    fn start(cluster: &Cluster, database: &str) -> Self {
        let tokens = token_file(&cluster.new_folder("tokens"));
        let arguments = ["--api", "--api-token-file", tokens.to_str().unwrap()];
        Self(Companion::start_with(
            cluster,
            &front_url(cluster, database),
            &arguments,
        ))
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> Response {
        let headers = [
            "content-type: application/json".to_owned(),
            format!("authorization: Bearer {token}"),
        ];
        post(self.0.address, path, &headers, body.to_string().as_bytes()).unwrap()
    }

    fn ok(&self, path: &str, token: &str, body: &Value) -> Value {
        let answer = self.post(path, token, body);
        assert_eq!(answer.status, 200, "{}\n{}", answer.body, self.0.log());
        answer.json()
    }
}

fn keys(rows: &Value) -> Vec<&str> {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect()
}

#[test]
fn match_and_chat_over_http_are_those_of_sql_under_the_rights_of_the_token() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("fronted");
    attached_talents(client);
    run(client, ROLES);
    let front = Front::start(&cluster, "fronted");

    let body =
        json!({"target": "talents", "query": "a classical dancer", "k": 3, "filter": {"age": {"lt": 60}}});
    let rows = front.ok("/match", SHOP, &body);
    let expected: Vec<String> = column(
        client,
        "SELECT key FROM castmatch.match('talents', 'a classical dancer', 3, filter => '{\"age\": {\"lt\": 60}}')",
    );
    assert_eq!(keys(&rows), expected);
    assert_eq!(rows[0]["key"], "3", "{rows}");
    let score: f64 = value(
        client,
        "SELECT score FROM castmatch.match('talents', 'a classical dancer', 1)",
    );
    let first = front.ok(
        "/match",
        SHOP,
        &json!({"target": "talents", "query": "a classical dancer", "k": 1}),
    );
    assert_eq!(first[0]["score"].as_f64(), Some(score), "{first}");
    // Row security holds for the role of the token.
    let rows = front.ok(
        "/match",
        READER,
        &json!({"target": "talents", "query": "a classical dancer"}),
    );
    assert_eq!(keys(&rows), ["2"]);

    let turn = front.ok(
        "/chat",
        SHOP,
        &json!({"message": "I need a dancer", "target": "talents", "k": 2}),
    );
    let id = turn["conversation_id"].as_str().unwrap();
    assert!(
        turn["reply"].as_str().is_some_and(|reply| !reply.is_empty()),
        "{turn}"
    );
    let next = front.ok(
        "/chat",
        SHOP,
        &json!({"message": "and someone older?", "conversation_id": id}),
    );
    assert_eq!(next["conversation_id"].as_str(), Some(id));
    let stored: i64 = value(
        client,
        &format!("SELECT count(*) FROM castmatch.messages m JOIN castmatch.conversations c ON c.id = m.conversation_id
                  WHERE c.id = '{id}' AND c.owner = 'shop'::regrole"),
    );
    assert_eq!(stored, 4);

    // What castmatch says to a wrong request, it says here.
    let problem = |token: &str, path: &str, body: Value, status: u16, code: &str| {
        let answer = front.post(path, token, &body);
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (status, &json!(code)),
            "{}",
            answer.body
        );
        answer.json()
    };
    problem(
        READER,
        "/chat",
        json!({"message": "hello", "target": "talents"}),
        403,
        "42501",
    );
    run(client, "GRANT castmatch_user TO reader");
    // Another's conversation is like none.
    problem(
        READER,
        "/chat",
        json!({"message": "hello", "conversation_id": id}),
        404,
        "P0002",
    );
    problem(
        SHOP,
        "/match",
        json!({"target": "nowhere", "query": "x"}),
        404,
        "42P01",
    );
    let wrong = problem(
        SHOP,
        "/match",
        json!({"target": "talents", "query": "x", "mode": "magic"}),
        400,
        "22023",
    );
    assert!(wrong["message"].as_str().unwrap().contains("magic"), "{wrong}");
    problem(
        SHOP,
        "/match",
        json!({"target": "talents", "query": "x", "k": -1}),
        400,
        "22023",
    );
    problem(
        SHOP,
        "/match",
        json!({"target": "talents", "query": "x", "filter": {"height": 5}}),
        400,
        "42703",
    );
    problem(
        SHOP,
        "/match",
        json!({"target": "pg_catalog.pg_authid", "query": "x"}),
        409,
        "55000",
    );
    problem(
        SHOP,
        "/benchmark",
        json!({"target": "talents"}),
        403,
        "not_allowed",
    );

    let metrics = get(front.0.address, "/metrics");
    let series = "castmatch_companion_api_requests_total{operation=\"chat\",status=\"200\"}";
    assert_eq!(metrics.sample(series), Some(2.0), "{}", metrics.body);
    let log = front.0.log();
    assert!(!log.contains("dancer") && !log.contains(SHOP), "{log}");
}

#[test]
fn parameters_of_the_http_front_are_the_arguments_of_the_functions() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("described");
    attached_talents(client);
    run(client, ROLES);
    let front = Front::start(&cluster, "described");
    let document = get(front.0.address, "/openapi.json").json();
    for function in ["match", "chat", "benchmark"] {
        let rows = client
            .query(
                "SELECT a.name, p.pronargs - p.pronargdefaults < a.place, format_type(a.type, NULL)
                 FROM pg_proc p, unnest(p.proargnames[:p.pronargs], p.proargtypes::oid[]) WITH ORDINALITY AS a (name, type, place)
                 WHERE p.pronamespace = 'castmatch'::regnamespace AND p.proname = $1",
                &[&function],
            )
            .unwrap();
        // Some functions may be of a later version than this one.
        if rows.is_empty() {
            assert_eq!(function, "benchmark");
            continue;
        }
        let schema = &document["paths"][format!("/{function}")]["post"]["requestBody"]["content"]["application/json"]
            ["schema"];
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(properties.len(), rows.len(), "{function}");
        for row in rows {
            let (name, has_default, kind): (String, bool, String) = (row.get(0), row.get(1), row.get(2));
            let required = schema["required"].as_array().unwrap().contains(&json!(name));
            assert_eq!(required, !has_default, "{function}({name})");
            let expected = match kind.as_str() {
                "integer" => "integer",
                "jsonb" => "object",
                "text" | "regclass" | "uuid" => "string",
                other => panic!("{function}({name}) is of type {other}"),
            };
            let its = &properties[&name]["type"];
            assert!(
                its == expected || its == &json!([expected, "null"]),
                "{function}({name}): {its}"
            );
        }
    }
}

#[test]
fn check_finds_a_sound_castmatch_sound_and_says_what_the_login_lacks() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("checked");
    attached_talents(client);
    run(client, "CREATE ROLE front LOGIN");
    let check = || {
        let out: Output = companion(
            &cluster,
            "checked",
            &["check", "--json", "--listen", "127.0.0.1:0"],
        )
        .output()
        .unwrap();
        serde_json::from_slice::<Value>(&out.stdout).unwrap()
    };
    let level = |report: &Value, check: &str| {
        let findings = report["checks"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("{check}: {report}"))["level"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let report = check();
    for part in ["connection", "extension", "preload", "model"] {
        assert_eq!(level(&report, part), "ok", "{report}");
    }
    run(
        client,
        "REVOKE EXECUTE ON FUNCTION castmatch.metrics() FROM PUBLIC",
    );
    assert_eq!(level(&check(), "privileges"), "error");
    run(client, "DROP EXTENSION castmatch CASCADE");
    assert_eq!(level(&check(), "extension"), "error");
}
