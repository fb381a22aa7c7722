//! Caches: each backend's own level over one that all backends share. docs/design/caches.md explains them.
//!
//! A value is looked up by a key that holds everything it depends on. What misses is computed once for all that ask for it at the same
//! time. Only whole results of a successful computation are stored, by the caller's word.

pub mod epoch;
mod flight;
mod functions;
mod local;
pub mod memory;
pub mod session;

use crate::error::Result;
use crate::guc;
use crate::pg::clock::monotonic_ms;
use crate::shared::shared;
use crate::stats;
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::counters::{BOUNDS_NS, Event, KindCounters, Level};
use castmatch_engine::cache::key::Key;
use castmatch_engine::cache::shared::Found;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

pub use castmatch_engine::cache::Usage;
pub use functions::{local_holdings, shared_holdings};

/// A value that was computed.
pub struct Computed {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it may be stored: it is whole, and all that it depends on is in the key.
    pub storable: bool,
}

/// A value, and where it came from.
pub struct Answer {
    /// Its bytes.
    pub bytes: Rc<[u8]>,
    /// How old it is, if it was not computed just now.
    pub age: Option<Duration>,
}

thread_local! {
    static TOLD: Cell<bool> = const { Cell::new(false) };
}

fn counters(kind: Kind) -> Option<&'static KindCounters> {
    Some(stats::counters()?.caches.kind(kind))
}

