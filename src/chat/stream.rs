//! `castmatch.chat_stream`: the reply in pieces as they arrive.
//!
//! `SELECT castmatch.chat_stream(…)` gives one piece for each row that is fetched, so a cursor over it delivers them one by one. The turn is
//! stored when the last piece was fetched; whoever stops before leaves no trace, and the model's connection is closed.

use crate::chat::answer::Answer;
use crate::chat::chain::{Chain, News};
use crate::chat::dialogue::{Dialogue, Step};
use crate::chat::turn::{Arguments, Turn};
use crate::error::{Result, not_in_state};
use crate::models::client;
use crate::pg::json::JsonArg;
use crate::pg::role;
use crate::stats::{Operation, timed};
use castmatch_provider::ChatAnswer;
use core::time::Duration;
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::VecDeque;

/// Between two looks whether there is news, should a wake-up be missed.
const PATIENCE: Duration = Duration::from_secs(1);

/// A reply that arrives in pieces.
struct Stream {
    dialogue: Dialogue,
    /// `None` when the turn is stored.
    step: Option<Step>,
    /// Pieces of a reply that is there already.
    ready: VecDeque<String>,
    /// Whether a model gave pieces: the whole is not given again then.
    streamed: bool,
    /// Who asked: the search and the rows that are written are theirs.
    role: pg_sys::Oid,
}

/// How a wait for a chain ended.
enum Ended {
    Piece(String),
    Answered(ChatAnswer, String),
    Exhausted,
}

fn wait(chain: &mut Chain) -> Result<Ended> {
    loop {
        match chain.poll() {
            News::Waiting => client::wait(PATIENCE)?,
            News::Piece(piece) => return Ok(Ended::Piece(piece)),
            News::Answered { answer, model } => return Ok(Ended::Answered(answer, model)),
            News::Exhausted => return Ok(Ended::Exhausted),
        }
    }
}

impl Stream {
    fn open(turn: Turn) -> Result<Self> {
        let mut dialogue = Dialogue::open(turn)?;
        let step = dialogue.begin(true)?;
        Ok(Self {
            dialogue,
            step: Some(step),
            ready: VecDeque::new(),
            streamed: false,
            role: role::current(),
        })
    }

    /// The next piece; `None` at the end, when the turn is stored.
    fn next_piece(&mut self) -> Result<Option<String>> {
        if role::current() != self.role {
            return Err(not_in_state("the role has changed since the reply began"));
        }
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            match self.step.take() {
                None => return Ok(None),
                Some(Step::Done(answer)) => self.finish(&answer)?,
                Some(Step::Rewriting(mut chain)) => {
                    let outcome = match wait(&mut chain)? {
                        Ended::Answered(answer, model) => Some((answer, model)),
                        Ended::Piece(_) => {
                            self.step = Some(Step::Rewriting(chain));
                            continue;
                        }
                        Ended::Exhausted => None,
                    };
                    self.step = Some(self.dialogue.rewritten(outcome, &chain.skipped, true)?);
                }
                Some(Step::Embedding { prefetch, call }) => {
                    self.step = Some(self.dialogue.embedded(prefetch, call.as_ref(), true)?);
                }
                Some(Step::Replying { mut chain, material }) => {
                    let outcome = match wait(&mut chain)? {
                        Ended::Piece(piece) => {
                            self.streamed = true;
                            self.step = Some(Step::Replying { chain, material });
                            return Ok(Some(piece));
                        }
                        Ended::Answered(answer, model) => Some((answer, model)),
                        // What was given away cannot be taken back.
                        Ended::Exhausted if self.streamed => {
                            return match chain.skipped.last() {
                                Some(broken) => Err(broken.report()),
                                None => Ok(None),
                            };
                        }
                        Ended::Exhausted => None,
                    };
                    let answer = self.dialogue.replied(outcome, &chain.skipped, &material);
                    self.step = Some(Step::Done(answer));
                }
            }
        }
    }

    /// Stores the turn; gives its text away if no model has done so in pieces.
    fn finish(&mut self, answer: &Answer) -> Result<()> {
        if !self.streamed {
            self.streamed = true;
            self.ready = answer.text.split_inclusive('\n').map(str::to_owned).collect();
            self.step = Some(Step::Done(answer.clone()));
            return Ok(());
        }
        self.dialogue.store(answer)
    }
}

impl Iterator for Stream {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        match self.next_piece() {
            Ok(piece) => piece,
            Err(report) => {
                self.step = None;
                report.report(PgLogLevel::ERROR);
                None
            }
        }
    }
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn chat_stream(
    message: Option<&str>,
    conversation_id: Option<Uuid>,
    target: Option<pg_sys::Oid>,
    k: Option<i32>,
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    model: Option<&str>,
    options: Option<JsonArg>,
) -> Result<SetOfIterator<'static, String>> {
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
    timed(Operation::Chat, || Stream::open(turn)).map(SetOfIterator::new)
}
