//! Texts reduced to lexemes by a text search configuration.

use super::memory::RowMemory;
use super::signals::check_for_interrupts;
use crate::error::{Result, error, internal};
use castmatch_engine::text::words::pieces;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Bytes for which room for one lexeme is made ahead, as to_tsvector does it.
const BYTES_PER_WORD: usize = 6;

/// Shows each lexeme of a text, as often and in the order in which it stands there, to `look`. Stop words have none. A text of any length
/// will do; words of more than 2 kB are left out, with the server's NOTICE.
///
/// # Errors
/// 42704 for an unknown configuration, and those of `look`.
pub fn reduce(config: pg_sys::Oid, text: &str, mut look: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    require_config(config)?;
    let memory = RowMemory::new();
    for piece in pieces(text) {
        check_for_interrupts();
        memory.with(|| reduce_piece(config, piece, &mut look))?;
    }
    memory.delete();
    Ok(())
}

fn reduce_piece(config: pg_sys::Oid, piece: &str, look: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let bytes = i32::try_from(piece.len()).map_err(|_| internal("a piece of a text is too long"))?;
    let room = (piece.len() / BYTES_PER_WORD).max(2);
    let mut parsed = pg_sys::ParsedText {
        // SAFETY: plain memory of the current context, which the parser fills and enlarges.
        words: unsafe { pg_sys::palloc(room.saturating_mul(size_of::<pg_sys::ParsedWord>())) }.cast(),
        lenwords: i32::try_from(room).unwrap_or(i32::MAX),
        curwords: 0,
        pos: 0,
    };
    // SAFETY: the configuration exists (checked before); the parser reads `bytes` bytes and writes none of them.
    unsafe { pg_sys::parsetext(config, &mut parsed, piece.as_ptr().cast_mut().cast(), bytes) };
    let count = usize::try_from(parsed.curwords).unwrap_or(0);
    // SAFETY: the parser has written that many.
    let words = unsafe { core::slice::from_raw_parts(parsed.words, count) };
    for word in words {
        // SAFETY: each has its bytes in the current memory context.
        look(unsafe { core::slice::from_raw_parts(word.word.cast::<u8>(), usize::from(word.len)) })?;
    }
    Ok(())
}

fn require_config(config: pg_sys::Oid) -> Result<()> {
    // SAFETY: a look-up in the system cache.
    let exists = unsafe {
        pg_sys::SearchSysCacheExists(
            pg_sys::SysCacheIdentifier::TSCONFIGOID as i32,
            pg_sys::Datum::from(config),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        )
    };
    if exists {
        return Ok(());
    }
    Err(error(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!(
            "text search configuration with OID {} does not exist",
            config.to_u32()
        ),
    ))
}
