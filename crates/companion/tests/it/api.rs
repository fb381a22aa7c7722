//! The HTTP front as its users see it: answers, rights, limits, errors.

use castmatch_e2e::http::{get, post, request};
use serde_json::json;

use crate::api_setting::{
    APP, FOREIGN, Front, MIGHTY, OTHER, SELDOM, ask, cluster, code, headers, seen, url,
};
use crate::cluster::log_of;
use crate::program::Program;

const QUERY: &str = r#"{"target": "talents", "query": "a dancer"}"#;

#[test]
fn functions_are_called_with_their_arguments_as_the_role_of_the_token() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &[]);
    let answer = front.post("/match", APP, QUERY);
    assert_eq!(
        seen(&answer),
        json!({"caller": "app", "login": "front", "target": "talents", "query": "a dancer", "k": 10, "filter": null,
               "prefer": null, "mode": "hybrid", "options": null, "read_only": "on"})
    );
    let rows = answer.json();
    let keys: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["key"].clone())
        .collect();
    assert_eq!(keys, ["1", "2", "3"]);
    assert_eq!(rows[1]["score"], 0.5);
    assert_eq!(
        (&rows[1]["semantic_rank"], &rows[1]["text_rank"]),
        (&json!(2), &json!(null))
    );

    // Whatever the texts are, they arrive as they are.
    let hostile = r#"'); RESET ROLE; DROP TABLE talents; -- \ $1 %s "é" 🎭"#;
    let body = json!({"query": hostile, "target": "public.talents", "k": 1, "filter": {"city": ["Mumbai", "O'Hare"]},
                      "prefer": {"fee": 1.5}, "mode": hostile, "options": {"x": null}});
    let saw = seen(&front.post("/match", OTHER, &body.to_string()));
    assert_eq!(saw["caller"], "other");
    for name in ["query", "k", "filter", "prefer", "mode", "options"] {
        assert_eq!(saw[name], body[name], "{name}");
    }

    let id = "6f1c9a52-3b0e-4f53-9f0b-6a1d0f6f2b11";
    let body = json!({"message": hostile, "conversation_id": id, "k": 2, "target": "talents"}).to_string();
    let answer = front.post("/chat", APP, &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.json(),
        json!({"conversation_id": id, "reply": format!("so you say: {hostile}"), "k": 2, "target": "talents"})
    );
    assert_eq!(cluster.psql("SELECT role FROM turns"), "app");
    let answer = front.post("/benchmark", APP, r#"{"target": "talents", "queries": 7}"#);
    assert_eq!(
        (&answer.json()["queries"], &answer.json()["k"]),
        (&json!(7), &json!(10))
    );
    assert_eq!(
        cluster
            .psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'castmatch-companion api'"),
        "1"
    );
}

