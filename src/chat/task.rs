//! A request that the chat worker answers: its steps, each in a transaction of its own, and the waits between them in none.

use crate::chat::answer::spoken;
use crate::chat::chain::{Chain, News, speakers};
use crate::chat::dialogue::{Dialogue, Outcome, Step};
use crate::chat::turn::Turn;
use crate::chat::{store, summary, told};
use crate::error::Result;
use crate::matching::in_transaction;
use crate::models::Ready;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Session, session};
use crate::pg::value::Value;
use crate::pg::worker::with_time_limit;
use crate::pg::xact::{Failed, attempt};
use castmatch_engine::options::Speech;
use core::time::Duration;
use pgrx::JsonB;
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use serde_json::{Value as Json, json};
use std::time::Instant;

/// Tries before a request is given up whose worker ends in the middle of it.
const MAX_TRIES: i32 = 3;

/// A request under way.
pub struct Task {
    id: Uuid,
    /// The conversation, whose lock this session holds.
    pub conversation: Uuid,
    owner: pg_sys::Oid,
    started: Instant,
    state: State,
}

enum State {
    /// A turn.
    Turn { dialogue: Box<Dialogue>, step: Step },
    /// A summary, with the number of the last message that it covers.
    Summary { chain: Chain, through: i64 },
}

/// What a try to take a request came to.
pub enum Taken {
    /// A request.
    Task(Box<Task>),
    /// It could not be answered, and says so.
    Settled,
    /// One is there whose conversation somebody else has.
    Waiting,
    /// None is there.
    Nothing,
}

/// Requests that a worker which ended in the middle of them has left are queued again, or given up and told.
///
/// # Errors
/// As the statement raises them.
pub fn resume(session: &Session) -> Result<()> {
    session
        .run(
            "WITH resumed AS (
                 UPDATE castmatch.requests SET
                     state = CASE WHEN tries < $1 THEN 'queued' ELSE 'failed' END,
                     result = CASE WHEN tries < $1 THEN NULL
                         ELSE pg_catalog.jsonb_build_object('error', 'the chat worker ended several times while it answered') END,
                     finished_at = CASE WHEN tries < $1 THEN NULL ELSE pg_catalog.clock_timestamp() END
                 WHERE state = 'running' RETURNING id, state)
             SELECT pg_catalog.pg_notify('castmatch_chat', pg_catalog.jsonb_build_object('request_id', id, 'state', state)::pg_catalog.text)
             FROM resumed WHERE state = 'failed'",
            &[Value::of(MAX_TRIES)],
        )
        .map(drop)
}

/// Longest that a step in the database may take: code of others runs in it, a policy's for one.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Runs a step as the request's owner; its errors come back.
fn as_owner<R>(owner: pg_sys::Oid, f: impl FnOnce() -> Result<R>) -> Result<R, Failed> {
    with_time_limit(TIME_LIMIT, || {
        attempt(|| act_as(owner, Restriction::Restricted, f))
    })
}

/// A request that is taken, and noted as running.
struct Claim {
    id: Uuid,
    conversation: Uuid,
    owner: pg_sys::Oid,
    arguments: Json,
}

impl Task {
    /// Takes the oldest request whose conversation nobody is at, none of those given.
    ///
    /// # Errors
    /// As the statements on castmatch's own tables raise them.
    pub fn take(busy: &[Uuid]) -> Result<Taken> {
        // A transaction of its own: should the process die in the next one, the try has counted.
        let (claim, waiting) = in_transaction(|session| claim(session, busy))?;
        match claim {
            Some(claim) => in_transaction(|session| Self::begin(session, claim)),
            None if waiting => Ok(Taken::Waiting),
            None => Ok(Taken::Nothing),
        }
    }

    fn begin(session: &Session, claim: Claim) -> Result<Taken> {
        let Claim {
            id,
            conversation,
            owner,
            arguments,
        } = claim;
        let begun = as_owner(owner, || {
            if summary::is_request(&arguments) {
                begin_summary(conversation, &arguments)
            } else {
                let turn = Turn::from_json(&arguments, conversation)?;
                let mut dialogue = Box::new(Dialogue::open(turn)?);
                dialogue.in_steps = true;
                let step = dialogue.begin(false)?;
                Ok(Some(State::Turn { dialogue, step }))
            }
        });
        match begun {
            Ok(Some(state)) => Ok(Taken::Task(Box::new(Self {
                id,
                conversation,
                owner,
                started: Instant::now(),
                state,
            }))),
            Ok(None) => {
                settle(session, id, conversation, "done", json!({}))?;
                Ok(Taken::Settled)
            }
            Err(failed) => {
                settle(
                    session,
                    id,
                    conversation,
                    "failed",
                    json!({"error": failed.message}),
                )?;
                Ok(Taken::Settled)
            }
        }
    }

