//! Text to vector: `castmatch.embed` and `castmatch.embed_batch`, served by one background worker that holds the local models, or by a
//! server elsewhere.

pub mod client;
mod embedder;
mod held;
pub mod local;
mod ready;
mod remote;
mod request;
pub mod worker;

pub use embedder::{Embedder, Runner, model_of_table, resolve_model};

use crate::cache::{self, Computed, Usage};
use crate::error::{Result, error, internal, invalid_argument};
use crate::guc;
use crate::pg::array::ArrayArg;
use crate::pg::vector::{VectorArrayOut, VectorOut};
use crate::pg::{catalog, role};
use crate::stats::{Operation, timed};
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::key::Key;
use castmatch_engine::cache::text::normalize;
use castmatch_engine::shared::embedder::Urgency;
use pgrx::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;

/// Texts of one call of `embed_batch`: their vectors must fit one value.
const MAX_BATCH_TEXTS: usize = 100_000;

/// What a text is embedded for. Models of BERT kind as they are read here treat both alike.
const KINDS: [&str; 2] = ["query", "passage"];

fn check_kind(kind: Option<&str>) -> Result<()> {
    match kind {
        Some(kind) if KINDS.contains(&kind) => Ok(()),
        Some(kind) => Err(invalid_argument(format!("unknown kind of text: \"{kind}\""))
            .set_hint("Kinds are \"query\" and \"passage\".")),
        None => Err(crate::error::null_argument("kind")),
    }
}

/// The key of a text's embedding by a model of that version; the text in the form of [`normalize`].
fn key(model: &Embedder, version: u64, text: &str) -> Key {
    let role = if guc::share_embeddings() {
        0
    } else {
        role::current().to_u32()
    };
    Key::new(Kind::Embedding, catalog::my_database().to_u32(), 0)
        .with_number(u64::from(role))
        .with(model.as_str().as_bytes())
        .with_number(version)
        .with(text.as_bytes())
}

/// A vector as it is cached.
fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|element| element.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<4>();
    elements
        .iter()
        .map(|&element| f32::from_le_bytes(element))
        .collect()
}

/// The embedding of one text for a user who waits, from the caches or computed.
///
/// # Errors
/// As for [`client::embed`].
pub fn embed_query(model: &Embedder, text: &str, usage: Usage) -> Result<Vec<f32>> {
    catalog::require_utf8()?;
    let text = normalize(text);
    let version = client::model_version(model)?;
    let answer = cache::through(&key(model, version, &text), 0, usage, || {
        let vector = client::embed(model, &[&text], Urgency::Interactive)?
            .pop()
            .ok_or_else(|| internal("no vector came back for a text"))?;
        Ok(Computed {
            bytes: to_bytes(&vector),
            // The model may have been changed meanwhile.
            storable: client::model_version(model)? == version,
        })
    })?;
    Ok(from_bytes(&answer.bytes))
}

/// The embedding of a text that a server elsewhere is computing, for the caches: whoever needs it later finds it there.
pub struct Prefetch {
    request: client::Request,
    key: Key,
}

/// Has the embedding of a query computed, if that means to wait for a server elsewhere and the caches do not have it.
///
/// # Errors
/// As for [`client::submit`].
pub fn prefetch(model: &Embedder, text: &str) -> Result<Option<Prefetch>> {
    if !matches!(model.runner, Runner::Remote(_)) || guc::embedding_ttl().is_zero() {
        return Ok(None);
    }
    catalog::require_utf8()?;
    let text = normalize(text);
    let key = key(model, client::model_version(model)?, &text);
    if cache::peek(&key, 0).is_some() {
        return Ok(None);
    }
    let request = client::submit(model, &[&text], Urgency::Interactive)?;
    Ok(Some(Prefetch { request, key }))
}

impl Prefetch {
    /// Whether [`Self::keep`] has not to wait. Never waits, and needs no transaction.
    pub fn is_done(&mut self) -> bool {
        self.request.is_done()
    }

    /// Puts the embedding into the caches.
    ///
    /// # Errors
    /// Those of the model.
    pub fn keep(self) -> Result<()> {
        let vectors = self.request.wait()?;
        let vector = vectors
            .first()
            .ok_or_else(|| internal("no vector came back for a text"))?;
        cache::put(&self.key, 0, &to_bytes(vector));
        Ok(())
    }
}

/// The embeddings of texts, in order: those that the caches have, the others computed together, each text once.
fn embed_texts(model: &Embedder, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
    catalog::require_utf8()?;
    let version = client::model_version(model)?;
    let texts: Vec<Cow<str>> = texts.iter().map(|text| normalize(text)).collect();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut distinct: Vec<&str> = Vec::new();
    for text in &texts {
        numbers.entry(text).or_insert_with(|| {
            distinct.push(text);
            distinct.len() - 1
        });
    }
    let keys: Vec<Key> = distinct.iter().map(|text| key(model, version, text)).collect();
    let mut vectors: Vec<Option<Vec<f32>>> = cache::look_up_all(&keys)
        .into_iter()
        .map(|found| found.map(|bytes| from_bytes(&bytes)))
        .collect();
    let is_missing = |number: &usize| vectors.get(*number).is_some_and(Option::is_none);
    let missing: Vec<usize> = (0..distinct.len()).filter(is_missing).collect();
    let wanted: Vec<&str> = missing
        .iter()
        .filter_map(|&number| distinct.get(number).copied())
        .collect();
    // A batch takes its turn behind single queries, as a background job does.
    let computed = client::embed(model, &wanted, Urgency::Background)?;
    let storable = client::model_version(model)? == version;
    for (number, vector) in missing.into_iter().zip(computed) {
        if let Some(key) = keys.get(number).filter(|_| storable) {
            cache::keep(key, &to_bytes(&vector));
        }
        if let Some(place) = vectors.get_mut(number) {
            *place = Some(vector);
        }
    }
    texts
        .iter()
        .map(|text| {
            let number = numbers.get(text.as_ref());
            number
                .and_then(|&number| vectors.get(number)?.clone())
                .ok_or_else(|| internal("no vector came back for a text"))
        })
        .collect()
}

#[pg_extern(sql = false)]
fn embed(input: Option<&str>, model: Option<&str>, kind: Option<&str>) -> Result<Option<VectorOut<f32>>> {
    check_kind(kind)?;
    let model = resolve_model(model)?;
    let Some(input) = input else { return Ok(None) };
    timed(Operation::Embed, || embed_query(&model, input, Usage::Normal))
        .map(|vector| Some(VectorOut(vector)))
}

#[pg_extern(sql = false)]
fn embed_batch(
    inputs: Option<ArrayArg>,
    model: Option<&str>,
    kind: Option<&str>,
) -> Result<Option<VectorArrayOut>> {
    check_kind(kind)?;
    let model = resolve_model(model)?;
    let Some(inputs) = inputs else { return Ok(None) };
    let texts = inputs.to_texts()?;
    if texts.len() > MAX_BATCH_TEXTS {
        return Err(error(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!(
                "embed_batch takes at most {MAX_BATCH_TEXTS} texts, not {}",
                texts.len()
            ),
        )
        .set_hint("Call it for parts of the array."));
    }
    let present: Vec<&str> = texts.iter().flatten().copied().collect();
    let vectors = timed(Operation::EmbedBatch, || embed_texts(&model, &present))?;
    let mut vectors = vectors.into_iter();
    let placed: Vec<Option<Vec<f32>>> = texts
        .iter()
        .map(|text| text.and_then(|_| vectors.next()))
        .collect();
    VectorArrayOut::new(catalog::extension_types()?.vector, &placed).map(Some)
}
