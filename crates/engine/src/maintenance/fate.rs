//! What becomes of a conversation. Moments are microseconds, as PostgreSQL counts them.

use super::id::Id;

/// The limits of a conversation's owner, resolved; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Messages before this moment go.
    pub age: Option<i64>,
    /// Conversations whose last message is before this moment go.
    pub idle: Option<i64>,
    /// So many of the newest messages stay.
    pub messages: Option<i64>,
    /// Conversations up to this one in the order of last message and id go.
    pub size: Option<(i64, Id)>,
}

/// What is known of a conversation without reading all its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its id.
    pub id: Id,
    /// When its last message came.
    pub last_message_at: i64,
    /// Number and moment of its first message; `None` if it has none, or nobody needs it.
    pub first: Option<(i64, i64)>,
    /// Number of its last message; `None` likewise.
    pub last: Option<i64>,
}

/// What becomes of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All of it stays.
    Stays,
    /// All of it goes.
    Goes,
    /// Its oldest messages may go: which ones only reading them tells.
    Shrinks,
}

impl Bounds {
    /// Whether the first and last message have to be known to tell a conversation's fate.
    #[must_use]
    pub fn needs_messages(&self) -> bool {
        self.age.is_some() || self.messages.is_some()
    }

    /// The fate of a conversation.
    #[must_use]
    pub fn fate(&self, facts: &Facts) -> Fate {
        let is_idle = self.idle.is_some_and(|moment| facts.last_message_at < moment);
        let is_too_much = self
            .size
            .is_some_and(|cutoff| (facts.last_message_at, facts.id) <= cutoff);
        if is_idle || is_too_much {
            return Fate::Goes;
        }
        let (Some((first, first_at)), Some(last)) = (facts.first, facts.last) else {
            // One without messages is as old as it is idle.
            let is_old = self.age.is_some_and(|moment| facts.last_message_at < moment);
            let goes = is_old || self.messages == Some(0);
            return if goes { Fate::Goes } else { Fate::Stays };
        };
        let is_old = self.age.is_some_and(|moment| first_at < moment);
        // Numbers may be missing in between, so this is the most that there can be.
        let most = last.saturating_sub(first).saturating_add(1);
        let is_long = self.messages.is_some_and(|limit| most > limit);
        if is_old || is_long {
            Fate::Shrinks
        } else {
            Fate::Stays
        }
    }
}
