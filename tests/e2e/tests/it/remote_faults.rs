//! Models of a server elsewhere that fails in every way, and what a caller gets then.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::{fails_with, failure, run, value};
use castmatch_test_endpoint::TestEndpoint;
use postgres::error::SqlState;
use serde_json::json;

use crate::remote_setting::{chat_model, metric, reasons, say, talents_and_endpoint, turn};

#[test]
fn each_fault_ends_with_the_builtin_responder_and_says_why() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "faults");
    let client = &mut client;
    run(client, "SET castmatch.breaker_failures = 1000");
    for (behaviour, reason, state) in [
        (
            "error-401",
            "refused",
            SqlState::SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
        ),
        (
            "error-404",
            "refused",
            SqlState::SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
        ),
        ("error-500", "unavailable", SqlState::SYSTEM_ERROR),
        ("error-503", "unavailable", SqlState::SYSTEM_ERROR),
        (
            "rate-limited-99-60",
            "rate_limited",
            SqlState::INSUFFICIENT_RESOURCES,
        ),
        ("hang", "timed_out", SqlState::CONNECTION_FAILURE),
        ("slow-200", "timed_out", SqlState::CONNECTION_FAILURE),
        (
            "reset",
            "unreachable",
            SqlState::SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
        ),
        ("wrong-json", "bad_answer", SqlState::PROTOCOL_VIOLATION),
        ("not-json", "bad_answer", SqlState::PROTOCOL_VIOLATION),
        ("huge", "bad_answer", SqlState::PROTOCOL_VIOLATION),
        ("not-utf8", "bad_answer", SqlState::PROTOCOL_VIOLATION),
        ("nul", "bad_answer", SqlState::PROTOCOL_VIOLATION),
        ("gzip", "bad_answer", SqlState::PROTOCOL_VIOLATION),
    ] {
        chat_model(client, &endpoint, behaviour, behaviour, json!({}));
        let answer = say(client, "a dancer please", behaviour);
        assert_eq!(answer["model"], "builtin", "{behaviour}: {answer}");
        assert_eq!(reasons(&answer), [reason], "{behaviour}: {answer}");
        assert_eq!(answer["degraded"][0]["model"], behaviour);
        assert!(answer["reply"].as_str().unwrap().contains("dancer"), "{answer}");
        // Another model: one that says when to come back is left alone until then.
        let other = format!("{behaviour}~generate");
        chat_model(client, &endpoint, &other, &other, json!({}));
        let sql = format!("SELECT castmatch.generate('hello', '{other}')");
        let error = fails_with(client, &state, &sql);
        let message = format!("model \"{other}\" did not answer: ");
        assert!(error.message().starts_with(&message), "{error:?}");
    }
    let redirect = format!("redirect-{}", cluster.port);
    chat_model(client, &endpoint, "redirect", &redirect, json!({}));
    let answer = say(client, "a dancer please", "redirect");
    assert_eq!(reasons(&answer), ["bad_answer"], "{answer}");
    assert!(
        !cluster.log().contains("invalid length of startup packet"),
        "the database's port was not called"
    );
    assert_eq!(
        metric(
            client,
            "castmatch_model_requests_total",
            &json!({"outcome": "refused"})
        ),
        4.0
    );
    assert!(metric(client, "castmatch_degraded_replies_total", &json!({})) >= 15.0);
}

#[test]
fn attempts_and_fallbacks_follow_each_other() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "fallback");
    let client = &mut client;
    run(client, "SET castmatch.breaker_failures = 1000");
    chat_model(
        client,
        &endpoint,
        "flaky",
        "flaky-2",
        json!({"max_attempts": 3, "timeout_ms": 2000}),
    );
    let answer = say(client, "a dancer please", "flaky");
    assert_eq!(
        (&answer["model"], &answer["degraded"]),
        (&json!("flaky"), &json!([])),
        "{answer}"
    );
    // Retry-After is waited for if the model's time allows.
    chat_model(
        client,
        &endpoint,
        "limited",
        "rate-limited-1-1",
        json!({"max_attempts": 2, "timeout_ms": 3000}),
    );
    let answer = say(client, "a dancer please", "limited");
    assert_eq!(answer["model"], "limited", "{answer}");
    assert!(
        answer["timings_ms"]["generate"].as_f64().unwrap() >= 1000.0,
        "{answer}"
    );
    chat_model(client, &endpoint, "last", "ok", json!({}));
    chat_model(
        client,
        &endpoint,
        "second",
        "error-500",
        json!({"fallback": "last"}),
    );
    chat_model(
        client,
        &endpoint,
        "first",
        "error-400",
        json!({"fallback": "second"}),
    );
    let answer = say(client, "a dancer please", "first");
    assert_eq!(answer["model"], "last", "{answer}");
    assert_eq!(reasons(&answer), ["refused", "unavailable"]);
    assert_eq!(answer["degraded"][1]["model"], "second");
    // A chain of models is checked when it is made.
    let error = failure(
        client,
        "SELECT castmatch.alter_model('last', '{\"fallback\": \"first\"}')",
    );
    assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE, "{error:?}");
    fails_with(
        client,
        &SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        "SELECT castmatch.drop_model('last')",
    );
    // A degraded reply is not kept.
    let options = json!({"cache": "use"});
    let again = |client: &mut postgres::Client| {
        turn(client, "a dancer please", None, "first", &options)["cache"]["hit"].clone()
    };
    assert_eq!((again(client), again(client)), (json!(false), json!(false)));
}

