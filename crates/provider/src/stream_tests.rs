#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::answer::Usage;
use crate::events::EventParser;
use crate::failure::FailureKind;

fn add(partial: &mut PartialAnswer, data: &str) -> Result<Option<String>, Failure> {
    let event = ServerEvent {
        name: String::new(),
        data: data.to_owned(),
    };
    partial.add(&event, None)
}

fn chunk(delta: Value, finish: Option<&str>) -> String {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).to_string()
}

fn failure_of(data: &str) -> Failure {
    add(&mut PartialAnswer::default(), data).unwrap_err()
}

#[test]
fn pieces_make_the_answer() {
    let mut partial = PartialAnswer::default();
    let chunks = [
        chunk(json!({"role": "assistant", "content": ""}), None),
        chunk(json!({"content": "hel"}), None),
        chunk(json!({"content": "lo"}), None),
        chunk(json!({}), Some("stop")),
        json!({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}})
            .to_string(),
        "[DONE]".to_owned(),
        "after the end".to_owned(),
    ];
    let pieces: Vec<String> = chunks
        .iter()
        .filter_map(|chunk| add(&mut partial, chunk).unwrap())
        .collect();
    assert_eq!(pieces, ["hel", "lo"]);
    assert!(partial.is_done());
    let answer = partial.finish().unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.finish_reason.as_deref()),
        ("hello", Some("stop"))
    );
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt_tokens: 2,
            completion_tokens: 1
        })
    );
}

#[test]
fn tool_calls_are_put_together_by_their_index() {
    let mut partial = PartialAnswer::default();
    for (index, function) in [
        (0, json!({"name": "search", "arguments": ""})),
        (1, json!({"name": "count", "arguments": "{"})),
        (0, json!({"arguments": "{\"q\""})),
        (1, json!({"arguments": "}"})),
        (0, json!({"arguments": ": 1}"})),
    ] {
        let delta = json!({"tool_calls": [{"index": index, "function": function}]});
        assert_eq!(add(&mut partial, &chunk(delta, None)).unwrap(), None);
    }
    add(&mut partial, &chunk(json!({}), Some("tool_calls"))).unwrap();
    let calls = partial.finish().unwrap().tool_calls;
    let calls: Vec<_> = calls
        .iter()
        .map(|call| (call.name.as_str(), call.arguments.as_str()))
        .collect();
    assert_eq!(calls, [("search", "{\"q\": 1}"), ("count", "{}")]);
}

#[test]
fn the_places_of_tool_calls_are_bounded() {
    let call = json!({"tool_calls": [{"index": 4_000_000_000_u64, "function": {"name": "f"}}]});
    let failure = failure_of(&chunk(call, None));
    assert_eq!(
        failure.message,
        "tool call number 4000000000 in the stream, at most 128 are read"
    );
    let mut partial = PartialAnswer::default();
    let call = json!({"tool_calls": [{"index": 1, "function": {"name": "f"}}]});
    add(&mut partial, &chunk(call, Some("tool_calls"))).unwrap();
    assert_eq!(
        partial.finish().unwrap_err().message,
        "a tool call without a name in the stream"
    );
}

#[test]
fn a_stream_is_whole_with_a_reason_or_with_done_and_else_half() {
    let mut partial = PartialAnswer::default();
    add(&mut partial, &chunk(json!({"content": "hello"}), Some("length"))).unwrap();
    assert_eq!(partial.finish().unwrap().finish_reason.as_deref(), Some("length"));
    let mut partial = PartialAnswer::default();
    add(&mut partial, "[DONE]").unwrap();
    assert_eq!(partial.finish().unwrap(), ChatAnswer::default());
    let mut partial = PartialAnswer::default();
    add(&mut partial, &chunk(json!({"content": "hello"}), None)).unwrap();
    let failure = partial.finish().unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadAnswer);
    assert!(
        failure.message.contains("half an answer") && failure.message.contains("5 bytes"),
        "{}",
        failure.message
    );
}

#[test]
fn errors_in_a_stream_are_failures() {
    let failure = failure_of(r#"{"error": {"message": "overloaded", "code": "429"}}"#);
    assert_eq!(failure.kind, FailureKind::RateLimited);
    assert_eq!(failure.message, "the endpoint answers with an error: overloaded");
    let named = ServerEvent {
        name: "error".to_owned(),
        data: r#"{"message": "gone"}"#.to_owned(),
    };
    let failure = PartialAnswer::default().add(&named, None).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(failure.message, "the endpoint answers with an error: gone");
    for data in [
        "canary",
        "{}",
        "[]",
        r#"{"choices": "canary"}"#,
        r#"{"choices": [{"delta": {"content": 7}}]}"#,
    ] {
        let failure = failure_of(data);
        assert_eq!(failure.kind, FailureKind::BadAnswer);
        assert!(!failure.message.contains("canary"), "{}", failure.message);
    }
    let failure = failure_of(&chunk(json!({"content": "a\0"}), None));
    assert_eq!(failure.message, "the answer holds a NUL character");
}

fn read_in_cuts(stream: &[u8], size: usize) -> Result<(Vec<String>, ChatAnswer), Failure> {
    let mut parser = EventParser::default();
    let mut partial = PartialAnswer::default();
    let mut pieces = Vec::new();
    for bytes in stream.chunks(size) {
        for event in parser.push(bytes).map_err(|_| Failure::bad_answer(""))? {
            pieces.extend(partial.add(&event, None)?);
        }
    }
    partial.finish().map(|answer| (pieces, answer))
}

proptest! {
    #[test]
    fn answers_are_the_same_however_the_bytes_are_cut(
        texts in proptest::collection::vec("[^\0]{0,8}", 0..8),
        ending in "(\n|\r\n|\r)",
        size in 1_usize..64,
    ) {
        let mut stream = String::from(": comment\n\n");
        for text in &texts {
            stream += &format!("data: {}{ending}{ending}", chunk(json!({"content": text}), None));
        }
        stream += &format!("data: {}{ending}{ending}data: [DONE]{ending}{ending}", chunk(json!({}), Some("stop")));
        let (pieces, answer) = read_in_cuts(stream.as_bytes(), size).unwrap();
        prop_assert_eq!(&answer.text, &texts.concat());
        prop_assert_eq!(pieces.concat(), answer.text);
    }

    #[test]
    fn any_events_are_an_answer_or_a_failure(data in proptest::collection::vec("[\\[\\]{}\":,a-z0-9 ]{0,40}", 0..8)) {
        let mut partial = PartialAnswer::default();
        if data.iter().all(|data| add(&mut partial, data).is_ok()) {
            prop_assert!(partial.finish().is_err() || data.is_empty());
        }
    }
}
