//! `castmatch.cache_stats`, `cache_reset` and `cache_invalidate`.

use crate::cache::{epoch, local, memory};
use crate::error::{Result, invalid_argument, null_argument};
use crate::pg::catalog;
use crate::pg::clock::monotonic_ms;
use crate::shared::shared;
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::counters::{Event, Level};
use castmatch_engine::cache::shared::Holding;
use core::sync::atomic::Ordering;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// A number for SQL.
fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What is held of each kind on the shared level, if there is one. Looks at every entry.
pub fn shared_holdings() -> Option<[Holding; Kind::ALL.len()]> {
    memory::cache().map(|cache| cache.holdings())
}

/// What this backend holds of each kind, of this generation.
pub fn local_holdings(generation: u64) -> [Holding; Kind::ALL.len()] {
    Kind::ALL.map(|kind| local::holding(kind, generation))
}

/// What is held of each kind: on the local level by this backend.
fn holdings(level: Level, generation: u64) -> Option<[Holding; Kind::ALL.len()]> {
    match level {
        Level::Local => Some(local_holdings(generation)),
        Level::Shared => shared_holdings(),
    }
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn cache_stats() -> Result<
    TableIterator<
        'static,
        (
            name!(kind, String),
            name!(level, String),
            name!(requests, i64),
            name!(hits, i64),
            name!(misses, i64),
            name!(expired, i64),
            name!(outdated, i64),
            name!(damaged, i64),
            name!(bypassed, i64),
            name!(stored, i64),
            name!(refused, i64),
            name!(evicted, i64),
            name!(waits, i64),
            name!(takeovers, i64),
            name!(entries, i64),
            name!(bytes, i64),
            name!(oldest_seconds, Option<f64>),
            name!(active, bool),
        ),
    >,
> {
    let counters = &shared()?.counters;
    let generation = shared()?.cache_generation.load(Ordering::Acquire);
    let now_ms = monotonic_ms();
    let holdings = Level::ALL.map(|level| (level, holdings(level, generation)));
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        for (level, holdings) in holdings {
            let events =
                |event| bigint(counters.sum(|counters| counters.caches.kind(kind).events(level, event)));
            let held = holdings.and_then(|holdings| holdings.get(kind as usize).copied());
            let oldest = held.and_then(|held| held.oldest_ms);
            let (hits, misses) = (events(Event::Hit), events(Event::Miss));
            rows.push((
                kind.name().to_owned(),
                level.name().to_owned(),
                hits.saturating_add(misses),
                hits,
                misses,
                events(Event::Expired),
                events(Event::Outdated),
                events(Event::Damaged),
                events(Event::Bypassed),
                events(Event::Stored),
                events(Event::Refused),
                events(Event::Evicted),
                events(Event::Waited),
                events(Event::TakenOver),
                bigint(held.map_or(0, |held| held.entries)),
                bigint(held.map_or(0, |held| held.bytes)),
                oldest.map(|oldest| now_ms.saturating_sub(oldest) as f64 / 1e3),
                held.is_some(),
            ));
        }
    }
    Ok(TableIterator::new(rows))
}

/// Makes every backend forget what it holds.
fn forget_local() -> Result<()> {
    shared()?.cache_generation.fetch_add(1, Ordering::AcqRel);
    local::clear();
    Ok(())
}

#[pg_extern(sql = false)]
fn cache_reset() -> Result<()> {
    forget_local()?;
    if let Some(cache) = memory::cache() {
        cache.remove_where(|_| true);
    }
    Ok(())
}

#[pg_extern(sql = false)]
fn cache_invalidate(kind: Option<&str>, target: Option<pg_sys::Oid>) -> Result<i64> {
    let name = kind.ok_or_else(|| null_argument("kind"))?;
    let kind = Kind::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        invalid_argument(format!("unknown kind of cached value: \"{name}\""))
            .set_hint(format!("Kinds are {}.", names.join(", ")))
    })?;
    if kind == Kind::Embedding && target.is_some() {
        return Err(invalid_argument("embeddings do not belong to a table")
            .set_hint("Leave target out to remove all embeddings of this database."));
    }
    // A value that is being computed just now is not stored as current any more.
    if let Some(target) = target {
        epoch::advance(target);
    }
    forget_local()?;
    let database = catalog::my_database().to_u32();
    let target = target.map(pg_sys::Oid::to_u32);
    let removed = memory::cache().map_or(0, |cache| {
        cache.remove_where(|tag| {
            tag.kind == kind && tag.database == database && target.is_none_or(|target| tag.target == target)
        })
    });
    Ok(bigint(removed))
}
