//! What is asked of an endpoint, and its form on the wire. Optional fields that are not set are left out: servers differ
//! in what they do with null. The reply's length is bounded by `max_tokens`, which more servers know than its successor
//! `max_completion_tokens`.

use serde_json::{Value, json};

/// One question to an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// A reply to a conversation.
    Chat(ChatCall),
    /// Vectors of texts.
    Embeddings(EmbeddingsCall),
}

/// Asks for a reply to a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatCall {
    /// The model's name as the endpoint knows it.
    pub model: String,
    /// The conversation, oldest message first.
    pub messages: Vec<ChatMessage>,
    /// How much chance there is in the reply; 0 is the least. Must be finite.
    pub temperature: Option<f64>,
    /// The most tokens of the reply.
    pub max_tokens: Option<u32>,
    /// The functions that the model may ask to be called.
    pub tools: Vec<Tool>,
    /// The one function that must be called. Not together with `stream`.
    pub forced_tool: Option<String>,
    /// The reply must be JSON of this schema.
    pub json_schema: Option<JsonSchema>,
    /// Whether the reply comes in pieces.
    pub stream: bool,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who speaks in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The instructions.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A function that the model may ask to be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Letters, digits, underscores and dashes, at most 64.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub parameters: Value,
}

/// The form that a reply must have; sent as a strict `json_schema`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonSchema {
    /// Letters, digits, underscores and dashes, at most 64.
    pub name: String,
    /// The JSON Schema.
    pub schema: Value,
}

/// Asks for the vectors of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingsCall {
    /// The model's name as the endpoint knows it.
    pub model: String,
    /// The texts.
    pub inputs: Vec<String>,
    /// The length of the vectors, for models that can choose.
    pub dimensions: Option<u32>,
}

impl Call {
    /// The path below the base URL.
    pub(crate) fn path(&self) -> &'static str {
        match self {
            Self::Chat(_) => "/chat/completions",
            Self::Embeddings(_) => "/embeddings",
        }
    }

    pub(crate) fn body(&self) -> Value {
        match self {
            Self::Chat(call) => call.body(),
            Self::Embeddings(call) => call.body(),
        }
    }
}

impl ChatCall {
    fn body(&self) -> Value {
        let messages: Vec<Value> = self
            .messages
            .iter()
            .map(|message| json!({"role": message.role.name(), "content": message.content}))
            .collect();
        let mut body = json!({"model": self.model, "messages": messages});
        if let Some(temperature) = self.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(max_tokens) = self.max_tokens {
            body["max_tokens"] = json!(max_tokens);
        }
        if !self.tools.is_empty() {
            body["tools"] = self.tools.iter().map(Tool::body).collect();
        }
        if let Some(name) = &self.forced_tool {
            body["tool_choice"] = json!({"type": "function", "function": {"name": name}});
        }
        if let Some(JsonSchema { name, schema }) = &self.json_schema {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": name, "schema": schema, "strict": true},
            });
        }
        if self.stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }
}

impl Tool {
    fn body(&self) -> Value {
        json!({
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.parameters},
        })
    }
}

impl EmbeddingsCall {
    fn body(&self) -> Value {
        let mut body = json!({"model": self.model, "input": self.inputs});
        if let Some(dimensions) = self.dimensions {
            body["dimensions"] = json!(dimensions);
        }
        body
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
