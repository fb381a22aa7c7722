//! The last line of defence against panics: none may reach PostgreSQL from a background thread or a C frame.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; a panic inside becomes its message.
///
/// Callers drop whatever the work was changing when it fails, so no half-changed state is seen afterwards.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| {
                payload
                    .downcast_ref::<&str>()
                    .map(|message| (*message).to_owned())
            })
            .unwrap_or_else(|| "panic without a message".to_owned())
    })
}
