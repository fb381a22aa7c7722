//! What can be wrong with options, in PostgreSQL's message style; all of it is SQLSTATE 22023.

use crate::cache::Usage;
use crate::filter::display_name;
use crate::fusion::FusionError;

use super::Verb;

/// An error in `options`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// `options` is not an object.
    #[error("options must be a JSON object, not {found}")]
    NotAnObject {
        /// The kind of JSON value found.
        found: &'static str,
    },
    /// No such option, of this function.
    #[error("unknown option \"{}\" of {}", display_name(name), verb.name())]
    Unknown {
        /// The name as given.
        name: String,
        /// The function.
        verb: Verb,
        /// The option that is closest to it.
        closest: Option<&'static str>,
    },
    /// An option of another function.
    #[error("option \"{name}\" cannot be used with {}", verb.name())]
    OfAnother {
        /// The option.
        name: &'static str,
        /// The function that was called.
        verb: Verb,
    },
    /// A value of the wrong kind.
    #[error("option \"{name}\" must be {expected}, not {found}")]
    WrongKind {
        /// The option.
        name: &'static str,
        /// What would do.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// A number outside its range.
    #[error("option \"{name}\" must be between {smallest} and {largest}, not {given}")]
    OutOfRange {
        /// The option.
        name: &'static str,
        /// The smallest value.
        smallest: f64,
        /// The largest value.
        largest: f64,
        /// The number as given.
        given: String,
    },
    /// Not a way to use the caches.
    #[error("option \"cache\" cannot be {found}")]
    NotAUsage {
        /// The value as given.
        found: String,
    },
    /// A mode that does not exist, weights that cannot be.
    #[error(transparent)]
    Fusion(#[from] FusionError),
    /// An option that compares meanings, where only words count.
    #[error("option \"min_similarity\" cannot be used in mode \"text\"")]
    NeedsMeaning,
}

impl OptionError {
    /// A full sentence with advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown {
                closest: Some(closest),
                ..
            } => Some(format!("Perhaps you meant the option \"{closest}\".")),
            Self::Unknown { verb, .. } | Self::OfAnother { verb, .. } => Some(format!(
                "Options of {} are {}.",
                verb.name(),
                verb.options().collect::<Vec<_>>().join(", ")
            )),
            Self::NotAUsage { .. } => {
                let names = Usage::NAMES.map(|(name, _)| format!("\"{name}\""));
                Some(format!("It is one of {}.", names.join(", ")))
            }
            Self::NeedsMeaning => {
                Some("In that mode the query is not embedded. Use mode \"hybrid\".".to_owned())
            }
            _ => None,
        }
    }
}
