//! Which model is meant: what a user names, and what an attached table was attached with.

use crate::embed::local;
use crate::error::{Result, internal};
use crate::models::registry;
use crate::pg::spi::Access;
use castmatch_engine::model_name::{BUILTIN, ModelName};
use castmatch_engine::registry::{Definition, Provider, Task};
use std::fmt;
use std::rc::Rc;

/// A model that texts are embedded with.
#[derive(Clone, Debug)]
pub struct Embedder {
    name: String,
    /// Who runs it.
    pub runner: Runner,
}

/// Who runs a model.
#[derive(Clone, Debug)]
pub enum Runner {
    /// The embedding worker of this server.
    Local(ModelName),
    /// A server elsewhere.
    Remote(Rc<Definition>),
}

impl Embedder {
    /// The model that comes with castmatch.
    pub fn builtin() -> Self {
        Self::local(BUILTIN, ModelName::builtin())
    }

    fn local(name: &str, model: ModelName) -> Self {
        Self {
            name: name.to_owned(),
            runner: Runner::Local(model),
        }
    }

    fn registered(definition: Rc<Definition>) -> Result<Self> {
        let name = definition.name.clone();
        let runner = match definition.provider {
            Provider::OpenAi => Runner::Remote(definition),
            Provider::Builtin => {
                let folder = definition.options.model.as_deref().unwrap_or_default();
                let parsed = ModelName::parse(folder)
                    .ok_or_else(|| internal(format!("\"{folder}\" is not the name of a model")))?;
                Runner::Local(parsed)
            }
        };
        Ok(Self { name, runner })
    }

    /// Its name in the database.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The registered model of that name, as the current role may use it; `None` if no model is registered under it.
fn registered(name: &str) -> Result<Option<Embedder>> {
    if name == BUILTIN || registry::find(name, Access::ReadOnly)?.is_none() {
        return Ok(None);
    }
    registry::usable(name, Task::Embedding, Access::ReadOnly)
        .and_then(Embedder::registered)
        .map(Some)
}

/// The model to use: the given one if it exists, `builtin` if none is given.
///
/// # Errors
/// 42704 if there is no such model, 22023 if it is one for chat, 42501 if it is not granted.
pub fn resolve_model(model: Option<&str>) -> Result<Embedder> {
    let Some(wanted) = model else {
        return Ok(Embedder::builtin());
    };
    if let Some(found) = registered(wanted)? {
        return Ok(found);
    }
    let folder = local::folder_of(wanted)?;
    // The folder of `builtin` has two names and is one model.
    let name = folder.as_str().to_owned();
    Ok(Embedder::local(&name, folder))
}

/// The model that a table was attached with. Whether a local one still exists shows when it is used.
///
/// # Errors
/// XX000 if the name is none that `attach` takes; 42501 if it is not granted.
pub fn model_of_table(model: &str) -> Result<Embedder> {
    if let Some(found) = registered(model)? {
        return Ok(found);
    }
    let name =
        ModelName::parse(model).ok_or_else(|| internal(format!("\"{model}\" is not the name of a model")))?;
    Ok(Embedder::local(model, name))
}
