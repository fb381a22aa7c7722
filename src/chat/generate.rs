//! `castmatch.generate`: a model's answer to a prompt, outside of any conversation.

use crate::chat::answer::spoken;
use crate::chat::chain::{Chain, degraded, speakers};
use crate::chat::turn::{check_message, model_name};
use crate::error::{Result, internal, invalid_argument, option_error, unsupported};
use crate::models::Ready;
use crate::models::failure::ModelFailure;
use crate::pg::catalog;
use crate::pg::json::JsonArg;
use crate::stats::{Operation, timed};
use castmatch_engine::chat::Role;
use castmatch_engine::chat::prompt::ChatMessage;
use castmatch_engine::chat::window::estimate_tokens;
use castmatch_engine::options::{self, Options, Speech, Verb};
use castmatch_engine::shared::counters::Part;
use castmatch_provider::{ChatCall, JsonSchema, check_schema, conforms};
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value as Json, json};

/// The name that a schema goes by in the protocol.
const SCHEMA_NAME: &str = "answer";

#[pg_extern(sql = false)]
fn generate(prompt: Option<&str>, model: Option<&str>, options: Option<JsonArg>) -> Result<JsonB> {
    catalog::require_utf8()?;
    let prompt = check_message(prompt, "prompt")?;
    let options = match options {
        None => Options::default(),
        Some(options) => options::parse(&options.parse("options")?, Verb::Generate).map_err(option_error)?,
    };
    if let Some(schema) = &options.speech.json_schema {
        check_schema(schema).map_err(|message| {
            invalid_argument(format!("option \"json_schema\" is no JSON schema: {message}"))
        })?;
    }
    timed(Operation::Generate, || {
        run(prompt, &model_name(model), options.speech)
    })
    .map(JsonB)
}

fn call(ready: &Ready, prompt: &str, speech: &Speech) -> ChatCall {
    let system = crate::chat::answer::system_prompt(ready, speech);
    let message = |role, content: &str| ChatMessage {
        role,
        content: content.to_owned(),
    };
    let mut messages = Vec::new();
    if !system.is_empty() {
        messages.push(message(Role::System, system));
    }
    messages.push(message(Role::User, prompt));
    ChatCall {
        json_schema: speech.json_schema.clone().map(|schema| JsonSchema {
            name: SCHEMA_NAME.to_owned(),
            schema,
        }),
        ..spoken(ready, speech, messages)
    }
}

fn run(prompt: &str, name: &str, speech: Speech) -> Result<Json> {
    let models = speakers(name)?;
    if models.is_empty() {
        return Err(unsupported(format!(
            "model \"{name}\" composes replies from rows and generates no text"
        ))
        .set_hint(
            "Name a model of a server elsewhere: see castmatch.create_model and castmatch.chat_model.",
        ));
    }
    let schema = speech.json_schema.clone();
    let asked = prompt.to_owned();
    let mut chain = Chain::new(models, move |ready| call(ready, &asked, &speech));
    let Some((answer, model)) = chain.wait()? else {
        let first = chain
            .skipped
            .first()
            .ok_or_else(|| internal("no model was asked"))?;
        let others: Vec<String> = chain
            .skipped
            .iter()
            .skip(1)
            .map(|skipped| format!("Model \"{}\": {}.", skipped.model, skipped.failure.message()))
            .collect();
        let report = first.report();
        return Err(if others.is_empty() {
            report
        } else {
            report.set_detail(others.join(" "))
        });
    };
    let shaped = match &schema {
        None => None,
        Some(schema) => Some(
            in_shape(&answer.text, schema).map_err(|message| ModelFailure::Unfit(message).report(&model))?,
        ),
    };
    let usage = answer.usage;
    Ok(json!({
        "text": answer.text,
        "json": shaped,
        "model": model,
        "finish_reason": answer.finish_reason,
        "usage": {
            "prompt_tokens": usage.map_or(estimate_tokens(prompt) as u64, |usage| usage.prompt_tokens),
            "completion_tokens": usage.map_or(estimate_tokens(&answer.text) as u64, |usage| usage.completion_tokens),
        },
        "degraded": degraded(&chain.skipped, Part::Generate),
    }))
}

/// The answer as JSON of a schema.
fn in_shape(text: &str, schema: &Json) -> Result<Json, String> {
    let value = serde_json::from_str(text).map_err(|_| "it is not JSON".to_owned())?;
    conforms(schema, &value).map_err(|message| format!("it is not of the schema: {message}"))?;
    Ok(value)
}