    /// Goes on as far as there is news; true when the request is settled.
    ///
    /// # Errors
    /// As the statements on castmatch's own tables raise them.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            if let State::Turn {
                step: Step::Embedding { prefetch, .. },
                ..
            } = &mut self.state
            {
                if prefetch.as_mut().is_some_and(|prefetch| !prefetch.is_done()) {
                    return Ok(false);
                }
                if self.embedded()? {
                    return Ok(true);
                }
                continue;
            }
            let (chain, is_summary) = match &mut self.state {
                State::Turn {
                    step: Step::Done(_), ..
                } => return self.finish(),
                // Dealt with above.
                State::Turn {
                    step: Step::Embedding { .. },
                    ..
                } => return Ok(false),
                State::Turn {
                    step: Step::Rewriting(chain),
                    ..
                } => (chain, false),
                State::Turn {
                    step: Step::Replying { chain, .. },
                    ..
                } => (chain, false),
                State::Summary { chain, .. } => (chain, true),
            };
            let outcome = match chain.poll() {
                News::Waiting => return Ok(false),
                News::Piece(_) => continue,
                News::Answered { answer, model } => Some((answer, model)),
                News::Exhausted => None,
            };
            if is_summary {
                return self.finish_summary(outcome).map(|()| true);
            }
            if self.step_on(outcome)? {
                return Ok(true);
            }
        }
    }

    /// The step after a call of models; true when it failed and the request is settled.
    fn step_on(&mut self, outcome: Outcome) -> Result<bool> {
        let State::Turn { dialogue, step } = &mut self.state else {
            return Ok(false);
        };
        let next = match step {
            Step::Done(_) | Step::Embedding { .. } => return Ok(false),
            Step::Replying { chain, material } => {
                Ok(Step::Done(dialogue.replied(outcome, &chain.skipped, material)))
            }
            Step::Rewriting(chain) => {
                let owner = self.owner;
                in_transaction(|_| {
                    Ok(as_owner(owner, || {
                        dialogue.rewritten(outcome, &chain.skipped, false)
                    }))
                })?
            }
        };
        match next {
            Ok(next) => {
                *step = next;
                Ok(false)
            }
            Err(failed) => self.fail(&failed.message).map(|()| true),
        }
    }

    /// The step after the embedding of the query; true when it failed and the request is settled.
    fn embedded(&mut self) -> Result<bool> {
        let owner = self.owner;
        let State::Turn { dialogue, step } = &mut self.state else {
            return Ok(false);
        };
        let Step::Embedding { prefetch, call } = step else {
            return Ok(false);
        };
        let (prefetch, call) = (prefetch.take(), call.take());
        let next = in_transaction(|_| {
            Ok(as_owner(owner, || {
                dialogue.embedded(prefetch, call.as_ref(), false)
            }))
        })?;
        match next {
            Ok(next) => {
                *step = next;
                Ok(false)
            }
            Err(failed) => self.fail(&failed.message).map(|()| true),
        }
    }

    fn fail(&self, message: &str) -> Result<()> {
        in_transaction(|session| {
            settle(
                session,
                self.id,
                self.conversation,
                "failed",
                json!({"error": message}),
            )
        })
    }

    /// Stores the turn and tells its end; false if somebody else's lock is in the way, to be tried again.
    fn finish(&mut self) -> Result<bool> {
        let State::Turn {
            dialogue,
            step: Step::Done(answer),
        } = &self.state
        else {
            return Ok(true);
        };
        let result = told(dialogue, answer, None, self.started);
        let store = || {
            // Code of others ran in this session since, which can give away its locks.
            store::open(Some(self.conversation))?;
            dialogue.store(answer)
        };
        in_transaction(|session| match as_owner(self.owner, store) {
            Ok(()) => settle(session, self.id, self.conversation, "done", result).map(|()| true),
            Err(failed) if is_passing(&failed) && self.started.elapsed() < PATIENCE => Ok(false),
            Err(failed) => {
                let error = json!({"error": failed.message});
                settle(session, self.id, self.conversation, "failed", error).map(|()| true)
            }
        })
    }

    fn finish_summary(&mut self, outcome: Outcome) -> Result<()> {
        let State::Summary { through, chain } = &self.state else {
            return Ok(());
        };
        let Some((answer, _)) = outcome else {
            let reason = chain.skipped.last().map(|skipped| skipped.failure.message());
            return self.fail(&reason.unwrap_or_default());
        };
        let (conversation, through, text) = (self.conversation, *through, answer.text);
        let end = text
            .char_indices()
            .nth(summary::MAX_CHARS)
            .map_or(text.len(), |(end, _)| end);
        in_transaction(|outer| {
            let written = as_owner(self.owner, || {
                session(crate::pg::spi::Access::ReadWrite, |session| {
                    summary::write(
                        session,
                        conversation,
                        text.get(..end).unwrap_or_default(),
                        through,
                    )
                })
            });
            match written {
                Ok(()) => settle(outer, self.id, conversation, "done", json!({})),
                Err(failed) => {
                    let error = json!({"error": failed.message});
                    settle(outer, self.id, conversation, "failed", error)
                }
            }
        })
    }
}

