//! From the body of a request to a statement and its values. Texts of JSON go to the database as they came, so that no
//! number loses a digit here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::operation::{Kind, Operation, Parameter};
use super::problem::Problem;
use crate::session::Bind;

/// A statement for [`crate::session::Session::call`].
#[derive(Debug)]
pub struct Statement {
    /// Made of constants and the numbers of the binds.
    pub sql: String,
    /// The values.
    pub binds: Vec<Bind>,
}

/// Reads a body.
///
/// # Errors
/// 400 when it is no JSON object, 422 when an argument is missing, unknown or of the wrong kind; names it, never its value.
pub fn decode(operation: &Operation, body: &[u8]) -> Result<Statement, Problem> {
    let values: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::invalid_json(&place)
    })?;
    if let Some(name) = values.keys().find(|name| parameter(operation, name).is_none()) {
        return Err(Problem::unknown_parameter(operation, name));
    }
    let mut arguments = Vec::new();
    let mut binds = Vec::new();
    for parameter in operation.parameters {
        let value = values.get(parameter.name).map(|value| value.get());
        match value {
            None | Some("null") if parameter.required => return Err(Problem::missing_parameter(parameter)),
            None | Some("null") => {}
            Some(value) => {
                binds.push(bind(parameter, value)?);
                let number = binds.len();
                let cast = parameter.kind.cast();
                arguments.push(format!("{} => ${number}{cast}", parameter.name));
            }
        }
    }
    let call = format!("castmatch.{}({})", operation.name, arguments.join(", "));
    Ok(Statement {
        sql: operation.select.replacen("{}", &call, 1),
        binds,
    })
}

fn parameter<'a>(operation: &'a Operation, name: &str) -> Option<&'a Parameter> {
    operation
        .parameters
        .iter()
        .find(|parameter| parameter.name == name)
}

fn bind(parameter: &Parameter, value: &str) -> Result<Bind, Problem> {
    let bound = match parameter.kind {
        Kind::Text | Kind::Table | Kind::Uuid => read::<String>(value).map(Bind::Text),
        Kind::Integer => read::<i32>(value).map(Bind::Integer),
        Kind::Object => value.starts_with('{').then(|| Bind::Text(value.to_owned())),
    };
    bound.ok_or_else(|| Problem::wrong_kind(parameter))
}

fn read<'a, T: Deserialize<'a>>(value: &'a str) -> Option<T> {
    serde_json::from_str(value).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::operation::{CHAT, MATCH, OPERATIONS};
    use super::*;

    fn text(bind: &Bind) -> String {
        match bind {
            Bind::Text(text) => text.clone(),
            Bind::Integer(number) => number.to_string(),
        }
    }

    #[test]
    fn arguments_are_named_and_bound_and_the_rest_is_left_to_the_function() {
        let body = r#"{"query": "it's '); DROP TABLE x; --", "target": "talents", "k": 3, "filter": {"fee": 1.10, "n": 12345678901234567890123}, "mode": null}"#;
        let statement = decode(&MATCH, body.as_bytes()).unwrap();
        let call = "castmatch.match(target => $1::pg_catalog.text::pg_catalog.regclass, query => $2::pg_catalog.text, \
                    k => $3::pg_catalog.int4, filter => $4::pg_catalog.text::pg_catalog.jsonb)";
        assert!(statement.sql.contains(call), "{}", statement.sql);
        let binds: Vec<String> = statement.binds.iter().map(text).collect();
        assert_eq!(
            binds,
            [
                "talents",
                "it's '); DROP TABLE x; --",
                "3",
                r#"{"fee": 1.10, "n": 12345678901234567890123}"#
            ]
        );
        let chat = decode(&CHAT, br#"{"message": "hi"}"#).unwrap();
        assert_eq!(
            chat.sql,
            "SELECT castmatch.chat(message => $1::pg_catalog.text)::pg_catalog.text"
        );
    }

    #[test]
    fn wrong_bodies_are_told_by_the_name_of_the_field_alone() {
        let cases = [
            ("", 400, "line 1"),
            ("[1]", 400, "line 1"),
            ("\"s3cret\"", 400, "line 1"),
            ("{\"message\": s3cret}", 400, "line 1"),
            ("{\"message\": \"s3cret\"} x", 400, "line 1"),
            ("{}", 422, "\"message\""),
            ("{\"message\": null}", 422, "\"message\""),
            ("{\"message\": 5}", 422, "\"message\""),
            ("{\"message\": [\"s3cret\"]}", 422, "\"message\""),
            ("{\"message\": \"s3cret\", \"k\": \"3\"}", 422, "\"k\""),
            ("{\"message\": \"s3cret\", \"k\": 1.5}", 422, "\"k\""),
            ("{\"message\": \"s3cret\", \"k\": 2147483648}", 422, "\"k\""),
            (
                "{\"message\": \"s3cret\", \"filter\": \"s3cret\"}",
                422,
                "\"filter\"",
            ),
            ("{\"message\": \"s3cret\", \"limit\": 3}", 422, "\"limit\""),
        ];
        for (body, status, named) in cases {
            let problem = decode(&CHAT, body.as_bytes()).unwrap_err();
            let said = serde_json::to_string(&problem.body).unwrap();
            assert_eq!(problem.status.as_u16(), status, "{body}: {said}");
            let named = named.replace('"', "\\\"");
            assert!(
                said.contains(&named) && !said.contains("s3cret"),
                "{body}: {said}"
            );
        }
    }

    #[test]
    fn deep_and_broken_json_is_an_error_and_no_panic() {
        let deep = format!("{{\"message\": {}", "[".repeat(100_000));
        assert!(decode(&CHAT, deep.as_bytes()).is_err());
        for body in [
            &b"{\"message\": \"\xff\"}"[..],
            b"{\"\xff\": 1}",
            b"{\"message\": \"\\ud800\"}",
        ] {
            assert!(decode(&CHAT, body).is_err());
        }
    }

    #[test]
    fn examples_of_every_operation_can_be_read() {
        for operation in OPERATIONS {
            assert!(!operation.examples.is_empty());
            for (name, example) in operation.examples {
                decode(operation, example.as_bytes())
                    .unwrap_or_else(|_| panic!("{name} of {}", operation.name));
            }
        }
    }
}
