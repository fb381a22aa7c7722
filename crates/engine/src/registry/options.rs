//! The options of a model: jsonb in, checked settings out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Provider, RegistryError, Task};
use crate::chat::window::estimate_tokens;
use crate::filter::{closest, json_kind};
use crate::options::MAX_SYSTEM_BYTES;
use crate::options::OptionError;
use crate::options::value::{bounded, number, shown, whole};
use crate::usage::Price;

/// Where a model's key is read from, each time that it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable of the server.
    Environment(String),
    /// A file that only the server's user may read.
    File(PathBuf),
}

/// Who makes a search of a message that leans on earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// The model, by a function call.
    Model,
    /// The rules of the built-in responder.
    Rules,
}

/// A model's options, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Base URL of the server.
    pub url: Option<String>,
    /// The model's name there, or the folder of a local model; by default the name that it is registered under.
    pub model: Option<String>,
    /// Dimensions of its vectors.
    pub dimensions: Option<u32>,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Attempts before the model counts as failed.
    pub max_attempts: u32,
    /// Sampling temperature; `None` leaves it to the server.
    pub temperature: Option<f64>,
    /// Most tokens of a reply; `None` leaves it to the server.
    pub max_tokens: Option<u32>,
    /// Headers of every request.
    pub headers: BTreeMap<String, String>,
    /// The model that answers if this one cannot.
    pub fallback: Option<String>,
    /// What tokens cost.
    pub price: Price,
    /// Where its key is.
    pub secret: Option<SecretSource>,
    /// Certificate authorities beside the system's.
    pub ca_file: Option<PathBuf>,
    /// System prompt, unless a call brings its own.
    pub system: Option<String>,
    /// Tokens that a prompt may have.
    pub context_tokens: usize,
    /// Texts of one request for embeddings.
    pub batch_size: usize,
    /// Who makes the search of a follow-up.
    pub rewrite: Rewrite,
    /// Similarity from which on a reply to another wording may be used again; `None` for never.
    pub semantic_cache: Option<f64>,
}

/// Longest of the other texts in bytes.
const MAX_TEXT_BYTES: usize = 4096;
/// Most headers.
const MAX_HEADERS: usize = 32;
/// A floor below this one would let almost any two messages share a reply.
const MIN_SIMILARITY: f64 = 0.8;

/// Room for a reply whose length the server decides.
const DEFAULT_REPLY_TOKENS: usize = 1024;
/// A prompt may have so much even if the context is too small for it: the server says what is wrong then.
const MIN_PROMPT_TOKENS: usize = 256;

/// Every option, with who has it: provider and task.
const OPTIONS: [(&str, &[(Provider, Task)]); 18] = {
    use Provider::{Builtin, OpenAi};
    use Task::{Chat, Embedding};
    const REMOTE: &[(Provider, Task)] = &[(OpenAi, Embedding), (OpenAi, Chat)];
    const TALKING: &[(Provider, Task)] = &[(OpenAi, Chat)];
    const EMBEDDING: &[(Provider, Task)] = &[(OpenAi, Embedding)];
    [
        ("batch_size", EMBEDDING),
        ("ca_file", REMOTE),
        ("context_tokens", TALKING),
        ("dimensions", EMBEDDING),
        ("fallback", TALKING),
        ("headers", REMOTE),
        ("max_attempts", REMOTE),
        ("max_tokens", TALKING),
        (
            "model",
            &[(OpenAi, Embedding), (OpenAi, Chat), (Builtin, Embedding)],
        ),
        ("price", REMOTE),
        ("rewrite", TALKING),
        ("secret_env", REMOTE),
        ("secret_file", REMOTE),
        ("semantic_cache", &[(OpenAi, Chat), (Builtin, Chat)]),
        ("system", TALKING),
        ("temperature", TALKING),
        ("timeout_ms", REMOTE),
        ("url", REMOTE),
    ]
};

