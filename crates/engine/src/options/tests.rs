#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn every_option_is_read() {
    let options = parse(
        &json!({
            "cache": "bypass", "candidates": 500, "min_similarity": -0.25, "mmr": {"lambda": 0.5, "candidates": 40},
            "offset": 20, "reasons": "text", "rrf_k": 10, "semantic_weight": 2, "text_weight": 0.5,
        }),
        Verb::Match,
    )
    .unwrap();
    let expected = Options {
        cache: Usage::Bypass,
        cache_given: true,
        offset: 20,
        min_similarity: Some(-0.25),
        diversity: Some(Diversity {
            lambda: 0.5,
            candidates: Some(40),
        }),
        fusion: Fusion::new(10, 2.0, 0.5).unwrap(),
        candidates: Some(500),
        reasons: Reasons::Text,
        k: None,
        mode: None,
        speech: Speech::default(),
    };
    assert_eq!(options, expected);
    let said = parse(
        &json!({
            "system": "Be brief.", "temperature": 0.5, "max_tokens": 50, "summary": true, "title": "Dancers", "metadata": {"a": 1},
        }),
        Verb::Chat,
    )
    .unwrap();
    let expected = Speech {
        system: Some("Be brief.".to_owned()),
        temperature: Some(0.5),
        max_tokens: Some(50),
        json_schema: None,
        summary: true,
        title: Some("Dancers".to_owned()),
        metadata: Some(json!({"a": 1})),
    };
    assert_eq!(said.speech, expected);
    let shaped = parse(&json!({"json_schema": {"type": "object"}}), Verb::Generate).unwrap();
    assert_eq!(shaped.speech.json_schema, Some(json!({"type": "object"})));
    assert_eq!(parse(&json!({}), Verb::Chat), Ok(Options::default()));
    let explain = parse(&json!({"k": 3, "mode": "text", "mmr": 1}), Verb::MatchExplain).unwrap();
    assert_eq!((explain.k, explain.mode), (Some(3), Some(Mode::Text)));
    let diversity = explain.diversity.unwrap();
    assert_eq!((diversity.lambda, diversity.candidates), (1.0, None));
    for (value, reasons) in [
        (json!(true), Reasons::Full),
        (json!(false), Reasons::Left),
        (json!("text"), Reasons::Text),
    ] {
        assert_eq!(
            parse(&json!({"reasons": value}), Verb::Match).unwrap().reasons,
            reasons
        );
    }
}

#[test]
fn what_is_wrong_is_named_with_both_numbers() {
    for (verb, options, message, hint) in [
        (
            Verb::Match,
            json!([]),
            "options must be a JSON object, not an array",
            None,
        ),
        (
            Verb::Match,
            json!({"offest": 1}),
            "unknown option \"offest\" of match",
            Some("Perhaps you meant the option \"offset\"."),
        ),
        (
            Verb::Similar,
            json!({"speed": 1}),
            "unknown option \"speed\" of similar",
            Some("Options of similar are cache, candidates, min_similarity, mmr, offset, reasons."),
        ),
        (
            Verb::MatchVector,
            json!({"rrf_k": 1}),
            "option \"rrf_k\" cannot be used with match_vector",
            Some("Options of match_vector are cache, candidates, min_similarity, mmr, offset, reasons."),
        ),
        (
            Verb::Chat,
            json!({"offset": 1}),
            "option \"offset\" cannot be used with chat",
            Some(
                "Options of chat are cache, candidates, max_tokens, metadata, min_similarity, mmr, rrf_k, semantic_weight, summary, system, temperature, text_weight, title.",
            ),
        ),
        (
            Verb::Match,
            json!({"offset": -1}),
            "option \"offset\" must be between 0 and 10000, not -1",
            None,
        ),
        (
            Verb::Match,
            json!({"offset": 10001}),
            "option \"offset\" must be between 0 and 10000, not 10001",
            None,
        ),
        (
            Verb::Match,
            json!({"offset": 1.5}),
            "option \"offset\" must be a whole number, not 1.5",
            None,
        ),
        (
            Verb::Match,
            json!({"offset": "1"}),
            "option \"offset\" must be a number, not a string",
            None,
        ),
        (
            Verb::Match,
            json!({"offset": null}),
            "option \"offset\" must be a number, not null",
            None,
        ),
        (
            Verb::Match,
            json!({"min_similarity": 1.01}),
            "option \"min_similarity\" must be between -1 and 1, not 1.01",
            None,
        ),
        (
            Verb::Match,
            json!({"candidates": 0}),
            "option \"candidates\" must be between 1 and 50000, not 0",
            None,
        ),
        (
            Verb::Match,
            json!({"mmr": 2}),
            "option \"mmr\" must be between 0 and 1, not 2",
            None,
        ),
        (
            Verb::Match,
            json!({"mmr": true}),
            "option \"mmr\" must be a number or an object with \"lambda\", not a boolean",
            None,
        ),
        (
            Verb::Match,
            json!({"mmr": {}}),
            "option \"mmr.lambda\" must be a number, not null",
            None,
        ),
        (
            Verb::Match,
            json!({"mmr": {"lambda": 0.5, "candidates": 5000}}),
            "option \"mmr.candidates\" must be between 1 and 2000, not 5000",
            None,
        ),
        (
            Verb::Match,
            json!({"mmr": {"lamda": 0.5}}),
            "option \"mmr\" must be an object of \"lambda\" and \"candidates\", not one with \"lamda\"",
            None,
        ),
        (
            Verb::Match,
            json!({"semantic_weight": -1}),
            "option \"semantic_weight\" must be a number of at least 0, not -1",
            None,
        ),
        (
            Verb::Match,
            json!({"semantic_weight": 0, "text_weight": 0}),
            "leg weights must be finite, at least 0 and not both 0, not 0 and 0",
            None,
        ),
        (
            Verb::Match,
            json!({"rrf_k": -1}),
            "option \"rrf_k\" must be between 0 and 1000000, not -1",
            None,
        ),
        (
            Verb::Match,
            json!({"reasons": "short"}),
            "option \"reasons\" must be true, false or \"text\", not \"short\"",
            None,
        ),
        (
            Verb::Match,
            json!({"cache": 1}),
            "option \"cache\" cannot be 1",
            Some("It is one of \"use\", \"refresh\", \"bypass\"."),
        ),
        (
            Verb::MatchExplain,
            json!({"mode": "best"}),
            "unknown mode \"best\", must be \"hybrid\", \"semantic\" or \"text\"",
            None,
        ),
    ] {
        let error = parse(&options, verb).unwrap_err();
        assert_eq!(error.to_string(), message, "{options}");
        assert_eq!(error.hint().as_deref(), hint, "{options}");
    }
}

