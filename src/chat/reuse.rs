//! Replies that are used again: to the same message at the same place of a conversation, and, if the model's options ask for it, to another
//! wording of it.
//!
//! What a reply depends on is its key: the role, the model and its settings, the prompt's version, the conversation as far as it is looked
//! at, the conditions, and the state of the table. Another wording is looked for under the same key without the message only; its
//! embedding must be near, and numbers, negations and names must agree (`castmatch_engine::chat::reuse`).

use crate::cache::{self, Usage};
use crate::chat::answer::Answer;
use crate::chat::dialogue::Dialogue;
use crate::chat::sources;
use crate::embed;
use crate::error::Result;
use crate::guc;
use crate::matching::cached::{self, Place};
use crate::matching::legs::BoundFilter;
use crate::models::registry;
use crate::pg::random;
use crate::pg::spi::Access;
use crate::stats;
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::key::Key;
use castmatch_engine::chat::Role;
use castmatch_engine::chat::prompt::PROMPT_VERSION;
use castmatch_engine::chat::reuse::{GATE_VERSION, agree};
use castmatch_engine::chat::shelf::Shelf;
use castmatch_engine::model_name::BUILTIN;
use serde_json::Value as Json;
use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Where a reply came from, if not from a model just now.
#[derive(Clone, Copy)]
pub struct Hit {
    /// How old it is.
    pub age: Duration,
    /// How similar the message was that it was given to; `None` for the same message.
    pub similarity: Option<f64>,
}

/// The places of a turn's reply.
struct Places {
    /// Of this partition's messages.
    shelf: Key,
    /// Of all replies of the partition, before the message.
    partition: Key,
    epoch: u64,
    /// From which similarity on another wording will do.
    floor: Option<f64>,
}

impl Places {
    fn of_message(&self, message: &str) -> Place {
        Place {
            key: self.partition.clone().with(message.as_bytes()),
            epoch: self.epoch,
        }
    }
}

/// The places of the reply; `None` if it must not be used again.
fn places(dialogue: &Dialogue) -> Result<Option<Places>> {
    let turn = &dialogue.turn;
    let first = dialogue.speakers.front().map(|ready| &ready.definition);
    let temperature = turn
        .options
        .speech
        .temperature
        .or(first.and_then(|definition| definition.options.temperature));
    // What a model says is another thing each time, unless it is told not to or the caller does not mind.
    let repeatable = first.is_none() || temperature == Some(0.0) || turn.options.cache_given;
    if turn.options.cache == Usage::Bypass || !repeatable {
        return Ok(None);
    }
    let question = dialogue.question()?;
    let attachment = &question.attachment;
    if attachment.is_of_other_version()? {
        return Ok(None);
    }
    let Some(place) = cached::place(Kind::Reply, attachment)? else {
        return Ok(None);
    };
    let json = |value: Option<&Json>| value.map(Json::to_string);
    let key = place
        .key
        .with_number(u64::from(PROMPT_VERSION))
        .with_number(turn.k as u64)
        .with_text(json(turn.prefer.as_ref()).as_deref());
    let key = match first {
        Some(definition) => definition.identify(key),
        None => key.with(BUILTIN.as_bytes()),
    };
    let key = turn.options.identify(key);
    // The reply tells the filter in the caller's words; its values are what they are read as today.
    let key = key.with_text(json(question.filter.as_ref()).as_deref());
    let key = BoundFilter::new(question.filter.as_ref(), &attachment.columns)?.identify(key);
    // What the statistics know decides which words are conditions.
    let key = sources::known_values(attachment)?.iter().fold(key, |key, known| {
        let key = key
            .with(known.column.as_bytes())
            .with_number(known.values.len() as u64);
        known
            .values
            .iter()
            .fold(key, |key, value| key.with(value.as_bytes()))
    });
    let key = key.with_text(
        dialogue
            .conversation
            .summary
            .as_deref()
            .filter(|_| turn.options.speech.summary),
    );
    let partition = dialogue.window.iter().fold(key, |key, kept| {
        key.with_number(u64::from(kept.message.role == Role::User))
            .with(kept.message.content.as_bytes())
            .with(kept.context.to_string().as_bytes())
    });
    Ok(Some(Places {
        shelf: partition
            .clone()
            .with(b"shelf")
            .with_number(u64::from(GATE_VERSION)),
        partition: partition.with(b"message"),
        epoch: place.epoch,
        floor: floor(dialogue)?,
    }))
}

