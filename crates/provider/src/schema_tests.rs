#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn reply_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"query": {"type": "string", "maxLength": 20}, "limit": {"type": "integer", "minimum": 1}},
        "required": ["query"],
        "additionalProperties": false,
    })
}

#[test]
fn values_conform_or_differ_at_a_place_that_is_told() {
    let schema = reply_schema();
    assert_eq!(check_schema(&schema), Ok(()));
    assert_eq!(conforms(&schema, &json!({"query": "red", "limit": 2})), Ok(()));
    let error = conforms(&schema, &json!({"query": "red", "limit": 0})).unwrap_err();
    assert!(error.starts_with("at \"/limit\": "), "{error}");
    for value in [
        json!({}),
        json!([]),
        json!({"query": 1}),
        json!({"query": "a", "more": 1}),
    ] {
        assert!(conforms(&schema, &value).is_err(), "{value}");
    }
}

#[test]
fn schemas_that_are_none_are_told() {
    for schema in [
        json!({"type": "text"}),
        json!({"properties": []}),
        json!(7),
        json!({"pattern": "("}),
    ] {
        assert!(check_schema(&schema).is_err(), "{schema}");
        assert!(conforms(&schema, &json!("a")).is_err(), "{schema}");
    }
    assert_eq!(check_schema(&json!({})), Ok(()));
    assert_eq!(check_schema(&json!(true)), Ok(()));
}

#[test]
fn nothing_is_fetched() {
    for reference in [
        "http://127.0.0.1:1/schema",
        "https://example.com/schema",
        "file:///etc/hostname",
        "other.json",
    ] {
        let error = check_schema(&json!({"$ref": reference})).unwrap_err();
        assert!(!error.is_empty());
        assert!(
            check_schema(&json!({"properties": {"a": {"$ref": reference}}})).is_err(),
            "{reference}"
        );
    }
    let inside =
        json!({"$defs": {"word": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/word"}}});
    assert_eq!(conforms(&inside, &json!({"a": "b"})), Ok(()));
    assert!(conforms(&inside, &json!({"a": 1})).is_err());
}

#[test]
fn trees_have_schemas_that_refer_to_themselves() {
    let tree =
        json!({"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": false});
    assert_eq!(conforms(&tree, &json!({"child": {"child": {}}})), Ok(()));
    assert!(conforms(&tree, &json!({"child": {"child": 1}})).is_err());
}

#[test]
fn schemas_that_go_round_without_end_are_refused() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"anyOf": [{"not": {"$ref": "#"}}]}),
    ] {
        assert!(check_schema(&schema).is_err(), "{schema}");
        assert!(conforms(&schema, &json!({"a": [1, 2]})).is_err(), "{schema}");
    }
}

/// Definitions, each made from the reference to the next, and the last one a number.
fn chain(length: usize, link: impl Fn(Value) -> Value) -> Value {
    let mut definitions = serde_json::Map::new();
    for i in 0..length {
        let next = json!({"$ref": format!("#/$defs/a{}", i + 1)});
        definitions.insert(format!("a{i}"), link(next));
    }
    definitions.insert(format!("a{length}"), json!({"type": "integer"}));
    json!({"$defs": definitions, "$ref": "#/$defs/a0"})
}

#[test]
fn schemas_are_bounded_in_size_and_depth() {
    let long = chain(1000, |next| next);
    assert_eq!(
        check_schema(&long).unwrap_err(),
        "the schema has more than 2000 values"
    );
    let deep = chain(400, |next| json!({"allOf": [next]}));
    assert_eq!(
        check_schema(&deep).unwrap_err(),
        "the schema refers to itself more than 512 deep"
    );
    let fits = chain(150, |next| json!({"allOf": [next]}));
    assert_eq!(conforms(&fits, &json!(1)), Ok(()));
    assert!(conforms(&fits, &json!("a")).is_err());
}

#[test]
fn schemas_that_would_take_for_ever_are_refused() {
    let doubled = chain(40, |next| json!({"allOf": [next, next]}));
    assert_eq!(
        check_schema(&doubled).unwrap_err(),
        "the schema takes more than 1000000 comparisons"
    );
    // Harmless alone, but with a deep value each level doubles.
    let branches = json!({"allOf": [
        {"properties": {"a": {"$ref": "#"}}},
        {"properties": {"a": {"$ref": "#"}}},
    ]});
    assert_eq!(check_schema(&branches), Ok(()));
    let nested = |levels: usize| (0..levels).fold(json!({}), |value, _| json!({"a": value}));
    assert_eq!(conforms(&branches, &nested(8)), Ok(()));
    let error = conforms(&branches, &nested(60)).unwrap_err();
    assert_eq!(error, "the schema takes more than 1000000 comparisons");
}

#[test]
fn what_is_within_the_bounds_fits_a_small_stack() {
    let work = || {
        let list = chain(250, |next| json!({"properties": {"a": next}}));
        let long = (0..250).fold(json!(1), |value, _| json!({"a": value}));
        assert_eq!(conforms(&list, &long), Ok(()));
        let tree = json!({"allOf": [{"properties": {"a": {"$ref": "#"}}}]});
        let deep = (0..120).fold(json!({}), |value, _| json!({"a": value}));
        assert_eq!(conforms(&tree, &deep), Ok(()));
        let negated = chain(100, |next| json!({"anyOf": [{"not": {"not": next}}]}));
        assert_eq!(conforms(&negated, &json!(1)), Ok(()));
        assert!(conforms(&negated, &json!("a")).is_err());
    };
    let thread = std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(work)
        .unwrap();
    thread.join().unwrap();
}

#[test]
fn errors_quote_no_more_than_a_little() {
    let long = "canary ".repeat(1000);
    let error = conforms(&json!({"type": "integer"}), &json!(long)).unwrap_err();
    assert!(error.chars().count() <= MAX_ERROR_CHARS, "{error}");
}

proptest! {
    #[test]
    fn any_schema_and_value_are_judged(schema in any_json(), value in any_json()) {
        if conforms(&schema, &value).is_ok() {
            prop_assert_eq!(check_schema(&schema), Ok(()));
        }
    }
}

/// JSON that is often nearly a schema.
fn any_json() -> impl Strategy<Value = Value> {
    let word = "(type|properties|items|required|string|object|array|enum|const|minimum|allOf|not|\\$ref|#|a)";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word, inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}