#[test]
fn a_dead_server_is_left_alone_by_all_sessions() {
    let cluster = Cluster::start(&Options {
        settings: vec![
            ("castmatch.breaker_failures", "3".to_owned()),
            ("castmatch.breaker_seconds", "2".to_owned()),
        ],
        ..Options::default()
    });
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "breaker");
    let client = &mut client;
    chat_model(client, &endpoint, "dead", "hang", json!({"timeout_ms": 300}));
    let breaker = |client: &mut postgres::Client| {
        value::<Option<String>>(client, "SELECT breaker FROM castmatch.models WHERE name = 'dead'")
    };
    assert_eq!(breaker(client).as_deref(), Some("closed"));
    for _ in 0..3 {
        assert_eq!(reasons(&say(client, "a dancer please", "dead")), ["timed_out"]);
    }
    assert_eq!(breaker(client).as_deref(), Some("open"));
    let asked = endpoint.requests().len();
    let other = &mut cluster.connect("breaker", "postgres");
    for _ in 0..5 {
        let answer = say(other, "a dancer please", "dead");
        assert_eq!(reasons(&answer), ["left_alone"], "{answer}");
        assert!(
            answer["timings_ms"]["generate"].as_f64().unwrap() < 100.0,
            "{answer}"
        );
    }
    assert_eq!(endpoint.requests().len(), asked, "nobody was asked");
    fails_with(
        other,
        &SqlState::CANNOT_CONNECT_NOW,
        "SELECT castmatch.generate('hello', 'dead')",
    );
    castmatch_e2e::poll::eventually(crate::setting::SOON, "the breaker half open", || {
        (breaker(client).as_deref() == Some("half-open")).then_some(())
    });
    assert_eq!(
        reasons(&say(client, "a dancer please", "dead")),
        ["timed_out"],
        "one call tries"
    );
    assert_eq!(breaker(client).as_deref(), Some("open"));
    // Mended settings are another model as far as the breaker is concerned.
    let mended = format!(
        "SELECT castmatch.alter_model('dead', '{{\"url\": \"{}\"}}')",
        endpoint.url("ok")
    );
    run(client, &mended);
    assert_eq!(say(client, "a dancer please", "dead")["model"], "dead");
}

#[test]
fn certificates_are_checked_and_further_authorities_taken() {
    let cluster = Cluster::start(&Options::default());
    let client = &mut cluster.database("tls");
    crate::setting::attached_talents(client);
    let folder = cluster.new_folder("authorities");
    for (name, names, reason) in [
        ("right", ["127.0.0.1"], None),
        ("wrong", ["elsewhere.example"], Some("unreachable")),
    ] {
        let endpoint = TestEndpoint::start_tls(&names);
        let file = folder.join(name);
        std::fs::write(&file, endpoint.ca_pem()).unwrap();
        chat_model(
            client,
            &endpoint,
            name,
            "ok",
            json!({"ca_file": file.display().to_string()}),
        );
        let answer = say(client, "a dancer please", name);
        assert_eq!(reasons(&answer).first().copied(), reason, "{answer}");
        let unknown = format!("{name}_unknown");
        chat_model(client, &endpoint, &unknown, "ok", json!({}));
        let answer = say(client, "a dancer please", &unknown);
        assert_eq!(reasons(&answer), ["unreachable"], "{answer}");
        assert!(
            answer["degraded"][0]["message"]
                .as_str()
                .unwrap()
                .contains("certificate"),
            "{answer}"
        );
    }
}

#[test]
fn t2_failing_calls_in_a_loop_leave_nothing_behind() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "loops");
    let client = &mut client;
    run(client, "SET castmatch.breaker_failures = 1000");
    chat_model(client, &endpoint, "bad", "error-400", json!({}));
    chat_model(client, &endpoint, "late", "hang", json!({"timeout_ms": 10}));
    let pid: i32 = value(client, "SELECT pg_backend_pid()");
    let failing = |times: usize| {
        format!(
            "DO $$ BEGIN FOR n IN 1..{times} LOOP
                 BEGIN PERFORM castmatch.generate('x', 'bad'); EXCEPTION WHEN sqlserver_rejected_establishment_of_sqlconnection THEN NULL; END;
                 BEGIN PERFORM castmatch.chat('a dancer', gen_random_uuid()); EXCEPTION WHEN no_data_found THEN NULL; END;
                 IF n % 20 = 0 THEN
                     BEGIN PERFORM castmatch.generate('x', 'late'); EXCEPTION WHEN connection_failure THEN NULL; END;
                 END IF;
             END LOOP; END $$"
        )
    };
    run(client, &failing(200));
    let before = castmatch_e2e::process::resident_kib(pid.unsigned_abs());
    run(client, &failing(2000));
    let after = castmatch_e2e::process::resident_kib(pid.unsigned_abs());
    assert!(after < before + 5 * 1024, "{before} KiB, then {after} KiB");
    assert!(
        endpoint.open_connections() <= 1,
        "{}",
        endpoint.open_connections()
    );
    assert_eq!(
        value::<i64>(
            client,
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        ),
        0
    );
}
