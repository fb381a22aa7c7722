#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn chat() -> ChatCall {
    ChatCall {
        model: "m".to_owned(),
        messages: vec![ChatMessage {
            role: Role::User,
            content: "hello".to_owned(),
        }],
        temperature: None,
        max_tokens: None,
        tools: Vec::new(),
        forced_tool: None,
        json_schema: None,
        stream: false,
    }
}

#[test]
fn fields_that_are_not_set_are_left_out() {
    let body = Call::Chat(chat()).body();
    assert_eq!(
        body,
        json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    );
    let body = Call::Embeddings(EmbeddingsCall {
        model: "e".to_owned(),
        inputs: vec!["a".to_owned(), "b".to_owned()],
        dimensions: None,
    })
    .body();
    assert_eq!(body, json!({"model": "e", "input": ["a", "b"]}));
}

#[test]
fn every_field_has_its_place() {
    let body = Call::Chat(ChatCall {
        temperature: Some(0.5),
        max_tokens: Some(7),
        tools: vec![Tool {
            name: "search".to_owned(),
            description: "finds rows".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        forced_tool: Some("search".to_owned()),
        json_schema: Some(JsonSchema {
            name: "reply".to_owned(),
            schema: json!({"type": "object"}),
        }),
        stream: true,
        ..chat()
    })
    .body();
    assert_eq!(
        body,
        json!({
            "model": "m",
            "messages": [{"role": "user", "content": "hello"}],
            "temperature": 0.5,
            "max_tokens": 7,
            "tools": [{
                "type": "function",
                "function": {"name": "search", "description": "finds rows", "parameters": {"type": "object"}},
            }],
            "tool_choice": {"type": "function", "function": {"name": "search"}},
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": {"type": "object"}, "strict": true},
            },
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
}
