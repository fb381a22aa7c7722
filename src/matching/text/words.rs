//! The words of a query.

use crate::error::Result;
use crate::matching::attachment::Attachment;
use crate::pg::lexemes;
use crate::pg::value::Value;
use castmatch_engine::text::document::Term;
use castmatch_engine::text::words::parts;
use pgrx::pg_sys;
use std::collections::BTreeMap;

/// A word of a query.
pub struct Word {
    /// As it stands in the query.
    pub written: String,
    /// What the index knows it by.
    pub term: Term,
}

/// The words of a query, each once, in the order of their lexemes.
///
/// # Errors
/// 42704 if the text search configuration does not exist any more.
pub fn words(attachment: &Attachment, query: &str) -> Result<Vec<Word>> {
    let config = config(attachment)?;
    let mut written: BTreeMap<String, Option<&str>> = BTreeMap::new();
    lexemes::reduce(config, query, |lexeme| {
        written.insert(String::from_utf8_lossy(lexeme).into_owned(), None);
        Ok(())
    })?;
    let mut unknown = written.len();
    for part in parts(query) {
        if unknown == 0 {
            break;
        }
        lexemes::reduce(config, part, |lexeme| {
            if let Ok(lexeme) = core::str::from_utf8(lexeme)
                && let Some(word @ None) = written.get_mut(lexeme)
            {
                *word = Some(part);
                unknown -= 1;
            }
            Ok(())
        })?;
    }
    let words = written.iter().map(|(lexeme, written)| Word {
        written: written.unwrap_or(lexeme).to_owned(),
        term: Term::of(lexeme.as_bytes()),
    });
    Ok(words.collect())
}

/// The text search configuration of an attached table.
///
/// # Errors
/// Raises 42704 if it does not exist any more.
pub(super) fn config(attachment: &Attachment) -> Result<pg_sys::Oid> {
    let config = Value::parse(pg_sys::REGCONFIGOID, &attachment.text_config)?;
    Ok(config.datum.map_or(
        pg_sys::InvalidOid,
        |datum| pg_sys::Oid::from(datum.value() as u32),
    ))
}