/// How long a reply that cannot be stored is kept for another try.
const PATIENCE: Duration = Duration::from_secs(600);

/// Whether a failure is one of the moment: a lock that somebody holds, a deadlock, a conflict of transactions.
fn is_passing(failed: &Failed) -> bool {
    matches!(
        failed.code,
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE
            | PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED
            | PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE
    )
}

/// Notes the oldest request whose conversation nobody is at as running; and whether there is one that has to wait.
fn claim(session: &Session, busy: &[Uuid]) -> Result<(Option<Claim>, bool)> {
    let rows = session.run(
        "SELECT r.id, r.conversation_id, r.owner::pg_catalog.oid, r.arguments FROM castmatch.requests r
         WHERE r.state = 'queued' AND r.conversation_id <> ALL ($1)
           AND NOT EXISTS (SELECT FROM castmatch.requests e WHERE e.conversation_id = r.conversation_id
               AND e.state IN ('queued', 'running') AND e.number < r.number)
         ORDER BY r.number LIMIT 1000",
        &[Value::of(busy.to_vec())],
    )?;
    for row in 0..rows.len() {
        let (id, conversation): (Uuid, Uuid) = (rows.require(row, 1)?, rows.require(row, 2)?);
        let (owner, arguments) = (rows.require(row, 3)?, rows.require::<JsonB>(row, 4)?.0);
        if !store::try_lock_for_session(session, &conversation)? {
            continue;
        }
        let taken = session.run(
            "UPDATE castmatch.requests SET state = 'running', tries = tries + 1
             WHERE id = (SELECT q.id FROM castmatch.requests q WHERE q.id = $1 AND q.state = 'queued' FOR UPDATE SKIP LOCKED)
             RETURNING id",
            &[Value::of(id)],
        )?;
        if taken.is_empty() {
            // Somebody is deleting it.
            store::unlock_for_session(session, &conversation)?;
            continue;
        }
        let claim = Claim {
            id,
            conversation,
            owner,
            arguments,
        };
        return Ok((Some(claim), true));
    }
    Ok((None, !rows.is_empty()))
}

/// Begins a summary; nothing if there is nothing to sum up any more.
fn begin_summary(id: Uuid, arguments: &Json) -> Result<Option<State>> {
    let model = arguments.get("model").and_then(Json::as_str).unwrap_or_default();
    let models = speakers(model)?;
    let conversation = store::open(Some(id))?;
    let left = session(crate::pg::spi::Access::ReadWrite, |session| {
        summary::left(session, id, conversation.summary_through)
    })?;
    let Some(left) = left.filter(|_| !models.is_empty()) else {
        return Ok(None);
    };
    let before = conversation.summary.unwrap_or_default();
    let messages = left.messages;
    let make = move |ready: &Ready| {
        let budget = ready.definition.options.prompt_budget("");
        let speech = Speech {
            max_tokens: Some(summary::MAX_TOKENS),
            ..Speech::default()
        };
        spoken(
            ready,
            &speech,
            castmatch_engine::chat::summary::prompt(&before, &messages, budget),
        )
    };
    Ok(Some(State::Summary {
        chain: Chain::new(models, make),
        through: left.through,
    }))
}

/// Notes the end of a request, tells it to whoever listens, and gives its conversation free.
fn settle(session: &Session, id: Uuid, conversation: Uuid, state: &str, result: Json) -> Result<()> {
    session.run(
        "UPDATE castmatch.requests SET state = $2, result = $3, finished_at = pg_catalog.clock_timestamp() WHERE id = $1",
        &[Value::of(id), Value::of(state), Value::of(JsonB(result))],
    )?;
    let told =
        json!({"request_id": id.to_string(), "conversation_id": conversation.to_string(), "state": state});
    session.run(
        "SELECT pg_catalog.pg_notify('castmatch_chat', $1)",
        &[Value::of(told.to_string())],
    )?;
    // Until the commit the lock is this transaction's: whoever waits for it is to see the turn.
    store::lock(session, &conversation)?;
    store::unlock_for_session(session, &conversation)
}
