#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

fn chat(options: Value) -> Result<Options, RegistryError> {
    Options::parse(Task::Chat, Provider::OpenAi, &options)
}

#[test]
fn every_option_is_read() {
    let parsed = chat(json!({
        "url": "https://x/v1", "model": "m", "timeout_ms": 5000, "max_attempts": 2, "temperature": 0, "max_tokens": 100,
        "headers": {"x-a": "b"}, "fallback": "other", "price": {"prompt": 1.5, "completion": 2}, "secret_env": "KEY",
        "ca_file": "/etc/ca.pem", "system": "Be brief.", "context_tokens": 4096, "rewrite": "rules", "semantic_cache": 0.95,
    }))
    .unwrap();
    let expected = Options {
        url: Some("https://x/v1".to_owned()),
        model: Some("m".to_owned()),
        timeout: Duration::from_secs(5),
        max_attempts: 2,
        temperature: Some(0.0),
        max_tokens: Some(100),
        headers: [("x-a".to_owned(), "b".to_owned())].into(),
        fallback: Some("other".to_owned()),
        price: crate::usage::Price {
            prompt: 1.5,
            completion: 2.0,
        },
        secret: Some(SecretSource::Environment("KEY".to_owned())),
        ca_file: Some(PathBuf::from("/etc/ca.pem")),
        system: Some("Be brief.".to_owned()),
        context_tokens: 4096,
        rewrite: Rewrite::Rules,
        semantic_cache: Some(0.95),
        ..Options::default()
    };
    assert_eq!(parsed, expected);
    let embedding =
        json!({"url": "http://x", "dimensions": 256, "batch_size": 10, "secret_file": "/run/key"});
    let parsed = Options::parse(Task::Embedding, Provider::OpenAi, &embedding).unwrap();
    assert_eq!((parsed.dimensions, parsed.batch_size), (Some(256), 10));
    assert_eq!(parsed.secret, Some(SecretSource::File(PathBuf::from("/run/key"))));
}

#[test]
fn what_is_wrong_is_told_with_a_remedy() {
    for (options, message, hint) in [
        (json!([]), "options must be a JSON object, not an array", ""),
        (
            json!({}),
            "a model of provider \"openai\" needs the option \"url\"",
            "base URL",
        ),
        (
            json!({"url": "u", "timeoutms": 1}),
            "unknown option \"timeoutms\" of a model",
            "\"timeout_ms\"",
        ),
        (
            json!({"url": "u", "zzz": 1}),
            "unknown option \"zzz\" of a model",
            "Options are ca_file, context_tokens",
        ),
        (
            json!({"url": "u", "dimensions": 3}),
            "option \"dimensions\" cannot be used with provider \"openai\" and task \"chat\"",
            "",
        ),
        (
            json!({"url": 3}),
            "option \"url\" must be a string, not a number",
            "",
        ),
        (
            json!({"url": ""}),
            "option \"url\" must be a text that is not empty and not too long, not an empty one",
            "",
        ),
        (
            json!({"url": "u", "timeout_ms": 5}),
            "option \"timeout_ms\" must be between 10 and 600000, not 5",
            "",
        ),
        (
            json!({"url": "u", "max_attempts": 1.5}),
            "option \"max_attempts\" must be a whole number, not 1.5",
            "",
        ),
        (
            json!({"url": "u", "secret_env": "A", "secret_file": "/b"}),
            "options \"secret_env\" and \"secret_file\" exclude each other",
            "",
        ),
        (
            json!({"url": "u", "secret_file": "key"}),
            "option \"secret_file\" must be an absolute path, not \"key\"",
            "",
        ),
        (
            json!({"url": "u", "price": {"input": 1}}),
            "option \"price\" must be an object of \"prompt\" and \"completion\", not one with \"input\"",
            "",
        ),
        (
            json!({"url": "u", "semantic_cache": 0.5}),
            "option \"semantic_cache\" must be between 0.8 and 1, not 0.5",
            "",
        ),
        (
            json!({"url": "u", "headers": []}),
            "option \"headers\" must be a JSON object, not an array",
            "",
        ),
        (
            json!({"url": "u", "rewrite": "no"}),
            "option \"rewrite\" must be \"model\" or \"rules\", not \"no\"",
            "",
        ),
    ] {
        let error = chat(options.clone()).unwrap_err();
        assert_eq!(error.to_string(), message, "{options}");
        let told = error.hint().unwrap_or_default();
        assert!(told.contains(hint), "{options}: {told}");
    }
    assert!(
        Task::parse("image")
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("\"embedding\" and \"chat\"")
    );
    assert!(
        Provider::parse("x")
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("\"builtin\" and \"openai\"")
    );
    let local = Options::parse(Task::Embedding, Provider::Builtin, &json!({})).unwrap_err();
    assert_eq!(
        local.to_string(),
        "a model of provider \"builtin\" needs the option \"model\""
    );
}

