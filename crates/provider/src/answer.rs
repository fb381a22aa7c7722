//! What an endpoint answers, read from untrusted bytes: only what is named here is kept, everything else is skipped while it
//! is parsed. Failures say what was expected and where, and quote nothing.

use serde::Deserialize;
use serde_json::Value;

use crate::call::{Call, EmbeddingsCall};
use crate::failure::Failure;
use crate::secret::Secret;

/// The answer to a [`crate::Call`], of its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`crate::Call::Chat`].
    Chat(ChatAnswer),
    /// To [`crate::Call::Embeddings`].
    Embeddings(EmbeddingsAnswer),
}

/// A model's reply. None of its texts holds a NUL character.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatAnswer {
    /// Empty where there are only tool calls. Of a model that declines to answer, what it says instead.
    pub text: String,
    /// The functions that the model asks to be called.
    pub tool_calls: Vec<ToolCall>,
    /// Why the reply ends, in the endpoint's words: "stop", "length", …
    pub finish_reason: Option<String>,
    /// What the endpoint counted, if it says so.
    pub usage: Option<Usage>,
}

/// A function that the model asks to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The function.
    pub name: String,
    /// Its arguments: JSON, if the model has kept to it.
    pub arguments: String,
}

/// The vectors of the inputs, in their order: as many as there were inputs, of one length, all numbers finite.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingsAnswer {
    /// One for each input.
    pub vectors: Vec<Vec<f32>>,
    /// What the endpoint counted, if it says so.
    pub usage: Option<Usage>,
}

/// What an endpoint counted, in tokens of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Of the question.
    pub prompt_tokens: u64,
    /// Of the answer; 0 for embeddings.
    pub completion_tokens: u64,
}

/// What is counted is told for the administrator's sake: numbers that are none count as 0.
#[derive(Deserialize)]
pub(crate) struct RawUsage {
    #[serde(default)]
    prompt_tokens: Value,
    #[serde(default)]
    completion_tokens: Value,
}

impl From<RawUsage> for Usage {
    fn from(raw: RawUsage) -> Self {
        Self {
            prompt_tokens: raw.prompt_tokens.as_u64().unwrap_or(0),
            completion_tokens: raw.completion_tokens.as_u64().unwrap_or(0),
        }
    }
}

#[derive(Deserialize)]
struct RawChat {
    choices: Vec<RawChoice>,
    #[serde(default)]
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct RawChoice {
    message: RawMessage,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct RawMessage {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<RawToolCall>>,
}

#[derive(Deserialize)]
struct RawToolCall {
    function: RawFunction,
}

#[derive(Deserialize)]
struct RawFunction {
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct RawEmbeddings {
    data: Vec<RawEmbedding>,
    #[serde(default)]
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct RawEmbedding {
    index: usize,
    /// Read in double precision: whether too large a number is an error or infinite depends on how the parser is built.
    embedding: Vec<f64>,
}

impl Answer {
    /// Reads the answer to `call`.
    ///
    /// # Errors
    /// Not UTF-8, not JSON, another shape, a NUL character, or vectors that are not those asked for.
    pub(crate) fn read(call: &Call, body: &[u8], secret: Option<&Secret>) -> Result<Self, Failure> {
        let text = std::str::from_utf8(body).map_err(|error| {
            Failure::bad_answer(format!("the answer is not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        match call {
            Call::Chat(_) => {
                let expected = "a chat completion with a message in each of its choices";
                read_chat(parse(text, expected, secret)?).map(Self::Chat)
            }
            Call::Embeddings(call) => {
                let expected = "a list of embeddings with an index and numbers each";
                read_embeddings(call, parse(text, expected, secret)?).map(Self::Embeddings)
            }
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(
    text: &'a str,
    expected: &str,
    secret: Option<&Secret>,
) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        if !error.is_data() {
            return Failure::bad_answer(format!("expected {expected}, got no JSON{}", place_of(&error)));
        }
        match serde_json::from_str::<ErrorObject>(text) {
            Ok(ErrorObject { error }) => {
                Failure::of_error_object(&serde_json::json!({"error": error}), secret)
            }
            Err(_) => Failure::bad_answer(format!("expected {expected}, got other JSON{}", place_of(&error))),
        }
    })
}

/// Some servers answer an error with status 200.
#[derive(Deserialize)]
struct ErrorObject {
    error: Value,
}

/// Where reading failed; never what was there, as the parser's own text has it.
pub(crate) fn place_of(error: &serde_json::Error) -> String {
    format!(" (line {}, column {})", error.line(), error.column())
}

/// # Errors
/// A NUL character, which no text of PostgreSQL can hold.
pub(crate) fn check_text(text: &str) -> Result<(), Failure> {
    if text.contains('\0') {
        return Err(Failure::bad_answer("the answer holds a NUL character"));
    }
    Ok(())
}

fn read_chat(raw: RawChat) -> Result<ChatAnswer, Failure> {
    // More than one choice is never asked for.
    let choice = raw
        .choices
        .into_iter()
        .next()
        .ok_or_else(|| Failure::bad_answer("expected a chat completion, got one without choices"))?;
    let message = choice.message;
    let text = message.content.or(message.refusal).unwrap_or_default();
    check_text(&text)?;
    let mut tool_calls = Vec::new();
    for RawToolCall { function } in message.tool_calls.unwrap_or_default() {
        check_text(&function.name)?;
        check_text(&function.arguments)?;
        tool_calls.push(ToolCall {
            name: function.name,
            arguments: function.arguments,
        });
    }
    if let Some(reason) = &choice.finish_reason {
        check_text(reason)?;
    }
    Ok(ChatAnswer {
        text,
        tool_calls,
        finish_reason: choice.finish_reason,
        usage: raw.usage.map(Usage::from),
    })
}

fn read_embeddings(call: &EmbeddingsCall, raw: RawEmbeddings) -> Result<EmbeddingsAnswer, Failure> {
    let expected = call.inputs.len();
    let got = raw.data.len();
    if got != expected {
        return Err(Failure::bad_answer(format!(
            "expected {expected} embeddings, got {got}"
        )));
    }
    let mut places: Vec<Option<Vec<f32>>> = vec![None; expected];
    let mut dimensions = call.dimensions.map(|dimensions| dimensions as usize);
    for RawEmbedding { index, embedding } in raw.data {
        let dimensions = *dimensions.get_or_insert(embedding.len());
        if embedding.len() != dimensions || embedding.is_empty() {
            return Err(Failure::bad_answer(format!(
                "expected embeddings of {dimensions} dimensions, got one of {}",
                embedding.len()
            )));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the nearest number is meant; of those too large, infinity"
        )]
        let embedding: Vec<f32> = embedding.into_iter().map(|number| number as f32).collect();
        if !embedding.iter().all(|number| number.is_finite()) {
            return Err(Failure::bad_answer(format!(
                "embedding {index} holds a number that is not finite in single precision"
            )));
        }
        let place = places.get_mut(index).ok_or_else(|| {
            Failure::bad_answer(format!(
                "expected {expected} embeddings, got one of index {index}"
            ))
        })?;
        if place.replace(embedding).is_some() {
            return Err(Failure::bad_answer(format!("two embeddings of index {index}")));
        }
    }
    Ok(EmbeddingsAnswer {
        // As many as there are places, none of them twice: each is filled.
        vectors: places.into_iter().flatten().collect(),
        usage: raw.usage.map(Usage::from),
    })
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
