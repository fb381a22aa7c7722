#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;

fn column(name: &str, type_oid: u32, type_name: &str, array: u32, category: char) -> Column {
    Column {
        name: name.to_owned(),
        type_oid,
        type_name: type_name.to_owned(),
        array_type_oid: array,
        element_type_oid: 0,
        element_type_name: String::new(),
        category: TypeCategory::from_typcategory(category),
    }
}

fn array_column(name: &str, type_oid: u32, element: u32, element_name: &str) -> Column {
    Column {
        element_type_oid: element,
        element_type_name: element_name.to_owned(),
        ..column(name, type_oid, &format!("{element_name}[]"), 0, 'A')
    }
}

pub(super) fn columns() -> Vec<Column> {
    vec![
        column("gender", 25, "text", 1009, 'S'),
        column("age", 23, "integer", 1007, 'N'),
        column("small", 21, "smallint", 1005, 'N'),
        column("ratio", 700, "real", 1021, 'N'),
        column("day_rate", 1700, "numeric(10,2)", 1231, 'N'),
        column("city", 1043, "character varying(80)", 1015, 'S'),
        array_column("languages", 1009, 25, "text"),
        array_column("scores", 1007, 23, "integer"),
        column("active", 16, "boolean", 1000, 'B'),
        column("born", 1082, "date", 1182, 'D'),
        column("id", 2950, "uuid", 2951, 'U'),
        column("extra", 3802, "jsonb", 3807, 'U'),
        column("raw", 114, "json", 199, 'U'),
        column("free", 3912, "daterange", 3913, 'R'),
        column("nick", 16500, "citext", 16505, 'S'),
        column("mood", 16510, "mood", 16511, 'E'),
        column("odd", 16520, "odd", 0, 'U'),
        column("or", 25, "text", 1009, 'S'),
        column("we\"ird", 25, "text", 1009, 'S'),
    ]
}

fn compiled(filter: Value) -> Compiled {
    compile(&filter, &columns(), "t", 3).unwrap()
}

fn error(filter: Value) -> FilterError {
    compile(&filter, &columns(), "t", 3).unwrap_err()
}

