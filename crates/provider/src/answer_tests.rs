#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::call::ChatCall;
use crate::failure::FailureKind;

fn chat_call() -> Call {
    Call::Chat(ChatCall {
        model: String::new(),
        messages: Vec::new(),
        temperature: None,
        max_tokens: None,
        tools: Vec::new(),
        forced_tool: None,
        json_schema: None,
        stream: false,
    })
}

fn embeddings_call(inputs: usize, dimensions: Option<u32>) -> Call {
    Call::Embeddings(EmbeddingsCall {
        model: String::new(),
        inputs: vec![String::new(); inputs],
        dimensions,
    })
}

fn read_chat_json(body: &Value) -> Result<ChatAnswer, Failure> {
    match Answer::read(&chat_call(), body.to_string().as_bytes(), None)? {
        Answer::Chat(answer) => Ok(answer),
        Answer::Embeddings(_) => panic!("another kind of answer"),
    }
}

fn read_vectors(inputs: usize, dimensions: Option<u32>, data: &str) -> Result<Vec<Vec<f32>>, String> {
    let body = format!(r#"{{"object": "list", "data": {data}}}"#);
    match Answer::read(&embeddings_call(inputs, dimensions), body.as_bytes(), None) {
        Ok(Answer::Embeddings(answer)) => Ok(answer.vectors),
        Ok(Answer::Chat(_)) => panic!("another kind of answer"),
        Err(failure) => {
            assert_eq!(failure.kind, FailureKind::BadAnswer);
            Err(failure.message)
        }
    }
}

#[test]
fn a_chat_completion_is_read() {
    let answer = read_chat_json(&json!({
        "id": "x", "object": "chat.completion",
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": "hello", "refusal": null},
        }],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }));
    assert_eq!(
        answer.unwrap(),
        ChatAnswer {
            text: "hello".to_owned(),
            tool_calls: Vec::new(),
            finish_reason: Some("stop".to_owned()),
            usage: Some(Usage {
                prompt_tokens: 3,
                completion_tokens: 1
            }),
        }
    );
}

#[test]
fn tool_calls_and_refusals_are_read() {
    let call = json!({"id": "1", "type": "function", "function": {"name": "search", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let answer = read_chat_json(&json!({"choices": [{"message": message}]})).unwrap();
    assert_eq!(answer.text, "");
    assert_eq!(answer.tool_calls[0].name, "search");
    assert_eq!(answer.tool_calls[0].arguments, "{}");
    assert_eq!((answer.finish_reason, answer.usage), (None, None));
    let message = json!({"role": "assistant", "content": null, "refusal": "no"});
    assert_eq!(
        read_chat_json(&json!({"choices": [{"message": message}]}))
            .unwrap()
            .text,
        "no"
    );
}

#[test]
fn usage_that_is_odd_is_no_failure() {
    let body = json!({"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": -1.5}});
    let usage = read_chat_json(&body).unwrap().usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (0, 0));
}

#[test]
fn other_shapes_are_bad_answers_that_quote_nothing() {
    for body in [
        json!({}),
        json!([]),
        json!("canary"),
        json!({"choices": "canary"}),
        json!({"choices": []}),
        json!({"choices": [{"message": "canary"}]}),
        json!({"choices": [{"message": {"content": ["canary"]}}]}),
        json!({"choices": [{"message": {"content": null, "tool_calls": [{"function": {"name": "canary"}}]}}]}),
    ] {
        let failure = read_chat_json(&body).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadAnswer, "{body}");
        assert!(
            failure.message.starts_with("expected a chat completion"),
            "{}",
            failure.message
        );
        assert!(!failure.message.contains("canary"), "{}", failure.message);
    }
    for body in ["", "canary", "{\"choices\": [", "{\"choices\": \"\\ud800\"}"] {
        let failure = Answer::read(&chat_call(), body.as_bytes(), None).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadAnswer, "{body}");
        assert!(!failure.message.contains("canary"), "{}", failure.message);
    }
}

#[test]
fn an_error_with_status_200_is_told_as_the_server_says_it() {
    let failure = read_chat_json(&json!({"error": {"message": "overloaded", "code": 503}})).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(failure.message, "the endpoint answers with an error: overloaded");
}

#[test]
fn nul_and_bytes_that_are_not_utf8_are_bad_answers() {
    for message in [
        json!({"content": "a\0b"}),
        json!({"content": null, "refusal": "\0"}),
        json!({"content": null, "tool_calls": [{"function": {"name": "\0", "arguments": ""}}]}),
        json!({"content": null, "tool_calls": [{"function": {"name": "", "arguments": "\0"}}]}),
    ] {
        let failure = read_chat_json(&json!({"choices": [{"message": message}]})).unwrap_err();
        assert_eq!(failure.message, "the answer holds a NUL character");
    }
    let failure = Answer::read(&chat_call(), b"{\"choices\": \"\xff\"}", None).unwrap_err();
    assert_eq!(failure.message, "the answer is not UTF-8 at byte 13");
}

#[test]
fn embeddings_come_in_the_order_of_the_inputs() {
    let data = r#"[{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1, -2e-3]}]"#;
    assert_eq!(read_vectors(2, None, data).unwrap(), [[1.0, -0.002], [3.0, 4.5]]);
    assert_eq!(read_vectors(2, Some(2), data).unwrap().len(), 2);
}

#[test]
fn embeddings_that_were_not_asked_for_are_bad_answers() {
    let two = r#"[{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]"#;
    for (inputs, dimensions, data, message) in [
        (1, None, two, "expected 1 embeddings, got 2"),
        (3, None, two, "expected 3 embeddings, got 2"),
        (2, None, two, "two embeddings of index 0"),
        (
            2,
            Some(4),
            two,
            "expected embeddings of 4 dimensions, got one of 1",
        ),
        (
            1,
            None,
            r#"[{"index": 1, "embedding": [1]}]"#,
            "expected 1 embeddings, got one of index 1",
        ),
        (
            1,
            None,
            r#"[{"index": 0, "embedding": []}]"#,
            "expected embeddings of 0 dimensions, got one of 0",
        ),
        (
            1,
            None,
            r#"[{"index": 0, "embedding": [1e39]}]"#,
            "embedding 0 holds a number that is not finite in single precision",
        ),
        (
            2,
            None,
            r#"[{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [1]}]"#,
            "expected embeddings of 2 dimensions, got one of 1",
        ),
    ] {
        assert_eq!(read_vectors(inputs, dimensions, data).unwrap_err(), message);
    }
    for data in [
        r#"[{"index": 0, "embedding": [null]}]"#,
        r#"[{"index": -1, "embedding": [1]}]"#,
        r#""x""#,
    ] {
        let message = read_vectors(1, None, data).unwrap_err();
        assert!(message.starts_with("expected a list of embeddings"), "{message}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_a_failure(bytes: Vec<u8>) {
        prop_assert!(Answer::read(&chat_call(), &bytes, None).is_err());
        prop_assert!(Answer::read(&embeddings_call(1, None), &bytes, None).is_err());
    }

    #[test]
    fn a_shape_with_any_text_is_read_or_refused(text: String, finish: Option<String>) {
        let body = json!({"choices": [{"message": {"content": text}, "finish_reason": finish}]});
        match read_chat_json(&body) {
            Ok(answer) => {
                prop_assert_eq!(&answer.text, &text);
                prop_assert!(!answer.text.contains('\0'));
            }
            Err(failure) => prop_assert_eq!(failure.message, "the answer holds a NUL character"),
        }
    }
}
