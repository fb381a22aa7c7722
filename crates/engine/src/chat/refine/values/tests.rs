#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::filter::{Column, TypeCategory, compile};

fn known(column: &str, is_array: bool, values: &[&str]) -> KnownValues {
    KnownValues {
        column: column.to_owned(),
        is_array,
        values: values.iter().map(|&value| value.to_owned()).collect(),
    }
}

fn talents() -> Vec<KnownValues> {
    vec![
        known(
            "city",
            false,
            &["Pune", "Mumbai", "Delhi", "New Delhi", "Navi Mumbai"],
        ),
        known("languages", true, &["Hindi", "Marathi", "Tamil", "English"]),
        known("gender", false, &["female", "male"]),
        known("availability", false, &["AVAILABLE", "FULL_TIME", "no"]),
        known("native_place", false, &["Nashik", "Delhi NCR", "Goa"]),
        known("shot_in", false, &["Goa"]),
        known("tools", true, &["C", "C++"]),
    ]
}

/// `only in Pune: {"city":"Pune"}`, with a sign for what it does to an earlier one.
fn found(message: &str, continues: bool) -> Vec<String> {
    detect(message, continues, &talents())
        .iter()
        .map(|condition| {
            let sign = match condition.relation {
                _ if condition.negated => "",
                Relation::Replaces => "",
                Relation::Widens => " |",
                Relation::Adds => " &",
            };
            format!("{}: {}{sign}", condition.phrase, condition.condition())
        })
        .collect()
}

