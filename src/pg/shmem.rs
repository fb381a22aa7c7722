//! Zero-initialised atomics in PostgreSQL's main shared memory: one small structure, and areas of any size.
//!
//! With `shared_preload_libraries` the space is requested at start-up, for areas always; without, the structure comes out of the slack that
//! the server keeps for such cases (tens of kilobytes), which is why it must stay small.

use crate::error::{Result, error};
use crate::pg::condition::Conditions;
use core::ffi::CStr;
use core::mem::size_of;
use core::sync::atomic::{AtomicU32, AtomicU64};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// A type that may live in shared memory.
///
/// # Safety
/// All-zero bytes must be a valid value, the type must hold no pointer of one process, and every field must be safe to
/// use from several processes at once (atomics).
pub unsafe trait SharedLayout: Sync + 'static {}

/// Individual lock number of AddinShmemInitLock in lwlocknames.h, the same in PostgreSQL 14 to 18.
const ADDIN_SHMEM_INIT_LOCK: usize = 21;

/// Asks for space at server start; to be called from a shmem_request_hook.
pub fn request<T: SharedLayout>() {
    // SAFETY: only called while process_shared_preload_libraries runs its request hooks.
    unsafe { pg_sys::RequestAddinShmemSpace(size_of::<T>()) };
}

/// The structure of that name, created zeroed by whoever comes first.
///
/// # Errors
/// 53200 if the server's slack memory does not suffice (only without `shared_preload_libraries`).
pub fn attach<T: SharedLayout>(name: &'static CStr) -> Result<&'static T> {
    let mut found = false;
    // SAFETY: MainLWLockArray is initialised with shared memory; the index is that of a lock that exists in all majors.
    let lock = unsafe { &raw mut (*pg_sys::MainLWLockArray.add(ADDIN_SHMEM_INIT_LOCK)).lock };
    // SAFETY: `lock` is a valid LWLock; an ERROR below releases it at transaction abort.
    unsafe { pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE) };
    // SAFETY: the lock that ShmemInitStruct asks for after start-up is held; `found` outlives the call.
    let address = unsafe { pg_sys::ShmemInitStruct(name.as_ptr(), size_of::<T>(), &mut found) };
    if !address.is_null() && !found {
        // SAFETY: a fresh allocation of exactly this size that no other process knows yet (the lock is held).
        unsafe { core::ptr::write_bytes(address.cast::<u8>(), 0, size_of::<T>()) };
    }
    // SAFETY: acquired above by this process.
    unsafe { pg_sys::LWLockRelease(lock) };
    if address.is_null() {
        return Err(error(
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            format!("out of shared memory: castmatch needs {} bytes", size_of::<T>()),
        )
        .set_hint("Add castmatch to shared_preload_libraries and restart the server."));
    }
    // SAFETY: the allocation has T's size, ShmemInitStruct aligns to a cache line, zero bytes are valid (SharedLayout), and
    // shared memory lives as long as the process.
    Ok(unsafe { &*address.cast::<T>() })
}

/// Whether the library is being loaded by `shared_preload_libraries` just now.
pub fn preloading() -> bool {
    // SAFETY: a plain global of the server, read on the main thread.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// How large the parts of an [`Area`] are.
#[derive(Clone, Copy)]
pub struct AreaSize {
    /// Words of 64 bits.
    pub wide: usize,
    /// Words of 32 bits.
    pub narrow: usize,
    /// Condition variables.
    pub conditions: usize,
}

/// Words and condition variables in shared memory, for as long as the server runs.
pub struct Area {
    /// Words of 64 bits, zero at first.
    pub wide: &'static [AtomicU64],
    /// Words of 32 bits, zero at first.
    pub narrow: &'static [AtomicU32],
    /// Condition variables.
    pub conditions: Conditions,
}

impl AreaSize {
    /// Bytes of an area of that size.
    pub fn bytes(self) -> usize {
        self.parts().2
    }

    /// Bytes of the wide words, of the condition variables up to the next wide word, and of all.
    fn parts(self) -> (usize, usize, usize) {
        let wide = self.wide.saturating_mul(size_of::<AtomicU64>());
        let conditions = Conditions::bytes(self.conditions).next_multiple_of(size_of::<AtomicU64>());
        let narrow = self.narrow.saturating_mul(size_of::<AtomicU32>());
        let all = wide.saturating_add(conditions).saturating_add(narrow);
        (wide, conditions, all)
    }
}

/// Asks for an area at server start; to be called from a shmem_request_hook.
pub fn request_area(size: AreaSize) {
    // SAFETY: only called while process_shared_preload_libraries runs its request hooks.
    unsafe { pg_sys::RequestAddinShmemSpace(size.bytes()) };
}

/// Makes the area of that name; to be called by the postmaster when it makes shared memory, before any other process exists.
///
/// # Errors
/// 53200 if it was not asked for.
pub fn make_area(name: &'static CStr, size: AreaSize) -> Result<Area> {
    let (wide_bytes, condition_bytes, bytes) = size.parts();
    let mut found = false;
    // SAFETY: no other process exists yet, so the lock that others would need is not needed; `found` outlives the call.
    let start = unsafe { pg_sys::ShmemInitStruct(name.as_ptr(), bytes, &mut found) }.cast::<u8>();
    if start.is_null() {
        return Err(error(
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            format!("out of shared memory: castmatch needs {bytes} bytes"),
        ));
    }
    // SAFETY: a fresh allocation of exactly this size.
    unsafe { core::ptr::write_bytes(start, 0, bytes) };
    // SAFETY: inside the allocation, at a multiple of eight.
    let conditions = unsafe { start.add(wide_bytes) };
    // SAFETY: as above.
    let narrow = unsafe { conditions.add(condition_bytes) };
    Ok(Area {
        // SAFETY: aligned to a cache line, inside, zero is valid; used as atomics only from here on, as long as the process lives.
        wide: unsafe { core::slice::from_raw_parts(start.cast(), size.wide) },
        // SAFETY: as above.
        narrow: unsafe { core::slice::from_raw_parts(narrow.cast(), size.narrow) },
        // SAFETY: this part of the memory is nobody else's.
        conditions: unsafe { Conditions::format(conditions, size.conditions) },
    })
}
