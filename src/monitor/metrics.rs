//! `castmatch.metrics()`: everything that is counted and known, in one cheap call.

use super::conversations::Conversations;
use super::indexes::Indexes;
use super::models::Models;
use super::performance::server_version;
use super::queue::Queue;
use super::sample::Sample;
use super::{caches, calls, operations, process};
use crate::error::Result;
use crate::models::registry::as_owner;
use crate::pg::snapshot::in_recovery;
use crate::pg::spi::Access;
use crate::shared::{Shared, shared};
use core::sync::atomic::Ordering;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::json;

/// Of the server and of rows.
fn general(shared: &Shared, samples: &mut Vec<Sample>) {
    let counters = &shared.counters;
    samples.extend([
        Sample::labelled(
            "castmatch_postgres_info",
            "gauge",
            "Always 1; the label pg_version is the version of the server.",
            json!({"pg_version": server_version()}),
            1.0,
        ),
        Sample::gauge(
            "castmatch_in_recovery",
            "1 if the server is a standby or recovers from a crash, which embeds no rows and stores no conversations; else 0.",
            f64::from(u8::from(in_recovery())),
        ),
        Sample::counter(
            "castmatch_rows_embedded_total",
            "Rows of attached tables of all databases whose embedding was written.",
            counters.sum(|counters| counters.rows_embedded.load(Ordering::Relaxed)),
        ),
        Sample::counter(
            "castmatch_rows_failed_total",
            "Rows of attached tables of all databases that were given up after all tries.",
            counters.sum(|counters| counters.rows_failed.load(Ordering::Relaxed)),
        ),
    ]);
}

/// What only this database knows.
fn of_database(shared: &Shared, samples: &mut Vec<Sample>) -> Result<()> {
    as_owner(Access::ReadOnly, |session| {
        Queue::read(session)?.samples(samples);
        Models::read(session, shared)?.samples(shared, samples);
        Indexes::read(session)?.samples(samples);
        Conversations::read(session)?.samples(samples);
        Ok(())
    })
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn metrics() -> Result<
    TableIterator<
        'static,
        (
            name!(name, String),
            name!(kind, String),
            name!(help, String),
            name!(labels, JsonB),
            name!(value, f64),
        ),
    >,
> {
    let shared = shared()?;
    let mut samples = Vec::new();
    general(shared, &mut samples);
    process::samples(shared, &mut samples);
    of_database(shared, &mut samples)?;
    operations::samples(&shared.counters, &mut samples);
    caches::samples(&shared.counters, &mut samples);
    calls::samples(shared, &mut samples);
    Ok(TableIterator::new(samples.into_iter().map(|sample| {
        (
            sample.name,
            sample.kind.to_owned(),
            sample.help.to_owned(),
            JsonB(sample.labels),
            sample.value,
        )
    })))
}
