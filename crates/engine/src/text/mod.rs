//! Full-text search with BM25 over an inverted index whose postings are ordered by their impact.
//!
//! A row's text is reduced to lexemes by the server; [`document`] turns them into keys, one for each distinct lexeme: a hash of
//! the lexeme with the quantised impact that it has in this row. An ordinary GIN index over these keys holds, for each
//! lexeme and impact, the rows that have it: an impact-ordered index (Anh and Moffat, "Pruned Query Evaluation Using
//! Pre-Computed Impacts", SIGIR 2006). A query reads these lists in the order of what they can add to a row's score ([`search`]), and
//! may stop anywhere (Lin and Trotman, "Anytime Ranking for Impact-Ordered Indexes", ICTIR 2015). docs/design/matching.md.

pub mod accumulate;
pub mod document;
pub mod gin;
pub mod impact;
pub mod search;
pub mod statistics;
pub mod words;