#[test]
fn words_that_demand_make_a_condition() {
    for (message, expected) in [
        ("a dancer, only in Pune", r#"only in Pune: {"city":"Pune"}"#),
        ("just Mumbai please", r#"just Mumbai: {"city":"Mumbai"}"#),
        (
            "dancers from Mumbai only",
            r#"from Mumbai only: {"city":"Mumbai"}"#,
        ),
        (
            "She must speak Hindi",
            r#"must speak Hindi: {"languages":{"contains":["Hindi"]}} &"#,
        ),
        (
            "has to be in new delhi",
            r#"has to be in new delhi: {"city":"New Delhi"}"#,
        ),
        (
            "must be based in NAVI MUMBAI",
            r#"must be based in NAVI MUMBAI: {"city":"Navi Mumbai"}"#,
        ),
        (
            "a mother who must be a Hindi speaker",
            r#"must be a Hindi speaker: {"languages":{"contains":["Hindi"]}} &"#,
        ),
        (
            "only people from Pune or Mumbai",
            r#"only people from Pune or Mumbai: {"city":{"in":["Pune","Mumbai"]}}"#,
        ),
        (
            "I only want someone from Pune",
            r#"only want someone from Pune: {"city":"Pune"}"#,
        ),
        (
            "only in Pune, Delhi, or in Mumbai",
            r#"only in Pune, Delhi, or in Mumbai: {"city":{"in":["Pune","Delhi","Mumbai"]}}"#,
        ),
        (
            "must speak Hindi and Marathi",
            r#"must speak Hindi and Marathi: {"languages":{"contains":["Hindi","Marathi"]}} &"#,
        ),
        (
            "must speak Hindi or Marathi",
            r#"must speak Hindi or Marathi: {"languages":{"overlaps":["Hindi","Marathi"]}} &"#,
        ),
        (
            "Hindi is a must",
            r#"Hindi is a must: {"languages":{"contains":["Hindi"]}} &"#,
        ),
        (
            "they need to be female",
            r#"need to be female: {"gender":"female"}"#,
        ),
        (
            "strictly full-time",
            r#"strictly full-time: {"availability":"FULL_TIME"}"#,
        ),
        (
            "must know C++",
            r#"must know C++: {"tools":{"contains":["C++"]}} &"#,
        ),
        (
            "only native place Goa",
            r#"only native place Goa: {"native_place":"Goa"}"#,
        ),
        ("nobody but Mumbai", r#"nobody but Mumbai: {"city":"Mumbai"}"#),
        (
            "no one except those in Mumbai",
            r#"no one except those in Mumbai: {"city":"Mumbai"}"#,
        ),
    ] {
        assert_eq!(found(message, false), [expected], "{message}");
    }
}

#[test]
fn words_that_exclude_make_a_negated_condition() {
    for (message, expected) in [
        (
            "nobody from Delhi",
            r#"nobody from Delhi: {"city":{"ne":"Delhi"}}"#,
        ),
        (
            "a dancer but not in Delhi",
            r#"not in Delhi: {"city":{"ne":"Delhi"}}"#,
        ),
        ("anyone except Delhi", r#"except Delhi: {"city":{"ne":"Delhi"}}"#),
        (
            "anywhere but Delhi",
            r#"anywhere but Delhi: {"city":{"ne":"Delhi"}}"#,
        ),
        (
            "no one in Pune or Mumbai",
            r#"no one in Pune or Mumbai: {"city":{"not_in":["Pune","Mumbai"]}}"#,
        ),
        (
            "no dancers from Delhi",
            r#"no dancers from Delhi: {"city":{"ne":"Delhi"}}"#,
        ),
        (
            "not in Delhi or Mumbai",
            r#"not in Delhi or Mumbai: {"city":{"not_in":["Delhi","Mumbai"]}}"#,
        ),
        (
            "neither Delhi nor Pune",
            r#"neither Delhi nor Pune: {"city":{"not_in":["Delhi","Pune"]}}"#,
        ),
        (
            "who doesn’t speak Hindi",
            r#"doesn’t speak Hindi: {"not":{"languages":{"contains":["Hindi"]}}}"#,
        ),
        (
            "without Hindi, Tamil or Marathi",
            r#"without Hindi, Tamil or Marathi: {"not":{"languages":{"overlaps":["Hindi","Tamil","Marathi"]}}}"#,
        ),
        (
            "I don't want anyone from Delhi",
            r#"don't want anyone from Delhi: {"city":{"ne":"Delhi"}}"#,
        ),
        (
            "must not speak Hindi",
            r#"not speak Hindi: {"not":{"languages":{"contains":["Hindi"]}}}"#,
        ),
        ("outside of Pune", r#"outside of Pune: {"city":{"ne":"Pune"}}"#),
        ("Delhi excluded", r#"Delhi excluded: {"city":{"ne":"Delhi"}}"#),
    ] {
        for continues in [false, true] {
            assert_eq!(found(message, continues), [expected], "{message}");
        }
    }
}

#[test]
fn descriptions_demand_nothing() {
    for message in [
        "",
        "someone from Mumbai who dances",
        "a dancer in Pune",
        "Pune",
        "in Pune?",
        "speaks Hindi and Marathi",
        "only dancers who love Mumbai",
        "she just moved to Mumbai",
        "just someone from Mumbai who dances",
        "I only speak Hindi",
        "I don't know Hindi, someone to teach me",
        "not only in Pune",
        "doesn't have to speak Hindi",
        "Hindi is not required",
        "need not speak Hindi",
        "not far from Delhi",
        "not too keen on Delhi",
        "if not in Delhi, anywhere",
        "only in Goa",
        "must know C#",
        "must be Puneri",
        "only in Old Delhi",
        "he must have seen Delhi",
        "only, in Pune",
        "only yes. Pune",
        "no problem in Delhi",
        "isn't she from Delhi",
        "I am only in Pune until Friday",
        "we shoot only in Pune",
        "is Pune required?",
        "no in Pune",
        "must say no",
        "only in Delhi, not in Delhi",
    ] {
        assert_eq!(found(message, false), Vec::<String>::new(), "{message}");
    }
    assert!(detect("only in Pune", true, &[]).is_empty());
}

#[test]
fn a_continuation_that_names_a_value_demands_it() {
    for (message, expected) in [
        ("in Pune?", r#"in Pune: {"city":"Pune"}"#),
        ("the same in Pune", r#"in Pune: {"city":"Pune"}"#),
        ("do you have someone in Pune", r#"in Pune: {"city":"Pune"}"#),
        ("and in Pune?", r#"in Pune: {"city":"Pune"}"#),
        ("What about Mumbai", r#"Mumbai: {"city":"Mumbai"}"#),
        ("why not Mumbai?", r#"Mumbai: {"city":"Mumbai"}"#),
        ("Mumbai instead", r#"Mumbai: {"city":"Mumbai"}"#),
        (
            "ok, and someone younger in Pune then?",
            r#"in Pune: {"city":"Pune"}"#,
        ),
        ("or Mumbai?", r#"Mumbai: {"city":"Mumbai"} |"#),
        ("also in Mumbai", r#"in Mumbai: {"city":"Mumbai"} |"#),
        ("Mumbai too", r#"Mumbai: {"city":"Mumbai"} |"#),
        (
            "what about Marathi?",
            r#"Marathi: {"languages":{"contains":["Marathi"]}}"#,
        ),
        (
            "and also Marathi",
            r#"Marathi: {"languages":{"contains":["Marathi"]}} &"#,
        ),
        (
            "and Marathi",
            r#"Marathi: {"languages":{"contains":["Marathi"]}} &"#,
        ),
        (
            "or Marathi",
            r#"Marathi: {"languages":{"contains":["Marathi"]}} |"#,
        ),
        (
            "only Marathi",
            r#"only Marathi: {"languages":{"contains":["Marathi"]}}"#,
        ),
        ("available?", r#"available: {"availability":"AVAILABLE"}"#),
    ] {
        assert_eq!(found(message, true), [expected], "{message}");
    }
    assert_eq!(
        found("in Pune and speaking Hindi", true),
        [
            r#"in Pune: {"city":"Pune"}"#,
            r#"speaking Hindi: {"languages":{"contains":["Hindi"]}} &"#
        ]
    );
    assert_eq!(
        found("not Pune, Mumbai", true),
        [
            r#"not Pune: {"city":{"ne":"Pune"}}"#,
            r#"Mumbai: {"city":"Mumbai"}"#
        ]
    );
    for message in [
        "is she from Pune?",
        "what about dancers in Mumbai",
        "tell me about Pune",
        "not only Pune",
    ] {
        assert_eq!(found(message, true), Vec::<String>::new(), "{message}");
    }
}

#[test]
fn a_long_message_is_read_at_its_head_and_in_time() {
    let message = format!("only in Pune. {}", "in Mumbai ".repeat(100_000));
    assert_eq!(found(&message, true), [r#"only in Pune: {"city":"Pune"}"#]);
}

fn one(message: &str) -> ValueCondition {
    let mut conditions = detect(message, true, &talents());
    assert_eq!(conditions.len(), 1, "{message}");
    conditions.pop().unwrap()
}

#[test]
fn a_later_condition_replaces_widens_or_adds() {
    for (earlier, new, expected) in [
        ("only in Mumbai", "what about Pune?", vec![r#"{"city":"Pune"}"#]),
        (
            "only in Mumbai",
            "or Pune?",
            vec![r#"{"city":{"in":["Mumbai","Pune"]}}"#],
        ),
        (
            "only in Mumbai",
            "not in Mumbai",
            vec![r#"{"city":{"ne":"Mumbai"}}"#],
        ),
        ("not in Mumbai", "what about Mumbai", vec![r#"{"city":"Mumbai"}"#]),
        (
            "not in Mumbai",
            "not in Pune",
            vec![r#"{"city":{"ne":"Mumbai"}}"#, r#"{"city":{"ne":"Pune"}}"#],
        ),
        (
            "only Mumbai or Pune",
            "not in Pune",
            vec![
                r#"{"city":{"in":["Mumbai","Pune"]}}"#,
                r#"{"city":{"ne":"Pune"}}"#,
            ],
        ),
        (
            "only in Mumbai",
            "must speak Hindi",
            vec![r#"{"city":"Mumbai"}"#, r#"{"languages":{"contains":["Hindi"]}}"#],
        ),
        (
            "must speak Hindi",
            "and must also speak Marathi",
            vec![
                r#"{"languages":{"contains":["Hindi"]}}"#,
                r#"{"languages":{"contains":["Marathi"]}}"#,
            ],
        ),
        (
            "must speak Hindi",
            "what about Marathi",
            vec![r#"{"languages":{"contains":["Marathi"]}}"#],
        ),
        (
            "must speak Hindi",
            "must speak Hindi",
            vec![r#"{"languages":{"contains":["Hindi"]}}"#],
        ),
        (
            "must speak Hindi",
            "or Marathi",
            vec![r#"{"languages":{"overlaps":["Hindi","Marathi"]}}"#],
        ),
        ("not in Mumbai", "or Pune", vec![r#"{"city":{"ne":"Mumbai"}}"#]),
    ] {
        let merged = merge(&[one(earlier)], &[one(new)]);
        let conditions: Vec<String> = merged.iter().map(|held| held.condition().to_string()).collect();
        assert_eq!(conditions, expected, "{earlier} / {new}");
    }
    let wider = widened(&one("or in Pune"), &one("only in Mumbai")).unwrap();
    assert_eq!(wider.phrase, "only in Mumbai or in Pune");
    assert!(replaces(&one("Pune?"), &wider) && !replaces(&one("must speak Hindi"), &wider));
}

#[test]
fn conditions_survive_storage_also_from_before_they_had_relations() {
    let condition = one("or in Pune");
    let stored = serde_json::to_value(&condition).unwrap();
    assert_eq!(
        serde_json::from_value::<ValueCondition>(stored).unwrap(),
        condition
    );
    let old = json!({"column": "city", "is_array": false, "values": ["Pune"], "negated": false, "phrase": "only Pune"});
    assert_eq!(
        serde_json::from_value::<ValueCondition>(old).unwrap().relation,
        Relation::Replaces
    );
}

#[test]
fn columns_named_like_combinators_compile() {
    let known = [known("or", false, &["Pune"])];
    let condition = detect("only Pune", false, &known)[0].condition();
    assert_eq!(condition, json!({"\"or\"": "Pune"}));
}

fn columns() -> Vec<Column> {
    talents()
        .into_iter()
        .map(|known| Column {
            name: known.column,
            type_oid: if known.is_array { 1009 } else { 25 },
            type_name: "text".to_owned(),
            array_type_oid: 1009,
            element_type_oid: if known.is_array { 25 } else { 0 },
            element_type_name: "text".to_owned(),
            category: if known.is_array {
                TypeCategory::Array
            } else {
                TypeCategory::Text
            },
        })
        .collect()
}

proptest! {
    #[test]
    fn every_condition_compiles_and_names_known_values(
        parts in proptest::collection::vec(
            prop_oneof![
                4 => proptest::sample::select(vec![
                    "only", "must", "not", "in", "Pune", "Mumbai", "new delhi", "Hindi", "Marathi", "or", "and", ",", "?", "also",
                    "speak", "no", "one", "except", "but", "why", "i", "want", "required", "from", "C++", "what about", "need to",
                ]).prop_map(str::to_owned),
                1 => any::<String>(),
            ],
            0..12,
        ),
        continues in any::<bool>(),
    ) {
        let message = parts.join(" ");
        let found = detect(&message, continues, &talents());
        for condition in &found {
            let compiled = compile(&condition.condition(), &columns(), "t", 1);
            prop_assert!(compiled.is_ok(), "{:?}", compiled);
            let known = talents().into_iter().find(|known| known.column == condition.column).unwrap();
            prop_assert!(!condition.values.is_empty());
            prop_assert!(condition.values.iter().all(|value| known.values.contains(value)));
            prop_assert!(!condition.phrase.is_empty() && condition.phrase.chars().count() <= 80);
            prop_assert!(found.iter().all(|other| other.column != condition.column
                || other.negated == condition.negated
                || other.values.iter().all(|value| !condition.values.contains(value))));
        }
        let twice = merge(&merge(&[], &found), &found);
        prop_assert!(twice.len() <= found.len());
    }

    #[test]
    fn arbitrary_values_are_found_as_they_are(value in "[a-zA-Z]{2,12}( [a-zA-Z]{2,12}){0,2}") {
        let known = [known("x", false, &[&value])];
        let found: Vec<Value> = detect(&format!("only in {value}"), false, &known)
            .iter().map(ValueCondition::condition).collect();
        let is_mere = !value.contains(' ') && !crate::chat::words::is_content(&value.to_lowercase());
        prop_assert_eq!(found, if is_mere { vec![] } else { vec![json!({"x": value})] });
    }
}
