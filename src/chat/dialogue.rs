//! A turn from the message to the stored reply, in steps between which a model may be waited for.
//!
//! ```text
//! begin (database) ─► Rewriting (a model) ─► [Embedding (a server)] ─► search (database) ─► Replying (a model) ─► answer ─► store (database)
//! ```
//!
//! `chat` goes through the steps in one transaction; the chat worker in several, and has neither a transaction nor a snapshot while it
//! waits. With the built-in responder there is nothing to wait for.

use crate::chat::answer::{Answer, Material, SearchCallMaker};
use crate::chat::chain::{Chain, Skipped, degraded, note_passed_over, speakers};
use crate::chat::question::Question;
use crate::chat::store::{Conversation, Kept};
use crate::chat::turn::Turn;
use crate::chat::{milliseconds, sources, store, summary};
use crate::embed::{Prefetch, model_of_table, prefetch};
use crate::error::Result;
use crate::models::Ready;
use crate::pg::xact::{in_subtransaction, require_writable};
use castmatch_engine::chat::compose::small_talk;
use castmatch_engine::chat::search_call::{self, SearchCall};
use castmatch_engine::chat::window::estimate_tokens;
use castmatch_engine::model_name::BUILTIN;
use castmatch_engine::registry::Rewrite;
use castmatch_engine::shared::counters::Part;
use castmatch_provider::{ChatAnswer, Usage};
use pgrx::pg_sys;
use serde_json::{Value as Json, json};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

/// How long the parts of a turn took, in milliseconds.
#[derive(Clone, Copy, Default)]
pub struct Timings {
    /// Embedding the search text.
    pub embed: f64,
    /// Searching.
    pub matching: f64,
    /// Waiting for models, or composing.
    pub generate: f64,
}

/// A turn under way.
pub struct Dialogue {
    /// The arguments.
    pub turn: Turn,
    /// The conversation.
    pub conversation: Conversation,
    /// The table.
    pub target: pg_sys::Oid,
    /// The latest messages.
    pub window: Vec<Kept>,
    /// The models that may answer.
    pub speakers: VecDeque<Ready>,
    /// How long things took.
    pub timings: Timings,
    /// Whether a server that embeds the query is waited for between two steps, not within one.
    pub in_steps: bool,
    degraded: Vec<Json>,
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// What is to be done next.
pub enum Step {
    /// A model makes the search.
    Rewriting(Chain),
    /// A server elsewhere embeds the query of the search.
    Embedding {
        /// Asking it; `None` once that is taken.
        prefetch: Option<Prefetch>,
        /// The search that a model made.
        call: Option<SearchCall>,
    },
    /// A model replies.
    Replying {
        /// Asking it.
        chain: Chain,
        /// What the reply is made of.
        material: Rc<Material>,
    },
    /// The reply is there.
    Done(Answer),
}

/// How a call of models ended: with an answer and the model's name, or with none.
pub type Outcome = Option<(ChatAnswer, String)>;

impl Dialogue {
    /// Opens the conversation of a turn, alone until the transaction ends.
    ///
    /// # Errors
    /// P0002 for a conversation that the caller does not have, 22023 for a table that cannot be told, and those of [`speakers`].
    pub fn open(turn: Turn) -> Result<Self> {
        require_writable("castmatch.chat")?;
        let speakers = speakers(&turn.model)?;
        let conversation = store::open(turn.conversation)?;
        let window = store::window(&conversation)?;
        let target = sources::choose_target(turn.target, conversation.target)?;
        Ok(Self {
            turn,
            conversation,
            target,
            window,
            speakers,
            timings: Timings::default(),
            in_steps: false,
            degraded: Vec::new(),
            prompt_tokens: 0,
            completion_tokens: 0,
        })
    }

    /// The message in its conversation.
    ///
    /// # Errors
    /// 55000 if the table is not attached.
    pub fn question(&self) -> Result<Question<'_>> {
        Question::read(&self.turn, self.target, &self.window)
    }

    /// The first step.
    ///
    /// # Errors
    /// Those of the search.
    pub fn begin(&mut self, stream: bool) -> Result<Step> {
        if self.speakers.is_empty()
            && let Some(text) = small_talk(&self.turn.message)
        {
            return Ok(Step::Done(self.without_search(text)));
        }
        let rewrites = self
            .speakers
            .front()
            .is_some_and(|first| first.definition.options.rewrite == Rewrite::Model);
        let maker = {
            let question = self.question()?;
            (rewrites && question.continues()).then(|| SearchCallMaker::new(&question))
        };
        match maker {
            Some(maker) => {
                // A model that cannot make a search is not replaced by another for it: the rules do as well.
                let first = self.speakers.iter().take(1).cloned().collect();
                Ok(Step::Rewriting(Chain::new(first, move |ready| maker.call(ready))))
            }
            None => self.searched(None, stream),
        }
    }

    /// What follows the end of [`Step::Rewriting`].
    ///
    /// # Errors
    /// Those of the search.
    pub fn rewritten(&mut self, outcome: Outcome, skipped: &[Skipped], stream: bool) -> Result<Step> {
        self.degraded.extend(degraded(skipped, Part::Rewrite));
        let call = outcome.and_then(|(answer, model)| {
            self.note_tokens(answer.usage);
            match self.search_call(&answer) {
                Ok(call) => Some(call),
                Err(message) => {
                    note_passed_over(Part::Rewrite);
                    self.degraded.push(json!({
                        "part": Part::Rewrite.name(), "model": model, "reason": "bad_answer", "message": message,
                    }));
                    None
                }
            }
        });
        self.searched(call.as_ref(), stream)
    }

