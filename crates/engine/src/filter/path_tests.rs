#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::tests::{Case, columns};
use super::*;

fn compiled(filter: Value) -> Compiled {
    compile(&filter, &columns(), "t", 3).unwrap_or_else(|e| panic!("{filter}: {e}"))
}

fn error(filter: Value) -> FilterError {
    compile(&filter, &columns(), "t", 3).unwrap_err()
}

/// SQL as it is, with short names for the parts that every test repeats.
fn expanded(short: &str) -> String {
    short
        .replace("{kind}", "pg_catalog.jsonb_typeof({value})")
        .replace("{value}", r#"(t."extra" OPERATOR(pg_catalog.#>) $3)"#)
        .replace("{text}", r#"(t."extra" OPERATOR(pg_catalog.#>>) $3)"#)
}

#[test]
fn each_operator_asks_for_the_kind_first() {
    const JSONB: u32 = 3802;
    const JSONB_ARRAY: u32 = 3807;
    let cases: Vec<Case> = vec![
        (
            json!(170),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'number' THEN {value} OPERATOR(pg_catalog.=) $4 END)",
            &[(JSONB, "170")],
        ),
        (
            json!({"ne": "a\"b"}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'string' THEN {value} OPERATOR(pg_catalog.<>) $4 END)",
            &[(JSONB, r#""a\"b""#)],
        ),
        (
            json!(true),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'boolean' THEN {value} OPERATOR(pg_catalog.=) $4 END)",
            &[(JSONB, "true")],
        ),
        (
            json!({"eq": {"a": [null]}}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'object' THEN {value} OPERATOR(pg_catalog.=) $4 END)",
            &[(JSONB, r#"{"a":[null]}"#)],
        ),
        (
            json!({"gte": 1.5}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'number' THEN {value} OPERATOR(pg_catalog.>=) $4 END)",
            &[(JSONB, "1.5")],
        ),
        (
            json!({"lt": "m"}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'string' THEN {value} OPERATOR(pg_catalog.<) $4 END)",
            &[(JSONB, "\"m\"")],
        ),
        (
            json!({"in": [1, 2]}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'number' THEN {value} OPERATOR(pg_catalog.=) ANY ($4) END)",
            &[(JSONB_ARRAY, r#"{"1","2"}"#)],
        ),
        (
            json!({"not_in": ["x", 1, "y"]}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'number' OR {kind} OPERATOR(pg_catalog.=) 'string' \
             THEN {value} OPERATOR(pg_catalog.<>) ALL ($4) END)",
            &[(JSONB_ARRAY, r#"{"\"x\"","1","\"y\""}"#)],
        ),
        (
            json!({"like": "a%"}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'string' THEN {text} OPERATOR(pg_catalog.~~) $4 END)",
            &[(25, "a%")],
        ),
        (
            json!({"ilike": "a%"}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'string' THEN {text} OPERATOR(pg_catalog.~~*) $4 END)",
            &[(25, "a%")],
        ),
        (
            json!({"contains": ["a", null]}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'array' THEN {value} OPERATOR(pg_catalog.@>) $4 END)",
            &[(JSONB, r#"["a",null]"#)],
        ),
        (
            json!({"contains": 5}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'array' THEN {value} OPERATOR(pg_catalog.@>) $4 END)",
            &[(JSONB, "[5]")],
        ),
        (
            json!({"contains": "Hindi"}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'array' THEN {value} OPERATOR(pg_catalog.@>) $4 \
             WHEN {kind} OPERATOR(pg_catalog.=) 'string' \
             THEN pg_catalog.strpos({text}, $5) OPERATOR(pg_catalog.>) 0 END)",
            &[(JSONB, "[\"Hindi\"]"), (25, "Hindi")],
        ),
        (
            json!({"contains": {"year": 2020}}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'array' THEN {value} OPERATOR(pg_catalog.@>) $4 \
             WHEN {kind} OPERATOR(pg_catalog.=) 'object' THEN {value} OPERATOR(pg_catalog.@>) $5 END)",
            &[(JSONB, "[{\"year\":2020}]"), (JSONB, "{\"year\":2020}")],
        ),
        (
            json!({"overlaps": ["a", 1]}),
            "(CASE WHEN {kind} OPERATOR(pg_catalog.=) 'array' \
             THEN EXISTS (SELECT FROM pg_catalog.jsonb_array_elements({value}) AS e (v) \
             WHERE e.v OPERATOR(pg_catalog.=) ANY ($4)) END)",
            &[(JSONB_ARRAY, r#"{"\"a\"","1"}"#)],
        ),
        (
            json!({"is_null": true}),
            "(COALESCE({kind}, 'null') OPERATOR(pg_catalog.=) 'null')",
            &[],
        ),
        (
            json!({"is_null": false}),
            "(COALESCE({kind}, 'null') OPERATOR(pg_catalog.<>) 'null')",
            &[],
        ),
    ];
    for (test, sql, parameters) in cases {
        let result = compiled(json!({"extra.a.0": test}));
        assert_eq!(result.sql, expanded(sql), "{test}");
        let found: Vec<(u32, &str)> = result
            .parameters
            .iter()
            .map(|p| (p.type_oid, p.text.as_str()))
            .collect();
        assert_eq!(found[0], (1009, r#"{"a","0"}"#), "{test}");
        assert_eq!(&found[1..], parameters, "{test}");
        assert_eq!(result.columns, ["extra"]);
    }
    assert_eq!(compiled(json!({"extra.a": {"in": []}})).sql, "false");
    assert_eq!(compiled(json!({"extra.a": {"not_in": []}})).sql, "true");
}

#[test]
fn json_is_read_as_jsonb_only_where_that_cannot_fail() {
    let sql = compiled(json!({"raw.a": 1})).sql;
    let guards = [
        r#"(CASE WHEN t."raw"::pg_catalog.text OPERATOR(pg_catalog.!~) E'\\\\u(0000|"#,
        r#" THEN t."raw"::pg_catalog.jsonb WHEN pg_catalog.regexp_replace(t."raw"::pg_catalog.text, E'\\\\\\\\|"#,
        r#" THEN t."raw"::pg_catalog.jsonb END) OPERATOR(pg_catalog.#>) $3)"#,
    ];
    for guard in guards {
        assert!(sql.contains(guard), "{guard} in {sql}");
    }
    assert_eq!(
        sql.matches("::pg_catalog.jsonb").count(),
        4,
        "two guarded casts for each of two uses: {sql}"
    );
}

#[test]
fn names_each_column_and_path_once() {
    let result = compiled(json!({"and": [
        {"extra.a": {"gt": 1, "lt": 9}}, {"extra.\"a\"": {"ne": 2}}, {"extra.b": {"in": []}}, {"age": 1},
        {"extra": {"is_null": false}}, {"\"extra\".c": 1},
    ]}));
    assert_eq!(result.columns, ["extra", "age"]);
    let names: Vec<String> = result.paths.iter().map(Reference::to_string).collect();
    assert_eq!(names, ["extra.a", "extra.b", "extra.c"]);
    let row = json!({"a": 5});
    assert_eq!(result.paths[0].value_in(&row), &json!(5));
    assert_eq!(result.paths[1].value_in(&row), &Value::Null);
}

fn with_columns(names: &[(&str, u32)]) -> Vec<Column> {
    let template = columns().remove(0);
    names
        .iter()
        .map(|&(name, type_oid)| Column {
            name: name.to_owned(),
            type_oid,
            ..template.clone()
        })
        .collect()
}

#[test]
fn finds_column_and_elements() {
    let columns = with_columns(&[
        ("p", 3802),
        ("p.q", 3802),
        ("p.text", 25),
        ("p.exact", 3802),
        ("we\"ird.", 3802),
        ("or", 3802),
    ]);
    for (name, column, path) in [
        ("p.a", "p", vec!["a"]),
        ("p.q.a", "p.q", vec!["a"]),
        ("p.q2.a", "p", vec!["q2", "a"]),
        // Columns of JSON come before longer names of other types.
        ("p.text.a", "p", vec!["text", "a"]),
        (r#"p."a.b".c"#, "p", vec!["a.b", "c"]),
        (r#"p."q".a"#, "p", vec!["q", "a"]),
        (r#""p.q"."a""#, "p.q", vec!["a"]),
        (r#"p."say ""hi""!"."""#, "p", vec!["say \"hi\"!", ""]),
        (r"p.a\b.'c'.{d}", "p", vec![r"a\b", "'c'", "{d}"]),
        ("p. a .-1", "p", vec![" a ", "-1"]),
        ("we\"ird..a", "we\"ird.", vec!["a"]),
        (r#""we""ird.".a"#, "we\"ird.", vec!["a"]),
        ("or.a", "or", vec!["a"]),
    ] {
        let result = compile(&json!({name: 1}), &columns, "t", 1).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = Reference {
            column: column.to_owned(),
            path: path.iter().map(|&element| element.to_owned()).collect(),
        };
        assert_eq!(result.paths, [expected], "{name}");
        assert_eq!(result.columns, [column], "{name}");
    }
    // An exact name wins, plain or quoted.
    for name in ["p.exact", "\"p.exact\""] {
        let result = compile(&json!({name: 1}), &columns, "t", 1).unwrap();
        assert_eq!(
            (result.columns[0].as_str(), result.paths.len()),
            ("p.exact", 0),
            "{name}"
        );
    }
}

#[test]
fn a_wrong_path_is_named() {
    let malformed = "Elements are separated by dots; write one that holds a dot or a quote, or is empty, in double \
                     quotes, with inner quotes doubled.";
    for (filter, message, hint) in [
        (
            json!({"age.years": 1}),
            "path \"age.years\" leads into column \"age\" of type integer, which has no paths",
            Some("Paths lead into columns of type jsonb or json."),
        ),
        (
            json!({"extra.": 1}),
            "path \"extra.\" has an empty element or a double quote out of place",
            Some(malformed),
        ),
        (
            json!({"extra.a..b": 1}),
            "path \"extra.a..b\" has an empty element or a double quote out of place",
            Some(malformed),
        ),
        (
            json!({"extra.\"a": 1}),
            "path \"extra.\"a\" has an empty element or a double quote out of place",
            Some(malformed),
        ),
        (
            json!({"extra.\"a\"b": 1}),
            "path \"extra.\"a\"b\" has an empty element or a double quote out of place",
            Some(malformed),
        ),
        (
            json!({"extra.a\"b": 1}),
            "path \"extra.a\"b\" has an empty element or a double quote out of place",
            Some(malformed),
        ),
        (
            json!({"extra.a\u{0}": 1}),
            "path \"extra.a \" contains a null character",
            None,
        ),
        (
            json!({"extra": {"height": {"gte": 170}}}),
            "unknown operator \"height\" for column \"extra\" in the filter",
            Some(
                "A path into a jsonb column is written as in \"extra.height\". Operators are eq, ne, in, not_in, gt, \
                 gte, lt, lte, contains, overlaps, like, ilike, is_null.",
            ),
        ),
        (
            json!({"xtra.a": 1}),
            "column \"xtra.a\" named in the filter does not exist",
            Some("Perhaps you meant the column \"extra\"."),
        ),
        (
            json!({"extra.a": {"gt": true}}),
            "operator \"gt\" for path \"extra.a\" in the filter needs a number or a string, not a boolean",
            None,
        ),
        (
            json!({"extra.a": {"in": 1}}),
            "operator \"in\" for path \"extra.a\" in the filter needs an array, not a number",
            None,
        ),
        (
            json!({"extra.a": {"like": 1}}),
            "operator \"like\" for path \"extra.a\" in the filter needs a string, not a number",
            None,
        ),
        (
            json!({"extra.a": {"is_null": 1}}),
            "operator \"is_null\" for path \"extra.a\" in the filter needs true or false, not a number",
            None,
        ),
        (
            json!({"extra.a": {"in": [1, null]}}),
            "null cannot be compared with column \"extra.a\" in the filter",
            Some("Use {\"is_null\": true} or {\"is_null\": false} to test for NULL."),
        ),
        (
            json!({"extra.a": "\u{0}"}),
            "the value for column \"extra.a\" in the filter contains a null character",
            None,
        ),
    ] {
        let found = error(filter.clone());
        assert_eq!(found.to_string(), message, "{filter}");
        assert_eq!(found.hint().as_deref(), hint, "{filter}");
        assert_ne!(found.class(), ErrorClass::LimitExceeded, "{filter}");
    }
}

#[test]
fn paths_have_limits() {
    let deep = |elements: usize| json!({format!("extra{}", ".a".repeat(elements)): 1});
    assert!(compile(&deep(MAX_PATH_ELEMENTS), &columns(), "t", 1).is_ok());
    let failure = error(deep(33));
    assert_eq!(failure.class(), ErrorClass::LimitExceeded);
    assert!(
        failure.to_string().ends_with("has 33 elements, the limit is 32"),
        "{failure}"
    );
    let long = |bytes: usize| json!({format!("extra.{}", "a".repeat(bytes)): 1});
    assert!(compile(&long(MAX_PATH_BYTES), &columns(), "t", 1).is_ok());
    let failure = error(long(1_025));
    assert_eq!(failure.class(), ErrorClass::LimitExceeded);
    assert!(
        failure
            .to_string()
            .ends_with("is 1025 bytes long, the limit is 1024"),
        "{failure}"
    );
    assert!(matches!(
        error(json!({"extra.a": {"overlaps": vec![1; 10_001]}})),
        FilterError::TooManyValues { count: 10_001, .. }
    ));
    assert!(matches!(
        error(json!({"extra.a": {"contains": vec![1; 10_001]}})),
        FilterError::TooManyValues { count: 10_001, .. }
    ));
}

#[test]
fn looks_values_up_as_postgres_does() {
    let value = json!({"a": {"b": [10, {"c": "x"}], "0": "key", "": true, "n": null}});
    for (path, expected) in [
        (vec![], value.clone()),
        (vec!["a", "0"], json!("key")),
        (vec!["a", ""], json!(true)),
        (vec!["a", "n"], Value::Null),
        (vec!["a", "n", "x"], Value::Null),
        (vec!["a", "b", "0"], json!(10)),
        (vec!["a", "b", "-1", "c"], json!("x")),
        (vec!["a", "b", "-2"], json!(10)),
        (vec!["a", "b", "-3"], Value::Null),
        (vec!["a", "b", "2"], Value::Null),
        (vec!["a", "b", " +1", "c"], json!("x")),
        (vec!["a", "b", "1 ", "c"], Value::Null),
        (vec!["a", "b", "x"], Value::Null),
        (vec!["a", "b", ""], Value::Null),
        (vec!["a", "b", "99999999999999999999"], Value::Null),
        (vec!["a", "b", "-2147483648"], Value::Null),
        (vec!["a", "b", "0", "0"], Value::Null),
    ] {
        let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
        assert_eq!(value_at(&value, &path), &expected, "{path:?}");
    }
}

#[test]
fn describes_paths_as_they_are_written() {
    for (filter, texts) in [
        (
            json!({"profile.height": {"gte": 170}}),
            vec!["profile.height >= 170"],
        ),
        (
            json!({"profile.height": {"gte": 170, "lt": 190}}),
            vec!["170 <= profile.height < 190"],
        ),
        (
            json!({"profile.languages": {"contains": "Hindi"}}),
            vec!["profile.languages contains Hindi"],
        ),
        (json!({"profile.\"a.b\"": "x"}), vec!["profile.\"a.b\" = x"]),
        (json!({"\"or\".\"a\"": "x"}), vec!["\"or\".\"a\" = x"]),
        (json!({"\"or\"": "x"}), vec!["or = x"]),
    ] {
        assert_eq!(describe(&filter), texts, "{filter}");
    }
}
