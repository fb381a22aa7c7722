//! Time that all processes agree on.

use pgrx::pg_sys;

/// Milliseconds since PostgreSQL's epoch, by the system clock.
pub fn now_ms() -> u64 {
    // SAFETY: reads the system clock.
    let microseconds = unsafe { pg_sys::GetCurrentTimestamp() };
    u64::try_from(microseconds / 1000).unwrap_or(0)
}

/// Milliseconds by a clock that never goes back and is the same in all processes of the machine.
pub fn monotonic_ms() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the structure given; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(nanoseconds / 1_000_000)
}

fn since_1970() -> core::time::Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Seconds since 1970-01-01, UTC, by the system clock.
pub fn unix_seconds() -> u64 {
    since_1970().as_secs()
}

/// Milliseconds since 1970-01-01, UTC, by the system clock.
pub fn unix_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}
