//! Random numbers of the server's own strong generator.

use pgrx::pg_sys;

/// A random number; zero if the system has none to give, which is harmless where this is used.
pub fn number() -> u64 {
    let mut bytes = [0_u8; 8];
    // SAFETY: writes exactly as many bytes as it is told.
    let given = unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len()) };
    if given { u64::from_le_bytes(bytes) } else { 0 }
}
