//! The rolling summary of a conversation: what was said before the window, kept in the conversation's row.
//!
//! It is brought up to date when half a window of messages has left the window: at once by the built-in responder, which lists what was
//! asked; in the background by a model, so that nobody waits for it.

use crate::chat::dialogue::Dialogue;
use crate::chat::requests;
use crate::error::Result;
use crate::guc;
use crate::pg::spi::{Access, Session, session};
use crate::pg::value::Value;
use castmatch_engine::chat::summary::extend;
use castmatch_engine::chat::{Message, Role};
use pgrx::datum::Uuid;
use serde_json::{Value as Json, json};

/// Messages that one step adds to a summary, at most.
const MAX_MESSAGES: i64 = 200;
/// Longest summary, in characters.
pub const MAX_CHARS: usize = 4000;
/// Most tokens of a summary that a model writes.
pub const MAX_TOKENS: u32 = 1000;

/// Messages that have left the window and are not in the summary.
pub struct Left {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The number of the last one.
    pub through: i64,
}

/// The messages that have left a conversation's window since the summary was written.
///
/// # Errors
/// As the statement raises them.
pub fn left(session: &Session, conversation: Uuid, summary_through: i64) -> Result<Option<Left>> {
    let window = i64::try_from(guc::window_messages()).unwrap_or(i64::MAX);
    let rows = session.run(
        "SELECT m.role, m.content, m.tokens, m.seq FROM castmatch.messages m
         WHERE m.conversation_id OPERATOR(pg_catalog.=) $1 AND m.seq OPERATOR(pg_catalog.>) $2
           AND m.seq OPERATOR(pg_catalog.<=) ((SELECT pg_catalog.max(l.seq) FROM castmatch.messages l
               WHERE l.conversation_id OPERATOR(pg_catalog.=) $1) OPERATOR(pg_catalog.-) $3)
         ORDER BY m.seq LIMIT $4",
        &[
            Value::of(conversation),
            Value::of(summary_through),
            Value::of(window),
            Value::of(MAX_MESSAGES),
        ],
    )?;
    // Not after each turn: half a window at a time.
    if (rows.len() as i64) < (window / 2).max(2) {
        return Ok(None);
    }
    let messages = (0..rows.len())
        .map(|row| {
            Ok(Message {
                role: if rows.require::<String>(row, 1)? == "user" {
                    Role::User
                } else {
                    Role::Assistant
                },
                content: rows.require(row, 2)?,
                tokens: usize::try_from(rows.require::<i32>(row, 3)?).unwrap_or(0),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let through = rows.require(rows.len() - 1, 4)?;
    Ok(Some(Left { messages, through }))
}

/// Writes the summary.
///
/// # Errors
/// As the statement raises them.
pub fn write(session: &Session, conversation: Uuid, summary: &str, through: i64) -> Result<()> {
    session
        .run(
            "UPDATE castmatch.conversations SET summary = $2, summary_through = $3 WHERE id OPERATOR(pg_catalog.=) $1",
            &[Value::of(conversation), Value::of(summary), Value::of(through)],
        )
        .map(drop)
}

/// Sees to it that the summary of a conversation is up to date, after a turn that asks for one.
///
/// # Errors
/// As the statements raise them.
pub fn keep_up(dialogue: &Dialogue) -> Result<()> {
    let conversation = &dialogue.conversation;
    let left = session(Access::ReadWrite, |session| {
        left(session, conversation.id, conversation.summary_through)
    })?;
    let Some(left) = left else { return Ok(()) };
    if !dialogue.speakers.is_empty() {
        return requests::add(conversation.id, request(&dialogue.turn.model)).map(drop);
    }
    let before = conversation.summary.as_deref().unwrap_or_default();
    let summary = extend(before, &left.messages, MAX_CHARS);
    session(Access::ReadWrite, |session| {
        write(session, conversation.id, &summary, left.through)
    })
}

/// The arguments of a request for a summary.
fn request(model: &str) -> Json {
    json!({"summary": true, "model": model})
}

/// Whether a request is one for a summary.
pub fn is_request(arguments: &Json) -> bool {
    arguments.get("summary") == Some(&Json::Bool(true))
}
