//! castmatch: matching and chat inside PostgreSQL.
//!
//! This package is the glue between PostgreSQL and `castmatch-engine`: what could be tested without a server stands there.
//! Data flows one way: types -> models -> embed -> matching -> chat -> maintenance; `cache` and `stats` are called by
//! them and call none of them, `monitor` looks at all of them. Functions are declared in `sql/`, which is the truth about names, volatility and privileges.

// ErrorReport is what pgrx raises; an error is rare and boxing it would only move the cost.
#![allow(clippy::result_large_err)]

mod am;
mod cache;
mod chat;
mod duty;
mod embed;
mod error;
mod guc;
mod launcher;
mod maintenance;
mod matching;
mod models;
mod monitor;
mod pg;
mod shared;
mod stats;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod types;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

#[cfg(not(panic = "unwind"))]
compile_error!("castmatch needs panic = \"unwind\": an error must not take the server down");

#[cfg(target_endian = "big")]
compile_error!("castmatch is written for little-endian machines");

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/vector.sql", name = "vector", requires = ["schema"]);
extension_sql_file!("../sql/halfvec.sql", name = "halfvec", requires = ["vector"]);
extension_sql_file!("../sql/sparsevec.sql", name = "sparsevec", requires = ["halfvec"]);
extension_sql_file!("../sql/casts.sql", name = "casts", requires = ["sparsevec"]);
extension_sql_file!("../sql/bit.sql", name = "bit", requires = ["casts"]);
extension_sql_file!("../sql/index.sql", name = "index", requires = ["bit"]);
extension_sql_file!("../sql/models.sql", name = "models", requires = ["index"]);
extension_sql_file!("../sql/functions.sql", name = "functions", requires = ["models"]);
extension_sql_file!("../sql/chat.sql", name = "chat", requires = ["functions"]);
extension_sql_file!(
    "../sql/maintenance.sql",
    name = "maintenance",
    requires = ["chat"]
);
extension_sql_file!(
    "../sql/security.sql",
    name = "security",
    requires = ["maintenance"],
    finalize
);

/// Called by the server when it loads the library.
#[allow(unsafe_code)]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::startup::silence_backtraces();
    guc::register();
    am::hnsw::options::register();
    am::ivf::options::register();
    if pg::shmem::preloading() {
        pg::startup::at_server_start(shared::request_space, note_preloaded);
        embed::worker::register();
        launcher::register();
    }
}

/// Runs in the postmaster once shared memory exists.
fn note_preloaded() {
    if let Ok(shared) = shared::attach_anew() {
        shared.preloaded.store(1, core::sync::atomic::Ordering::Release);
    }
    if let Err(failure) = cache::memory::start() {
        pgrx::warning!("castmatch: {}", failure.message());
    }
}

/// What `cargo pgrx test` asks for.
#[cfg(test)]
pub mod pg_test {
    /// Called once before the tests.
    pub fn setup(_options: Vec<&str>) {}

    /// Settings of the test server.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec!["shared_preload_libraries = 'castmatch'"]
    }
}
