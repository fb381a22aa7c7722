//! What comes back from a server that works, and what it is asked.

use std::time::Duration;

use castmatch_provider::{
    Answer, Call, ChatCall, Client, EmbeddingsCall, FailureKind, JsonSchema, Tool, conforms,
};
use castmatch_test_endpoint::TestEndpoint;
use serde_json::{Value, json};

use crate::session::{
    chat, chat_answer, chat_call, embeddings, endpoint, failure, finish, outcome, streamed,
};

#[test]
fn a_reply_comes_whole() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let answer = chat_answer(
        &client,
        &endpoint(&server.url("ok")),
        chat("REPLY: ein rotes Fahrrad 🚲"),
    );
    assert_eq!(answer.text, "ein rotes Fahrrad 🚲");
    assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
    let usage = answer.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (6, 4));
}

#[test]
fn a_streamed_reply_comes_in_pieces_and_then_whole() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    // Byte by byte, so that characters and events are cut everywhere.
    for behaviour in ["ok", "slow-0"] {
        let endpoint = endpoint(&server.url(behaviour));
        let mut pending = client.send(&endpoint, streamed("REPLY: ein rotes Fahrrad 🚲 für Äpfel"));
        let (pieces, outcome) = finish(&client, &mut pending);
        assert!(pieces.len() > 3, "{pieces:?}");
        assert_eq!(outcome.failed_attempts, []);
        match outcome.result.unwrap() {
            Answer::Chat(answer) => {
                assert_eq!(answer.text, "ein rotes Fahrrad 🚲 für Äpfel");
                assert_eq!(pieces.concat(), answer.text);
                assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
                assert!(answer.usage.is_some());
            }
            Answer::Embeddings(_) => panic!("another kind of answer"),
        }
    }
}

#[test]
fn a_forced_tool_and_a_schema_are_asked_for_as_published() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let endpoint = endpoint(&server.url("ok"));
    let parameters =
        json!({"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]});
    let call = ChatCall {
        temperature: Some(0.0),
        max_tokens: Some(50),
        tools: vec![Tool {
            name: "search".to_owned(),
            description: "finds rows".to_owned(),
            parameters: parameters.clone(),
        }],
        forced_tool: Some("search".to_owned()),
        ..chat_call("TOOL: {\"query\": \"red\"}")
    };
    for stream in [false, true] {
        let call = ChatCall {
            stream,
            ..call.clone()
        };
        let answer = chat_answer(&client, &endpoint, Call::Chat(call));
        assert_eq!(
            (answer.text.as_str(), answer.finish_reason.as_deref()),
            ("", Some("tool_calls"))
        );
        assert_eq!(answer.tool_calls.len(), 1);
        assert_eq!(answer.tool_calls[0].name, "search");
        let arguments: Value = serde_json::from_str(&answer.tool_calls[0].arguments).unwrap();
        assert_eq!(conforms(&parameters, &arguments), Ok(()));
    }
    let call = ChatCall {
        json_schema: Some(JsonSchema {
            name: "reply".to_owned(),
            schema: parameters,
        }),
        ..chat_call("JSON: {\"query\": \"blue\"}")
    };
    let answer = chat_answer(&client, &endpoint, Call::Chat(call));
    assert_eq!(answer.text, "{\"query\": \"blue\"}");
    for request in server.requests() {
        assert_eq!(request.problems, [""; 0], "{:?}", request.body);
    }
}

#[test]
fn embeddings_come_in_the_order_of_the_inputs() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let endpoint = endpoint(&server.url("ok"));
    let texts = ["red bicycle", "blue car"];
    let answer = outcome(&client, &endpoint, embeddings(&texts)).result.unwrap();
    let Answer::Embeddings(answer) = answer else {
        panic!("another kind of answer")
    };
    for (text, vector) in texts.iter().zip(&answer.vectors) {
        let expected: Vec<f32> = castmatch_test_endpoint::embedding(text, 16)
            .iter()
            .map(|&x| x as f32)
            .collect();
        assert_eq!(vector, &expected);
    }
    assert!(answer.usage.is_some());
    let call = EmbeddingsCall {
        model: "m".to_owned(),
        inputs: vec!["red".to_owned()],
        dimensions: Some(7),
    };
    let answer = outcome(&client, &endpoint, Call::Embeddings(call))
        .result
        .unwrap();
    let Answer::Embeddings(answer) = answer else {
        panic!("another kind of answer")
    };
    assert_eq!(answer.vectors[0].len(), 7);
}

#[test]
fn many_calls_at_once_have_their_own_answers() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let endpoint = endpoint(&server.url("delay-5")).timeout(Duration::from_secs(30));
    let mut calls: Vec<_> = (0..20)
        .map(|i| (i, client.send(&endpoint, chat(&format!("REPLY: number {i}")))))
        .collect();
    for (i, pending) in calls.iter_mut().rev() {
        let (_, outcome) = finish(&client, pending);
        match outcome.result.unwrap() {
            Answer::Chat(answer) => assert_eq!(answer.text, format!("number {i}")),
            Answer::Embeddings(_) => panic!("another kind of answer"),
        }
    }
    assert_eq!(server.requests().len(), 20);
}

#[test]
fn a_request_that_does_not_conform_is_refused_and_recorded() {
    let server = TestEndpoint::start();
    let client = Client::start().unwrap();
    let call = ChatCall {
        model: String::new(),
        ..chat_call("hello")
    };
    let failure = failure(&client, &endpoint(&server.url("ok")), Call::Chat(call));
    assert_eq!((failure.kind, failure.status), (FailureKind::Refused, Some(400)));
    assert!(
        failure.message.contains("model: not a text"),
        "{}",
        failure.message
    );
    assert_eq!(
        server.requests()[0].problems,
        ["model: not a text, or an empty one"]
    );
}
