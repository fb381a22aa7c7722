//! Conversations and messages as rows: opening a conversation, reading its window, appending a turn.

use crate::error::{Result, error};
use crate::guc;
use crate::pg::json;
use crate::pg::spi::{Access, session};
use crate::pg::value::Value;
use castmatch_engine::chat::window::{estimate_tokens, select};
use castmatch_engine::chat::{Message, Role};
use pgrx::JsonB;
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::Value as Json;

/// A conversation whose row this transaction has locked.
pub struct Conversation {
    /// Its id.
    pub id: Uuid,
    /// The table of its last turn.
    pub target: Option<pg_sys::Oid>,
}

/// A message of the window.
pub struct Kept {
    /// Who said what.
    pub message: Message,
    /// What the turn rested on.
    pub context: Json,
}

/// Opens the conversation of that id, or a new one.
///
/// # Errors
/// P0002 if the caller has no such conversation.
pub fn open(id: Option<Uuid>) -> Result<Conversation> {
    session(Access::ReadWrite, |session| {
        let rows = match id {
            Some(id) => session.run(
                "SELECT c.id, c.target::oid FROM castmatch.conversations c
                 WHERE c.id OPERATOR(pg_catalog.=) $1 FOR UPDATE",
                &[Value::of(id)],
            )?,
            None => session.run(
                "INSERT INTO castmatch.conversations DEFAULT VALUES RETURNING id, target::oid",
                &[],
            )?,
        };
        if rows.is_empty() {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            return Err(error(
                PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                format!("conversation {id} does not exist"),
            )
            .set_hint("Leave conversation_id out to start a new conversation."));
        }
        Ok(Conversation {
            id: rows.require(0, 1)?,
            target: rows.get(0, 2)?,
        })
    })
}

/// The latest messages that fit the window, oldest first. Reads no more than the window holds, however long the
/// conversation is.
///
/// # Errors
/// As the statement raises them.
pub fn window(conversation: &Conversation) -> Result<Vec<Kept>> {
    let max_messages = guc::window_messages();
    let mut kept = session(Access::ReadWrite, |session| {
        let rows = session.run(
            "SELECT m.role, m.content, m.tokens, m.context FROM castmatch.messages m
             WHERE m.conversation_id OPERATOR(pg_catalog.=) $1 ORDER BY m.seq DESC LIMIT $2",
            &[Value::of(conversation.id), Value::of(max_messages as i64)],
        )?;
        (0..rows.len())
            .map(|row| {
                let role = if rows.require::<String>(row, 1)? == "user" {
                    Role::User
                } else {
                    Role::Assistant
                };
                let tokens = usize::try_from(rows.require::<i32>(row, 3)?).unwrap_or(0);
                let message = Message {
                    role,
                    content: rows.require(row, 2)?,
                    tokens,
                };
                let context = json::cell(&rows, row, 4)?;
                Ok(Kept { message, context })
            })
            .collect::<Result<Vec<_>>>()
    })?;
    kept.reverse();
    let messages: Vec<Message> = kept.iter().map(|kept| kept.message.clone()).collect();
    let range = select(&messages, max_messages, guc::window_tokens());
    Ok(kept.drain(range).collect())
}

/// Appends the user's message and the reply.
///
/// # Errors
/// As the statements raise them.
pub fn append(
    conversation: &Conversation,
    target: pg_sys::Oid,
    message: &str,
    context: &Json,
    reply: &str,
    sources: &Json,
) -> Result<()> {
    let tokens = |text: &str| i32::try_from(estimate_tokens(text)).unwrap_or(i32::MAX);
    session(Access::ReadWrite, |session| {
        session.run(
            "INSERT INTO castmatch.messages (conversation_id, seq, role, content, tokens, context)
             SELECT $1, n.last OPERATOR(pg_catalog.+) v.step, v.role, v.content, v.tokens, v.context
             FROM (SELECT COALESCE(pg_catalog.max(m.seq), 0) AS last FROM castmatch.messages m
                   WHERE m.conversation_id OPERATOR(pg_catalog.=) $1) n
             CROSS JOIN (VALUES (1, 'user', $2, $3, $4), (2, 'assistant', $5, $6, $7))
                 AS v (step, role, content, tokens, context)",
            &[
                Value::of(conversation.id),
                Value::of(message),
                Value::of(tokens(message)),
                Value::of(JsonB(context.clone())),
                Value::of(reply),
                Value::of(tokens(reply)),
                Value::of(JsonB(sources.clone())),
            ],
        )?;
        session.run(
            "UPDATE castmatch.conversations SET last_message_at = pg_catalog.clock_timestamp(),
                 target = $2::pg_catalog.oid::pg_catalog.regclass
             WHERE id OPERATOR(pg_catalog.=) $1",
            &[Value::of(conversation.id), Value::oid(target)],
        )
    })
    .map(drop)
}
