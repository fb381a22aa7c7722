//! Threads that compute for a backend. They never call the server; what keeps the server from calling them is here.

use core::cell::Cell;

/// Blocks all signals while threads are started: a thread inherits the mask, and a signal handler of the server must run on the main thread
/// only.
#[derive(Default)]
pub struct SignalBlock(Cell<Option<libc::sigset_t>>);

impl SignalBlock {
    /// Blocks all signals on this thread.
    pub fn block(&self) {
        // SAFETY: fills and reads signal sets of this frame; the mask is this thread's.
        let previous = unsafe {
            let mut all: libc::sigset_t = core::mem::zeroed();
            let mut previous: libc::sigset_t = core::mem::zeroed();
            libc::sigfillset(&mut all);
            if libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut previous) != 0 {
                return;
            }
            previous
        };
        self.0.set(Some(previous));
    }

    /// Restores the mask from before.
    pub fn restore(&self) {
        if let Some(previous) = self.0.take() {
            // SAFETY: the mask that `block` read.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &previous, core::ptr::null_mut()) };
        }
    }
}

impl Drop for SignalBlock {
    fn drop(&mut self) {
        self.restore();
    }
}
