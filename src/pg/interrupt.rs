//! Cancel requests for the engine's long work.

use castmatch_engine::interrupt::{Interrupt, Interrupted};

/// Answers them as PostgreSQL does, by an ERROR.
pub struct Cancellable;

impl Interrupt for Cancellable {
    fn check(&self) -> Result<(), Interrupted> {
        pgrx::check_for_interrupts!();
        Ok(())
    }
}