#[test]
fn legs_have_enough_rows_for_what_is_asked() {
    let rows = |options: Value, k| parse(&options, Verb::Match).unwrap().leg_rows(k, Mode::Text);
    assert_eq!(rows(json!({}), 1), 100);
    let fused = |k| Options::default().leg_rows(k, Mode::Hybrid);
    assert_eq!((fused(1), fused(50), fused(51)), (250, 250, 255));
    assert_eq!(rows(json!({}), 30), 150);
    assert_eq!(rows(json!({"offset": 20}), 30), 250);
    assert_eq!(rows(json!({"offset": 20, "candidates": 7}), 30), 50);
    assert_eq!(rows(json!({"candidates": 7}), 3), 7);
    assert_eq!(rows(json!({"offset": 10_000}), 10_000), 50_000);
}

#[test]
fn a_bound_on_the_similarity_needs_a_meaning_to_compare_with() {
    let options = parse(&json!({"min_similarity": 0}), Verb::Match).unwrap();
    assert_eq!(options.check_mode(Mode::Text), Err(OptionError::NeedsMeaning));
    assert_eq!(options.check_mode(Mode::Hybrid), Ok(()));
    assert_eq!(Options::default().check_mode(Mode::Text), Ok(()));
}

#[test]
fn every_option_that_decides_over_a_result_is_in_its_key() {
    let key = |options: Value| {
        let options = parse(&options, Verb::Match).unwrap();
        options.identify(Key::new(crate::cache::Kind::Match, 1, 2))
    };
    let all = [
        json!({}),
        json!({"offset": 1}),
        json!({"min_similarity": 0}),
        json!({"mmr": 0.5}),
        json!({"mmr": 0}),
        json!({"mmr": {"lambda": 0.5, "candidates": 10}}),
        json!({"rrf_k": 1}),
        json!({"semantic_weight": 2}),
        json!({"text_weight": 2}),
        json!({"candidates": 10}),
        json!({"reasons": false}),
        json!({"reasons": "text"}),
    ];
    for (place, options) in all.iter().enumerate() {
        let same: Vec<&Value> = all
            .iter()
            .filter(|other| key((*other).clone()) == key(options.clone()))
            .collect();
        assert_eq!(same, [&all[place]]);
    }
    assert_eq!(key(json!({"cache": "refresh"})), key(json!({})));
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        (0.0..1.0).prop_map(|n: f64| json!(n)),
        (0..100u32).prop_map(|n| json!(n)),
        any::<String>().prop_map(Value::String),
        proptest::sample::select(vec!["use", "refresh", "bypass", "text", "hybrid", "semantic"])
            .prop_map(|v| json!(v)),
        (any::<f64>(), any::<i32>())
            .prop_map(|(lambda, candidates)| json!({"lambda": lambda, "candidates": candidates})),
        (0.0..1.0, 1..2000u32)
            .prop_map(|(lambda, candidates): (f64, u32)| json!({"lambda": lambda, "candidates": candidates})),
    ]
}

fn any_options() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        9 => proptest::sample::select(Verb::Match.options().chain(Verb::MatchExplain.options()).collect::<Vec<_>>())
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    proptest::collection::vec((name, any_value()), 0..4)
        .prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

fn any_verb() -> impl Strategy<Value = Verb> {
    proptest::sample::select(vec![
        Verb::Match,
        Verb::MatchVector,
        Verb::Similar,
        Verb::MatchExplain,
        Verb::Chat,
    ])
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_within_bounds(options in any_options(), verb in any_verb(), k in 0..=MAX_K) {
        match parse(&options, verb) {
            Ok(parsed) => {
                prop_assert!(options.as_object().unwrap().keys().all(|name| verb.options().any(|option| option == name)));
                prop_assert!(parsed.offset <= MAX_OFFSET);
                prop_assert!(parsed.k.unwrap_or(0) <= MAX_K);
                prop_assert!(parsed.min_similarity.is_none_or(|bound| (-1.0..=1.0).contains(&bound)));
                let rows = parsed.leg_rows(k, Mode::Hybrid);
                prop_assert!((k + parsed.offset..=MAX_CANDIDATES).contains(&rows));
                if let Some(diversity) = parsed.diversity {
                    prop_assert!((0.0..=1.0).contains(&diversity.lambda));
                    prop_assert!(diversity.pool(k) <= MAX_DIVERSE);
                }
            }
            Err(error) => {
                let message = error.to_string();
                prop_assert!(message.chars().count() < 250, "{message}");
                prop_assert!(!message.contains('\n'), "{message}");
            }
        }
    }

    #[test]
    fn what_is_no_object_is_refused(value in any_value().prop_filter("an object", |value| !value.is_object())) {
        prop_assert!(parse(&value, Verb::Match).is_err());
    }
}
