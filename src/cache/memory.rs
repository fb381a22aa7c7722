//! The shared level's memory: asked for when the server starts, made by the postmaster, inherited by every process.

use crate::guc;
use crate::pg::condition::Conditions;
use crate::pg::lwlock::{self, Tranche};
use crate::pg::{random, shmem};
use castmatch_engine::cache::Locks;
use castmatch_engine::cache::epoch::{self, Epochs, SetLocks};
use castmatch_engine::cache::layout::Layout;
use castmatch_engine::cache::shared::Cache;
use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

const NAME: &CStr = c"castmatch cache";
const TRANCHE: &CStr = c"castmatch_cache";

/// What the processes of a server with castmatch in `shared_preload_libraries` share.
struct Memory {
    /// Of the cache, if there is one.
    layout: Option<Layout>,
    wide: &'static [AtomicU64],
    narrow: &'static [AtomicU32],
    epochs: &'static [AtomicU64],
    conditions: Conditions,
    locks: Tranche,
}

/// Where it is in this process; null without preloading. The postmaster replaces it when it makes new shared memory after a crash, and
/// every process is forked from it.
static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(core::ptr::null_mut());

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

/// The parts of the memory in bytes: wide words of the cache, epochs, condition variables, narrow words of the cache.
struct Sizes {
    layout: Option<Layout>,
    wide: usize,
    epochs: usize,
    conditions: usize,
    narrow: usize,
}

impl Sizes {
    fn from_setting() -> Self {
        let layout = Layout::for_bytes(guc::shared_cache_bytes());
        Self {
            layout,
            wide: 8 * layout.map_or(0, |layout| layout.wide_words()),
            epochs: 8 * epoch::WORDS,
            conditions: Conditions::bytes(partitions(layout)).next_multiple_of(8),
            narrow: 4 * layout.map_or(0, |layout| layout.narrow_words()),
        }
    }

    fn total(&self) -> usize {
        self.wide + self.epochs + self.conditions + self.narrow
    }
}

fn partitions(layout: Option<Layout>) -> usize {
    layout.map_or(0, |layout| layout.partitions())
}

/// Asks for memory and locks; runs when the server sizes its shared memory.
pub fn request_space() {
    let sizes = Sizes::from_setting();
    shmem::request_bytes(sizes.total());
    lwlock::request(TRANCHE, epoch::SETS + partitions(sizes.layout));
}

/// Makes the cache; runs in the postmaster once shared memory exists, after a crash again.
#[allow(unsafe_code)]
pub fn start() -> crate::error::Result<()> {
    let sizes = Sizes::from_setting();
    let memory = shmem::attach_bytes(NAME, sizes.total())?;
    // SAFETY: zeroed memory of the total size, this process's alone for now; every offset is a multiple of eight and inside.
    let epochs = unsafe { memory.add(sizes.wide) };
    // SAFETY: as above.
    let conditions = unsafe { epochs.add(sizes.epochs) };
    // SAFETY: as above.
    let narrow = unsafe { conditions.add(sizes.conditions) };
    let partitions = partitions(sizes.layout);
    // SAFETY: the memory is aligned to a cache line, lives as long as the process, and is used as atomics only from here on.
    let wide = unsafe { core::slice::from_raw_parts(memory.cast::<AtomicU64>(), sizes.wide / 8) };
    // SAFETY: as above.
    let epochs = unsafe { core::slice::from_raw_parts(epochs.cast::<AtomicU64>(), sizes.epochs / 8) };
    // SAFETY: as above.
    let narrow = unsafe { core::slice::from_raw_parts(narrow.cast::<AtomicU32>(), sizes.narrow / 4) };
    // SAFETY: this part of the memory is nobody else's.
    let conditions = unsafe { Conditions::format(conditions, partitions) };
    if let Some(layout) = sizes.layout {
        Cache::<PartitionLocks>::format(layout, wide, narrow, (random::number(), random::number()));
    }
    let made = Box::new(Memory {
        layout: sizes.layout,
        wide,
        narrow,
        epochs,
        conditions,
        locks: Tranche::get(TRANCHE, epoch::SETS + partitions),
    });
    // Never freed: it is made once for a start of the server.
    MEMORY.store(Box::into_raw(made), Ordering::Release);
    Ok(())
}

#[allow(unsafe_code)]
fn memory() -> Option<&'static Memory> {
    // SAFETY: null, or from `start`, which never frees it.
    unsafe { MEMORY.load(Ordering::Acquire).as_ref() }
}

/// The shared level, if the server has one.
pub fn cache() -> Option<Cache<'static, PartitionLocks>> {
    let memory = memory()?;
    Cache::attach(
        memory.layout?,
        memory.wide,
        memory.narrow,
        PartitionLocks(memory.locks),
    )
}

/// The epochs of tables, if the server keeps them.
pub fn epochs() -> Option<Epochs<'static, EpochLocks>> {
    let memory = memory()?;
    Some(Epochs::new(memory.epochs, EpochLocks(memory.locks)))
}

/// The condition variables of the cache's partitions.
pub fn conditions() -> Option<Conditions> {
    memory().map(|memory| memory.conditions)
}
