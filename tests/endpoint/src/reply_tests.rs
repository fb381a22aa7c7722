use super::*;
use crate::check;

/// A place in an answer, and what holds there.
type Field = (&'static str, fn(&Value) -> bool);

/// What is wrong with an answer, after the descriptions of the answers in OpenAI's OpenAPI document: each required field
/// is there and of its kind.
fn wrong_fields(value: &Value, fields: &[Field]) -> Vec<String> {
    fields
        .iter()
        .filter(|(place, holds)| !value.pointer(place).is_some_and(holds))
        .map(|(place, _)| (*place).to_owned())
        .collect()
}

fn is_finish_reason(value: &Value) -> bool {
    ["stop", "length", "tool_calls", "content_filter", "function_call"]
        .contains(&value.as_str().unwrap_or_default())
}

const USAGE: [Field; 3] = [
    ("/usage/prompt_tokens", Value::is_u64),
    ("/usage/completion_tokens", Value::is_u64),
    ("/usage/total_tokens", Value::is_u64),
];

fn assert_chat(answer: &Value) {
    let fields: [Field; 11] = [
        ("/id", Value::is_string),
        ("/object", |object| object == "chat.completion"),
        ("/created", Value::is_u64),
        ("/model", Value::is_string),
        ("/choices", |choices| {
            choices.as_array().is_some_and(|choices| choices.len() == 1)
        }),
        ("/choices/0/index", |index| index == 0),
        ("/choices/0/logprobs", Value::is_null),
        ("/choices/0/finish_reason", is_finish_reason),
        ("/choices/0/message/role", |role| role == "assistant"),
        ("/choices/0/message/content", |content| {
            content.is_string() || content.is_null()
        }),
        ("/choices/0/message/refusal", Value::is_null),
    ];
    assert_eq!(wrong_fields(answer, &fields), [""; 0], "{answer}");
    assert_eq!(wrong_fields(answer, &USAGE), [""; 0], "{answer}");
}

fn assert_chunk(chunk: &Value) {
    let fields: [Field; 5] = [
        ("/id", Value::is_string),
        ("/object", |object| object == "chat.completion.chunk"),
        ("/created", Value::is_u64),
        ("/model", Value::is_string),
        ("/choices", Value::is_array),
    ];
    assert_eq!(wrong_fields(chunk, &fields), [""; 0], "{chunk}");
    for choice in chunk["choices"].as_array().unwrap() {
        let fields: [Field; 3] = [
            ("/index", |index| index == 0),
            ("/delta", Value::is_object),
            ("/finish_reason", |reason| {
                reason.is_null() || is_finish_reason(reason)
            }),
        ];
        assert_eq!(wrong_fields(choice, &fields), [""; 0], "{chunk}");
    }
}

fn request(content: &str) -> Value {
    json!({"model": "m", "messages": [
        {"role": "system", "content": "Rows stand between <rows> and </rows>."},
        {"role": "user", "content": content},
    ]})
}

fn answer_to(request: &Value) -> Value {
    assert_eq!(check::chat(request), [""; 0], "{request}");
    let answer = serde_json::from_slice(&chat(request).pieces.into_bytes()).unwrap();
    assert_chat(&answer);
    answer
}

fn text_of(content: &str) -> String {
    let answer = answer_to(&request(content));
    answer["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn events_of(request: &Value) -> Vec<Value> {
    let bytes = chat(request).pieces.into_bytes();
    let text = String::from_utf8(bytes).unwrap();
    let events: Vec<&str> = text
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap())
        .collect();
    let (last, chunks) = events.split_last().unwrap();
    assert_eq!(*last, "[DONE]");
    let chunks: Vec<Value> = chunks
        .iter()
        .map(|chunk| serde_json::from_str(chunk).unwrap())
        .collect();
    chunks.iter().for_each(assert_chunk);
    chunks
}

#[test]
fn the_user_says_what_the_reply_is_or_rows_are_counted() {
    assert_eq!(
        text_of("Question\nREPLY: the bicycle, surely \nmore"),
        "the bicycle, surely"
    );
    assert_eq!(text_of("<rows>\n1 a\n\n2 b\n</rows>"), "I see 2 rows.");
    assert_eq!(text_of("<rows> and\n<rows>\n1\n</rows>"), "I see 1 rows.");
    assert_eq!(text_of("<rows></rows>"), "I see 0 rows.");
    // The other messages count only where the last one of the user has none.
    assert_eq!(text_of("hello"), "I see 1 rows.");
}

#[test]
fn usage_is_a_quarter_of_the_characters() {
    let answer =
        answer_to(&json!({"model": "m", "messages": [{"role": "user", "content": "REPLY: ääääääää"}]}));
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
    );
}