fn count(kind: Kind, level: Level, event: Event, times: u64) {
    if let Some(counters) = counters(kind) {
        counters.count(level, event, times);
    }
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// How long values of a kind are kept; `None` if they are not.
fn time_to_live(kind: Kind) -> Option<Duration> {
    let limit = match kind {
        Kind::Embedding => guc::embedding_ttl(),
        Kind::Reply => guc::reply_ttl(),
        // It ends with its table's epoch.
        Kind::Match => return guc::match_cache().then_some(Duration::MAX),
    };
    (!limit.is_zero()).then_some(limit)
}

/// Says once in a backend that its values are its own only.
fn tell_level() {
    if memory::cache().is_none() && guc::is_shared_level_wanted() && !TOLD.replace(true) {
        pgrx::notice!(
            "castmatch caches values for this session only: castmatch is not in shared_preload_libraries"
        );
    }
}

fn generation() -> u64 {
    shared().map_or(0, |shared| shared.cache_generation.load(Ordering::Acquire))
}

/// The oldest moment from which a value of a kind may be.
fn since_ms(limit: Duration, now_ms: u64) -> u64 {
    now_ms.saturating_sub(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

/// A look-up on the backend's own level, counted.
fn look_up_locally(key: &Key, epoch: u64, since_ms: u64) -> Option<local::Value> {
    let kind = key.kind();
    let reason = match local::get(key, generation(), guc::local_cache_bytes()) {
        None => None,
        Some(value) if value.stored_ms < since_ms => Some(Event::Expired),
        Some(value) if value.epoch != epoch => Some(Event::Outdated),
        Some(value) => {
            count(kind, Level::Local, Event::Hit, 1);
            return Some(value);
        }
    };
    count(kind, Level::Local, Event::Miss, 1);
    if let Some(reason) = reason {
        count(kind, Level::Local, reason, 1);
    }
    None
}

/// What the shared level has: the value, or why not. Not counted: whoever waits looks several times.
fn look_up_shared(key: &Key, epoch: u64, since_ms: u64) -> Result<local::Value, Option<Event>> {
    let Some(cache) = memory::cache() else {
        return Err(None);
    };
    match cache.get(cache.hash(key), key, since_ms) {
        Found::Absent => Err(None),
        Found::Expired => Err(Some(Event::Expired)),
        Found::Damaged => Err(Some(Event::Damaged)),
        Found::Value { value, stored_ms } => {
            // Stored values begin with their epoch.
            let Some((of_value, bytes)) = value.split_first_chunk::<8>() else {
                return Err(Some(Event::Damaged));
            };
            if u64::from_le_bytes(*of_value) != epoch {
                return Err(Some(Event::Outdated));
            }
            let value = local::Value {
                bytes: bytes.into(),
                epoch,
                stored_ms,
            };
            Ok(value)
        }
    }
}

fn count_shared(kind: Kind, found: &Result<local::Value, Option<Event>>) {
    if memory::cache().is_none() {
        return;
    }
    match found {
        Ok(_) => count(kind, Level::Shared, Event::Hit, 1),
        Err(reason) => {
            count(kind, Level::Shared, Event::Miss, 1);
            if let Some(reason) = reason {
                count(kind, Level::Shared, *reason, 1);
            }
        }
    }
}

fn store_locally(key: &Key, value: local::Value) {
    for kind in local::put(key, value, generation(), guc::local_cache_bytes()) {
        count(kind, Level::Local, Event::Evicted, 1);
    }
    count(key.kind(), Level::Local, Event::Stored, 1);
}

/// Stores a value on both levels.
fn store(key: &Key, epoch: u64, bytes: &Rc<[u8]>, now_ms: u64) {
    if let Some(cache) = memory::cache() {
        let mut stored = Vec::with_capacity(8 + bytes.len());
        stored.extend_from_slice(&epoch.to_le_bytes());
        stored.extend_from_slice(bytes);
        let done = cache.put(cache.hash(key), key, &stored, now_ms);
        for (kind, times) in Kind::ALL.into_iter().zip(done.evicted) {
            if times > 0 {
                count(kind, Level::Shared, Event::Evicted, u64::from(times));
            }
        }
        let event = if done.stored {
            Event::Stored
        } else {
            Event::Refused
        };
        count(key.kind(), Level::Shared, event, 1);
    }
    let value = local::Value {
        bytes: Rc::clone(bytes),
        epoch,
        stored_ms: now_ms,
    };
    store_locally(key, value);
}

/// The value of a key, from the caches or computed. `epoch` is that of the table that it comes from, or 0.
///
/// # Errors
/// Those of `compute`. Waiting for another backend's value answers interrupts.
pub fn through(
    key: &Key,
    epoch: u64,
    usage: Usage,
    compute: impl FnOnce() -> Result<Computed>,
) -> Result<Answer> {
    let kind = key.kind();
    let (Some(limit), false) = (time_to_live(kind), usage == Usage::Bypass) else {
        count(kind, Level::Local, Event::Bypassed, 1);
        return Ok(fresh(compute()?.bytes.into()));
    };
    let started = Instant::now();
    let now_ms = monotonic_ms();
    let since_ms = since_ms(limit, now_ms);
    if usage == Usage::Refresh {
        count(kind, Level::Local, Event::Bypassed, 1);
        return compute_and_store(key, epoch, compute);
    }
    if let Some(hit) = look_up_locally(key, epoch, since_ms) {
        return Ok(served(kind, hit, started, now_ms));
    }
    tell_level();
    let (found, flight) = look_up_or_board(key, epoch, since_ms, started);
    count_shared(kind, &found);
    if let Ok(hit) = found {
        store_locally(key, hit.clone());
        return Ok(served(kind, hit, started, now_ms));
    }
    let answer = compute_and_store(key, epoch, compute);
    // After the value is stored, so that whoever waited finds it.
    drop(flight);
    if let Some(counters) = counters(kind) {
        counters.misses().record(&BOUNDS_NS, nanoseconds(started));
    }
    answer
}

/// Looks on the shared level until the value is there or this backend is the one to compute it.
fn look_up_or_board(
    key: &Key,
    epoch: u64,
    since_ms: u64,
    started: Instant,
) -> (Result<local::Value, Option<Event>>, Option<flight::Flight>) {
    let found = look_up_shared(key, epoch, since_ms);
    let (&Err(mut reason), Some(cache)) = (&found, memory::cache()) else {
        return (found, None);
    };
    let kind = key.kind();
    let hash = cache.hash(key);
    let mut waited = false;
    loop {
        let boarding = flight::board(cache, hash, kind, started);
        // Whether led or waited for: the value may have come between the look and the boarding.
        let found = look_up_shared(key, epoch, since_ms);
        match boarding {
            flight::Boarding::Waited if !waited => {
                waited = true;
                count(kind, Level::Shared, Event::Waited, 1);
            }
            flight::Boarding::Waited => {}
            flight::Boarding::Lead { flight, taken_over } => {
                if found.is_ok() {
                    return (found, None);
                }
                if taken_over || waited {
                    count(kind, Level::Shared, Event::TakenOver, 1);
                }
                return (Err(reason), flight);
            }
        }
        match found {
            Ok(hit) => return (Ok(hit), None),
            Err(newer) => reason = newer.or(reason),
        }
    }
}

fn served(kind: Kind, hit: local::Value, started: Instant, now_ms: u64) -> Answer {
    if let Some(counters) = counters(kind) {
        counters.hits().record(&BOUNDS_NS, nanoseconds(started));
    }
    Answer {
        bytes: hit.bytes,
        age: Some(Duration::from_millis(now_ms.saturating_sub(hit.stored_ms))),
    }
}

fn fresh(bytes: Rc<[u8]>) -> Answer {
    Answer { bytes, age: None }
}

fn compute_and_store(key: &Key, epoch: u64, compute: impl FnOnce() -> Result<Computed>) -> Result<Answer> {
    let computed = compute()?;
    let bytes: Rc<[u8]> = computed.bytes.into();
    if computed.storable {
        store(key, epoch, &bytes, monotonic_ms());
    }
    Ok(fresh(bytes))
}

/// Counts a call that cannot be served from the caches.
pub fn note_bypass(kind: Kind) {
    count(kind, Level::Local, Event::Bypassed, 1);
}

/// The values of several keys as far as the caches have them; counted as so many look-ups. What is missing is for the caller to
/// compute and to [`keep`].
pub fn look_up_all(keys: &[Key]) -> Vec<Option<Rc<[u8]>>> {
    let now_ms = monotonic_ms();
    keys.iter()
        .map(|key| {
            let limit = time_to_live(key.kind())?;
            let started = Instant::now();
            let since_ms = since_ms(limit, now_ms);
            let hit = look_up_locally(key, 0, since_ms).or_else(|| {
                let found = look_up_shared(key, 0, since_ms);
                count_shared(key.kind(), &found);
                found.ok()
            })?;
            Some(served(key.kind(), hit, started, now_ms).bytes)
        })
        .collect()
}

/// The value of a key as other processes know it now, and its age; not counted.
pub fn peek(key: &Key, epoch: u64) -> Option<(Rc<[u8]>, Duration)> {
    let now_ms = monotonic_ms();
    let since_ms = since_ms(time_to_live(key.kind())?, now_ms);
    let value = if memory::cache().is_some() {
        look_up_shared(key, epoch, since_ms).ok()?
    } else {
        local::get(key, generation(), guc::local_cache_bytes())
            .filter(|value| value.stored_ms >= since_ms && value.epoch == epoch)?
    };
    Some((
        value.bytes,
        Duration::from_millis(now_ms.saturating_sub(value.stored_ms)),
    ))
}

/// Stores a value of a key that [`peek`] has looked at.
pub fn put(key: &Key, epoch: u64, bytes: &[u8]) {
    if time_to_live(key.kind()).is_some() {
        store(key, epoch, &bytes.into(), monotonic_ms());
    }
}

/// Stores a value that was computed after [`look_up_all`] on the shared level; without one on the backend's own.
pub fn keep(key: &Key, bytes: &[u8]) {
    if time_to_live(key.kind()).is_some() {
        store(key, 0, &bytes.into(), monotonic_ms());
    }
}
