//! Lightweight locks that castmatch asks the server for when it starts.

use core::ffi::CStr;
use pgrx::pg_sys;

/// A tranche of locks. Its locks live as long as the server's shared memory.
#[derive(Clone, Copy)]
pub struct Tranche {
    first: *mut pg_sys::LWLockPadded,
    count: usize,
}

/// Asks for a tranche; to be called when the server sizes its shared memory.
pub fn request(name: &'static CStr, count: usize) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: only called from the request hook of server start; the name is static.
    unsafe { pg_sys::RequestNamedLWLockTranche(name.as_ptr(), count) };
}

impl Tranche {
    /// The tranche of that name; to be called by the postmaster once shared memory exists.
    pub fn get(name: &'static CStr, count: usize) -> Self {
        // SAFETY: requested under this name with this count before.
        let first = unsafe { pg_sys::GetNamedLWLockTranche(name.as_ptr()) };
        Self { first, count }
    }

    /// Runs `f` under the exclusive mode of a lock. It must be short and wait for nothing.
    pub fn exclusive<R>(self, number: usize, f: impl FnOnce() -> R) -> R {
        self.locked(number, pg_sys::LWLockMode::LW_EXCLUSIVE, f)
    }

    /// Runs `f` under the shared mode of a lock. It must be short and wait for nothing.
    pub fn shared<R>(self, number: usize, f: impl FnOnce() -> R) -> R {
        self.locked(number, pg_sys::LWLockMode::LW_SHARED, f)
    }

    fn locked<R>(self, number: usize, mode: pg_sys::LWLockMode::Type, f: impl FnOnce() -> R) -> R {
        // The remainder keeps a wrong number inside the tranche.
        // SAFETY: within the tranche's locks, of which there is at least one.
        let lock = unsafe { &raw mut (*self.first.add(number % self.count.max(1))).lock };
        // SAFETY: a lock of the server; should `f` raise an ERROR, the abort releases it. Interrupts are held while it is.
        unsafe { pg_sys::LWLockAcquire(lock, mode) };
        let result = f();
        // SAFETY: acquired above by this process.
        unsafe { pg_sys::LWLockRelease(lock) };
        result
    }
}
