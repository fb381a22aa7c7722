//! Where a pass stands between two calls. It goes through the hands of the caller, so it is read as data from outside. Who may prune may
//! give any policy, so it needs no seal; a moment in the future is the glue's to refuse.

use serde_json::{Map, Value, json};

use super::id::Id;
use super::policy::{MAX_ROLES, short_text};

/// What a pass walks through, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Conversations, by id.
    Conversations,
    /// Requests, by id.
    Requests,
}

impl Phase {
    const NAMES: [(&'static str, Self); 2] = [
        ("conversations", Self::Conversations),
        ("requests", Self::Requests),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Requests => "requests",
        }
    }
}

/// For one limit of bytes: conversations that had no message since then, ties up to that id, go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeCutoff {
    /// The role whose limit it is; `None` for the general one.
    pub role: Option<String>,
    /// The time of the last message, as PostgreSQL writes it.
    pub last_message_at: String,
    /// The id of the conversation.
    pub conversation: Id,
}

/// Where a pass stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The moment that ages count from, as PostgreSQL writes it.
    pub as_of: String,
    /// What is being walked through.
    pub phase: Phase,
    /// The first id that is not done.
    pub from: Id,
    /// Of that conversation, the number of the first message that is not done. What lies before it is not looked at: as long as any
    /// session may still see them, the index holds the rows that were deleted.
    pub seq: Option<i64>,
    /// What the measurement at the beginning of the pass has found.
    pub cutoffs: Vec<SizeCutoff>,
}

impl Cursor {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let cutoff = |cutoff: &SizeCutoff| {
            json!({
                "role": cutoff.role,
                "last_message_at": cutoff.last_message_at,
                "conversation": cutoff.conversation.to_string(),
            })
        };
        json!({
            "as_of": self.as_of,
            "phase": self.phase.name(),
            "from": self.from.to_string(),
            "seq": self.seq,
            "cutoffs": self.cutoffs.iter().map(cutoff).collect::<Vec<Value>>(),
        })
    }

    /// Reads what [`Self::to_json`] wrote; `None` for anything else.
    #[must_use]
    pub fn parse(value: &Value) -> Option<Self> {
        let given = exactly(value, &["as_of", "phase", "from", "seq", "cutoffs"])?;
        let phase = given.get("phase")?.as_str()?;
        let (_, phase) = Phase::NAMES.into_iter().find(|(name, _)| *name == phase)?;
        let seq = match given.get("seq")? {
            Value::Null => None,
            seq => Some(seq.as_i64()?),
        };
        let cutoffs = given.get("cutoffs")?.as_array()?;
        // One for each role that has a limit of its own, and one for all others.
        if cutoffs.len() > MAX_ROLES + 1 {
            return None;
        }
        Some(Self {
            as_of: short_text(given.get("as_of")?)?,
            phase,
            from: Id::parse(given.get("from")?.as_str()?)?,
            seq,
            cutoffs: cutoffs.iter().map(SizeCutoff::parse).collect::<Option<_>>()?,
        })
    }
}

impl SizeCutoff {
    fn parse(value: &Value) -> Option<Self> {
        let given = exactly(value, &["role", "last_message_at", "conversation"])?;
        let role = match given.get("role")? {
            Value::Null => None,
            role => Some(role.as_str()?.to_owned()),
        };
        Some(Self {
            role,
            last_message_at: short_text(given.get("last_message_at")?)?,
            conversation: Id::parse(given.get("conversation")?.as_str()?)?,
        })
    }
}

/// The members of an object that has those keys and no others.
fn exactly<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Map<String, Value>> {
    let members = value.as_object()?;
    let is_exact = members.len() == keys.len() && keys.iter().all(|key| members.contains_key(*key));
    is_exact.then_some(members)
}
