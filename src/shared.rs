//! The one structure that castmatch keeps in PostgreSQL's main shared memory.
//!
//! It holds atomics only and is zero when fresh, so that it works the same whether the server reserved it at start-up
//! (`shared_preload_libraries`) or the first user took it out of the server's slack memory.

use crate::error::Result;
use crate::pg::clock::unix_ms;
use crate::pg::shmem::{self, SharedLayout};
use castmatch_engine::shared::attendance::Attendance;
use castmatch_engine::shared::breaker::Breakers;
use castmatch_engine::shared::counters::StripedCounters;
use castmatch_engine::shared::embedder::EmbedderState;
use castmatch_engine::shared::ledger::Ledger;
use castmatch_engine::shared::model_calls::ModelCalls;
use castmatch_engine::shared::sync::SyncState;
use core::ffi::CStr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

const NAME: &CStr = c"castmatch";

/// What all processes share.
#[repr(C)]
pub struct Shared {
    /// 1 if the server was started with castmatch in `shared_preload_libraries`.
    pub preloaded: AtomicU32,
    /// Since when this is in use, milliseconds since 1970-01-01 UTC: all numbers count from here.
    pub since_ms: AtomicU64,
    /// The embedding worker and its request slots.
    pub embedder: EmbedderState,
    /// The launcher of the workers that keep attached tables embedded and give replies in the background.
    pub sync: SyncState,
    /// Models that are left alone for a while.
    pub breakers: Breakers,
    /// Calls of models, by model.
    pub model_calls: ModelCalls,
    /// When the workers were last at work.
    pub attendance: Attendance,
    /// What calls of models used and no table says yet.
    pub ledger: Ledger,
    /// Counts what made every backend forget the values that it holds.
    pub cache_generation: AtomicU64,
    /// Counters and histograms.
    pub counters: StripedCounters,
}

// SAFETY: atomics all the way down; zero is a valid and meaningful value of each.
#[allow(unsafe_code)]
unsafe impl SharedLayout for Shared {}

/// Address of the structure in this process. The postmaster makes new shared memory after a crash and every process is
/// forked from it, so the address is replaced then, not only set once.
static SHARED: AtomicPtr<Shared> = AtomicPtr::new(core::ptr::null_mut());

/// The shared structure, attached on first use.
///
/// # Errors
/// 53200 if there is no room for it (only without `shared_preload_libraries`).
#[allow(unsafe_code)]
pub fn shared() -> Result<&'static Shared> {
    // SAFETY: the pointer is null or comes from `attach_anew`, whose result lives as long as the process.
    match unsafe { SHARED.load(Ordering::Acquire).as_ref() } {
        Some(shared) => Ok(shared),
        None => attach_anew(),
    }
}

/// Attaches to the structure whatever was known before.
///
/// # Errors
/// As for [`shared`].
pub fn attach_anew() -> Result<&'static Shared> {
    let shared = shmem::attach::<Shared>(NAME)?;
    // Whoever is the first. Without preloading that is the first use of castmatch.
    let _ = shared
        .since_ms
        .compare_exchange(0, unix_ms(), Ordering::AcqRel, Ordering::Acquire);
    SHARED.store(core::ptr::from_ref(shared).cast_mut(), Ordering::Release);
    Ok(shared)
}

/// Asks for the space at server start.
pub fn request_space() {
    shmem::request::<Shared>();
    crate::cache::memory::request_space();
}

/// Bytes of shared memory that castmatch has taken: this structure, and the caches with the epochs of tables.
pub fn bytes() -> usize {
    size_of::<Shared>() + crate::cache::memory::bytes()
}