/// From which similarity on another wording will do, by the options of the model that was asked for.
fn floor(dialogue: &Dialogue) -> Result<Option<f64>> {
    if let Some(ready) = dialogue.speakers.front() {
        return Ok(ready.definition.options.semantic_cache);
    }
    if dialogue.turn.model == BUILTIN {
        return Ok(None);
    }
    let stored = registry::find(&dialogue.turn.model, Access::ReadWrite)?;
    Ok(stored.and_then(|stored| stored.definition.options.semantic_cache))
}

/// The reply to a turn, from the caches or by going through its steps.
///
/// # Errors
/// Those of the steps.
pub fn answer(dialogue: &mut Dialogue) -> Result<(Answer, Option<Hit>)> {
    let usage = dialogue.turn.options.cache;
    let Some(places) = places(dialogue)? else {
        cache::note_bypass(Kind::Reply);
        return Ok((dialogue.run()?, None));
    };
    let place = places.of_message(&dialogue.turn.message);
    let semantic = Cell::new(None);
    let (answer, age) = cached::through_if(Kind::Reply, Some(place), usage, || {
        let Some(floor) = places.floor else {
            return storable(dialogue.run()?);
        };
        let vector = vector(dialogue)?;
        let mut shelf = cache::peek(&places.shelf, places.epoch)
            .map(|(bytes, _)| Shelf::from_bytes(&bytes))
            .unwrap_or_default();
        let reused = if usage == Usage::Normal {
            another_wording(dialogue, &places, &shelf, &vector, floor)
        } else {
            None
        };
        if let Some((answer, hit)) = reused {
            if !is_audited() {
                semantic.set(Some(hit));
                return Ok((answer, false));
            }
            let fresh = dialogue.run()?;
            note_audit(&answer, &fresh);
            return storable(fresh);
        }
        let answer = dialogue.run()?;
        if answer.degraded.is_empty() {
            // Added to what is there now: the model may have taken its time.
            shelf = cache::peek(&places.shelf, places.epoch)
                .map(|(bytes, _)| Shelf::from_bytes(&bytes))
                .unwrap_or(shelf);
            shelf.add(&dialogue.turn.message, &vector);
            cache::put(&places.shelf, places.epoch, &shelf.to_bytes());
        }
        storable(answer)
    })?;
    let exact = age.map(|age| Hit {
        age,
        similarity: None,
    });
    Ok((answer, exact.or(semantic.get())))
}

fn storable(answer: Answer) -> Result<(Answer, bool)> {
    let whole = answer.degraded.is_empty();
    Ok((answer, whole))
}

/// The embedding of the message, by the table's model.
fn vector(dialogue: &Dialogue) -> Result<Vec<f32>> {
    let question = dialogue.question()?;
    let model = embed::model_of_table(&question.attachment.model)?;
    embed::embed_query(&model, &dialogue.turn.message, Usage::Normal)
}

fn another_wording(
    dialogue: &Dialogue,
    places: &Places,
    shelf: &Shelf,
    vector: &[f32],
    floor: f64,
) -> Option<(Answer, Hit)> {
    let message = &dialogue.turn.message;
    let (known, similarity) = shelf.nearest(vector, floor, |known| agree(message, known))?;
    let (bytes, age) = cache::peek(&places.of_message(known).key, places.epoch)?;
    let answer: Answer = serde_json::from_slice(&bytes).ok()?;
    if let Some(counters) = stats::counters() {
        counters.chat.semantic_hits.fetch_add(1, Ordering::Relaxed);
    }
    let hit = Hit {
        age,
        similarity: Some(similarity),
    };
    Some((answer, hit))
}

/// Whether this reuse is one of those that are looked at again.
fn is_audited() -> bool {
    let chance = (random::number() >> 11) as f64 / (1_u64 << 53) as f64;
    chance < guc::semantic_audit_rate()
}

/// Counts whether a reply that would have been used again rests on the rows that the message itself finds.
fn note_audit(reused: &Answer, fresh: &Answer) {
    let keys = |answer: &Answer| -> Vec<String> {
        let sources = answer.sources.as_array().into_iter().flatten();
        sources
            .filter_map(|source| source.get("key").and_then(Json::as_str).map(str::to_owned))
            .collect()
    };
    let Some(counters) = stats::counters() else { return };
    let audits = if keys(reused) == keys(fresh) {
        &counters.chat.audits_same
    } else {
        &counters.chat.audits_other
    };
    audits.fetch_add(1, Ordering::Relaxed);
}
