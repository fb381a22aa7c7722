//! Signals and connections of background workers.

use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys;

unsafe extern "C-unwind" {
    /// The server's own handler for SIGTERM. Declared here because pgrx's wrapper is not a C function pointer.
    fn die(signal: core::ffi::c_int);
}

/// Lets SIGTERM end the process at the next check for interrupts, as in an ordinary backend.
pub fn die_on_sigterm() {
    #[cfg(not(feature = "pg18"))]
    // SAFETY: `die` is the server's own handler for this signal.
    unsafe {
        pg_sys::pqsignal(pg_sys::SIGTERM as i32, Some(die))
    };
    #[cfg(feature = "pg18")]
    // SAFETY: as above.
    unsafe {
        pg_sys::pqsignal_be(pg_sys::SIGTERM as i32, Some(die))
    };
}

/// Connects to no database: only catalogs that all databases share can be read.
pub fn connect_without_database() {
    BackgroundWorker::connect_worker_to_spi_by_oid(None, None);
}

/// Connects to a database as the bootstrap superuser.
pub fn connect_to(database: pg_sys::Oid) {
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
}

/// Reserves the prefix of the extension's settings: a misspelt one is refused instead of kept.
pub fn reserve_setting_prefix() {
    #[cfg(not(feature = "pg14"))]
    // SAFETY: the string is static and NUL-terminated.
    unsafe {
        pg_sys::MarkGUCPrefixReserved(c"castmatch".as_ptr())
    };
    #[cfg(feature = "pg14")]
    // SAFETY: as above.
    unsafe {
        pg_sys::EmitWarningsOnPlaceholders(c"castmatch".as_ptr())
    };
}

/// Answers cancel and termination requests: raises an ERROR if there is one.
pub fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}
