//! The built-in provider: understand the message in its conversation, search, compose the reply.
//!
//! A message that leans on earlier ones ("…and someone younger?") is searched together with the request that it continues,
//! under that request's filter; a comparative becomes a condition relative to the best row shown before.

use crate::cache::Usage;
use crate::chat::sources;
use crate::chat::store::Kept;
use crate::chat::{BUILTIN_PROVIDER, Timings, Turn, milliseconds};
use crate::error::Result;
use crate::matching::attachment::Attachment;
use crate::matching::cached::{self, Place};
use crate::matching::legs::BoundFilter;
use crate::matching::rank::{self, Match, Query, Search};
use castmatch_engine::cache::Kind;
use castmatch_engine::chat::compose::{RefinementNote, ReplyInput, compose};
use castmatch_engine::chat::follow_up::{RetrievalQuery, retrieval_query};
use castmatch_engine::chat::refine::{Refinement, apply, detect};
use castmatch_engine::chat::{Role, Source};
use castmatch_engine::filter::describe;
use castmatch_engine::fusion::Mode;
use pgrx::pg_sys;
use serde_json::{Map, Value as Json, json};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Longest search text in characters: more than the model reads.
const MAX_QUERY_CHARS: usize = 2000;

/// A reply and what it rests on.
#[derive(serde::Deserialize, serde::Serialize)]
pub struct Answer {
    /// The reply.
    pub text: String,
    /// Sources as `chat` returns them, best first.
    pub sources: Json,
    /// What was searched for, kept with the user's message.
    pub context: Json,
}

/// A turn's message, understood in its conversation.
struct Question<'a> {
    turn: &'a Turn<'a>,
    attachment: Rc<Attachment>,
    window: &'a [Kept],
    /// What the user said before, oldest first.
    said: Vec<&'a str>,
    query: RetrievalQuery,
    /// The filter given, or that of the turn which this one continues.
    filter: Option<Json>,
}

/// Answers a turn, from the caches if they have the reply; then its age comes along.
///
/// # Errors
/// Those of the search.
pub fn answer(
    turn: &Turn,
    target: pg_sys::Oid,
    window: &[Kept],
    timings: &mut Timings,
) -> Result<(Answer, Option<Duration>)> {
    let question = Question::read(turn, target, window)?;
    let place = match turn.options.cache {
        Usage::Bypass => None,
        _ => question.place()?,
    };
    cached::through(Kind::Reply, place, turn.options.cache, || {
        question.answer(timings)
    })
}

impl<'a> Question<'a> {
    fn read(turn: &'a Turn<'a>, target: pg_sys::Oid, window: &'a [Kept]) -> Result<Self> {
        let attachment = Attachment::load(target)?;
        let earlier: Vec<&Kept> = window
            .iter()
            .filter(|kept| kept.message.role == Role::User)
            .collect();
        let said: Vec<&str> = earlier.iter().map(|kept| kept.message.content.as_str()).collect();
        let query = retrieval_query(&said, turn.message, MAX_QUERY_CHARS);
        // Rows and conditions of another table mean nothing here.
        let same_table = |kept: &&Kept| kept.context.get("target") == Some(&json!(target.to_u32()));
        let filter = effective_filter(turn, &query, earlier.iter().rev().copied().find(same_table));
        Ok(Self {
            turn,
            attachment,
            window,
            said,
            query,
            filter,
        })
    }

    /// Where the reply stands in the caches: under all that it depends on, the conversation as far as it is looked at included.
    fn place(&self) -> Result<Option<Place>> {
        if self.attachment.is_of_other_version()? {
            return Ok(None);
        }
        let Some(place) = cached::place(Kind::Reply, &self.attachment)? else {
            return Ok(None);
        };
        let turn = self.turn;
        let json = |value: Option<&Json>| value.map(Json::to_string);
        let key = place
            .key
            .with(BUILTIN_PROVIDER.as_bytes())
            .with(turn.message.as_bytes())
            .with_number(turn.k as u64)
            .with_text(json(turn.prefer).as_deref());
        let key = turn.options.identify(key);
        let key = BoundFilter::new(self.filter.as_ref(), &self.attachment.columns)?.identify(key);
        let key = self.window.iter().fold(key, |key, kept| {
            key.with_number(u64::from(kept.message.role == Role::User))
                .with(kept.message.content.as_bytes())
                .with(kept.context.to_string().as_bytes())
        });
        Ok(Some(Place { key, ..place }))
    }

