use serde_json::json;

use super::*;

fn chat_request() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}})
}

#[test]
fn requests_as_published_have_no_problems() {
    let mut full = chat_request();
    full["temperature"] = json!(0.7);
    full["max_tokens"] = json!(10);
    full["tools"] = json!([tool()]);
    full["tool_choice"] = json!({"type": "function", "function": {"name": "f"}});
    full["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}});
    full["stream"] = json!(true);
    full["stream_options"] = json!({"include_usage": true});
    for request in [chat_request(), full] {
        assert_eq!(chat(&request), [""; 0]);
    }
    for request in [
        json!({"model": "e", "input": "a"}),
        json!({"model": "e", "input": ["a"], "dimensions": 3}),
    ] {
        assert_eq!(embeddings(&request), [""; 0]);
    }
}

#[test]
fn each_difference_in_a_request_for_chat_is_a_problem() {
    let changes = [
        ("/model", json!("")),
        ("/messages", json!([])),
        ("/messages/0/role", json!("person")),
        ("/messages/0/content", json!(null)),
        (
            "/messages/0",
            json!({"role": "user", "content": "a", "text": "b"}),
        ),
        ("/temperature", json!(2.5)),
        ("/max_tokens", json!(0)),
        ("/max_tokens", json!(1.5)),
        ("/maximum_tokens", json!(1)),
        ("/stream", json!("yes")),
        ("/stream_options", json!({"include_usage": true})),
        ("/tools", json!([])),
        (
            "/tools",
            json!([{"type": "function", "function": {"name": "a b"}}]),
        ),
        ("/tools", json!([{"type": "function", "name": "f"}])),
        ("/tool_choice", json!("auto")),
        ("/response_format", json!({"type": "json_schema"})),
        (
            "/response_format",
            json!({"type": "json_schema", "json_schema": {"name": "", "schema": {}}}),
        ),
        ("/response_format", json!({"type": "yaml"})),
    ];
    for (place, value) in changes {
        let mut request = chat_request();
        match request.pointer_mut(place) {
            Some(old) => *old = value.clone(),
            None => request[place.trim_start_matches('/')] = value.clone(),
        }
        assert_ne!(chat(&request), [""; 0], "{place}: {value}");
    }
    let mut request = chat_request();
    request["tools"] = json!([tool()]);
    request["tool_choice"] = json!({"type": "function", "function": {"name": "g"}});
    assert_eq!(chat(&request), ["tool_choice.function.name: none of the tools"]);
    assert_eq!(chat(&json!([])), ["request: not an object"]);
}

#[test]
fn each_difference_in_a_request_for_embeddings_is_a_problem() {
    for request in [
        json!({"model": "e"}),
        json!({"input": "a"}),
        json!({"model": "e", "input": []}),
        json!({"model": "e", "input": [""]}),
        json!({"model": "e", "input": [1]}),
        json!({"model": "e", "input": vec!["a"; 2049]}),
        json!({"model": "e", "input": "a", "dimensions": 0}),
        json!({"model": "e", "input": "a", "dimensions": null}),
        json!({"model": "e", "input": "a", "encoding_format": "base64"}),
        json!({"model": "e", "input": "a", "inputs": "b"}),
    ] {
        assert_ne!(embeddings(&request), [""; 0], "{request}");
    }
}
