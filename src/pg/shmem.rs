//! One zero-initialised structure of atomics in PostgreSQL's main shared memory.
//!
//! With `shared_preload_libraries` the space is requested at start-up; without, the structure comes out of the slack that
//! the server keeps for such cases (tens of kilobytes), which is why it must stay small.

use crate::error::{Result, error};
use core::ffi::CStr;
use core::mem::size_of;
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

/// Asks for so many bytes at server start; to be called from a shmem_request_hook.
pub fn request_bytes(bytes: usize) {
    // SAFETY: only called while process_shared_preload_libraries runs its request hooks.
    unsafe { pg_sys::RequestAddinShmemSpace(bytes) };
}

/// Zeroed memory of that name and size, aligned to a cache line; to be called by the postmaster when it makes shared memory.
///
/// # Errors
/// 53200 if it was not asked for.
pub fn attach_bytes(name: &'static CStr, bytes: usize) -> Result<*mut u8> {
    let mut found = false;
    // SAFETY: no other process exists yet, so the lock that others would need is not needed; `found` outlives the call.
    let address = unsafe { pg_sys::ShmemInitStruct(name.as_ptr(), bytes, &mut found) }.cast::<u8>();
    if address.is_null() {
        return Err(error(
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            format!("out of shared memory: castmatch needs {bytes} bytes"),
        ));
    }
    // SAFETY: a fresh allocation of exactly this size.
    unsafe { core::ptr::write_bytes(address, 0, bytes) };
    Ok(address)
}