    fn answer(&self, timings: &mut Timings) -> Result<Answer> {
        let Self {
            turn,
            attachment,
            window,
            said,
            query,
            filter,
        } = self;
        let target = attachment.target;
        let shown = if query.cue.is_some() {
            previously_shown(window, attachment, target)?
        } else {
            Vec::new()
        };

        let refinements = detect(turn.message, &attachment.columns);
        let refined = refine(&refinements, &shown);
        let conditions = conjunction(filter.as_ref(), &refined.conditions);
        let started = Instant::now();
        let found = rank::search(&Search {
            target,
            query: Query::Text(&query.text),
            k: turn.k,
            filter: Some(&conditions),
            prefer: turn.prefer,
            mode: Mode::Hybrid,
            options: turn.options,
        })?;
        timings.embed = found.embed_ms;
        timings.matching = milliseconds(started) - found.embed_ms;

        let composing = Instant::now();
        let rows = load_sources(attachment, &found.matches)?;
        let highlighted: Vec<String> = attachment
            .filters
            .iter()
            .cloned()
            .chain(refinements.iter().map(|found| found.column.clone()))
            .collect();
        let text = compose(&ReplyInput {
            message: turn.message,
            continues: query.continues.and_then(|index| said.get(index).copied()),
            filters: &filter.as_ref().map(describe).unwrap_or_default(),
            refinements: &refined.notes,
            sources: &rows,
            limit: turn.k,
            highlighted: &highlighted,
            content: &attachment.content_names,
            weak_below: None,
        });
        timings.generate = milliseconds(composing);
        Ok(Answer {
            text,
            sources: Json::Array(found.matches.iter().map(source_entry).collect()),
            // The conditions include those of refinements, so that "and cheaper?" after "younger" keeps the age.
            context: json!({"target": target.to_u32(), "filter": conditions, "query": query.text}),
        })
    }
}

/// The filter given, or that of the turn which this one continues.
fn effective_filter(turn: &Turn, query: &RetrievalQuery, last: Option<&Kept>) -> Option<Json> {
    let inherited = || {
        last.filter(|_| query.cue.is_some())
            .and_then(|kept| kept.context.get("filter"))
            .cloned()
    };
    turn.filter.cloned().or_else(inherited)
}

/// The rows of the latest reply, as the caller sees them now.
fn previously_shown(window: &[Kept], attachment: &Attachment, target: pg_sys::Oid) -> Result<Vec<Source>> {
    let replies = window.windows(2).rev().filter_map(|turn| match turn {
        [question, reply] if reply.message.role == Role::Assistant => Some((question, reply)),
        _ => None,
    });
    for (question, reply) in replies {
        if question.context.get("target") != Some(&json!(target.to_u32())) {
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
            return sources::load(attachment, &keys);
        }
    }
    Ok(Vec::new())
}

struct Refined {
    conditions: Vec<Json>,
    notes: Vec<RefinementNote>,
}

fn refine(refinements: &[Refinement], shown: &[Source]) -> Refined {
    let rows: Vec<Map<String, Json>> = shown.iter().map(|source| source.row.clone()).collect();
    let mut refined = Refined {
        conditions: Vec::new(),
        notes: Vec::new(),
    };
    for refinement in refinements {
        let reference = shown
            .iter()
            .find(|source| source.row.get(&refinement.column).is_some_and(|v| !v.is_null()));
        match (apply(refinement, &rows), reference) {
            (Some(condition), Some(reference)) => {
                refined.notes.push(RefinementNote::Applied {
                    word: refinement.word.clone(),
                    column: refinement.column.clone(),
                    direction: refinement.direction,
                    degree: refinement.degree,
                    reference_label: reference.label.clone(),
                    reference_value: bound_of(&condition),
                });
                refined.conditions.push(condition);
            }
            // Without rows to compare with, "a younger man" is a description like any other.
            _ if shown.is_empty() => {}
            _ => refined.notes.push(RefinementNote::Dropped {
                word: refinement.word.clone(),
                reason: format!("no row shown before has a value in {}", refinement.column),
            }),
        }
    }
    refined
}

/// The value in a condition such as `{"age": {"lt": 41}}`.
fn bound_of(condition: &Json) -> String {
    let bound = condition.as_object().and_then(|columns| columns.values().next());
    let value = bound
        .and_then(Json::as_object)
        .and_then(|operators| operators.values().next());
    match value {
        Some(Json::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
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

fn load_sources(attachment: &Attachment, matches: &[Match]) -> Result<Vec<Source>> {
    let keys: Vec<String> = matches.iter().map(|found| found.key.clone()).collect();
    let mut rows = sources::load(attachment, &keys)?;
    for row in &mut rows {
        if let Some(found) = matches.iter().find(|found| found.key == row.key) {
            row.similarity = found.similarity;
            row.matched_terms = found.matched_terms();
        }
    }
    Ok(rows)
}

fn source_entry(found: &Match) -> Json {
    json!({
        "key": found.key, "score": found.score, "similarity": found.similarity, "reasons": found.reasons,
    })
}
