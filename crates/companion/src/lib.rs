//! The service beside the database: it watches `castmatch.health()`, reads `castmatch.metrics()` and serves
//! both over HTTP, so that load balancers and Prometheus need no PostgreSQL client. If told to, it prunes conversations
//! ([`prune`]) and offers functions of castmatch over HTTP ([`api`]).
//!
//! One background task ([`monitor`]) owns the one database connection; HTTP handlers only read the last
//! [`monitor::Snapshot`]. Whatever the database does (down, hung, slow), a request is answered within the
//! scrape deadline, and the process does not end. docs/companion.md is the manual.

pub mod api;
pub mod benchmark;
pub mod check;
pub mod config;
pub mod database;
pub mod error;
pub mod exposition;
pub mod http;
pub mod instruments;
pub mod logging;
pub mod monitor;
mod output;
pub mod performance;
mod process;
pub mod prune;
pub mod server;
pub mod session;
