//! A turn's message, understood in its conversation: what is searched, under which conditions.
//!
//! A message that leans on earlier ones ("…and someone younger?") is searched together with the request that it continues, under that
//! request's conditions; a comparison becomes a condition relative to the best row shown before, "only in Pune" one on the column that
//! knows the value. A model that can call a function may make the search instead; what it says is data, checked like any other filter, and
//! only ever narrows what the caller asks for.

use crate::chat::sources;
use crate::chat::store::Kept;
use crate::chat::turn::Turn;
use crate::error::Result;
use crate::matching::attachment::Attachment;
use crate::matching::legs::BoundFilter;
use crate::matching::rank::{self, Found, Query, Search};
use castmatch_engine::chat::compose::RefinementNote;
use castmatch_engine::chat::follow_up::{RetrievalQuery, retrieval_query};
use castmatch_engine::chat::refine::values::{self, KnownValues, ValueCondition};
use castmatch_engine::chat::refine::{Refinement, apply, detect};
use castmatch_engine::chat::search_call::SearchCall;
use castmatch_engine::chat::{Role, Source};
use castmatch_engine::fusion::Mode;
use pgrx::pg_sys;
use serde_json::{Map, Value as Json, json};
use std::rc::Rc;

/// Longest search text in characters: more than the model reads.
const MAX_QUERY_CHARS: usize = 2000;

/// A turn's message in its conversation.
pub struct Question<'a> {
    /// The arguments.
    pub turn: &'a Turn,
    /// The table.
    pub attachment: Rc<Attachment>,
    /// The latest messages.
    pub window: &'a [Kept],
    /// What the user said before, oldest first.
    pub said: Vec<&'a str>,
    /// What to search for by the rules.
    pub query: RetrievalQuery,
    /// The filter given, or that of the turn which this one continues.
    pub filter: Option<Json>,
    /// Conditions of earlier turns that named a value.
    named: Vec<ValueCondition>,
}

/// What was searched for, and found.
pub struct Searched {
    /// The rows.
    pub found: Found,
    /// What is in them, as far as a reply may use it.
    pub rows: Vec<Source>,
    /// What became of comparisons and named values.
    pub notes: Vec<RefinementNote>,
    /// Columns that the message is about.
    pub columns: Vec<String>,
    /// The conditions that the search was under, without those of named values.
    filter: Json,
    named: Vec<ValueCondition>,
    query: String,
}

impl Searched {
    /// What the next turn has to know of this one.
    pub fn context(&self, target: pg_sys::Oid) -> Json {
        json!({"target": target.to_u32(), "filter": self.filter, "named": self.named, "query": self.query})
    }
}

/// What the conditions of a message became.
#[derive(Default)]
struct Conditions {
    refined: Vec<Json>,
    named: Vec<ValueCondition>,
    notes: Vec<RefinementNote>,
    columns: Vec<String>,
}

impl<'a> Question<'a> {
    /// Reads a message in its conversation.
    ///
    /// # Errors
    /// 55000 if the table is not attached.
    pub fn read(turn: &'a Turn, target: pg_sys::Oid, window: &'a [Kept]) -> Result<Self> {
        let attachment = Attachment::load(target)?;
        let earlier: Vec<&Kept> = window
            .iter()
            .filter(|kept| kept.message.role == Role::User)
            .collect();
        let said: Vec<&str> = earlier.iter().map(|kept| kept.message.content.as_str()).collect();
        let query = retrieval_query(&said, &turn.message, MAX_QUERY_CHARS);
        // Rows and conditions of another table mean nothing here.
        let same_table = |kept: &&Kept| kept.context.get("target") == Some(&json!(target.to_u32()));
        let last = earlier
            .iter()
            .rev()
            .copied()
            .find(same_table)
            .filter(|_| query.cue.is_some());
        let of_last = |part: &str| last.and_then(|kept| kept.context.get(part)).cloned();
        let named = of_last("named").and_then(|named| serde_json::from_value(named).ok());
        Ok(Self {
            filter: turn.filter.clone().or_else(|| of_last("filter")),
            named: named.unwrap_or_default(),
            turn,
            attachment,
            window,
            said,
            query,
        })
    }

    /// Whether the message leans on earlier ones.
    pub fn continues(&self) -> bool {
        self.query.cue.is_some()
    }

