#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::tests::columns;
use super::*;

/// Any JSON, with keys that often are columns, operators or combinators.
fn any_json() -> impl Strategy<Value = Value> {
    let names: Vec<String> = columns().into_iter().map(|column| column.name).collect();
    let operators: Vec<String> = Operator::ALL
        .iter()
        .map(|operator| operator.name().to_owned())
        .collect();
    let key = prop_oneof![
        4 => proptest::sample::select(names),
        2 => any_path(),
        4 => proptest::sample::select(operators),
        2 => proptest::sample::select(vec!["or".to_owned(), "and".to_owned(), "not".to_owned()]),
        1 => any::<String>(),
    ];
    any_scalar().prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// JSON values that hold no others.
pub(crate) fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        any::<String>().prop_map(Value::String),
    ]
}

/// Paths, mostly well-formed, into columns that have some and one that has not.
fn any_path() -> impl Strategy<Value = String> {
    let element = prop_oneof![
        4 => "[a-z0-9-]{1,4}",
        1 => ".{0,6}",
        4 => any::<String>().prop_map(|element| format!("\"{}\"", element.replace('"', "\"\""))),
    ];
    let column = prop_oneof![
        9 => proptest::sample::select(vec!["extra", "raw", "\"extra\""]),
        1 => Just("age"),
    ];
    (column, proptest::collection::vec(element, 0..4))
        .prop_map(|(column, elements)| format!("{column}.{}", elements.join(".")))
}

/// Filters that mostly compile.
fn plausible_filter() -> impl Strategy<Value = Value> {
    let text = ".{0,12}";
    let test = prop_oneof![
        text.prop_map(|v| json!({"gender": v})),
        (any::<i32>(), any::<f64>()).prop_map(|(a, b)| json!({"age": {"gte": a, "lt": b}})),
        proptest::collection::vec(text, 0..5).prop_map(|v| json!({"city": {"in": v}})),
        proptest::collection::vec(text, 0..5).prop_map(|v| json!({"languages": {"overlaps": v}})),
        proptest::collection::vec(text, 0..5).prop_map(|v| json!({"odd": {"not_in": v}})),
        text.prop_map(|v| json!({"\"or\"": {"contains": v}})),
        any::<bool>().prop_map(|v| json!({"born": {"is_null": v}})),
        (any_path(), any::<f64>()).prop_map(|(path, v)| json!({path: {"gte": v, "ne": true}})),
        (any_path(), text).prop_map(|(path, v)| json!({path: {"contains": v, "like": v, "is_null": false}})),
        (any_path(), proptest::collection::vec(text, 0..5))
            .prop_map(|(path, v)| json!({path: {"in": v, "overlaps": v, "contains": v}})),
    ];
    test.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| json!({"or": v})),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| json!({"and": v})),
            inner.prop_map(|v| json!({"not": v})),
        ]
    })
}

/// The parameter numbers in SQL text, outside quoted identifiers.
fn references(sql: &str) -> Vec<usize> {
    let unquoted: String = sql.split('"').step_by(2).collect();
    unquoted
        .split('$')
        .skip(1)
        .map(|rest| {
            rest.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
                .parse()
                .unwrap()
        })
        .collect()
}

/// PostgreSQL's reading of a one-dimensional array literal (`ReadArrayStr`), for literals with every element quoted.
fn parse_array(literal: &str) -> Option<Vec<String>> {
    let mut rest = literal.strip_prefix('{')?.strip_suffix('}')?.chars().peekable();
    let mut elements = Vec::new();
    while rest.peek().is_some() {
        if !elements.is_empty() && rest.next()? != ',' {
            return None;
        }
        if rest.next()? != '"' {
            return None;
        }
        let mut element = String::new();
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => element.push(rest.next()?),
                other => element.push(other),
            }
        }
        elements.push(element);
    }
    Some(elements)
}

fn balanced(sql: &str) -> bool {
    let mut depth = 0_i64;
    for c in sql.split('"').step_by(2).flat_map(str::chars) {
        depth += i64::from(c == '(') - i64::from(c == ')');
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn compile_and_describe_never_panic(filter in any_json()) {
        if let Err(error) = compile(&filter, &columns(), "t", 1) {
            let message = error.to_string();
            prop_assert!(!message.is_empty() && !message.ends_with('.') && !message.contains('\n'));
            for sentence in [error.detail(), error.hint()].into_iter().flatten() {
                prop_assert!(sentence.ends_with('.') && !sentence.contains('\n'));
            }
        }
        for text in describe(&filter) {
            prop_assert!(!text.chars().any(char::is_control));
        }
    }

    #[test]
    fn every_parameter_is_referred_to(filter in plausible_filter(), first in 1_usize..100) {
        let Ok(result) = compile(&filter, &columns(), "t", first) else { return Ok(()) };
        let mut found = references(&result.sql);
        if result.paths.is_empty() {
            prop_assert_eq!(found.len(), result.parameters.len());
        }
        found.sort_unstable();
        found.dedup();
        let expected: Vec<usize> = (first..first + result.parameters.len()).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(balanced(&result.sql));
        let unique: BTreeSet<&String> = result.columns.iter().collect();
        prop_assert_eq!(unique.len(), result.columns.len());
        let unique: BTreeSet<&Reference> = result.paths.iter().collect();
        prop_assert_eq!(unique.len(), result.paths.len());
        prop_assert!(result.paths.iter().all(|path| result.columns.contains(&path.column)));
    }

    #[test]
    fn elements_of_paths_never_reach_the_sql_text(elements in proptest::collection::vec("[^\0]{0,8}", 1..5)) {
        let path: Vec<String> = elements.iter().map(|element| format!("§{element}")).collect();
        for column in ["extra", "raw"] {
            let reference = Reference { column: column.to_owned(), path: path.clone() };
            for test in [json!(1), json!({"contains": "x"}), json!({"overlaps": [1]}), json!({"is_null": true})] {
                let result = compile(&json!({reference.to_string(): test}), &columns(), "t", 1).unwrap();
                prop_assert!(!result.sql.contains('§'));
                prop_assert_eq!(&result.paths, std::slice::from_ref(&reference));
                prop_assert_eq!(result.parameters[0].type_oid, 1009);
                prop_assert_eq!(parse_array(&result.parameters[0].text), Some(path.clone()));
            }
        }
    }

    #[test]
    fn looking_up_a_path_never_panics(value in any_json(), path in proptest::collection::vec("[a-z0-9 +-]{0,3}", 0..5)) {
        let found = value_at(&value, &path);
        prop_assert!(!path.is_empty() || found == &value);
    }

    #[test]
    fn values_never_reach_the_sql_text(value in "\\PC{1,20}") {
        let marked = format!("§{value}");
        let filter = json!({"or": [{"gender": &marked}, {"city": {"in": [&marked]}}, {"languages": {"contains": &marked}}]});
        let result = compile(&filter, &columns(), "t", 1).unwrap();
        prop_assert!(!result.sql.contains('§'));
        prop_assert_eq!(result.parameters.len(), 3);
    }

    #[test]
    fn array_parameters_round_trip(values in proptest::collection::vec(any::<String>(), 1..8)) {
        let filter = json!({"languages": {"contains": &values}});
        match compile(&filter, &columns(), "t", 1) {
            Ok(result) => prop_assert_eq!(parse_array(&result.parameters[0].text), Some(values)),
            Err(error) => {
                prop_assert!(matches!(error, FilterError::NulCharacter { .. }), "{}", error);
                prop_assert!(values.iter().any(|value| value.contains('\0')));
            }
        }
    }
}