#[test]
fn null_takes_an_option_out() {
    let merged = merge(
        &json!({"url": "u", "max_tokens": 5}),
        &json!({"max_tokens": null, "temperature": 1}),
    )
    .unwrap();
    assert_eq!(merged, json!({"url": "u", "temperature": 1}));
    assert_eq!(chat(json!({"url": "u", "system": null})).unwrap().system, None);
}

#[test]
fn where_a_key_goes_is_a_superusers_choice() {
    let plain = chat(json!({"url": "http://a"})).unwrap();
    let keyed = chat(json!({"url": "http://a", "secret_env": "K"})).unwrap();
    let elsewhere = chat(json!({"url": "http://b", "secret_env": "K"})).unwrap();
    let with_header =
        chat(json!({"url": "http://a", "secret_env": "K", "headers": {"x": "{secret}"}})).unwrap();
    let with_ca = chat(json!({"url": "http://a", "ca_file": "/x"})).unwrap();
    let warmer = chat(json!({"url": "http://a", "secret_env": "K", "temperature": 1})).unwrap();
    assert!(plain.needs_superuser(&keyed));
    assert!(keyed.needs_superuser(&elsewhere));
    assert!(keyed.needs_superuser(&with_header));
    assert!(plain.needs_superuser(&with_ca));
    assert!(!keyed.needs_superuser(&warmer));
    assert!(!keyed.needs_superuser(&plain), "taking the key away is harmless");
    assert!(!plain.needs_superuser(&chat(json!({"url": "http://b"})).unwrap()));
}

#[test]
fn the_version_follows_what_decides_the_answers() {
    let version = |options| {
        Definition::new("m", "chat", "openai", &options)
            .unwrap()
            .version()
    };
    let base = version(json!({"url": "http://a"}));
    assert_eq!(
        base,
        version(json!({"url": "http://a", "timeout_ms": 100, "model": "m"}))
    );
    for other in [
        json!({"url": "http://b"}),
        json!({"url": "http://a", "model": "n"}),
        json!({"url": "http://a", "temperature": 0}),
        json!({"url": "http://a", "max_tokens": 5}),
        json!({"url": "http://a", "system": "s"}),
        json!({"url": "http://a", "rewrite": "rules"}),
        json!({"url": "http://a", "context_tokens": 1000}),
        json!({"url": "http://a", "headers": {"x": "y"}}),
    ] {
        assert_ne!(base, version(other.clone()), "{other}");
    }
    let embedding = |options| Definition::new("m", "embedding", "openai", &options).unwrap();
    let here = embedding(json!({"url": "http://a", "dimensions": 3}));
    let moved = embedding(json!({"url": "http://b", "dimensions": 3}));
    assert_eq!(here.version(), moved.version(), "the same model at another place");
    assert_ne!(here.address(), moved.address());
    assert_ne!(here.version(), embedding(json!({"url": "http://a"})).version());
    assert_ne!(
        here.version(),
        embedding(json!({"url": "http://a", "dimensions": 3, "model": "n"})).version()
    );
}

#[test]
fn a_prompt_leaves_room_for_the_reply() {
    let options = chat(json!({"url": "u", "context_tokens": 2000, "max_tokens": 500})).unwrap();
    assert_eq!(options.prompt_budget(""), 1500);
    assert_eq!(options.prompt_budget(&"word ".repeat(80)), 1400);
    let small = chat(json!({"url": "u", "context_tokens": 512})).unwrap();
    assert_eq!(small.prompt_budget(""), 256);
}

proptest! {
    #[test]
    fn no_value_of_an_option_panics(name in "[a-z_]{1,16}|url|price|headers|secret_file|temperature", number in any::<f64>(), text in ".{0,80}") {
        for value in [json!(number), json!(text), json!([number]), json!({ &text: number })] {
            let _ = chat(json!({"url": "u", &name: value}));
        }
    }
}
