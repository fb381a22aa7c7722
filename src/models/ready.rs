//! A model that is ready to be called: its key is read and its budget looked at, so that the call itself needs no transaction.

use crate::error::Result;
use crate::launcher;
use crate::models::budget;
use crate::pg::catalog;
use crate::pg::role;
use castmatch_engine::registry::{Definition, SecretSource};
use castmatch_provider::{Endpoint, Secret};
use std::rc::Rc;

/// A model of a server elsewhere, with what a call needs.
#[derive(Clone)]
pub struct Ready {
    /// Its definition.
    pub definition: Rc<Definition>,
    /// Where it is; or why it cannot be called.
    pub(super) endpoint: Result<Endpoint, String>,
    /// Who pays.
    pub(super) role: u32,
    /// The database.
    pub(super) database: u32,
}

impl Ready {
    /// Reads the key; of a model of castmatch itself there is nothing to be made ready.
    ///
    /// # Errors
    /// 53400 if the budget of the current role is spent.
    pub fn new(definition: Rc<Definition>) -> Result<Self> {
        budget::check()?;
        // Somebody has to write down what the call uses. Without a free slot for it the notes wait.
        let _ = launcher::ensure_started();
        let endpoint = endpoint(&definition);
        Ok(Self {
            definition,
            endpoint,
            role: role::current().to_u32(),
            database: catalog::my_database().to_u32(),
        })
    }

    /// The number that its breaker goes by.
    pub(super) fn breaker_key(&self) -> u64 {
        super::state::breaker_key(&self.definition, self.database)
    }
}

/// Where the model is reached; its key comes from the environment or a file, and stays in this process.
///
/// # Errors
/// What is wrong with an option, or why the key cannot be read.
pub fn endpoint(definition: &Definition) -> Result<Endpoint, String> {
    let endpoint = without_secret(definition)?;
    let secret = match &definition.options.secret {
        None => return Ok(endpoint),
        Some(SecretSource::Environment(variable)) => Secret::from_environment(variable),
        Some(SecretSource::File(path)) => Secret::from_file(path),
    };
    let secret = secret.map_err(|failure| format!("its key cannot be read: {failure}"))?;
    Ok(endpoint.secret(secret))
}

/// Where the model is reached, without its key: what can be checked when it is registered.
///
/// # Errors
/// What is wrong with an option.
pub fn without_secret(definition: &Definition) -> Result<Endpoint, String> {
    let options = &definition.options;
    let url = options.url.as_deref().unwrap_or_default();
    let mut endpoint = Endpoint::new(url).map_err(|failure| failure.to_string())?;
    for (name, value) in &options.headers {
        endpoint = endpoint
            .header(name, value)
            .map_err(|failure| failure.to_string())?;
    }
    if let Some(path) = &options.ca_file {
        endpoint = endpoint.ca_file(path);
    }
    Ok(endpoint
        .timeout(options.timeout)
        .max_attempts(options.max_attempts))
}
