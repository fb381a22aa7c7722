//! What can be wrong with a policy, in PostgreSQL's message style; all of it is SQLSTATE 22023.

use std::fmt;

use super::policy::{MAX_BATCH_ROWS, MAX_ROLES, MIN_BATCH_ROWS};
use crate::filter::display_name;

/// A key of the policy, or of what it says of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// The role under which it stands.
    pub role: Option<String>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy key \"{}\"", self.name)?;
        match &self.role {
            Some(role) => write!(f, " of role \"{}\"", display_name(role)),
            None => Ok(()),
        }
    }
}

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// An age.
    Interval,
    /// A number of messages.
    Messages,
    /// A number of bytes.
    Bytes,
    /// Rows of a batch.
    BatchRows,
    /// Time of a batch.
    BatchTime,
    /// An object.
    Object,
    /// What the call before returned as "next".
    Resume,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval => f.write_str("an interval such as \"90 days\" that is not negative"),
            Self::Messages => f.write_str("a whole number of at least 0"),
            Self::Bytes => f.write_str("a number of bytes of at least 0, or a size such as \"10GB\""),
            Self::BatchRows => write!(f, "a whole number from {MIN_BATCH_ROWS} to {MAX_BATCH_ROWS}"),
            Self::BatchTime => f.write_str("an interval from \"1 ms\" to \"1 s\""),
            Self::Object => f.write_str("a JSON object"),
            Self::Resume => f.write_str("what castmatch.prune returned as \"next\""),
        }
    }
}

/// An error in a policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// The policy is not an object.
    #[error("policy must be a JSON object, not {found}")]
    NotAnObject {
        /// The kind of JSON value found.
        found: &'static str,
    },
    /// No such key.
    #[error("unknown key \"{}\" of {}", display_name(name), owner(role.as_deref()))]
    UnknownKey {
        /// The key as given.
        name: String,
        /// The role under which it stands.
        role: Option<String>,
        /// The key that is closest to it.
        closest: Option<&'static str>,
        /// The keys that there are.
        known: &'static [&'static str],
    },
    /// A value that will not do.
    #[error("{key} must be {expected}, not {found}")]
    BadValue {
        /// The key.
        key: Key,
        /// What would do.
        expected: Expected,
        /// What was there.
        found: String,
    },
    /// More roles than a policy may name.
    #[error("policy names {0} roles, the limit is {MAX_ROLES}")]
    TooManyRoles(usize),
}

fn owner(role: Option<&str>) -> String {
    match role {
        Some(role) => format!("role \"{}\" in the policy", display_name(role)),
        None => "the policy".to_owned(),
    }
}

impl PolicyError {
    /// A full sentence with advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey {
                closest: Some(closest),
                known,
                ..
            } => Some(format!(
                "Perhaps you meant the key \"{closest}\". Keys are {}.",
                known.join(", ")
            )),
            Self::UnknownKey { known, .. } => Some(format!("Keys are {}.", known.join(", "))),
            _ => None,
        }
    }
}
