//! Waiting on a process latch, and waking another process by its latch.
//!
//! Every wait answers query cancel, statement_timeout, a terminated backend and the postmaster's death.

use core::time::Duration;
use pgrx::pg_sys;

/// The address of a process's latch in shared memory, as stored in a shared structure.
///
/// PostgreSQL maps its main shared memory at one address in all processes and never frees a process slot, so the
/// address stays valid; at worst it wakes a later owner of the slot, which every latch user must expect anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatchAddress(usize);

impl LatchAddress {
    /// The latch of this process.
    pub fn mine() -> Self {
        // SAFETY: MyLatch is set for every process with shared memory before extension code runs there; reading it is a
        // plain load on the main thread.
        Self(unsafe { pg_sys::MyLatch } as usize)
    }

    /// The number to store in an atomic; zero stands for none.
    pub fn to_bits(self) -> usize {
        self.0
    }

    /// The latch that [`Self::to_bits`] stored, unless the number is zero.
    pub fn from_bits(bits: usize) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    /// Wakes the process.
    pub fn set(self) {
        // SAFETY: the address comes from `mine()` of some process of this cluster (type invariant) and points into
        // ProcGlobal's array, which lives as long as the cluster's shared memory.
        unsafe { pg_sys::SetLatch(self.0 as *mut pg_sys::Latch) };
    }
}

/// Wakes the process whose latch [`LatchAddress::to_bits`] stored; nothing for zero.
pub fn wake(bits: usize) {
    if let Some(latch) = LatchAddress::from_bits(bits) {
        latch.set();
    }
}

/// Waits until this process's latch is set or the time is over, then answers interrupts (cancel raises an ERROR).
pub fn wait(timeout: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let milliseconds = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    // SAFETY: MyLatch belongs to this process; the event mask is one that WaitLatch accepts.
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as i32,
            milliseconds,
            pg_sys::PG_WAIT_EXTENSION,
        )
    };
    // SAFETY: as above; resetting before the caller re-checks its condition is the documented order.
    unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
    pgrx::check_for_interrupts!();
}

/// As [`wait`], and until the file descriptor becomes readable. A session whose client has gone ends here, whatever
/// `client_connection_check_interval` says.
pub fn wait_readable(descriptor: i32, timeout: Duration) {
    let events =
        pg_sys::WL_LATCH_SET | pg_sys::WL_SOCKET_READABLE | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let milliseconds = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    // SAFETY: MyLatch belongs to this process; the caller's descriptor is open; the event mask is one that is accepted.
    unsafe {
        pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            descriptor,
            milliseconds,
            pg_sys::PG_WAIT_EXTENSION,
        )
    };
    // SAFETY: as in `wait`.
    unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
    end_if_client_is_gone();
    pgrx::check_for_interrupts!();
}

unsafe extern "C-unwind" {
    /// Whether the client's end of the connection is open; a false answer may come late, never wrongly. Of the server's libpq,
    /// whose header pgrx does not read.
    fn pq_check_connection() -> bool;
}

/// Has the next check for interrupts end the session if nobody is there any more to tell an answer to.
fn end_if_client_is_gone() {
    // SAFETY: a plain global; null in background workers.
    let has_client = unsafe { !pg_sys::MyProcPort.is_null() };
    // SAFETY: polls the client's socket without blocking; needs a connected backend.
    if has_client && !unsafe { pq_check_connection() } {
        // SAFETY: flags that the server's own signal handlers set in the same way.
        unsafe { pg_sys::ClientConnectionLost = 1 };
        // SAFETY: as above.
        unsafe { pg_sys::InterruptPending = 1 };
    }
}