    /// What follows the end of [`Step::Embedding`].
    ///
    /// # Errors
    /// Those of the model and of the search.
    pub fn embedded(
        &mut self,
        prefetch: Option<Prefetch>,
        call: Option<&SearchCall>,
        stream: bool,
    ) -> Result<Step> {
        if let Some(prefetch) = prefetch {
            prefetch.keep()?;
        }
        self.found(call, stream)
    }

    fn search_call(&self, answer: &ChatAnswer) -> Result<SearchCall, String> {
        let called = answer.tool_calls.first();
        let arguments = called.map(|called| called.arguments.as_str());
        let call = search_call::parse(arguments.ok_or("it called no function")?)?;
        if let Some(filter) = &call.filter {
            // A value may be one that its type's input function refuses with an ERROR.
            in_subtransaction(|| self.question()?.check_filter(filter))
                .map_err(|message| format!("its filter is wrong: {message}"))?;
        }
        Ok(call)
    }

    fn note_tokens(&mut self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            self.prompt_tokens += usage.prompt_tokens;
            self.completion_tokens += usage.completion_tokens;
        }
    }

    fn searched(&mut self, call: Option<&SearchCall>, stream: bool) -> Result<Step> {
        if self.in_steps {
            let question = self.question()?;
            let model = model_of_table(&question.attachment.model)?;
            let text = call.map_or(question.query.text.as_str(), |call| call.query.as_str());
            if let Some(prefetch) = prefetch(&model, text)? {
                return Ok(Step::Embedding {
                    prefetch: Some(prefetch),
                    call: call.cloned(),
                });
            }
        }
        self.found(call, stream)
    }

    fn found(&mut self, call: Option<&SearchCall>, stream: bool) -> Result<Step> {
        let started = Instant::now();
        let (material, embed_ms) = {
            let question = self.question()?;
            let searched = question.search(call)?;
            let embed_ms = searched.found.embed_ms;
            (Material::new(&question, &self.conversation, searched)?, embed_ms)
        };
        self.timings.embed = embed_ms;
        self.timings.matching = milliseconds(started) - embed_ms;
        let composing = Instant::now();
        if self.speakers.is_empty() {
            let answer = material.by_builtin();
            self.timings.generate = milliseconds(composing);
            return Ok(Step::Done(answer));
        }
        let material = Rc::new(material);
        let made_of = Rc::clone(&material);
        let chain = Chain::new(self.speakers.clone(), move |ready| made_of.call(ready, stream));
        Ok(Step::Replying { chain, material })
    }

    /// The answer, when [`Step::Replying`] has ended: a model's, or in the end the built-in responder's.
    pub fn replied(&mut self, outcome: Outcome, skipped: &[Skipped], material: &Material) -> Answer {
        self.degraded.extend(degraded(skipped, Part::Reply));
        let mut answer = match outcome {
            Some((answer, model)) => {
                self.note_tokens(answer.usage);
                let text = answer.text;
                material.answer(text, model, self.prompt_tokens, self.completion_tokens)
            }
            None => material.by_builtin(),
        };
        answer.degraded = std::mem::take(&mut self.degraded);
        answer
    }

    /// A reply that rests on no row.
    fn without_search(&self, text: String) -> Answer {
        let last = self.window.iter().rev().find_map(|kept| {
            let of_user = kept.context.get("target").is_some();
            of_user.then(|| kept.context.clone())
        });
        Answer {
            prompt_tokens: estimate_tokens(&self.turn.message) as u64,
            completion_tokens: estimate_tokens(&text) as u64,
            text,
            model: BUILTIN.to_owned(),
            sources: json!([]),
            // A word of thanks changes nothing about what was asked before.
            context: last.unwrap_or_else(|| json!({"target": self.target.to_u32()})),
            degraded: Vec::new(),
        }
    }

    /// Goes through all steps, waiting in this transaction.
    ///
    /// # Errors
    /// Those of the steps; interrupts unwind.
    pub fn run(&mut self) -> Result<Answer> {
        let mut step = self.begin(false)?;
        loop {
            let started = Instant::now();
            step = match step {
                Step::Done(answer) => return Ok(answer),
                Step::Rewriting(mut chain) => {
                    let outcome = chain.wait()?;
                    self.timings.generate += milliseconds(started);
                    self.rewritten(outcome, &chain.skipped, false)?
                }
                Step::Embedding { prefetch, call } => self.embedded(prefetch, call.as_ref(), false)?,
                Step::Replying { mut chain, material } => {
                    let outcome = chain.wait()?;
                    self.timings.generate += milliseconds(started);
                    Step::Done(self.replied(outcome, &chain.skipped, &material))
                }
            };
        }
    }

    /// Appends the turn to its conversation.
    ///
    /// # Errors
    /// As the statements raise them.
    pub fn store(&self, answer: &Answer) -> Result<()> {
        store::append(&self.conversation, self.target, &self.turn, answer)?;
        if self.turn.options.speech.summary {
            summary::keep_up(self)?;
        }
        Ok(())
    }
}
