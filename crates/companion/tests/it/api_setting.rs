//! The HTTP front against a real server: a login of its own, two roles, and stand-ins for the functions.

use std::net::SocketAddr;

use castmatch_e2e::cluster::Cluster;
use castmatch_e2e::http::{Response, post};
use serde_json::Value;

use crate::cluster::{STAND_IN, bare_cluster};
use crate::program::{Program, TemporaryFile};

pub const APP: &str = "token-of-app-0123456789";
pub const OTHER: &str = "token-of-other-0123456789";
/// Twelve requests a minute.
pub const SELDOM: &str = "token-of-seldom-0123456789";
/// Of a role that the login may not take.
pub const FOREIGN: &str = "token-of-foreign-0123456789";
/// Of a superuser.
pub const MIGHTY: &str = "token-of-mighty-0123456789";

/// `match` answers with its caller and arguments, sleeps for 'sleep N', or raises the SQLSTATE that the query is.
const FUNCTIONS: &str = "
CREATE FUNCTION castmatch.match(
    target regclass, query text, k integer DEFAULT 10, filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL,
    mode text DEFAULT 'hybrid', options jsonb DEFAULT NULL
) RETURNS TABLE (
    key text, score double precision, similarity double precision, semantic_rank integer, text_rank integer, reasons jsonb
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF query LIKE 'sleep %' THEN
        PERFORM pg_sleep(substr(query, 7)::double precision);
    ELSIF query ~ '^[0-9A-Z]{5}$' THEN
        RAISE EXCEPTION USING ERRCODE = query, MESSAGE = 'words of the server', DETAIL = 'detail of the server',
            HINT = 'hint of the server';
    END IF;
    RETURN QUERY SELECT n::text, 1.0::float8 / n, 0.1::float8, n, NULL::integer, jsonb_build_object(
        'caller', CURRENT_USER, 'login', SESSION_USER, 'target', target::text, 'query', query, 'k', k, 'filter', filter,
        'prefer', prefer, 'mode', mode, 'options', options, 'read_only', current_setting('transaction_read_only'))
    FROM generate_series(1, least(k, 3)) n;
END;
$$;
CREATE TABLE turns (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), message text, role name DEFAULT CURRENT_USER);
CREATE FUNCTION castmatch.chat(
    message text, conversation_id uuid DEFAULT NULL, target regclass DEFAULT NULL, k integer DEFAULT 5,
    filter jsonb DEFAULT NULL, prefer jsonb DEFAULT NULL, model text DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE turn turns;
BEGIN
    INSERT INTO turns (id, message) VALUES (COALESCE(conversation_id, gen_random_uuid()), message) RETURNING * INTO turn;
    PERFORM pg_sleep(COALESCE((options->>'sleep')::double precision, 0));
    RETURN jsonb_build_object('conversation_id', turn.id, 'reply', 'so you say: ' || message, 'k', k, 'target', target::text);
END;
$$;
CREATE FUNCTION castmatch.benchmark(target regclass, queries integer DEFAULT 100, k integer DEFAULT 10) RETURNS jsonb
LANGUAGE sql AS $$ SELECT jsonb_build_object('target', target::text, 'queries', queries, 'k', k, 'rows', 5,
    'match', jsonb_build_object('average_ms', 2.5, 'p50_ms', 2, 'p95_ms', 4, 'p99_ms', 5, 'per_second', 400)) $$;
REVOKE EXECUTE ON FUNCTION castmatch.chat FROM PUBLIC;
CREATE TABLE talents (id integer);
CREATE ROLE app;
CREATE ROLE other;
CREATE ROLE foreigner;
CREATE ROLE mighty SUPERUSER;
CREATE ROLE front LOGIN NOINHERIT;
GRANT app, other, mighty TO front;
GRANT USAGE ON SCHEMA castmatch TO app, other;
GRANT EXECUTE ON FUNCTION castmatch.chat TO app;
GRANT INSERT, SELECT ON turns TO app;
";

pub fn cluster() -> Cluster {
    let cluster = bare_cluster();
    cluster.psql(STAND_IN);
    cluster.psql(FUNCTIONS);
    cluster.psql("GRANT USAGE ON SCHEMA castmatch TO front; GRANT EXECUTE ON FUNCTION castmatch.health, castmatch.metrics TO front");
    cluster
}

pub fn url(cluster: &Cluster) -> String {
    cluster.url("postgres").replace("postgres@", "front@")
}

/// The tokens of the constants.
pub fn tokens() -> TemporaryFile {
    let entry = |name: &str, role: &str, token: &str, operations: &str, per_minute: u32| {
        format!(
            "[[token]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken = \"{token}\"\noperations = [{operations}]\n\
             requests_per_minute = {per_minute}\n"
        )
    };
    let all = "\"match\", \"chat\", \"benchmark\"";
    TemporaryFile::new(
        &[
            entry("app", "app", APP, all, 100_000),
            entry("other", "other", OTHER, "\"match\", \"chat\"", 100_000),
            entry("seldom", "app", SELDOM, "\"match\"", 12),
            entry("foreign", "foreigner", FOREIGN, all, 100_000),
            entry("mighty", "mighty", MIGHTY, all, 100_000),
        ]
        .concat(),
    )
}

pub struct Front {
    pub program: Program,
    _tokens: TemporaryFile,
}

impl Front {
    pub fn start(url: &str, arguments: &[&str]) -> Self {
        let tokens = tokens();
        let mut all = vec!["--api", "--api-token-file", tokens.name()];
        all.extend(arguments);
        let program = Program::start(url, &all);
        Self {
            program,
            _tokens: tokens,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.program.address
    }

    pub fn post(&self, path: &str, token: &str, body: &str) -> Response {
        ask(self.address(), path, token, body)
    }

    /// A match of that query, by role app.
    pub fn query(&self, query: &str) -> Response {
        let body = serde_json::json!({"target": "talents", "query": query, "k": 1});
        self.post("/match", APP, &body.to_string())
    }
}

pub fn headers(token: &str) -> Vec<String> {
    vec![
        "content-type: application/json".to_owned(),
        format!("authorization: Bearer {token}"),
    ]
}

pub fn ask(address: SocketAddr, path: &str, token: &str, body: &str) -> Response {
    post(address, path, &headers(token), body.as_bytes()).unwrap()
}

/// The code of a problem, whose body must have the agreed shape.
pub fn code(answer: &Response) -> String {
    let body = answer.json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "detail", "hint", "message"], "{}", answer.body);
    assert!(body["message"].is_string(), "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    body["code"].as_str().unwrap().to_owned()
}

/// What the stand-in for match saw.
pub fn seen(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()[0]["reasons"].clone()
}