#[test]
fn who_has_no_token_or_the_wrong_one_gets_nowhere() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &[]);
    let challenge = |lines: &[&str]| {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        let answer = post(front.address(), "/match", &lines, QUERY.as_bytes()).unwrap();
        let challenge = answer.header("www-authenticate").unwrap_or_default().to_owned();
        (answer.status, code(&answer), challenge)
    };
    let bearer = "bearer realm=\"castmatch\"";
    let json = "content-type: application/json";
    for lines in [
        &[json][..],
        &[json, "authorization: Basic YTpi"],
        &[json, "authorization: Bearer "],
    ] {
        assert_eq!(
            challenge(lines),
            (401, "no_token".to_owned(), bearer.to_owned()),
            "{lines:?}"
        );
    }
    let wrong = format!("authorization: Bearer {APP}x");
    let expected = (
        401,
        "wrong_token".to_owned(),
        format!("{bearer}, error=\"invalid_token\""),
    );
    assert_eq!(challenge(&[json, &wrong]), expected);

    let answer = front.post("/benchmark", OTHER, r#"{"target": "talents"}"#);
    assert_eq!((answer.status, code(&answer)), (403, "not_allowed".to_owned()));
    // The token allows it, the database does not.
    let answer = front.post("/chat", OTHER, r#"{"message": "hello"}"#);
    assert_eq!(
        (answer.status, code(&answer)),
        (403, "42501".to_owned()),
        "{}",
        answer.body
    );
    for token in [FOREIGN, MIGHTY] {
        let answer = front.post("/match", token, QUERY);
        assert_eq!(
            (answer.status, code(&answer)),
            (503, "unavailable".to_owned()),
            "{}",
            answer.body
        );
    }
    assert!(
        log_of(&cluster, "castmatch-companion api")
            .iter()
            .all(|line| !line.contains("castmatch.match") || !line.contains("mighty"))
    );
    let log = front.program.log();
    assert!(
        log.contains("cannot act as role \"mighty\": it is a superuser"),
        "{log}"
    );
    assert!(
        log.contains("cannot act as role \"foreigner\": permission denied"),
        "{log}"
    );
}

#[test]
fn a_superusers_login_is_of_no_use() {
    let cluster = cluster();
    let front = Front::start(&cluster.url("postgres"), &[]);
    let answer = front.post("/match", APP, QUERY);
    assert_eq!(
        (answer.status, code(&answer)),
        (503, "unavailable".to_owned()),
        "{}",
        answer.body
    );
    assert!(
        front
            .program
            .log()
            .contains("cannot act as role \"postgres\": it is a superuser")
    );
}

#[test]
fn without_the_flag_there_is_no_front() {
    let cluster = cluster();
    let tokens = crate::api_setting::tokens();
    let program = Program::start(&url(&cluster), &["--api-token-file", tokens.name()]);
    assert_eq!(ask(program.address, "/match", APP, QUERY).status, 404);
    assert_eq!(get(program.address, "/openapi.json").status, 404);
}

#[test]
fn bodies_are_checked_before_the_database_is_asked() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &["--api-body-limit", "2000"]);
    let cases = [
        ("", 400, "invalid_json"),
        ("[]", 400, "invalid_json"),
        ("{\"target\": \"talents\"", 400, "invalid_json"),
        ("{\"target\": \"talents\"}", 422, "missing_parameter"),
        ("{\"target\": \"talents\", \"query\": 5}", 422, "wrong_parameter"),
        (
            "{\"target\": \"talents\", \"query\": \"x\", \"limit\": 5}",
            422,
            "unknown_parameter",
        ),
    ];
    for (body, status, expected) in cases {
        let answer = front.post("/match", APP, body);
        assert_eq!(
            (answer.status, code(&answer)),
            (status, expected.to_owned()),
            "{body}: {}",
            answer.body
        );
    }
    let long = json!({"target": "talents", "query": "x".repeat(3000)}).to_string();
    let answer = front.post("/match", APP, &long);
    assert_eq!(
        (answer.status, code(&answer)),
        (413, "body_too_long".to_owned()),
        "{}",
        answer.body
    );
    let just = json!({"target": "talents", "query": "x".repeat(1900)}).to_string();
    assert_eq!(front.post("/match", APP, &just).status, 200);
    let lines = [
        format!("authorization: Bearer {APP}"),
        "content-type: text/plain".to_owned(),
    ];
    let answer = post(front.address(), "/match", &lines, QUERY.as_bytes()).unwrap();
    assert_eq!((answer.status, code(&answer)), (415, "not_json".to_owned()));
    let answer = request(front.address(), "GET", "/match").unwrap();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
    let statements = log_of(&cluster, "castmatch-companion api");
    assert_eq!(
        statements
            .iter()
            .filter(|line| line.contains("castmatch.match"))
            .count(),
        1,
        "{statements:#?}"
    );
}

