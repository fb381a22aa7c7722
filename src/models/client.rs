//! This process' client of model servers, and waiting for it.

use crate::error::{Result, internal};
use crate::pg::{latch, worker};
use castmatch_provider::Client;
use core::time::Duration;
use std::cell::OnceCell;

/// Latest time at which a waiting backend looks whether its own client is still there.
const CHECK: Duration = Duration::from_millis(100);

thread_local! {
    // Never dropped: the thread ends with the process.
    static CLIENT: OnceCell<&'static Client> = const { OnceCell::new() };
}

/// The client; its thread starts with the first call of a model.
///
/// # Errors
/// XX000 if the system has no thread for it.
pub fn client() -> Result<&'static Client> {
    CLIENT.with(|cell| {
        if let Some(client) = cell.get() {
            return Ok(*client);
        }
        // No signal handler of PostgreSQL may run on another thread.
        let started = worker::with_signals_blocked(Client::start)
            .map_err(|failure| internal(format!("the client of model servers cannot start: {failure}")))?;
        Ok(*cell.get_or_init(|| Box::leak(Box::new(started))))
    })
}

/// Waits until a call has news or the time is over; answers interrupts, and ends the session if its client is gone.
///
/// # Errors
/// As for [`client`].
pub fn wait(most: Duration) -> Result<()> {
    let client = client()?;
    latch::wait_readable(client.ready_fd(), most.min(CHECK));
    client.clear_ready();
    Ok(())
}
