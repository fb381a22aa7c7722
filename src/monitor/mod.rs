//! What whoever watches the server asks for: `castmatch.health()`, `castmatch.metrics()` and `castmatch.performance()`.
//!
//! Each file knows one subject, and gives its samples for the metrics and its part of the report. All of it is cheap whatever the size of
//! tables and indexes, writes nothing, works on a standby, and waits for no lock on a table of a user's.

mod caches;
mod calls;
mod conversations;
mod health;
mod indexes;
mod metrics;
mod models;
mod operations;
mod performance;
mod process;
mod queue;
mod sample;
