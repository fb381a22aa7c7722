//! Keys of models: who may say where they are, and that nobody ever sees one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{fails_with, run, value};
use postgres::error::SqlState;
use serde_json::json;

use crate::remote_setting::{chat_model, chatting_role, model, reasons, say, talents_and_endpoint};

const CANARY: &str = "sk-canary-7f3b9d2e41";

#[test]
fn a_key_is_sent_and_never_shown() {
    let cluster = Cluster::start(&Options {
        settings: vec![
            ("log_statement", "all".to_owned()),
            ("log_min_messages", "debug1".to_owned()),
            ("log_min_duration_statement", "0".to_owned()),
        ],
        ..Options::default()
    });
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "secrets");
    let client = &mut client;
    let folder = cluster.new_folder("keys");
    let file = folder.join("key");
    fs::write(&file, format!("{CANARY}\n")).unwrap();
    let owner = fs::metadata(cluster.data()).unwrap();
    use std::os::unix::fs::MetadataExt;
    chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    let mode = |mode: u32| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    let keyed = json!({"secret_file": file.display().to_string()});
    chat_model(client, &endpoint, "keyed", "ok", keyed.clone());
    model(client, &endpoint, "vectors", "embedding", "ok~e", keyed.clone());
    let mut header = keyed.clone();
    header["headers"] = json!({"x-api-key": "{secret}", "x-team": "casting"});
    chat_model(client, &endpoint, "header", "ok~h", header);
    chat_model(client, &endpoint, "echo", "echo-key", keyed.clone());
    assert_eq!(say(client, "a dancer please", "keyed")["model"], "keyed");
    assert_eq!(say(client, "a dancer please", "header")["model"], "header");
    run(client, "SELECT castmatch.embed('hello', 'vectors')");
    let sent = |path: &str, name: &str| {
        let requests = endpoint.requests();
        let request = requests
            .iter()
            .find(|request| request.path.contains(path))
            .unwrap();
        request
            .headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.clone())
    };
    assert_eq!(sent("/ok/", "authorization"), Some(format!("Bearer {CANARY}")));
    assert_eq!(sent("/ok~h/", "x-api-key").as_deref(), Some(CANARY));
    assert_eq!(sent("/ok~h/", "authorization"), None);
    assert_eq!(sent("/ok~h/", "x-team").as_deref(), Some("casting"));
    // A server that repeats the key does not make us repeat it.
    let answer = say(client, "a dancer please", "echo");
    assert_eq!(reasons(&answer), ["refused"]);
    let mut seen = vec![answer.to_string()];
    for sql in [
        "SELECT castmatch.generate('hello', 'echo')",
        "SELECT castmatch.embed('hello', 'echo')",
    ] {
        let error = castmatch_e2e::query::failure(client, sql);
        seen.push(format!("{error:?}"));
    }
    // A file that others may read is no key.
    mode(0o644);
    let answer = say(client, "a dancer please", "keyed");
    assert_eq!(reasons(&answer), ["unusable"], "{answer}");
    seen.push(answer.to_string());
    seen.push(format!(
        "{:?}",
        fails_with(
            client,
            &SqlState::CONFIG_FILE_ERROR,
            "SELECT castmatch.generate('hello', 'keyed')"
        )
    ));
    mode(0o600);
    for sql in [
        "SELECT string_agg(m::text, ' ') FROM castmatch.models m",
        "SELECT string_agg(d::text, ' ') FROM castmatch.model_definitions d",
        "SELECT string_agg(m::text, ' ') FROM castmatch.metrics() m",
        "SELECT string_agg(a::text, ' ') FROM pg_stat_activity a",
        "SELECT castmatch.health()::text",
        "SELECT string_agg(m::text, ' ') FROM castmatch.messages m",
    ] {
        seen.push(value(client, sql));
    }
    assert!(seen[seen.len() - 6].contains("keyed"), "the view shows the model");
    assert!(
        !seen[seen.len() - 6].contains(&file.display().to_string()),
        "but not where its key is"
    );
    seen.push(cluster.program("pg_dump", &[&cluster.url("secrets")]));
    seen.push(cluster.log());
    for text in &seen {
        assert!(
            !text.contains(CANARY),
            "{}",
            &text[text.find(CANARY).unwrap().saturating_sub(300)..][..300]
        );
    }
}

