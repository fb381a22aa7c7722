//! Replies that are used again, and those that must not be.

use castmatch_e2e::cluster::{Cluster, Options};
use castmatch_e2e::query::run;
use postgres::Client;
use serde_json::{Value, json};

use crate::remote_setting::{chat_model, chatting_role, conversation, metric, talents_and_endpoint, turn};

fn kind(answer: &Value) -> Option<&str> {
    answer["cache"]["kind"].as_str()
}

fn ask(client: &mut Client, message: &str, model: &str) -> Value {
    turn(client, message, None, model, &json!({}))
}

#[test]
fn a_reply_is_used_again_only_if_it_would_be_the_same() {
    let cluster = Cluster::start(&Options::default());
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "exact");
    let client = &mut client;
    chat_model(client, &endpoint, "cold", "ok", json!({"temperature": 0}));
    chat_model(client, &endpoint, "warm", "ok~w", json!({"temperature": 0.7}));
    chat_model(client, &endpoint, "unsaid", "ok~u", json!({}));
    for (model, kept) in [
        ("cold", true),
        ("warm", false),
        ("unsaid", false),
        ("builtin", true),
    ] {
        assert_eq!(kind(&ask(client, "a dancer please", model)), None, "{model}");
        let again = ask(client, "a dancer please", model);
        assert_eq!(kind(&again).is_some(), kept, "{model}: {again}");
    }
    let asked_for = json!({"cache": "use"});
    turn(client, "a cook please", None, "warm", &asked_for);
    assert_eq!(
        kind(&turn(client, "a cook please", None, "warm", &asked_for)),
        Some("exact")
    );
    // Other settings, another conversation so far, another role, a changed table: another reply.
    assert_eq!(
        kind(&turn(
            client,
            "a dancer please",
            None,
            "cold",
            &json!({"system": "Rhyme."})
        )),
        None
    );
    assert_eq!(
        kind(&turn(
            client,
            "a dancer please",
            None,
            "cold",
            &json!({"max_tokens": 9})
        )),
        None
    );
    let id = conversation(&ask(client, "a judge with a beard", "cold"));
    assert_eq!(
        kind(&turn(client, "a dancer please", Some(&id), "cold", &json!({}))),
        None
    );
    chatting_role(client, "app", &["cold"]);
    assert_eq!(
        kind(&ask(
            &mut cluster.connect("exact", "app"),
            "a dancer please",
            "cold"
        )),
        None
    );
    // The grant changed the table; what is asked then is kept anew.
    ask(client, "a dancer please", "cold");
    assert_eq!(kind(&ask(client, "a dancer please", "cold")), Some("exact"));
    run(client, "UPDATE talents SET age = age + 1 WHERE id = 5");
    assert_eq!(kind(&ask(client, "a dancer please", "cold")), None);
}

#[test]
fn another_wording_shares_a_reply_and_another_question_does_not() {
    let cluster = Cluster::start(&Options {
        settings: vec![("castmatch.semantic_audit_rate", "0".to_owned())],
        ..Options::default()
    });
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "semantic");
    let client = &mut client;
    chat_model(
        client,
        &endpoint,
        "gpt",
        "ok",
        json!({"temperature": 0, "semantic_cache": 0.85}),
    );
    chat_model(client, &endpoint, "plain", "ok~p", json!({"temperature": 0}));
    for model in ["gpt", "plain"] {
        assert_eq!(
            kind(&ask(client, "I need a classical dancer from Chennai", model)),
            None
        );
    }
    let again = ask(client, "Please, I need a classical dancer from Chennai!", "gpt");
    assert_eq!(kind(&again), Some("semantic"), "{again}");
    assert!(again["cache"]["similarity"].as_f64().unwrap() >= 0.85);
    assert!(again["cache"]["age_seconds"].as_f64().is_some());
    assert_eq!(
        kind(&ask(
            client,
            "Please, I need a classical dancer from Chennai!",
            "plain"
        )),
        None,
        "opt-in"
    );
    for other in [
        "I need a classical dancer not from Chennai",
        "I need a classical dancer from Mumbai",
        "I need two classical dancers from Chennai",
        "I need a classical singer from Chennai",
    ] {
        assert_eq!(kind(&ask(client, other, "gpt")), None, "{other}");
    }
    // A hard partition: the role, the conversation, the filter, the state of the table.
    chatting_role(client, "app", &["gpt"]);
    let app = &mut cluster.connect("semantic", "app");
    assert_eq!(
        kind(&ask(app, "Please, I need a classical dancer from Chennai", "gpt")),
        None
    );
    assert_eq!(metric(client, "castmatch_semantic_hits_total", &json!({})), 1.0);
    run(client, "UPDATE talents SET age = age + 1 WHERE id = 5");
    assert_eq!(
        kind(&ask(
            client,
            "Please, I need a classical dancer from Chennai!",
            "gpt"
        )),
        None
    );
}

#[test]
fn reuse_is_audited() {
    let cluster = Cluster::start(&Options {
        settings: vec![("castmatch.semantic_audit_rate", "1".to_owned())],
        ..Options::default()
    });
    let (mut client, endpoint) = talents_and_endpoint(&cluster, "audit");
    let client = &mut client;
    chat_model(
        client,
        &endpoint,
        "gpt",
        "ok",
        json!({"temperature": 0, "semantic_cache": 0.8}),
    );
    ask(client, "I need a classical dancer", "gpt");
    let audited = ask(client, "I need a classical dancer, please", "gpt");
    assert_eq!(kind(&audited), None, "computed all the same: {audited}");
    let audits = metric(client, "castmatch_semantic_audits_total", &json!({}));
    assert_eq!(audits, 1.0);
}
