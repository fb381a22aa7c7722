//! Text to vector: `castmatch.embed` and `castmatch.embed_batch`, served by one background worker that holds the model.

pub mod client;
pub mod worker;

use crate::error::{Result, error, internal, invalid_argument};
use crate::pg::array::ArrayArg;
use crate::pg::catalog;
use crate::pg::vector::{VectorArrayOut, VectorOut};
use crate::stats::{Operation, timed};
use castmatch_engine::shared::embedder::Urgency;
use pgrx::prelude::*;

/// Name of the model that comes with castmatch.
pub const BUILTIN_MODEL: &str = "builtin";

/// Texts of one call of `embed_batch`: their vectors must fit one value.
const MAX_BATCH_TEXTS: usize = 100_000;

/// What a text is embedded for. The model `builtin` treats both alike.
const KINDS: [&str; 2] = ["query", "passage"];

/// The name of the model to use: the given one if it exists, `builtin` if none is given.
///
/// # Errors
/// 42704 if there is no such model.
pub fn resolve_model(model: Option<&str>) -> Result<&'static str> {
    match model {
        None | Some(BUILTIN_MODEL) => Ok(BUILTIN_MODEL),
        Some(other) => Err(error(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("embedding model \"{other}\" does not exist"),
        )
        .set_hint("The model that comes with castmatch is called \"builtin\".")),
    }
}

fn check_kind(kind: Option<&str>) -> Result<()> {
    match kind {
        Some(kind) if KINDS.contains(&kind) => Ok(()),
        Some(kind) => Err(invalid_argument(format!("unknown kind of text: \"{kind}\""))
            .set_hint("Kinds are \"query\" and \"passage\".")),
        None => Err(crate::error::null_argument("kind")),
    }
}

/// The embedding of one text for a user who waits.
///
/// # Errors
/// As for [`client::embed`].
pub fn embed_query(text: &str) -> Result<Vec<f32>> {
    client::embed(&[text], Urgency::Interactive)?
        .pop()
        .ok_or_else(|| internal("no vector came back for a text"))
}

#[pg_extern(sql = false)]
fn embed(input: Option<&str>, model: Option<&str>, kind: Option<&str>) -> Result<Option<VectorOut<f32>>> {
    check_kind(kind)?;
    resolve_model(model)?;
    let Some(input) = input else { return Ok(None) };
    timed(Operation::Embed, || embed_query(input)).map(|vector| Some(VectorOut(vector)))
}

#[pg_extern(sql = false)]
fn embed_batch(
    inputs: Option<ArrayArg>,
    model: Option<&str>,
    kind: Option<&str>,
) -> Result<Option<VectorArrayOut>> {
    check_kind(kind)?;
    resolve_model(model)?;
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
    // A batch takes its turn behind single queries, as a background job does.
    let vectors = timed(Operation::EmbedBatch, || {
        Ok(client::embed(&present, Urgency::Background)?)
    })?;
    let mut vectors = vectors.into_iter();
    let placed: Vec<Option<Vec<f32>>> = texts
        .iter()
        .map(|text| text.and_then(|_| vectors.next()))
        .collect();
    VectorArrayOut::new(catalog::extension_types()?.vector, &placed).map(Some)
}
