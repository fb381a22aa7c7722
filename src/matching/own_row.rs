//! One row that a call names by its key: whether the caller sees it, its vector, and if it has none, why.

use crate::error::{Result, no_row, not_in_state};
use crate::matching::attachment::{Attachment, EmbedMode, relation_name};
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as, may_select_all};
use crate::pg::spi::Session;
use crate::pg::value::Value;
use pgrx::pg_sys;

/// A row whose neighbours are looked for.
pub struct OwnRow {
    /// Its key as the table writes it.
    pub key: String,
    /// Its embedding.
    pub vector: Vec<f32>,
}

/// Whether a row has an embedding, or will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits in the queue.
    Pending,
    /// It could not be embedded.
    Failed,
    /// Nobody is to embed it; or that is not for the caller to know.
    Missing,
}

impl State {
    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

/// The row's embedding.
///
/// # Errors
/// P0002 if there is no such row or the caller does not see it, 55000 if it has no embedding; a key that is none of its type's
/// raises the type's error.
pub fn load(session: &Session, attachment: &Attachment, key: &str) -> Result<OwnRow> {
    let sql = format!(
        "SELECT {key}, {embedding} FROM {keys} JOIN {table} t ON {joined}",
        key = attachment.key.text("t"),
        embedding = attachment
            .vectors()?
            .expression(&format!("t.{}", attachment.embedding)),
        keys = attachment.key.unnest(1),
        table = attachment.table,
        joined = attachment.key.joined("t"),
    );
    let rows = session.run(&sql, &attachment.key.arrays(&[key.to_owned()])?)?;
    if rows.is_empty() {
        return Err(no_row(format!(
            "no row with key \"{key}\" in table {}",
            relation_name(attachment.target)
        ))
        .set_hint("It does not exist, or you may not see it."));
    }
    let key: String = rows.require(0, 1)?;
    match attachment.vectors()?.cell(&rows, 0, 2)? {
        Some(vector) => Ok(OwnRow { key, vector }),
        None => {
            let hint = match state(session, attachment, &key)? {
                _ if attachment.embed_mode == EmbedMode::Off => {
                    "The application fills that column of the table."
                }
                State::Pending => "It is computed soon. Wait for it with castmatch.sync.",
                State::Failed => "castmatch.failures says why; castmatch.retry_failed tries it again.",
                State::Missing => "A row without text gets none.",
            };
            Err(not_in_state(format!("row \"{key}\" has no embedding")).set_hint(hint))
        }
    }
}

/// Why a row that the caller sees has no embedding. The queue is read as its owner, for those who may read the whole table.
///
/// # Errors
/// As the statements raise them.
pub fn state(session: &Session, attachment: &Attachment, key: &str) -> Result<State> {
    if !may_select_all(attachment.target) {
        return Ok(State::Missing);
    }
    let owner = catalog::extension_types()?.owner;
    act_as(owner, Restriction::LocalChange, || {
        queued(session, attachment.target, key)
    })
}

fn queued(session: &Session, target: pg_sys::Oid, key: &str) -> Result<State> {
    let rows = session.run(
        "SELECT pg_catalog.bool_or(q.failed_at IS NULL) FROM castmatch.queue q
         WHERE q.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass AND q.key OPERATOR(pg_catalog.=) $2",
        &[Value::oid(target), Value::of(key.to_owned())],
    )?;
    Ok(match rows.get::<bool>(0, 1)? {
        Some(true) => State::Pending,
        Some(false) => State::Failed,
        None => State::Missing,
    })
}
