//! Calls that are answered later: `castmatch.chat_async`, and the summaries of conversations.
//!
//! A request is a row of `castmatch.requests`; the chat worker sees it after the commit. The functions write it as the owner of the table,
//! in the name of their caller: nobody can make a request that runs as somebody else.

use crate::chat::chain::speakers;
use crate::chat::sources;
use crate::chat::store;
use crate::chat::turn::{Arguments, Turn};
use crate::error::Result;
use crate::launcher;
use crate::matching::attachment::Attachment;
use crate::models::registry::as_owner;
use crate::pg::json::JsonArg;
use crate::pg::spi::Access;
use crate::pg::value::Value;
use crate::pg::xact::require_writable;
use crate::pg::{catalog, latch, role, xact};
use crate::shared::shared;
use castmatch_engine::shared::sync::Duty;
use pgrx::JsonB;
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::Value as Json;

/// Notes a request of the current role, for after the commit.
///
/// # Errors
/// As the statement raises them; 53000 if no worker can be started.
pub fn add(conversation: Uuid, arguments: Json) -> Result<Uuid> {
    let caller = role::current();
    let id = as_owner(Access::ReadWrite, |session| {
        session
            .run(
                "INSERT INTO castmatch.requests (conversation_id, owner, arguments)
                 VALUES ($1, $2::pg_catalog.oid::pg_catalog.regrole, $3) RETURNING id",
                &[
                    Value::of(conversation),
                    Value::oid(caller),
                    Value::of(JsonB(arguments)),
                ],
            )?
            .require(0, 1)
    })?;
    launcher::ensure_started()?;
    xact::after_commit(announce);
    Ok(id)
}

/// Names this database to the launcher; runs after a commit, where nothing may fail.
fn announce() {
    if let Ok(shared) = shared() {
        shared
            .sync
            .request(Duty::Replies, catalog::my_database().to_u32(), latch::wake);
    }
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn chat_async(
    message: Option<&str>,
    conversation_id: Option<Uuid>,
    target: Option<pg_sys::Oid>,
    k: Option<i32>,
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    model: Option<&str>,
    options: Option<JsonArg>,
) -> Result<Uuid> {
    let turn = Turn::new(Arguments {
        message,
        conversation: conversation_id,
        target,
        k,
        filter,
        prefer,
        model,
        options,
    })?;
    require_writable("castmatch.chat_async")?;
    // What cannot work is told to the caller, not to a table.
    speakers(&turn.model)?;
    let conversation = store::find(turn.conversation)?;
    let target = sources::choose_target(turn.target, conversation.target)?;
    let attachment = Attachment::load(target)?;
    add(conversation.id, turn.to_json(attachment.qualified_name()))
}
