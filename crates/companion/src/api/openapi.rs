//! The OpenAPI 3.1 document, made from the table of operations that also reads the requests.

use serde_json::{Map, Value, json};

use super::Settings;
use super::operation::{OPERATIONS, Operation};

/// Statuses of errors, with what they say.
const ERRORS: [(&str, &str); 13] = [
    (
        "400",
        "The body is no JSON object, or the database finds fault with a value; code is the SQLSTATE then.",
    ),
    ("401", "There is no token, or it is not known."),
    (
        "403",
        "The token does not allow this operation, or its role lacks a right in the database (42501).",
    ),
    (
        "404",
        "The table or the conversation does not exist, or the role of the token may not see it.",
    ),
    ("408", "The body did not arrive in time."),
    (
        "409",
        "Another transaction was in the way (40001, 40P01), or the table is not in the state that this needs.",
    ),
    ("413", "The body is too long."),
    ("415", "The body is not application/json."),
    ("422", "A field is missing, unknown or of the wrong kind."),
    ("429", "The token's rate or its role's budget is used up."),
    ("500", "The database failed in a way that the client cannot mend."),
    ("503", "The database is away or all connections to it are in use."),
    (
        "504",
        "There was no answer within the deadline; the work was ended.",
    ),
];

/// The whole document.
#[must_use]
pub fn document(settings: &Settings) -> Value {
    let paths: Map<String, Value> = OPERATIONS
        .into_iter()
        .map(|operation| (format!("/{}", operation.name), json!({"post": post(operation)})))
        .collect();
    let errors: Map<String, Value> = ERRORS
        .into_iter()
        .map(|(status, text)| (status.to_owned(), error(status, text)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "castmatch",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "Functions of castmatch over HTTP. Bodies have at most {} bytes; an answer comes within {} s.",
                settings.body_limit,
                settings.deadline.as_secs_f64().ceil(),
            ),
            "license": {"name": "PostgreSQL License", "identifier": "PostgreSQL"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": {
                "type": "object",
                "required": ["code", "message", "detail", "hint"],
                "properties": {
                    "code": {"type": "string", "description": "An SQLSTATE, or a word of this service."},
                    "message": {"type": "string"},
                    "detail": {"type": ["string", "null"]},
                    "hint": {"type": ["string", "null"]},
                },
            }},
            "headers": {
                "RequestId": {"description": "The request in the log of the service.", "schema": {"type": "string"}},
                "RetryAfter": {"description": "Seconds after which to come again.", "schema": {"type": "integer", "minimum": 1}},
            },
            "responses": errors,
        },
    })
}

fn post(operation: &Operation) -> Value {
    let mut responses: Map<String, Value> = ERRORS
        .into_iter()
        .map(|(status, _)| {
            (
                status.to_owned(),
                json!({"$ref": format!("#/components/responses/{status}")}),
            )
        })
        .collect();
    let answer = json!({
        "description": "What the function returns.",
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
        "content": {"application/json": {"schema": (operation.answer)()}},
    });
    responses.insert("200".to_owned(), answer);
    let examples: Map<String, Value> = operation
        .examples
        .iter()
        .filter_map(|(name, text)| {
            let value: Value = serde_json::from_str(text).ok()?;
            Some(((*name).to_owned(), json!({"value": value})))
        })
        .collect();
    json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [{
            "name": "X-Request-Id", "in": "header", "required": false,
            "description": "Up to 64 letters, digits and -_. to find the request in the log by.",
            "schema": {"type": "string", "maxLength": 64},
        }],
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": body(operation), "examples": examples}},
        },
        "responses": responses,
    })
}

fn body(operation: &Operation) -> Value {
    let parameters = operation.parameters;
    let properties: Map<String, Value> = parameters
        .iter()
        .map(|parameter| {
            let mut schema = parameter.kind.schema();
            if !parameter.required {
                nullable(&mut schema);
            }
            schema["description"] = parameter.description.into();
            (parameter.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = parameters.iter().filter(|p| p.required).map(|p| p.name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// null stands for the function's own default.
fn nullable(schema: &mut Value) {
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
}

fn error(status: &str, text: &str) -> Value {
    let mut headers = json!({"X-Request-Id": {"$ref": "#/components/headers/RequestId"}});
    if matches!(status, "409" | "429" | "503") {
        headers["Retry-After"] = json!({"$ref": "#/components/headers/RetryAfter"});
    }
    if status == "401" {
        headers["WWW-Authenticate"] = json!({"schema": {"type": "string"}});
    }
    json!({
        "description": text,
        "headers": headers,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    })
}
