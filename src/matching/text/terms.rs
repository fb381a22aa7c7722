//! `castmatch.text_terms`: what the text index holds of a row.

use crate::error::{Result, invalid_argument, out_of_memory};
use crate::pg::lexemes;
use castmatch_engine::text::document::Document;
use pgrx::pg_sys;
use pgrx::prelude::*;

#[pg_extern(sql = false)]
fn text_terms(config: pg_sys::Oid, average_length: f32, document: &str) -> Result<Vec<i64>> {
    if !average_length.is_finite() || average_length <= 0.0 {
        return Err(invalid_argument(format!(
            "average_length must be a positive number, not {average_length}"
        )));
    }
    Ok(read(config, document)?.into_keys(f64::from(average_length)))
}

/// The words of a text.
///
/// # Errors
/// 42704 for an unknown configuration, 53200 when there is no memory.
pub(super) fn read(config: pg_sys::Oid, text: &str) -> Result<Document> {
    let mut document = Document::default();
    lexemes::reduce(config, text, |lexeme| {
        document
            .add(lexeme)
            .map_err(|_| out_of_memory("the words of a text", document.length() * size_of::<u64>()))
    })?;
    Ok(document)
}