impl Default for Options {
    fn default() -> Self {
        Self {
            url: None,
            model: None,
            dimensions: None,
            timeout: Duration::from_secs(30),
            max_attempts: 3,
            temperature: None,
            max_tokens: None,
            headers: BTreeMap::new(),
            fallback: None,
            price: Price::default(),
            secret: None,
            ca_file: None,
            system: None,
            context_tokens: 8192,
            batch_size: 64,
            rewrite: Rewrite::Model,
            semantic_cache: None,
        }
    }
}

impl Options {
    /// Parses the options of a model. An option that is null counts as left out.
    ///
    /// # Errors
    /// Any [`RegistryError`] about options.
    pub fn parse(task: Task, provider: Provider, options: &Value) -> Result<Self, RegistryError> {
        let mut parsed = Self::default();
        for (name, value) in object("options", options)?
            .iter()
            .filter(|(_, value)| !value.is_null())
        {
            parsed.set(known(name, task, provider)?, value)?;
        }
        match (provider, &parsed) {
            (Provider::OpenAi, Self { url: None, .. }) => Err(RegistryError::Missing {
                name: "url",
                provider,
            }),
            (Provider::Builtin, Self { model: None, .. }) if task == Task::Embedding => {
                Err(RegistryError::Missing {
                    name: "model",
                    provider,
                })
            }
            _ => Ok(parsed),
        }
    }

    fn set(&mut self, name: &'static str, value: &Value) -> Result<(), RegistryError> {
        match name {
            "batch_size" => self.batch_size = whole(name, value, 1, 2048)?,
            "ca_file" => self.ca_file = Some(absolute(name, value)?),
            "context_tokens" => self.context_tokens = whole(name, value, 512, 10_000_000)?,
            "dimensions" => self.dimensions = Some(small(name, value, 1, 16_000)?),
            "fallback" => self.fallback = Some(bounded(name, value, 63)?),
            "headers" => self.headers = headers(value)?,
            "max_attempts" => self.max_attempts = small(name, value, 1, 10)?,
            "max_tokens" => self.max_tokens = Some(small(name, value, 1, 1_000_000)?),
            "model" => self.model = Some(bounded(name, value, 256)?),
            "price" => self.price = price(value)?,
            "rewrite" => self.rewrite = rewrite(value)?,
            "secret_env" => {
                let variable = bounded(name, value, 256)?;
                self.set_secret(SecretSource::Environment(variable))?;
            }
            "secret_file" => {
                let path = absolute(name, value)?;
                self.set_secret(SecretSource::File(path))?;
            }
            "semantic_cache" => self.semantic_cache = Some(number(name, value, MIN_SIMILARITY, 1.0)?),
            "system" => self.system = Some(bounded(name, value, MAX_SYSTEM_BYTES)?),
            "temperature" => self.temperature = Some(number(name, value, 0.0, 2.0)?),
            "timeout_ms" => self.timeout = Duration::from_millis(u64::from(small(name, value, 10, 600_000)?)),
            "url" => self.url = Some(bounded(name, value, 2048)?),
            // The table of options and this list hold the same names.
            _ => {}
        }
        Ok(())
    }

    fn set_secret(&mut self, source: SecretSource) -> Result<(), RegistryError> {
        match self.secret.replace(source) {
            None => Ok(()),
            Some(_) => Err(RegistryError::TwoSecrets),
        }
    }

    /// Tokens that a prompt may have beside its system prompt: what the reply leaves of the model's context.
    pub fn prompt_budget(&self, system: &str) -> usize {
        let reply = self
            .max_tokens
            .map_or(DEFAULT_REPLY_TOKENS, |tokens| tokens as usize);
        self.context_tokens
            .saturating_sub(reply)
            .saturating_sub(estimate_tokens(system))
            .max(MIN_PROMPT_TOKENS)
    }

