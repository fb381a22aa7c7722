//! A reply: composed by the built-in responder, or by a model out of the rows found.

use crate::chat::question::{Question, Searched};
use crate::chat::store::Conversation;
use crate::error::Result;
use crate::matching::rank::Match;
use crate::models::Ready;
use castmatch_engine::chat::compose::{ReplyInput, compose};
use castmatch_engine::chat::prompt::{PromptInput, build};
use castmatch_engine::chat::window::estimate_tokens;
use castmatch_engine::chat::{Message, Role, Source, prompt, search_call};
use castmatch_engine::filter::describe;
use castmatch_engine::model_name::BUILTIN;
use castmatch_engine::options::Speech;
use castmatch_provider::{ChatCall, ChatMessage, Role as Speaker, Tool};
use serde_json::{Value as Json, json};

/// A reply and what it rests on.
#[derive(Clone, serde::Deserialize, serde::Serialize)]
pub struct Answer {
    /// The reply.
    pub text: String,
    /// The model that gave it.
    pub model: String,
    /// Sources as `chat` returns them, best first.
    pub sources: Json,
    /// What was searched for, kept with the user's message.
    pub context: Json,
    /// Tokens of all prompts that it took.
    pub prompt_tokens: u64,
    /// Tokens of all completions.
    pub completion_tokens: u64,
    /// What was passed over or left out. An answer with any of it is never cached.
    #[serde(skip)]
    pub degraded: Vec<Json>,
}

/// All that a reply is made of, without the database.
pub struct Material {
    /// What the built-in responder says.
    pub composed: String,
    /// The rows.
    pub rows: Vec<Source>,
    /// The rows as `chat` returns them.
    pub sources: Json,
    /// What the next turn has to know.
    pub context: Json,
    /// The earlier messages.
    pub window: Vec<Message>,
    /// What was said before the window.
    pub summary: Option<String>,
    /// What the user says.
    pub message: String,
    /// What the call says to a model.
    pub speech: Speech,
}

impl Material {
    /// Gathers it.
    ///
    /// # Errors
    /// Those of a search, where no row was found.
    pub fn new(question: &Question, conversation: &Conversation, searched: Searched) -> Result<Self> {
        let turn = question.turn;
        let without = if searched.found.matches.is_empty() {
            question.too_narrow(&searched)?
        } else {
            None
        };
        let attachment = &question.attachment;
        let highlighted: Vec<String> = attachment
            .filters
            .iter()
            .chain(&searched.columns)
            .cloned()
            .collect();
        let composed = compose(&ReplyInput {
            message: &turn.message,
            continues: question
                .query
                .continues
                .and_then(|index| question.said.get(index).copied()),
            filters: &question.filter.as_ref().map(describe).unwrap_or_default(),
            refinements: &searched.notes,
            sources: &searched.rows,
            limit: turn.k,
            highlighted: &highlighted,
            content: &attachment.content_names,
            weak_below: None,
            without: without.as_deref(),
        });
        Ok(Self {
            composed,
            sources: Json::Array(searched.found.matches.iter().map(source_entry).collect()),
            context: searched.context(attachment.target),
            rows: searched.rows,
            window: question.window.iter().map(|kept| kept.message.clone()).collect(),
            summary: conversation
                .summary
                .clone()
                .filter(|_| turn.options.speech.summary),
            message: turn.message.clone(),
            speech: turn.options.speech.clone(),
        })
    }

    /// The reply of the built-in responder.
    pub fn by_builtin(&self) -> Answer {
        let window: usize = self.window.iter().map(|message| message.tokens).sum();
        self.answer(
            self.composed.clone(),
            BUILTIN.to_owned(),
            (estimate_tokens(&self.message) + window) as u64,
            estimate_tokens(&self.composed) as u64,
        )
    }

    /// A reply with what it rests on.
    pub fn answer(&self, text: String, model: String, prompt_tokens: u64, completion_tokens: u64) -> Answer {
        Answer {
            text,
            model,
            sources: self.sources.clone(),
            context: self.context.clone(),
            prompt_tokens,
            completion_tokens,
            degraded: Vec::new(),
        }
    }

    /// The call that asks a model for the reply.
    pub fn call(&self, ready: &Ready, stream: bool) -> ChatCall {
        let system = system_prompt(ready, &self.speech);
        let messages = build(&PromptInput {
            system,
            summary: self.summary.as_deref(),
            window: &self.window,
            sources: &self.rows,
            message: &self.message,
            max_tokens: ready.definition.options.prompt_budget(system),
        });
        ChatCall {
            stream,
            ..spoken(ready, &self.speech, messages)
        }
    }
}

/// The system prompt of a call: its own, else the model's, else none.
pub fn system_prompt<'a>(ready: &'a Ready, speech: &'a Speech) -> &'a str {
    speech
        .system
        .as_deref()
        .or(ready.definition.options.system.as_deref())
        .unwrap_or_default()
}

/// A call with messages and the settings of the model, as far as the call has none of its own.
pub fn spoken(ready: &Ready, speech: &Speech, messages: Vec<prompt::ChatMessage>) -> ChatCall {
    let options = &ready.definition.options;
    ChatCall {
        model: ready.definition.remote_name().to_owned(),
        messages: messages.into_iter().map(to_provider).collect(),
        temperature: speech.temperature.or(options.temperature),
        max_tokens: speech.max_tokens.or(options.max_tokens),
        tools: Vec::new(),
        forced_tool: None,
        json_schema: None,
        stream: false,
    }
}

fn to_provider(message: prompt::ChatMessage) -> ChatMessage {
    ChatMessage {
        role: match message.role {
            Role::System => Speaker::System,
            Role::User => Speaker::User,
            Role::Assistant => Speaker::Assistant,
        },
        content: message.content,
    }
}

/// What asks a model to make a search of a message that leans on earlier ones.
pub struct SearchCallMaker {
    window: Vec<Message>,
    message: String,
    tool: Tool,
}

impl SearchCallMaker {
    /// For a question.
    pub fn new(question: &Question) -> Self {
        let (name, description, parameters) =
            search_call::tool(&question.attachment.columns, &question.attachment.filters);
        Self {
            window: question.window.iter().map(|kept| kept.message.clone()).collect(),
            message: question.turn.message.clone(),
            tool: Tool {
                name: name.to_owned(),
                description,
                parameters,
            },
        }
    }

    /// The call of a model: deterministic, whatever the reply's temperature is.
    pub fn call(&self, ready: &Ready) -> ChatCall {
        let budget = ready.definition.options.prompt_budget("");
        let messages = search_call::messages("", &self.window, &self.message, budget);
        let speech = Speech {
            temperature: ready.definition.options.temperature.map(|_| 0.0),
            max_tokens: None,
            ..Speech::default()
        };
        ChatCall {
            tools: vec![self.tool.clone()],
            forced_tool: Some(self.tool.name.clone()),
            max_tokens: None,
            ..spoken(ready, &speech, messages)
        }
    }
}

fn source_entry(found: &Match) -> Json {
    json!({
        "key": found.key, "score": found.score, "similarity": found.similarity, "reasons": found.reasons,
    })
}