#[test]
fn faults_of_the_request_are_told_in_the_servers_words_and_others_are_not() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &[]);
    for (state, status) in [
        ("22023", 400),
        ("0A000", 400),
        ("P0002", 404),
        ("40001", 409),
        ("53400", 429),
    ] {
        let answer = front.query(state);
        assert_eq!(
            (answer.status, code(&answer)),
            (status, state.to_owned()),
            "{}",
            answer.body
        );
        let body = answer.json();
        assert_eq!(
            (&body["message"], &body["detail"], &body["hint"]),
            (
                &json!("words of the server"),
                &json!("detail of the server"),
                &json!("hint of the server")
            )
        );
    }
    for (state, status) in [("XX000", 500), ("58030", 500), ("53200", 503), ("08006", 503)] {
        let answer = front.query(state);
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(!answer.body.contains("of the server"), "{}", answer.body);
        assert!(
            front.program.log().contains(&format!("SQLSTATE {state}")),
            "{}",
            front.program.log()
        );
    }
    // What the database finds by itself.
    let answer = front.post("/match", APP, r#"{"target": "nowhere", "query": "x"}"#);
    assert_eq!(
        (answer.status, code(&answer)),
        (404, "42P01".to_owned()),
        "{}",
        answer.body
    );
    let answer = front.post("/chat", APP, r#"{"message": "x", "conversation_id": "no uuid"}"#);
    assert_eq!(
        (answer.status, code(&answer)),
        (400, "22P02".to_owned()),
        "{}",
        answer.body
    );
    let answer = front.post("/match", APP, r#"{"target": "talents", "query": "nul \u0000"}"#);
    assert_eq!(
        (answer.status, code(&answer)),
        (400, "22021".to_owned()),
        "{}",
        answer.body
    );
    // The connection has survived all of it.
    assert_eq!(front.query("a dancer").status, 200);
    assert_eq!(
        cluster
            .psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'castmatch-companion api'"),
        "1"
    );
}

#[test]
fn each_token_has_its_own_rate() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &[]);
    let answers: Vec<_> = (0..20).map(|_| front.post("/match", SELDOM, QUERY)).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!((7..=8).contains(&refused.len()), "{}", refused.len());
    for answer in refused {
        assert_eq!(code(answer), "too_many_requests");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds), "{seconds}");
    }
    assert_eq!(front.post("/match", APP, QUERY).status, 200);
}

#[test]
fn requests_have_ids_are_logged_and_counted_and_no_text_or_token_is() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &["--log-format", "json", "--log-level", "debug"]);
    let mut lines = headers(APP);
    lines.push("x-request-id: order-66".to_owned());
    let secret =
        json!({"target": "talents", "query": "s3cret words", "filter": {"city": "s3cret city"}}).to_string();
    let answer = post(front.address(), "/match", &lines, secret.as_bytes()).unwrap();
    assert_eq!(
        (answer.status, answer.header("x-request-id")),
        (200, Some("order-66"))
    );
    let other = front.post("/match", &format!("s3cret{APP}"), &secret);
    assert_eq!(other.header("x-request-id").unwrap().len(), 16);
    front.query("XX000");
    let answer = front.post(
        "/chat",
        APP,
        r#"{"message": "s3cret", "conversation_id": "s3cret"}"#,
    );
    assert!(
        answer.body.contains("s3cret"),
        "the client is told: {}",
        answer.body
    );
    let log = front.program.log();
    assert!(!log.contains("s3cret") && !log.contains(APP), "{log}");
    let entries: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let entry = entries
        .iter()
        .find(|entry| entry["request_id"] == "order-66")
        .unwrap();
    assert_eq!(
        (&entry["operation"], &entry["token"], &entry["status"]),
        (&json!("match"), &json!("app"), &json!(200))
    );
    assert!(entry["ms"].is_number() && entry["level"] == "INFO", "{entry}");

    let metrics = get(front.address(), "/metrics");
    let requests = |operation: &str, status: u16| {
        metrics.sample(&format!(
            "castmatch_companion_api_requests_total{{operation=\"{operation}\",status=\"{status}\"}}"
        ))
    };
    assert_eq!(
        (
            requests("match", 200),
            requests("match", 401),
            requests("match", 500),
            requests("chat", 400)
        ),
        (Some(1.0), Some(1.0), Some(1.0), Some(1.0)),
        "{}",
        metrics.body
    );
    let series = "castmatch_companion_api_request_duration_seconds_count{operation=\"match\"}";
    assert_eq!(metrics.sample(series), Some(2.0));
    crate::live::promtool_accepts(&metrics.body);
}
