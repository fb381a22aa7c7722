//! The shared level's memory: asked for when the server starts, made by the postmaster, inherited by every process.

use crate::guc;
use crate::pg::condition::Conditions;
use crate::pg::lwlock::{self, Tranche};
use crate::pg::random;
use crate::pg::shmem::{self, Area, AreaSize};
use castmatch_engine::cache::Locks;
use castmatch_engine::cache::epoch::{self, Epochs, SetLocks};
use castmatch_engine::cache::layout::Layout;
use castmatch_engine::cache::shared::Cache;
use core::ffi::CStr;
use core::sync::atomic::AtomicU64;
use std::cell::Cell;

const NAME: &CStr = c"castmatch cache";
const TRANCHE: &CStr = c"castmatch_cache";
/// Wide words before the cache's, whose blocks are to begin on lines of the processor's cache.
const EPOCH_WORDS: usize = epoch::WORDS.next_multiple_of(16);

/// What the processes of a server with castmatch in `shared_preload_libraries` share.
struct Memory {
    /// Of the cache, if there is one.
    layout: Option<Layout>,
    /// The epochs, then the cache's words.
    area: Area,
    locks: Tranche,
}

thread_local! {
    /// Where it is in this process; nothing without preloading. The postmaster replaces it when it makes new shared memory after a
    /// crash, and every process is forked from it. Only the main thread looks.
    static MEMORY: Cell<Option<&'static Memory>> = const { Cell::new(None) };
}

/// The locks of the cache's partitions.
#[derive(Clone, Copy)]
pub struct PartitionLocks(Tranche);

impl Locks for PartitionLocks {
    fn shared<R>(&self, partition: usize, f: impl FnOnce() -> R) -> R {
        self.0.shared(epoch::SETS + partition, f)
    }

    fn exclusive<R>(&self, partition: usize, f: impl FnOnce() -> R) -> R {
        self.0.exclusive(epoch::SETS + partition, f)
    }
}

/// The locks of the epochs: the first ones of the tranche.
#[derive(Clone, Copy)]
pub struct EpochLocks(Tranche);

impl SetLocks for EpochLocks {
    fn exclusive<R>(&self, set: usize, f: impl FnOnce() -> R) -> R {
        self.0.exclusive(set % epoch::SETS, f)
    }
}

fn layout() -> Option<Layout> {
    Layout::for_bytes(guc::shared_cache_bytes())
}

fn partitions(layout: Option<Layout>) -> usize {
    layout.map_or(0, |layout| layout.partitions())
}

fn size(layout: Option<Layout>) -> AreaSize {
    AreaSize {
        wide: EPOCH_WORDS + layout.map_or(0, |layout| layout.wide_words()),
        narrow: layout.map_or(0, |layout| layout.narrow_words()),
        conditions: partitions(layout),
    }
}

/// Asks for memory and locks; runs when the server sizes its shared memory.
pub fn request_space() {
    let layout = layout();
    shmem::request_area(size(layout));
    lwlock::request(TRANCHE, epoch::SETS + partitions(layout));
}

/// Makes the cache; runs in the postmaster once shared memory exists, after a crash again.
///
/// # Errors
/// 53200 if the memory was not asked for.
pub fn start() -> crate::error::Result<()> {
    let layout = layout();
    // Never freed: it is made once for a start of the server.
    let memory: &Memory = Box::leak(Box::new(Memory {
        layout,
        area: shmem::make_area(NAME, size(layout))?,
        locks: Tranche::get(TRANCHE, epoch::SETS + partitions(layout)),
    }));
    if let Some(layout) = layout {
        let secret = (random::number(), random::number());
        Cache::<PartitionLocks>::format(layout, memory.cache_words(), memory.area.narrow, secret);
    }
    MEMORY.set(Some(memory));
    Ok(())
}

impl Memory {
    fn epoch_words(&self) -> &'static [AtomicU64] {
        self.area.wide.get(..EPOCH_WORDS).unwrap_or_default()
    }

    fn cache_words(&self) -> &'static [AtomicU64] {
        self.area.wide.get(EPOCH_WORDS..).unwrap_or_default()
    }
}

/// The shared level, if the server has one.
pub fn cache() -> Option<Cache<'static, PartitionLocks>> {
    let memory = MEMORY.get()?;
    Cache::attach(
        memory.layout?,
        memory.cache_words(),
        memory.area.narrow,
        PartitionLocks(memory.locks),
    )
}

/// The epochs of tables, if the server keeps them.
pub fn epochs() -> Option<Epochs<'static, EpochLocks>> {
    let memory = MEMORY.get()?;
    Some(Epochs::new(memory.epoch_words(), EpochLocks(memory.locks)))
}

/// Bytes that this takes; 0 without preloading.
pub fn bytes() -> usize {
    MEMORY.get().map_or(0, |memory| size(memory.layout).bytes())
}

/// The condition variables of the cache's partitions.
pub fn conditions() -> Option<Conditions> {
    MEMORY.get().map(|memory| memory.area.conditions)
}