/// Filter, SQL, parameters as (type, text).
pub(super) type Case = (Value, &'static str, &'static [(u32, &'static str)]);

#[test]
fn writes_sql_with_bound_parameters() {
    let cases: Vec<Case> = vec![
        (json!({}), "true", &[]),
        (
            json!({"gender": "female"}),
            r#"(t."gender" OPERATOR(pg_catalog.=) $3)"#,
            &[(25, "female")],
        ),
        (
            json!({"age": {"gte": 38, "lt": 50}}),
            r#"((t."age" OPERATOR(pg_catalog.>=) $3) AND (t."age" OPERATOR(pg_catalog.<) $4))"#,
            &[(23, "38"), (23, "50")],
        ),
        (
            json!({"city": {"in": ["Mumbai", "a\"b\\c,{}", "NULL", ""]}}),
            r#"(t."city" OPERATOR(pg_catalog.=) ANY ($3))"#,
            &[(1015, r#"{"Mumbai","a\"b\\c,{}","NULL",""}"#)],
        ),
        (
            json!({"city": {"not_in": ["Pune"]}}),
            r#"(t."city" OPERATOR(pg_catalog.<>) ALL ($3))"#,
            &[(1015, r#"{"Pune"}"#)],
        ),
        (json!({"city": {"in": []}}), "false", &[]),
        (json!({"city": {"not_in": []}}), "true", &[]),
        (json!({"or": []}), "false", &[]),
        (json!({"and": []}), "true", &[]),
        (json!({"not": {}}), "(NOT true)", &[]),
        (
            json!({"languages": {"contains": ["Hindi"]}}),
            r#"(t."languages" OPERATOR(pg_catalog.@>) $3)"#,
            &[(1009, r#"{"Hindi"}"#)],
        ),
        (
            json!({"languages": {"contains": "Hindi"}}),
            r#"(t."languages" OPERATOR(pg_catalog.@>) $3)"#,
            &[(1009, r#"{"Hindi"}"#)],
        ),
        (
            json!({"scores": {"overlaps": [1, 2.0]}}),
            r#"(t."scores" OPERATOR(pg_catalog.&&) $3)"#,
            &[(1007, r#"{"1","2"}"#)],
        ),
        (
            json!({"languages": {"in": [["a"], ["b"]]}}),
            r#"(t."languages" OPERATOR(pg_catalog.=) $3 OR t."languages" OPERATOR(pg_catalog.=) $4)"#,
            &[(1009, r#"{"a"}"#), (1009, r#"{"b"}"#)],
        ),
        (
            json!({"gender": {"contains": "100%"}}),
            r#"(pg_catalog.strpos(t."gender", $3) OPERATOR(pg_catalog.>) 0)"#,
            &[(25, "100%")],
        ),
        (
            json!({"extra": {"contains": {"a": [1, null]}}}),
            r#"(t."extra" OPERATOR(pg_catalog.@>) $3)"#,
            &[(3802, r#"{"a":[1,null]}"#)],
        ),
        (
            json!({"free": {"contains": "2026-03-01"}}),
            r#"(t."free" OPERATOR(pg_catalog.@>) $3)"#,
            &[(1082, "2026-03-01")],
        ),
        (
            json!({"free": {"overlaps": "[2026-03-01,2026-03-09]"}}),
            r#"(t."free" OPERATOR(pg_catalog.&&) $3)"#,
            &[(3912, "[2026-03-01,2026-03-09]")],
        ),
        (
            json!({"city": {"ilike": "%mum%"}}),
            r#"(t."city" OPERATOR(pg_catalog.~~*) $3)"#,
            &[(25, "%mum%")],
        ),
        (json!({"born": {"is_null": true}}), r#"(t."born" IS NULL)"#, &[]),
        (
            json!({"raw": {"is_null": false}}),
            r#"(t."raw" IS NOT NULL)"#,
            &[],
        ),
        (
            json!({"nick": {"ne": "x"}}),
            r#"(t."nick" <> $3)"#,
            &[(16500, "x")],
        ),
        (
            json!({"mood": "glad"}),
            r#"(t."mood" OPERATOR(pg_catalog.=) $3)"#,
            &[(16510, "glad")],
        ),
        (
            json!({"odd": {"in": ["a", "b"]}}),
            r#"(t."odd" = $3 OR t."odd" = $4)"#,
            &[(16520, "a"), (16520, "b")],
        ),
        (
            json!({"odd": {"not_in": ["a", "b"]}}),
            r#"(t."odd" <> $3 AND t."odd" <> $4)"#,
            &[(16520, "a"), (16520, "b")],
        ),
        (
            json!({"active": true}),
            r#"(t."active" OPERATOR(pg_catalog.=) $3)"#,
            &[(16, "true")],
        ),
        (
            json!({"\"or\"": "x"}),
            r#"(t."or" OPERATOR(pg_catalog.=) $3)"#,
            &[(25, "x")],
        ),
        (
            json!({"we\"ird": "'; DROP TABLE t; --"}),
            r#"(t."we""ird" OPERATOR(pg_catalog.=) $3)"#,
            &[(25, "'; DROP TABLE t; --")],
        ),
        (
            json!({"or": [{"age": 1}, {"not": {"gender": "x"}}]}),
            r#"((t."age" OPERATOR(pg_catalog.=) $3) OR (NOT (t."gender" OPERATOR(pg_catalog.=) $4)))"#,
            &[(23, "1"), (25, "x")],
        ),
    ];
    for (filter, sql, parameters) in cases {
        let result = compile(&filter, &columns(), "t", 3).unwrap_or_else(|e| panic!("{filter}: {e}"));
        assert_eq!(result.sql, sql, "{filter}");
        let found: Vec<(u32, &str)> = result
            .parameters
            .iter()
            .map(|p| (p.type_oid, p.text.as_str()))
            .collect();
        assert_eq!(found, parameters, "{filter}");
    }
}

#[test]
fn binds_a_number_as_a_type_that_compares_exactly() {
    for (filter, type_oid, text) in [
        (json!({"age": 38}), 23, "38"),
        (json!({"age": 38.0}), 23, "38"),
        (json!({"age": {"gt": 30.5}}), 1700, "30.5"),
        (json!({"age": {"lt": 3_000_000_000_u64}}), 20, "3000000000"),
        (json!({"age": {"lt": u64::MAX}}), 1700, "18446744073709551615"),
        (json!({"small": {"lt": 40_000}}), 20, "40000"),
        (json!({"ratio": 0.1}), 700, "0.1"),
        (json!({"ratio": {"lt": 1e300}}), 701, "1e+300"),
        (json!({"ratio": {"gt": 1e-300}}), 701, "1e-300"),
        (json!({"day_rate": 19.99}), 1700, "19.99"),
        (
            json!({"day_rate": "123456789012345678901234.5"}),
            1700,
            "123456789012345678901234.5",
        ),
        (json!({"age": {"in": [1, 2]}}), 1007, r#"{"1","2"}"#),
        (
            json!({"age": {"in": [1, 2.5, 3_000_000_000_u64]}}),
            1231,
            r#"{"1","2.5","3000000000"}"#,
        ),
        (json!({"small": {"in": [1, 40_000]}}), 1016, r#"{"1","40000"}"#),
    ] {
        let result = compiled(filter.clone());
        assert_eq!(result.parameters.len(), 1, "{filter}");
        assert_eq!(
            (result.parameters[0].type_oid, result.parameters[0].text.as_str()),
            (type_oid, text),
            "{filter}"
        );
    }
    // 0.1 as double precision would not equal a stored real 0.1.
    let mixed = compiled(json!({"ratio": {"in": [0.1, 1e300]}}));
    assert_eq!(
        mixed.parameters.iter().map(|p| p.type_oid).collect::<Vec<_>>(),
        [700, 701]
    );
}

#[test]
fn lists_used_columns_once_and_starts_at_the_given_parameter() {
    let result = compile(
        &json!({"and": [{"age": {"gt": 1}}, {"city": "x"}, {"age": {"lt": 9}}]}),
        &columns(),
        "Target",
        7,
    )
    .unwrap();
    assert_eq!(result.columns, ["age", "city"]);
    assert!(
        result.sql.contains(r#""Target"."age" OPERATOR(pg_catalog.>) $7"#),
        "{}",
        result.sql
    );
    assert!(
        result.sql.contains("$9") && !result.sql.contains("$10"),
        "{}",
        result.sql
    );
}

#[test]
fn refuses_with_message_detail_and_hint() {
    let operators =
        "Operators are eq, ne, in, not_in, gt, gte, lt, lte, contains, overlaps, like, ilike, is_null.";
    let did_you_mean = format!("Perhaps you meant \"gt\". {operators}");
    for (filter, message, detail, hint) in [
        (
            json!([]),
            "filter must be a JSON object, not an array",
            None,
            None,
        ),
        (json!(null), "filter must be a JSON object, not null", None, None),
        (
            json!({"not": 1}),
            "\"not\" in the filter must be a JSON object, not a number",
            None,
            None,
        ),
        (
            json!({"or": [1]}),
            "each element of \"or\" in the filter must be a JSON object, not a number",
            None,
            None,
        ),
        (
            json!({"or": {}}),
            "\"or\" in the filter must be an array of filters, not an object",
            None,
            None,
        ),
        (
            json!({"gendre": "x"}),
            "column \"gendre\" named in the filter does not exist",
            Some(
                "The columns are \"gender\", \"age\", \"small\", \"ratio\", \"day_rate\", \"city\", \
                 \"languages\", \"scores\", \"active\", \"born\" and 9 more.",
            ),
            Some("Perhaps you meant the column \"gender\"."),
        ),
        (
            json!({"age": {"get": 1}}),
            "unknown operator \"get\" for column \"age\" in the filter",
            None,
            Some(did_you_mean.as_str()),
        ),
        (
            json!({"age": {"~": 1}}),
            "unknown operator \"~\" for column \"age\" in the filter",
            None,
            Some(operators),
        ),
        (
            json!({"age": {}}),
            "no operator given for column \"age\" in the filter",
            None,
            Some(operators),
        ),
        (
            json!({"city": ["a"]}),
            "the value of column \"city\" in the filter is an array without an operator",
            None,
            Some(
                "Use {\"in\": [...]} for one of several values, or {\"contains\": [...]} for a column that is an array.",
            ),
        ),
        (
            json!({"city": null}),
            "null cannot be compared with column \"city\" in the filter",
            None,
            Some("Use {\"is_null\": true} or {\"is_null\": false} to test for NULL."),
        ),
        (
            json!({"active": {"gt": true}}),
            "operator \"gt\" in the filter cannot be used with column \"active\" of type boolean",
            Some("Type boolean supports eq, ne, in, not_in, is_null."),
            None,
        ),
        (
            json!({"city": 5}),
            "operator \"eq\" for column \"city\" in the filter needs a string, not a number",
            Some("Column \"city\" is of type character varying(80)."),
            Some("Write the value in double quotes."),
        ),
        (
            json!({"age": {"eq": [1]}}),
            "operator \"eq\" for column \"age\" in the filter needs a number, not an array",
            Some("Column \"age\" is of type integer."),
            Some("Use \"in\" or \"not_in\" to compare with several values."),
        ),
        (
            json!({"scores": {"contains": [1.5]}}),
            "operator \"contains\" for column \"scores\" in the filter needs whole numbers, not a fraction",
            Some("Column \"scores\" is of type integer[]."),
            None,
        ),
        (
            json!({"city": "a\u{0}b"}),
            "the value for column \"city\" in the filter contains a null character",
            None,
            None,
        ),
        (
            json!({"no\nsuch\u{1b}[31mcolumn\u{0}": 1}),
            "column \"no such [31mcolumn \" named in the filter does not exist",
            Some(
                "The columns are \"gender\", \"age\", \"small\", \"ratio\", \"day_rate\", \"city\", \
                 \"languages\", \"scores\", \"active\", \"born\" and 9 more.",
            ),
            None,
        ),
    ] {
        let found = error(filter.clone());
        assert_eq!(found.to_string(), message, "{filter}");
        assert_eq!(found.detail().as_deref(), detail, "{filter}");
        assert_eq!(found.hint().as_deref(), hint, "{filter}");
    }
}

#[test]
fn refuses_values_of_the_wrong_kind() {
    for filter in [
        json!({"age": true}),
        json!({"active": 1}),
        json!({"born": 2026}),
        json!({"id": 7}),
        json!({"city": true}),
        json!({"city": {"eq": {"a": 1}}}),
        json!({"city": {"like": 5}}),
        json!({"city": {"contains": ["a"]}}),
        json!({"city": {"in": "a"}}),
        json!({"city": {"in": ["a", null]}}),
        json!({"city": {"in": [["a"]]}}),
        json!({"born": {"is_null": "yes"}}),
        json!({"born": {"is_null": null}}),
        json!({"languages": {"contains": [["nested"]]}}),
        json!({"languages": {"contains": [null]}}),
        json!({"languages": {"contains": [1]}}),
        json!({"languages": {"gt": ["a"]}}),
        json!({"extra": {"gt": 1}}),
        json!({"raw": {"eq": 1}}),
        json!({"age": {"like": "4%"}}),
        json!({"free": {"contains": true}}),
        json!({"extra": {"contains": {"a\u{0}": 1}}}),
    ] {
        assert_eq!(
            error(filter.clone()).class(),
            ErrorClass::InvalidParameter,
            "{filter}"
        );
    }
    assert_eq!(error(json!({"nope": 1})).class(), ErrorClass::UndefinedColumn);
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({"age": 1}), |inner, _| json!({"not": inner}))
}

#[test]
fn enforces_limits_and_names_both_numbers() {
    assert!(compile(&nested(MAX_DEPTH), &columns(), "t", 1).is_ok());
    let deep = error(nested(MAX_DEPTH + 1));
    assert_eq!(
        deep.to_string(),
        "filter is nested 33 levels deep, the limit is 32"
    );
    assert_eq!(deep.class(), ErrorClass::LimitExceeded);

    let conditions = |count: usize| json!({"or": vec![json!({"age": 1}); count]});
    assert!(compile(&conditions(MAX_CONDITIONS), &columns(), "t", 1).is_ok());
    assert_eq!(
        error(conditions(1001)).to_string(),
        "filter has 1001 conditions, the limit is 1000"
    );
    assert_eq!(
        error(json!({"or": vec![json!({"and": []}); 5000]})).to_string(),
        "filter has 5000 conditions, the limit is 1000"
    );

    let list = |count: usize| json!({"age": {"in": vec![1; count]}});
    assert!(compile(&list(MAX_LIST_VALUES), &columns(), "t", 1).is_ok());
    assert_eq!(
        error(list(10_001)).to_string(),
        "operator \"in\" for column \"age\" in the filter has 10001 values, the limit is 10000"
    );
    assert!(matches!(
        error(json!({"languages": {"contains": vec!["x"; 10_001]}})),
        FilterError::TooManyValues { count: 10_001, .. }
    ));
}

#[test]
fn a_hostile_depth_does_not_exhaust_the_stack() {
    const LEVELS: usize = 200_000;
    let mut filter = json!({"age": 1});
    for _ in 1..LEVELS {
        filter = Value::Object(serde_json::Map::from_iter([("not".to_owned(), filter)]));
    }
    assert_eq!(
        compile(&filter, &columns(), "t", 1),
        Err(FilterError::TooDeep {
            depth: LEVELS,
            limit: MAX_DEPTH
        })
    );
    assert!(describe(&filter).is_empty());
    // Value's own drop recurses.
    std::mem::forget(filter);
}

#[test]
fn describes_in_words() {
    for (filter, texts) in [
        (json!({}), vec![]),
        (json!("broken"), vec![]),
        (json!({"city": "Mumbai"}), vec!["city = Mumbai"]),
        (json!({"age": {"gte": 38, "lt": 50}}), vec!["38 <= age < 50"]),
        (
            json!({"and": [{"age": {"lte": 50}}, {"city": "x"}, {"age": {"gt": 38}}]}),
            vec!["38 < age <= 50", "city = x"],
        ),
        (
            json!({"city": {"in": ["Mumbai", "Pune"]}}),
            vec!["city is one of Mumbai and Pune"],
        ),
        (
            json!({"n": {"in": [1, 2, 3, 4, 5, 6, 7]}}),
            vec!["n is one of 1, 2, 3, 4, 5 and 2 more"],
        ),
        (
            json!({"languages": {"contains": ["Hindi"]}}),
            vec!["languages contains Hindi"],
        ),
        (
            json!({"or": [{"city": "a"}, {"age": {"gt": 1, "lt": 3}}]}),
            vec!["city = a or (age > 1 and age < 3)"],
        ),
        (json!({"not": {"city": "a"}}), vec!["not (city = a)"]),
        (json!({"email": {"is_null": true}}), vec!["email is not given"]),
        (
            json!({"bio": {"contains": "two\nlines"}}),
            vec!["bio contains two lines"],
        ),
    ] {
        assert_eq!(describe(&filter), texts, "{filter}");
    }
    let long = describe(&json!({"bio": "é".repeat(1_000_000)}));
    assert_eq!(long[0].chars().count(), "bio = ".len() + 63);
}