#[test]
fn a_forced_tool_is_called() {
    let mut request = request("find\nTOOL: {\"query\": \"red\", \"limit\": 3}\nplease");
    request["tools"] =
        json!([{"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}]);
    request["tool_choice"] = json!({"type": "function", "function": {"name": "search"}});
    let choice = &answer_to(&request)["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(
        (&call["type"], &call["function"]["name"]),
        (&json!("function"), &json!("search"))
    );
    assert_eq!(call["function"]["arguments"], r#"{"query": "red", "limit": 3}"#);
    request["messages"][1]["content"] = json!("red \"bicycles\"");
    let choice = &answer_to(&request)["choices"][0];
    let arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
        .as_str()
        .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(arguments).unwrap(),
        json!({"query": "red \"bicycles\""})
    );
    request["stream"] = json!(true);
    let call = events_of(&request)
        .iter()
        .find_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0").cloned());
    assert_eq!(call.unwrap()["function"]["name"], "search");
}

#[test]
fn a_schema_gives_json() {
    let mut request = request("JSON: [1, 2]");
    request["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}});
    assert_eq!(answer_to(&request)["choices"][0]["message"]["content"], "[1, 2]");
    request["messages"][1]["content"] = json!("REPLY: yes");
    assert_eq!(
        answer_to(&request)["choices"][0]["message"]["content"],
        r#"{"answer":"yes"}"#
    );
}

#[test]
fn a_stream_gives_the_same_in_pieces() {
    let mut request = request("REPLY: ein Fahrrad für Äpfel");
    let whole = answer_to(&request);
    request["stream"] = json!(true);
    let chunks = events_of(&request);
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    let pieces: Vec<&str> = chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str())
        .collect();
    assert_eq!(pieces.concat(), "ein Fahrrad für Äpfel");
    assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.chars().count() <= PIECE_CHARS));
    request["stream_options"] = json!({"include_usage": true});
    let with_usage = events_of(&request);
    assert_eq!(with_usage.len(), chunks.len() + 1);
    let last = with_usage.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
}

#[test]
fn embeddings_are_a_list_of_the_inputs() {
    for (request, count, dimensions) in [
        (json!({"model": "e", "input": "one text"}), 1, 16),
        (
            json!({"model": "e", "input": ["a", "b", "c"], "dimensions": 5}),
            3,
            5,
        ),
    ] {
        assert_eq!(check::embeddings(&request), [""; 0]);
        let answer: Value = serde_json::from_slice(&embeddings(&request).pieces.into_bytes()).unwrap();
        let fields: [Field; 4] = [
            ("/object", |object| object == "list"),
            ("/model", |model| model == "e"),
            ("/usage/prompt_tokens", Value::is_u64),
            ("/usage/total_tokens", Value::is_u64),
        ];
        assert_eq!(wrong_fields(&answer, &fields), [""; 0], "{answer}");
        let data = answer["data"].as_array().unwrap();
        assert_eq!(data.len(), count);
        for (index, embedding) in data.iter().enumerate() {
            assert_eq!(
                (&embedding["object"], &embedding["index"]),
                (&json!("embedding"), &json!(index))
            );
            let numbers = embedding["embedding"].as_array().unwrap();
            assert!(numbers.len() == dimensions && numbers.iter().all(Value::is_number));
        }
    }
}
