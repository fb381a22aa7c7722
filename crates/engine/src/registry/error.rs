//! What can be wrong with the definition of a model, in PostgreSQL's message style; all of it is SQLSTATE 22023.

use super::{Provider, Task};
use crate::filter::display_name;
use crate::options::OptionError;

/// An error in a model's definition.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RegistryError {
    /// No such task.
    #[error("unknown task \"{}\" of a model", display_name(.0))]
    UnknownTask(String),
    /// No such provider.
    #[error("unknown provider \"{}\" of a model", display_name(.0))]
    UnknownProvider(String),
    /// The name is none.
    #[error("a model cannot be called \"{}\"", display_name(.0))]
    BadName(String),
    /// `options` is not an object, or a value is of the wrong kind or out of range.
    #[error(transparent)]
    Value(#[from] OptionError),
    /// No such option.
    #[error("unknown option \"{}\" of a model", display_name(name))]
    UnknownOption {
        /// The name as given.
        name: String,
        /// The option that is closest to it.
        closest: Option<&'static str>,
        /// The options that there are.
        known: Vec<&'static str>,
    },
    /// An option of other models.
    #[error("option \"{name}\" cannot be used with provider \"{}\" and task \"{}\"", provider.name(), task.name())]
    OfAnother {
        /// The option.
        name: &'static str,
        /// The model's task.
        task: Task,
        /// The model's provider.
        provider: Provider,
    },
    /// An option that is needed.
    #[error("a model of provider \"{}\" needs the option \"{name}\"", provider.name())]
    Missing {
        /// The option.
        name: &'static str,
        /// The model's provider.
        provider: Provider,
    },
    /// Two places for one key.
    #[error("options \"secret_env\" and \"secret_file\" exclude each other")]
    TwoSecrets,
}

impl RegistryError {
    /// A full sentence with advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        let quoted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            names.join(" and ")
        };
        match self {
            Self::UnknownTask(_) => Some(format!("Tasks are {}.", quoted(&Task::NAMES.map(|(name, _)| name)))),
            Self::UnknownProvider(_) => {
                Some(format!("Providers are {}.", quoted(&Provider::NAMES.map(|(name, _)| name))))
            }
            Self::BadName(_) => Some("A name has 1 to 63 bytes, no path separator or control character and no dot in front; \"builtin\" is taken.".to_owned()),
            Self::Value(error) => error.hint(),
            Self::UnknownOption {
                closest: Some(closest), ..
            } => Some(format!("Perhaps you meant the option \"{closest}\".")),
            Self::UnknownOption { known, .. } => Some(format!("Options are {}.", known.join(", "))),
            Self::Missing { name: "url", .. } => {
                Some("It is the base URL of the server, as in \"https://api.example.com/v1\".".to_owned())
            }
            Self::OfAnother { .. } | Self::Missing { .. } | Self::TwoSecrets => None,
        }
    }
}