    /// Whether a change from these options to others is a superuser's: where files or the environment are read, and where a key that was
    /// read from there is sent.
    pub fn needs_superuser(&self, after: &Self) -> bool {
        let reads_anew = (after.secret.is_some() && self.secret != after.secret)
            || (after.ca_file.is_some() && self.ca_file != after.ca_file);
        let sends_elsewhere = after.secret.is_some()
            && (self.url != after.url || self.headers != after.headers || self.ca_file != after.ca_file);
        reads_anew || sends_elsewhere
    }
}

/// Options with some of them given anew; one that is given as null is taken out.
pub fn merge(before: &Value, changes: &Value) -> Result<Value, RegistryError> {
    let mut merged = object("options", before)?.clone();
    for (name, value) in object("options", changes)? {
        if value.is_null() {
            merged.remove(name);
        } else {
            merged.insert(name.clone(), value.clone());
        }
    }
    Ok(Value::Object(merged))
}

fn object<'a>(name: &'static str, value: &'a Value) -> Result<&'a Map<String, Value>, RegistryError> {
    let wrong = || match name {
        "options" => OptionError::NotAnObject {
            found: json_kind(value),
        },
        _ => OptionError::WrongKind {
            name,
            expected: "a JSON object",
            found: json_kind(value).to_owned(),
        },
    };
    value.as_object().ok_or_else(|| wrong().into())
}

fn known(name: &str, task: Task, provider: Provider) -> Result<&'static str, RegistryError> {
    let of_this = || {
        OPTIONS
            .iter()
            .filter(move |(_, whose)| whose.contains(&(provider, task)))
            .map(|&(name, _)| name)
    };
    match OPTIONS.iter().find(|(option, _)| *option == name) {
        Some(&(name, whose)) if whose.contains(&(provider, task)) => Ok(name),
        Some(&(name, _)) => Err(RegistryError::OfAnother { name, task, provider }),
        None => Err(RegistryError::UnknownOption {
            name: name.to_owned(),
            closest: closest(name, of_this()),
            known: of_this().collect(),
        }),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the largest values given here are far below 2^32"
)]
fn small(name: &'static str, value: &Value, smallest: usize, largest: usize) -> Result<u32, RegistryError> {
    Ok(whole(name, value, smallest, largest)? as u32)
}

fn absolute(name: &'static str, value: &Value) -> Result<PathBuf, RegistryError> {
    let path = PathBuf::from(bounded(name, value, MAX_TEXT_BYTES)?);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(OptionError::WrongKind {
        name,
        expected: "an absolute path",
        found: shown(value),
    }
    .into())
}

fn headers(value: &Value) -> Result<BTreeMap<String, String>, RegistryError> {
    let given = object("headers", value)?;
    if given.len() > MAX_HEADERS {
        return Err(OptionError::WrongKind {
            name: "headers",
            expected: "at most 32 headers",
            found: format!("{} of them", given.len()),
        }
        .into());
    }
    given
        .iter()
        .map(|(name, value)| Ok((name.clone(), bounded("headers", value, MAX_TEXT_BYTES)?)))
        .collect()
}

fn price(value: &Value) -> Result<Price, RegistryError> {
    let mut price = Price::default();
    for (part, amount) in object("price", value)? {
        let of_part = match part.as_str() {
            "prompt" => &mut price.prompt,
            "completion" => &mut price.completion,
            _ => {
                return Err(OptionError::WrongKind {
                    name: "price",
                    expected: "an object of \"prompt\" and \"completion\"",
                    found: format!("one with {}", shown(&Value::String(part.clone()))),
                }
                .into());
            }
        };
        *of_part = number("price", amount, 0.0, 1e6)?;
    }
    Ok(price)
}

fn rewrite(value: &Value) -> Result<Rewrite, RegistryError> {
    match value.as_str() {
        Some("model") => Ok(Rewrite::Model),
        Some("rules") => Ok(Rewrite::Rules),
        _ => Err(OptionError::WrongKind {
            name: "rewrite",
            expected: "\"model\" or \"rules\"",
            found: shown(value),
        }
        .into()),
    }
}
