//! Answers in the published shapes, made from the request alone, so that the same request has the same answer.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::body::Pieces;
use crate::vectors;

/// The time in every answer, in seconds: tests compare whole answers.
const CREATED: u64 = 1_700_000_000;

/// Characters of each piece of a stream.
const PIECE_CHARS: usize = 4;

/// Dimensions of embeddings unless the request says how many.
const DIMENSIONS: u64 = 16;

/// An answer: how it is called, and what it holds.
pub(crate) struct Reply {
    pub(crate) content_type: &'static str,
    pub(crate) pieces: Pieces,
}

impl Reply {
    pub(crate) fn json(value: &Value) -> Self {
        Self {
            content_type: "application/json",
            pieces: Pieces::one(value.to_string()),
        }
    }

    fn events(events: &[Value]) -> Self {
        let events = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .chain(["data: [DONE]\n\n".to_owned()]);
        Self {
            content_type: "text/event-stream",
            pieces: Pieces::new(events.map(Bytes::from)),
        }
    }
}

/// Whether the request asks for a stream.
pub(crate) fn is_streamed(request: &Value) -> bool {
    request["stream"] == true
}

/// The answer to a request for chat that conforms. The last message of the user may say what it is: what follows `REPLY:` in
/// its line; with a forced tool, the arguments after `TOOL:`; with a schema, the JSON after `JSON:`. Else it counts the lines
/// between the last `<rows>` and `</rows>`.
pub(crate) fn chat(request: &Value) -> Reply {
    chat_with(request, &reply_text(request))
}

/// The same with another text.
pub(crate) fn chat_with(request: &Value, text: &str) -> Reply {
    let forced = request
        .pointer("/tool_choice/function/name")
        .and_then(Value::as_str);
    let call = forced.map(|name| {
        let arguments = marked(last_user_message(request), "TOOL:").map_or_else(
            || json!({"query": last_user_message(request)}).to_string(),
            str::to_owned,
        );
        json!({"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let text = if call.is_some() { "" } else { text };
    let usage = usage(request, text, call.as_ref());
    let finish = if call.is_some() { "tool_calls" } else { "stop" };
    if is_streamed(request) {
        return Reply::events(&chunks(request, text, call, finish, &usage));
    }
    let mut message = json!({"role": "assistant", "content": text, "refusal": null});
    if let Some(call) = call {
        message["content"] = Value::Null;
        message["tool_calls"] = json!([call]);
    }
    Reply::json(&json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": CREATED,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": usage,
    }))
}

fn chunks(request: &Value, text: &str, call: Option<Value>, finish: &str, usage: &Value) -> Vec<Value> {
    let with_usage = request.pointer("/stream_options/include_usage") == Some(&json!(true));
    let chunk = |choices: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": request["model"],
            "choices": choices,
        });
        if with_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let choice = |delta: Value, finish: Option<&str>| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]))
    };
    let mut chunks = vec![choice(json!({"role": "assistant", "content": ""}), None)];
    let characters: Vec<char> = text.chars().collect();
    chunks.extend(
        characters
            .chunks(PIECE_CHARS)
            .map(|piece| choice(json!({"content": piece.iter().collect::<String>()}), None)),
    );
    if let Some(mut call) = call {
        call["index"] = json!(0);
        chunks.push(choice(json!({"tool_calls": [call]}), None));
    }
    chunks.push(choice(json!({}), Some(finish)));
    if with_usage {
        let mut last = chunk(json!([]));
        last["usage"] = usage.clone();
        chunks.push(last);
    }
    chunks
}

fn reply_text(request: &Value) -> String {
    let message = last_user_message(request);
    if request.pointer("/response_format/type") == Some(&json!("json_schema")) {
        return marked(message, "JSON:").map_or_else(
            || json!({"answer": plain_text(request)}).to_string(),
            str::to_owned,
        );
    }
    plain_text(request)
}

fn plain_text(request: &Value) -> String {
    let message = last_user_message(request);
    if let Some(reply) = marked(message, "REPLY:") {
        return reply.to_owned();
    }
    let rows = std::iter::once(message)
        .chain(messages(request).rev().map(|(_, content)| content))
        .find_map(count_rows);
    format!("I see {} rows.", rows.unwrap_or(0))
}

/// Lines that are not empty between the last `<rows>` and the `</rows>` that follows it.
fn count_rows(message: &str) -> Option<usize> {
    let (_, rows) = message.rsplit_once("<rows>")?;
    let (rows, _) = rows.split_once("</rows>")?;
    Some(rows.lines().filter(|line| !line.trim().is_empty()).count())
}

/// What follows a mark in its line.
fn marked<'a>(message: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(mark)?;
    Some(rest.lines().next().unwrap_or_default().trim())
}

fn messages(request: &Value) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    let messages = request["messages"].as_array().map_or(&[][..], Vec::as_slice);
    messages
        .iter()
        .filter_map(|message| Some((message["role"].as_str()?, message["content"].as_str()?)))
}

fn last_user_message(request: &Value) -> &str {
    messages(request)
        .rfind(|(role, _)| *role == "user")
        .map_or("", |(_, content)| content)
}

fn usage(request: &Value, text: &str, call: Option<&Value>) -> Value {
    let prompt = messages(request)
        .map(|(_, content)| content.chars().count())
        .sum::<usize>()
        / 4;
    let arguments = call.and_then(|call| call.pointer("/function/arguments")?.as_str());
    let completion = (text.chars().count() + arguments.map_or(0, |text| text.chars().count())) / 4;
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

/// The answer to a request for embeddings that conforms.
pub(crate) fn embeddings(request: &Value) -> Reply {
    let dimensions = request["dimensions"].as_u64().unwrap_or(DIMENSIONS);
    let inputs: Vec<&str> = match &request["input"] {
        Value::Array(inputs) => inputs.iter().filter_map(Value::as_str).collect(),
        input => input.as_str().into_iter().collect(),
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vectors::embedding(input, usize::try_from(dimensions).unwrap_or(0));
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    let tokens = inputs.iter().map(|input| input.chars().count()).sum::<usize>() / 4;
    Reply::json(&json!({
        "object": "list",
        "model": request["model"],
        "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
