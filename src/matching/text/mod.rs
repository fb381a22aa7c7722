//! The text leg of match: BM25 over an index of impacts. docs/design/matching.md; what needs no server is `castmatch_engine::text`.
//!
//! ```text
//! terms ─► index          a row's text reduced to keys
//! words ─► search ─► rows a query reduced to words, their postings added up, candidates turned into rows that the caller may see
//! ```

pub mod index;
mod rows;
pub mod search;
pub mod statistics;
mod terms;
pub mod words;
