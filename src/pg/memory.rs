//! The server's limits on memory.

use pgrx::pg_sys;

/// `work_mem` in bytes.
pub fn work_mem_bytes() -> usize {
    // SAFETY: a plain global of the backend.
    bytes(unsafe { pg_sys::work_mem })
}

/// `maintenance_work_mem` in bytes.
pub fn maintenance_work_mem_bytes() -> usize {
    // SAFETY: a plain global of the backend.
    bytes(unsafe { pg_sys::maintenance_work_mem })
}

fn bytes(kilobytes: i32) -> usize {
    usize::try_from(kilobytes).unwrap_or(0).saturating_mul(1024)
}
