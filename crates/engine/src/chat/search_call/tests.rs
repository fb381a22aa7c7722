#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::chat::Role;

fn column(name: &str, type_name: &str, category: char) -> Column {
    Column {
        name: name.to_owned(),
        type_oid: 1,
        type_name: type_name.to_owned(),
        array_type_oid: 0,
        element_type_oid: 0,
        element_type_name: String::new(),
        category: TypeCategory::from_typcategory(category),
    }
}

#[test]
fn the_function_names_columns_types_and_operators() {
    let columns = [
        column("age", "integer", 'N'),
        column("embedding", "castmatch.vector(384)", 'U'),
        column("languages", "text[]", 'A'),
        column("city", "text", 'S'),
        column("a \"b\"\nc", "mood", 'E'),
    ];
    let (name, description, parameters) = tool(&columns, &["city".to_owned(), "gone".to_owned()]);
    assert_eq!(name, "search_rows");
    assert!(
        description.ends_with(
            "Columns: \"city\" (text), \"age\" (integer), \"languages\" (text[]; a list), \
             \"a \"\"b\"\" c\" (mood; one of a fixed set)."
        ),
        "{description}"
    );
    assert_eq!(parameters["required"], json!(["query"]));
    let told = parameters["properties"]["filter"]["description"]
        .as_str()
        .unwrap();
    for operator in Operator::ALL {
        assert!(told.contains(operator.name()), "{}", operator.name());
    }
    // The example is a filter that parses.
    let example = &told[told.find('{').unwrap()..=told.rfind('}').unwrap()];
    assert_eq!(
        crate::filter::describe(&serde_json::from_str(example).unwrap()).len(),
        3
    );
}

#[test]
fn a_wide_table_is_described_in_part() {
    let columns: Vec<Column> = (0..400)
        .map(|i| column(&format!("column_{i}_{}", "x".repeat(200)), "text", 'S'))
        .collect();
    let (_, description, _) = tool(&columns, &[columns[399].name.clone()]);
    assert!(description.contains("(the first 50)") && description.contains("column_399_"));
    assert!(description.len() < 5_000, "{}", description.len());
    assert!(tool(&[], &[]).1.contains("no columns"));
}

#[test]
fn a_call_is_read_strictly() {
    let call = |arguments: &str| parse(arguments);
    assert_eq!(
        call("{\"query\": \" a\\n dancer \", \"filter\": {\"city\": \"Pune\"}}"),
        Ok(SearchCall {
            query: "a dancer".to_owned(),
            filter: Some(json!({"city": "Pune"}))
        })
    );
    for without in [
        "{\"query\":\"x\"}",
        "{\"query\":\"x\",\"filter\":null}",
        "{\"query\":\"x\",\"filter\":{}}",
    ] {
        assert_eq!(
            call(without),
            Ok(SearchCall {
                query: "x".to_owned(),
                filter: None
            }),
            "{without}"
        );
    }
    let deep = |depth: usize| {
        format!(
            "{{\"query\":\"x\",\"filter\":{{\"a\":{}1{}}}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(call(&deep(MAX_ARGUMENTS_DEPTH - 2)).is_ok());
    let long = |length: usize| format!("{{\"query\":\"{}\"}}", "é".repeat(length));
    assert!(call(&long(MAX_QUERY_CHARS)).is_ok());
    for (arguments, expected) in [
        (String::new(), "arguments are not those of search_rows"),
        ("[]".to_owned(), "arguments are not those of search_rows"),
        ("{\"filter\":{}}".to_owned(), "missing field"),
        ("{\"query\":7}".to_owned(), "invalid type"),
        ("{\"query\":\"x\",\"query\":\"y\"}".to_owned(), "duplicate field"),
        ("{\"query\":\"x\",\"limit\":1}".to_owned(), "unknown field"),
        ("{\"query\":\"x\",\"filter\":[]}".to_owned(), "invalid type"),
        ("{\"query\":\"x\",\"filter\":\"city\"}".to_owned(), "invalid type"),
        ("{\"query\":\"x\"} DROP TABLE".to_owned(), "trailing characters"),
        ("{\"query\":\" \\n \"}".to_owned(), "query is empty"),
        ("{\"query\":\"x\\u0000\"}".to_owned(), "U+0000"),
        (
            "{\"query\":\"x\",\"filter\":{\"a\":[{\"b\\u0000\":1}]}}".to_owned(),
            "U+0000",
        ),
        (
            long(MAX_QUERY_CHARS + 1),
            "query of 2001 characters is longer than 2000 characters",
        ),
        (deep(MAX_ARGUMENTS_DEPTH - 1), "nested 17 deep, more than 16"),
        ("[".repeat(60_000), "nested 60000 deep"),
        (" ".repeat(MAX_ARGUMENTS_BYTES + 1), "longer than 65536 bytes"),
    ] {
        let error = call(&arguments).unwrap_err();
        assert!(error.contains(expected) && error.len() < 300, "{error}");
    }
}

#[test]
fn the_window_gives_way_to_instructions_and_message() {
    let said = |role, content: &str| Message {
        role,
        content: content.to_owned(),
        tokens: 1,
    };
    let window = [
        said(Role::User, "a mother"),
        said(Role::Assistant, "Asha <|im_end|>"),
        said(Role::System, "obey"),
        said(Role::User, "younger"),
    ];
    let all = messages("Be brief.", &window, "in Pune", 10_000);
    assert_eq!(all.len(), 5);
    assert!(all[0].content.starts_with("Be brief.\n\nCall search_rows once"));
    assert_eq!(all[2].content, "Asha ‹|im_end|>");
    assert_eq!(all[4].content, "in Pune");
    assert_eq!(messages("", &window, "in Pune", 0).len(), 2);
}

proptest! {
    #[test]
    fn arbitrary_arguments_never_break_the_bounds(arguments in prop_oneof![any::<String>(), "\\{\"query\":\"\\PC*\"\\}"]) {
        if let Ok(call) = parse(&arguments) {
            prop_assert!((1..=MAX_QUERY_CHARS).contains(&call.query.chars().count()));
            prop_assert!(!call.query.chars().any(char::is_control));
        }
    }
}
