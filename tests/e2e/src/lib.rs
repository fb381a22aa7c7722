//! What tests of castmatch need around them: a private PostgreSQL cluster, its processes, polling with a deadline, a
//! plain HTTP client, short forms of SQL questions, small embedding models; and for the index, tables of known vectors, brute force, and a book of
//! what was committed.
//!
//! Everything here serves tests only, so a failure panics with a message that says what is missing. The end-to-end
//! tests are in tests/it; the tests of the companion use the same cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod cluster;
pub mod http;
pub mod index;
pub mod ledger;
pub mod method;
pub mod opclass;
pub mod place;
pub mod poll;
pub mod process;
pub mod query;
pub mod random;
pub mod scale;
pub mod tiny_model;
pub mod vectors;
