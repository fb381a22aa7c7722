//! What is known about a registered model: its task, its provider and its options.
//!
//! Options come as jsonb from whoever registers the model and are stored as they were given, so that a dump restores them; [`Options::parse`]
//! reads them, when they are given and each time that the model is used. A key itself is never among them, only where it is to be read
//! from.

mod error;
mod options;
#[cfg(test)]
mod tests;

pub use error::RegistryError;
pub use options::{Options, Rewrite, SecretSource, merge};

use crate::cache::key::Key;
use serde_json::Value;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Text to vector.
    Embedding,
    /// Messages to a reply.
    Chat,
}

impl Task {
    /// All tasks with their names.
    pub const NAMES: [(&str, Self); 2] = [("embedding", Self::Embedding), ("chat", Self::Chat)];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Chat => "chat",
        }
    }

    /// The task of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(name: &str) -> Result<Self, RegistryError> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|&(_, task)| task)
            .ok_or_else(|| RegistryError::UnknownTask(name.to_owned()))
    }
}

/// Who runs a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// castmatch itself, without a network.
    Builtin,
    /// A server that speaks the protocol of OpenAI.
    OpenAi,
}

impl Provider {
    /// All providers with their names.
    pub const NAMES: [(&str, Self); 2] = [("builtin", Self::Builtin), ("openai", Self::OpenAi)];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::OpenAi => "openai",
        }
    }

    /// The provider of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(name: &str) -> Result<Self, RegistryError> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|&(_, provider)| provider)
            .ok_or_else(|| RegistryError::UnknownProvider(name.to_owned()))
    }
}

/// A registered model.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name in the database.
    pub name: String,
    /// What it is for.
    pub task: Task,
    /// Who runs it.
    pub provider: Provider,
    /// Its options.
    pub options: Options,
}

impl Definition {
    /// Reads a stored definition.
    ///
    /// # Errors
    /// As for [`Options::parse`]; of one that was stored by castmatch itself there are none.
    pub fn new(name: &str, task: &str, provider: &str, options: &Value) -> Result<Self, RegistryError> {
        let (task, provider) = (Task::parse(task)?, Provider::parse(provider)?);
        Ok(Self {
            name: name.to_owned(),
            task,
            provider,
            options: Options::parse(task, provider, options)?,
        })
    }

    /// The model's name at its server.
    pub fn remote_name(&self) -> &str {
        self.options.model.as_deref().unwrap_or(&self.name)
    }

    /// A number that changes with all that decides what the model answers. Of an embedding model that is its name at its server and the
    /// dimensions: the same model at another address gives the same vectors.
    pub fn version(&self) -> u64 {
        let options = &self.options;
        let number = |number: Option<u64>| number.unwrap_or(u64::MAX).to_le_bytes();
        match self.task {
            Task::Embedding => hash(&[
                self.remote_name().as_bytes(),
                &number(options.dimensions.map(u64::from)),
            ]),
            Task::Chat => hash(&[
                options.url.as_deref().unwrap_or_default().as_bytes(),
                self.remote_name().as_bytes(),
                options.system.as_deref().unwrap_or_default().as_bytes(),
                &number(options.temperature.map(f64::to_bits)),
                &number(options.max_tokens.map(u64::from)),
                &number(Some(options.context_tokens as u64)),
                &[u8::from(options.rewrite == Rewrite::Model)],
                &self.headers(),
            ]),
        }
    }

    /// Its headers as bytes: one may choose a deployment or a tenant.
    fn headers(&self) -> Vec<u8> {
        let parts = self.options.headers.iter();
        parts
            .flat_map(|(name, value)| [name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat())
            .collect()
    }

    /// A number that changes with where the model is and how it is reached: what failed there says nothing about another place.
    pub fn address(&self) -> u64 {
        let options = &self.options;
        let timeout = u64::try_from(options.timeout.as_millis()).unwrap_or(u64::MAX);
        hash(&[
            self.name.as_bytes(),
            options.url.as_deref().unwrap_or_default().as_bytes(),
            self.remote_name().as_bytes(),
            &timeout.to_le_bytes(),
            &self.headers(),
        ])
    }

    /// Adds all that decides the model's answers to a key of the caches.
    pub fn identify(&self, key: Key) -> Key {
        key.with(self.name.as_bytes()).with_number(self.version())
    }
}

/// A hash of parts, each told from the next by its length.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
