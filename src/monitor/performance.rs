//! `castmatch.performance()`: how castmatch does, in one object for people and for the companion's page.

use super::conversations::Conversations;
use super::indexes::Indexes;
use super::models::Models;
use super::process::{Embedder, moments};
use super::queue::Queue;
use super::{caches, operations};
use crate::error::Result;
use crate::models::registry::as_owner;
use crate::pg::clock::unix_ms;
use crate::pg::setting;
use crate::pg::snapshot::in_recovery;
use crate::pg::spi::Access;
use crate::shared::{self, shared};
use castmatch_engine::measure::share;
use core::sync::atomic::Ordering;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::json;

/// The server's version without what its packager adds.
pub(super) fn server_version() -> String {
    let version = setting::value(c"server_version").unwrap_or_default();
    version.split(' ').next().unwrap_or_default().to_owned()
}

#[pg_extern(sql = false)]
fn performance() -> Result<JsonB> {
    let shared = shared()?;
    let (now_ms, since_ms) = (unix_ms(), shared.since_ms.load(Ordering::Acquire));
    let (requests, errors, operations) = operations::report(&shared.counters);
    as_owner(Access::ReadOnly, |session| {
        let mut times = moments(session, &[since_ms, now_ms])?.into_iter();
        let queue = Queue::read(session)?;
        let models = Models::read(session, shared)?;
        let indexes = Indexes::read(session)?;
        let conversations = Conversations::read(session)?;
        let (listed_models, models_are_cut) = models.report(shared);
        Ok(JsonB(json!({
            "since": times.next(),
            "at": times.next(),
            "uptime_seconds": now_ms.saturating_sub(since_ms) as f64 / 1e3,
            "version": env!("CARGO_PKG_VERSION"),
            "postgres": server_version(),
            "in_recovery": in_recovery(),
            "requests": requests,
            "errors": errors,
            "error_ratio": share(errors, requests).unwrap_or(0.0),
            "operations": operations,
            "bucket_bounds_ms": operations::bounds_ms(),
            "caches": caches::report(shared),
            "queue": queue.report(),
            "models": listed_models,
            "indexes": indexes.report(),
            "truncated": models_are_cut || indexes.truncated,
            "conversations": conversations.report(),
            "embedder": Embedder::read(shared).report(),
            "memory": {
                "shared_bytes": shared::bytes(),
                "backend_cache_bytes": caches::local_bytes(shared),
            },
        })))
    })
}