#[test]
fn where_a_key_is_read_and_sent_is_a_superusers_choice() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "admins");
    let client = &mut client;
    run(
        client,
        "CREATE ROLE boss LOGIN; GRANT castmatch_admin TO boss; GRANT SELECT ON talents TO boss; CREATE ROLE nobody LOGIN",
    );
    chatting_role(client, "app", &[]);
    let boss = &mut cluster.connect("admins", "boss");
    let denied = &SqlState::INSUFFICIENT_PRIVILEGE;
    let url = endpoint.url("ok");
    run(
        boss,
        &format!("SELECT castmatch.create_model('plain', 'chat', 'openai', '{{\"url\": \"{url}\"}}')"),
    );
    for options in [
        "{\"secret_env\": \"PATH\"}",
        "{\"secret_file\": \"/etc/hostname\"}",
        "{\"ca_file\": \"/etc/hostname\"}",
    ] {
        fails_with(
            boss,
            denied,
            &format!("SELECT castmatch.alter_model('plain', '{options}')"),
        );
        let mut all: serde_json::Value = serde_json::from_str(options).unwrap();
        all["url"] = json!(url);
        fails_with(
            boss,
            denied,
            &format!("SELECT castmatch.create_model('x', 'chat', 'openai', '{all}')"),
        );
    }
    run(
        client,
        "SELECT castmatch.alter_model('plain', '{\"secret_env\": \"PATH\"}')",
    );
    // The key of a superuser does not go elsewhere by an administrator's word.
    fails_with(
        boss,
        denied,
        "SELECT castmatch.alter_model('plain', '{\"url\": \"http://127.0.0.1:9/v1\"}')",
    );
    fails_with(
        boss,
        denied,
        "SELECT castmatch.alter_model('plain', '{\"headers\": {\"x\": \"{secret}\"}}')",
    );
    run(
        boss,
        "SELECT castmatch.alter_model('plain', '{\"temperature\": 0, \"timeout_ms\": 700}')",
    );
    run(
        boss,
        "SELECT castmatch.alter_model('plain', '{\"secret_env\": null}')",
    );
    run(
        boss,
        "SELECT castmatch.alter_model('plain', '{\"url\": \"http://127.0.0.1:9/v1\"}')",
    );
    for sql in [
        "SELECT castmatch.create_model('x', 'chat', 'builtin')",
        "SELECT castmatch.alter_model('plain', '{}')",
        "SELECT castmatch.drop_model('plain')",
        "SELECT castmatch.grant_model('plain', 'app')",
        "SELECT castmatch.set_budget('app', 'day', 1)",
        "SELECT * FROM castmatch.model_definitions",
        "INSERT INTO castmatch.model_grants VALUES ('plain', 'app')",
        "SELECT * FROM castmatch.usage_by_day",
        "INSERT INTO castmatch.requests (conversation_id, arguments) VALUES (gen_random_uuid(), '{}')",
    ] {
        for role in ["nobody", "app"] {
            fails_with(&mut cluster.connect("admins", role), denied, sql);
        }
    }
    // Who may use a model sees it.
    let app = &mut cluster.connect("admins", "app");
    let seen = "SELECT count(*) FROM castmatch.models WHERE name = 'plain'";
    assert_eq!(value::<i64>(app, seen), 0);
    let chat = "SELECT castmatch.chat('a dancer', target => 'talents', model => 'plain')";
    fails_with(app, denied, chat);
    fails_with(app, denied, "SELECT castmatch.generate('x', 'plain')");
    run(boss, "SELECT castmatch.grant_model('plain', 'app')");
    assert_eq!(value::<i64>(app, seen), 1);
    run(app, chat);
    run(boss, "SELECT castmatch.revoke_model('plain', 'app')");
    fails_with(app, denied, chat);
}

#[test]
fn headers_and_urls_that_would_be_dangerous_are_refused() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("urls");
    let wrong = &SqlState::INVALID_PARAMETER_VALUE;
    for url in [
        "ftp://x/v1",
        "file:///etc/passwd",
        "http://user:key@x/v1",
        "http://x/v1?key=1",
        "http:///v1",
        "x",
        "https://x/v1#a",
    ] {
        fails_with(
            client,
            wrong,
            &format!("SELECT castmatch.create_model('m', 'chat', 'openai', '{{\"url\": \"{url}\"}}')"),
        );
    }
    for (name, header) in [
        ("Authorization", "Bearer key"),
        ("api-key", "key"),
        ("host", "x"),
        ("content-length", "3"),
        ("x y", "z"),
        ("x", "a\\r\\nb: c"),
    ] {
        let sql = format!(
            "SELECT castmatch.create_model('m', 'chat', 'openai', '{{\"url\": \"http://x/v1\", \"headers\": {{\"{name}\": \"{header}\"}}}}')"
        );
        fails_with(client, wrong, &sql);
    }
}
