//! The OpenAPI document: valid by the schema of OpenAPI 3.1 (../openapi-3.1.json is
//! https://spec.openapis.org/oas/3.1/schema/2022-10-07), its schemas valid by JSON Schema 2020-12, and what it promises
//! true: its examples and the answers fit its schemas.

use castmatch_companion::api::body::decode;
use castmatch_companion::api::operation::OPERATIONS;
use castmatch_e2e::http::get;
use jsonschema::{Validator, validator_for};
use serde_json::{Value, json};

use crate::api_setting::{APP, Front, cluster, url};

/// Every problem, or none.
fn problems(schema: &Validator, value: &Value) -> Vec<String> {
    schema
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect()
}

fn schema(value: &Value) -> Validator {
    assert!(jsonschema::meta::is_valid(value), "{value}");
    validator_for(value).unwrap()
}

#[test]
fn the_document_is_valid_and_keeps_its_promises() {
    let cluster = cluster();
    let front = Front::start(&url(&cluster), &[]);
    let answer = get(front.address(), "/openapi.json");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json"))
    );
    let document = answer.json();
    let openapi: Value = serde_json::from_str(include_str!("../openapi-3.1.json")).unwrap();
    let openapi = validator_for(&openapi).unwrap();
    assert_eq!(problems(&openapi, &document), Vec::<String>::new());
    // The schema of schemas does refuse something.
    let mut broken = document.clone();
    broken["paths"]["/match"]["post"]["responses"] = json!([]);
    assert!(!problems(&openapi, &broken).is_empty());

    let error = schema(&document["components"]["schemas"]["Error"]);
    for operation in OPERATIONS {
        let post = &document["paths"][format!("/{}", operation.name)]["post"];
        let body = &post["requestBody"]["content"]["application/json"];
        let request = schema(&body["schema"]);
        for (name, example) in body["examples"].as_object().unwrap() {
            let value = &example["value"];
            assert_eq!(problems(&request, value), Vec::<String>::new(), "{name}");
            decode(operation, value.to_string().as_bytes()).unwrap();
        }
        // The schema refuses what the service refuses.
        for wrong in [
            json!({}),
            json!({"target": 5}),
            json!([]),
            json!({"nothing": "x"}),
        ] {
            assert!(!problems(&request, &wrong).is_empty(), "{wrong}");
            assert!(
                decode(operation, wrong.to_string().as_bytes()).is_err(),
                "{wrong}"
            );
        }
        let example = operation.examples[0].1;
        let answer = front.post(&format!("/{}", operation.name), APP, example);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let promised = schema(&post["responses"]["200"]["content"]["application/json"]["schema"]);
        assert_eq!(problems(&promised, &answer.json()), Vec::<String>::new());
        let refused = front.post(&format!("/{}", operation.name), APP, "{}");
        assert_eq!(problems(&error, &refused.json()), Vec::<String>::new());
        assert!(post["responses"][refused.status.to_string()].is_object());
    }
    assert_eq!(document["security"], json!([{"token": []}]));
}