    /// Searches for what the message means; `call` is what a model made of it.
    ///
    /// # Errors
    /// Those of the search.
    pub fn search(&self, call: Option<&SearchCall>) -> Result<Searched> {
        let conditions = match call {
            Some(call) => Conditions {
                refined: call.filter.iter().cloned().collect(),
                ..Conditions::default()
            },
            None => self.conditions()?,
        };
        let query = call.map_or(self.query.text.as_str(), |call| call.query.as_str());
        let filter = conjunction(self.filter.as_ref(), &conditions.refined);
        let named: Vec<Json> = conditions.named.iter().map(ValueCondition::condition).collect();
        let all = conjunction(Some(&filter), &named);
        let found = rank::search(&Search {
            target: self.attachment.target,
            query: Query::Text(query),
            k: self.turn.k,
            filter: Some(&all),
            prefer: self.turn.prefer.as_ref(),
            mode: Mode::Hybrid,
            options: &self.turn.options,
        })?;
        let rows = sources::of_matches(&self.attachment, &found.matches)?;
        Ok(Searched {
            found,
            rows,
            notes: conditions.notes,
            columns: conditions.columns,
            filter,
            named: conditions.named,
            query: query.to_owned(),
        })
    }

    /// A filter that a model made, if the table understands it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_filter(&self, filter: &Json) -> Result<()> {
        BoundFilter::new(Some(filter), &self.attachment.columns).map(drop)
    }

    /// Which condition of the message hides all rows: with it alone left out there would be some.
    ///
    /// # Errors
    /// Those of the search.
    pub fn too_narrow(&self, searched: &Searched) -> Result<Option<String>> {
        for left_out in &searched.named {
            let others: Vec<Json> = searched
                .named
                .iter()
                .filter(|condition| condition.phrase != left_out.phrase)
                .map(ValueCondition::condition)
                .collect();
            let filter = conjunction(Some(&searched.filter), &others);
            let found = rank::search(&Search {
                target: self.attachment.target,
                query: Query::Text(&searched.query),
                k: 1,
                filter: Some(&filter),
                prefer: None,
                mode: Mode::Hybrid,
                options: &self.turn.options,
            })?;
            if !found.matches.is_empty() {
                return Ok(Some(left_out.phrase.clone()));
            }
        }
        Ok(None)
    }

    /// The conditions in the words of the message, by the rules.
    fn conditions(&self) -> Result<Conditions> {
        let mut conditions = Conditions::default();
        let shown = if self.continues() {
            self.previously_shown()?
        } else {
            Vec::new()
        };
        let refinements = detect(&self.turn.message, &self.attachment.columns);
        refine(&mut conditions, &refinements, &shown);
        let known = sources::known_values(&self.attachment)?;
        self.name(&mut conditions, &known);
        conditions.columns = refinements
            .iter()
            .map(|found| found.column.clone())
            .chain(conditions.named.iter().map(|condition| condition.column.clone()))
            .collect();
        Ok(conditions)
    }

    /// Conditions that name a value the table knows, with those of earlier turns that they do not replace.
    fn name(&self, conditions: &mut Conditions, known: &[KnownValues]) {
        let new = values::detect(&self.turn.message, self.continues(), known);
        conditions.named = values::merge(&self.named, &new);
        // Those of earlier turns hold as well.
        conditions
            .notes
            .extend(conditions.named.iter().map(RefinementNote::from));
    }

    /// The rows of the latest reply, as the caller sees them now.
    fn previously_shown(&self) -> Result<Vec<Source>> {
        let target = json!(self.attachment.target.to_u32());
        let replies = self.window.windows(2).rev().filter_map(|turn| match turn {
            [question, reply] if reply.message.role == Role::Assistant => Some((question, reply)),
            _ => None,
        });
        for (question, reply) in replies {
            if question.context.get("target") != Some(&target) {
                continue;
            }
            let keys: Vec<String> = reply
                .context
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|source| source.get("key").and_then(Json::as_str).map(str::to_owned))
                .collect();
            if !keys.is_empty() {
                return sources::load(&self.attachment, &keys);
            }
        }
        Ok(Vec::new())
    }
}

/// Comparisons as conditions relative to the rows shown before.
fn refine(conditions: &mut Conditions, refinements: &[Refinement], shown: &[Source]) {
    let rows: Vec<Map<String, Json>> = shown.iter().map(|source| source.row.clone()).collect();
    let labels: Vec<String> = shown.iter().map(|source| source.label.clone()).collect();
    for refinement in refinements {
        let condition = apply(refinement, &rows);
        // Without rows to compare with, "a younger man" is a description like any other.
        if condition.is_some() || !shown.is_empty() {
            conditions
                .notes
                .push(RefinementNote::new(refinement, &rows, &labels));
        }
        conditions.refined.extend(condition);
    }
}

fn conjunction(filter: Option<&Json>, conditions: &[Json]) -> Json {
    match (filter, conditions) {
        (None, []) => json!({}),
        (Some(filter), []) => filter.clone(),
        (filter, conditions) => {
            let all: Vec<&Json> = filter.into_iter().chain(conditions).collect();
            json!({"and": all})
        }
    }
}
