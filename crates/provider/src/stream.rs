//! Puts the answer together that a server sends in pieces, each a "chat.completion.chunk" in a server-sent event. The last
//! ones say why the answer ends and what it cost; then comes `[DONE]`.

use serde::Deserialize;
use serde_json::Value;

use crate::answer::{self, ChatAnswer, RawUsage, ToolCall};
use crate::events::ServerEvent;
use crate::failure::Failure;
use crate::secret::Secret;

/// The most tool calls of one answer: their places in the list come from the server.
const MAX_TOOL_CALLS: usize = 128;

/// A chat answer of which pieces have come.
#[derive(Debug, Default)]
pub(crate) struct PartialAnswer {
    answer: ChatAnswer,
    done: bool,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Vec<ChunkChoice>,
    #[serde(default)]
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCallDelta>>,
}

#[derive(Deserialize)]
struct ToolCallDelta {
    index: usize,
    #[serde(default)]
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

impl PartialAnswer {
    /// Takes an event and gives the text that it adds, if any. After `[DONE]` events are ignored.
    ///
    /// # Errors
    /// An event that is no chunk, or an error that the server sends in place of one.
    pub(crate) fn add(
        &mut self,
        event: &ServerEvent,
        secret: Option<&Secret>,
    ) -> Result<Option<String>, Failure> {
        if self.done {
            return Ok(None);
        }
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return Ok(None);
        }
        let names_error = event.name == "error";
        let chunk = match serde_json::from_str::<Chunk>(&event.data) {
            Ok(chunk) if !names_error => chunk,
            parsed => {
                let value = serde_json::from_str::<Value>(&event.data).unwrap_or_default();
                if names_error || value.get("error").is_some() {
                    return Err(Failure::of_error_object(&value, secret));
                }
                let reason = parsed
                    .err()
                    .map_or_else(String::new, |error| answer::place_of(&error));
                return Err(Failure::bad_answer(format!(
                    "expected a piece of a chat completion in the stream, got something else{reason}"
                )));
            }
        };
        if let Some(usage) = chunk.usage {
            self.answer.usage = Some(usage.into());
        }
        let mut piece = String::new();
        // More than one choice is never asked for.
        for choice in chunk.choices.into_iter().filter(|choice| choice.index == 0) {
            self.add_choice(choice, &mut piece)?;
        }
        answer::check_text(&piece)?;
        self.answer.text.push_str(&piece);
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn add_choice(&mut self, choice: ChunkChoice, piece: &mut String) -> Result<(), Failure> {
        if let Some(reason) = choice.finish_reason {
            answer::check_text(&reason)?;
            self.answer.finish_reason = Some(reason);
        }
        let delta = choice.delta.unwrap_or_default();
        for text in [delta.content, delta.refusal].into_iter().flatten() {
            piece.push_str(&text);
        }
        for call in delta.tool_calls.unwrap_or_default() {
            self.add_tool_call(call)?;
        }
        Ok(())
    }

    fn add_tool_call(&mut self, delta: ToolCallDelta) -> Result<(), Failure> {
        if delta.index >= MAX_TOOL_CALLS {
            return Err(Failure::bad_answer(format!(
                "tool call number {} in the stream, at most {MAX_TOOL_CALLS} are read",
                delta.index
            )));
        }
        let calls = &mut self.answer.tool_calls;
        if calls.len() <= delta.index {
            calls.resize_with(delta.index + 1, ToolCall::default);
        }
        if let (Some(call), Some(function)) = (calls.get_mut(delta.index), delta.function) {
            let name = function.name.unwrap_or_default();
            let arguments = function.arguments.unwrap_or_default();
            answer::check_text(&name)?;
            answer::check_text(&arguments)?;
            call.name.push_str(&name);
            call.arguments.push_str(&arguments);
        }
        Ok(())
    }

    /// Whether `[DONE]` has come.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The whole answer, at the end of the stream.
    ///
    /// # Errors
    /// The stream ended before the answer did, or with a tool call that has no name.
    pub(crate) fn finish(self) -> Result<ChatAnswer, Failure> {
        if !self.done && self.answer.finish_reason.is_none() {
            return Err(Failure::bad_answer(format!(
                "half an answer: the stream ended after {} bytes of text without saying that it is whole",
                self.answer.text.len()
            )));
        }
        if self.answer.tool_calls.iter().any(|call| call.name.is_empty()) {
            return Err(Failure::bad_answer("a tool call without a name in the stream"));
        }
        Ok(self.answer)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
