//! Conversations and messages as rows: opening a conversation, reading its window, appending a turn.
//!
//! Whoever takes a turn holds a lock of the conversation that is no row's: a transaction until its end, the chat worker over the several
//! transactions of a turn, so that it holds no row while it waits for a model.

use crate::chat::answer::Answer;
use crate::chat::turn::Turn;
use crate::error::{Result, no_row};
use crate::guc;
use crate::pg::json;
use crate::pg::spi::{Access, Session, session};
use crate::pg::value::Value;
use crate::pg::xact::uses_one_snapshot;
use castmatch_engine::chat::title::title;
use castmatch_engine::chat::window::{estimate_tokens, select};
use castmatch_engine::chat::{Message, Role};
use pgrx::JsonB;
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use serde_json::Value as Json;

/// A conversation in which nobody else takes a turn.
#[derive(Clone)]
pub struct Conversation {
    /// Its id.
    pub id: Uuid,
    /// The table of its last turn.
    pub target: Option<pg_sys::Oid>,
    /// What was said up to the message of that number, for models.
    pub summary: Option<String>,
    /// The last message in the summary.
    pub summary_through: i64,
}

/// The locks of conversations among advisory locks: castmatch's own first number, the second from the conversation's id.
const LOCK_CLASS: i32 = 1_667_331_942;

/// The second number of a conversation's lock. Two conversations of one number wait for each other, no more.
pub fn lock_number(id: &Uuid) -> i32 {
    let bytes = id.as_bytes();
    bytes.chunks_exact(4).fold(0, |sum, part| {
        sum ^ i32::from_le_bytes([part[0], part[1], part[2], part[3]])
    })
}

/// Waits for the lock of a conversation until the end of the transaction.
///
/// # Errors
/// As the statement raises them.
pub fn lock(session: &Session, id: &Uuid) -> Result<()> {
    session
        .run(
            "SELECT pg_catalog.pg_advisory_xact_lock($1, $2)",
            &[Value::of(LOCK_CLASS), Value::of(lock_number(id))],
        )
        .map(drop)
}

/// Takes the lock of a conversation until the end of the transaction, if nobody has it.
///
/// # Errors
/// As the statement raises them.
pub fn try_lock(session: &Session, id: &Uuid) -> Result<bool> {
    session
        .run(
            "SELECT pg_catalog.pg_try_advisory_xact_lock($1, $2)",
            &[Value::of(LOCK_CLASS), Value::of(lock_number(id))],
        )?
        .require(0, 1)
}

/// Takes the lock of a conversation for this session, if nobody has it.
///
/// # Errors
/// As the statement raises them.
pub fn try_lock_for_session(session: &Session, id: &Uuid) -> Result<bool> {
    session
        .run(
            "SELECT pg_catalog.pg_try_advisory_lock($1, $2)",
            &[Value::of(LOCK_CLASS), Value::of(lock_number(id))],
        )?
        .require(0, 1)
}

/// Gives back what [`try_lock_for_session`] took.
///
/// # Errors
/// As the statement raises them.
pub fn unlock_for_session(session: &Session, id: &Uuid) -> Result<()> {
    session
        .run(
            "SELECT pg_catalog.pg_advisory_unlock($1, $2)",
            &[Value::of(LOCK_CLASS), Value::of(lock_number(id))],
        )
        .map(drop)
}

/// A message of the window.
pub struct Kept {
    /// Who said what.
    pub message: Message,
    /// What the turn rested on.
    pub context: Json,
}

/// Opens the conversation of that id, or a new one, and waits for its lock.
///
/// # Errors
/// P0002 if the caller has no such conversation.
pub fn open(id: Option<Uuid>) -> Result<Conversation> {
    if let Some(id) = id {
        session(Access::ReadWrite, |session| lock(session, &id))?;
    }
    find(id)
}

/// The conversation of that id, or a new one; others may take turns in it.
///
/// # Errors
/// P0002 if the caller has no such conversation.
pub fn find(id: Option<Uuid>) -> Result<Conversation> {
    session(Access::ReadWrite, |session| {
        let rows = match id {
            // A snapshot that is older than the lock may have missed a turn: that is told now, not when a model has been paid.
            Some(id) if uses_one_snapshot() => session.run(
                "SELECT c.id, c.target::oid, c.summary, c.summary_through FROM castmatch.conversations c
                 WHERE c.id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
                &[Value::of(id)],
            )?,
            Some(id) => session.run(
                "SELECT c.id, c.target::oid, c.summary, c.summary_through FROM castmatch.conversations c
                 WHERE c.id OPERATOR(pg_catalog.=) $1",
                &[Value::of(id)],
            )?,
            // Nobody else knows it before the commit.
            None => session.run(
                "INSERT INTO castmatch.conversations DEFAULT VALUES
                 RETURNING id, target::oid, summary, summary_through",
                &[],
            )?,
        };
        if rows.is_empty() {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            return Err(no_row(format!("conversation {id} does not exist"))
                .set_hint("Leave conversation_id out to start a new conversation."));
        }
        Ok(Conversation {
            id: rows.require(0, 1)?,
            target: rows.get(0, 2)?,
            summary: rows.get(0, 3)?,
            summary_through: rows.require(0, 4)?,
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
pub fn append(conversation: &Conversation, target: pg_sys::Oid, turn: &Turn, answer: &Answer) -> Result<()> {
    let tokens = |text: &str| i32::try_from(estimate_tokens(text)).unwrap_or(i32::MAX);
    let speech = &turn.options.speech;
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
                Value::of(turn.message.as_str()),
                Value::of(tokens(&turn.message)),
                Value::of(JsonB(answer.context.clone())),
                Value::of(answer.text.as_str()),
                Value::of(tokens(&answer.text)),
                Value::of(JsonB(answer.sources.clone())),
            ],
        )?;
        // Its first message gives a conversation its title, unless the application does.
        session.run(
            "UPDATE castmatch.conversations SET last_message_at = pg_catalog.clock_timestamp(),
                 target = $2::pg_catalog.oid::pg_catalog.regclass, title = COALESCE($3, title, $4),
                 metadata = metadata OPERATOR(pg_catalog.||) COALESCE($5, '{}')
             WHERE id OPERATOR(pg_catalog.=) $1",
            &[
                Value::of(conversation.id),
                Value::oid(target),
                optional_text(speech.title.as_deref()),
                Value::of(title(&turn.message)),
                speech
                    .metadata
                    .clone()
                    .map_or(Value::datum(pg_sys::JSONBOID, None), |metadata| {
                        Value::of(JsonB(metadata))
                    }),
            ],
        )
    })
    .map(drop)
}

fn optional_text(text: Option<&str>) -> Value {
    text.map_or(Value::datum(pg_sys::TEXTOID, None), Value::of)
}
