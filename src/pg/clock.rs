//! Time that all processes agree on.

use pgrx::pg_sys;

/// Milliseconds since PostgreSQL's epoch, by the system clock.
pub fn now_ms() -> u64 {
    // SAFETY: reads the system clock.
    let microseconds = unsafe { pg_sys::GetCurrentTimestamp() };
    u64::try_from(microseconds / 1000).unwrap_or(0)
}
