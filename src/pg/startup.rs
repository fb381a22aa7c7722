//! Hooks that run while the server starts with castmatch in `shared_preload_libraries`.

use pgrx::pg_sys;
use std::sync::OnceLock;

type Hook = Option<unsafe extern "C-unwind" fn()>;

static REQUEST: OnceLock<fn()> = OnceLock::new();
static STARTUP: OnceLock<fn()> = OnceLock::new();
static PREVIOUS_REQUEST: OnceLock<Hook> = OnceLock::new();
static PREVIOUS_STARTUP: OnceLock<Hook> = OnceLock::new();

/// Has `request` run when the server sizes its shared memory, and `startup` once that exists (after a crash again).
pub fn at_server_start(request: fn(), startup: fn()) {
    if REQUEST.set(request).is_err() || STARTUP.set(startup).is_err() {
        return;
    }
    #[cfg(feature = "pg14")]
    request();
    #[cfg(not(feature = "pg14"))]
    {
        // SAFETY: the hook chain is only changed while libraries are preloaded, by one thread.
        let _ = PREVIOUS_REQUEST.set(unsafe { pg_sys::shmem_request_hook });
        // SAFETY: as above.
        unsafe { pg_sys::shmem_request_hook = Some(request_hook) };
    }
    // SAFETY: as above.
    let _ = PREVIOUS_STARTUP.set(unsafe { pg_sys::shmem_startup_hook });
    // SAFETY: as above.
    unsafe { pg_sys::shmem_startup_hook = Some(startup_hook) };
}

fn call_previous(previous: &OnceLock<Hook>) {
    if let Some(Some(hook)) = previous.get() {
        // SAFETY: another library's hook of this type; the boundary turns its ERROR into an unwind.
        unsafe { pg_sys::submodules::ffi::pg_guard_ffi_boundary(|| hook()) };
    }
}

#[cfg(not(feature = "pg14"))]
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn request_hook() {
    call_previous(&PREVIOUS_REQUEST);
    if let Some(run) = REQUEST.get() {
        run();
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn startup_hook() {
    call_previous(&PREVIOUS_STARTUP);
    if let Some(run) = STARTUP.get() {
        run();
    }
}

/// Keeps Rust backtraces out of error messages, whatever RUST_BACKTRACE the server was started with: the DETAIL of an
/// error is for users.
pub fn silence_backtraces() {
    // SAFETY: called while the library is loaded, by the only thread of the process.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
}
