//! How long-running work asks its caller whether to go on.
//!
//! The engine knows neither signals nor PostgreSQL: whoever calls it passes an [`Interrupt`], the engine calls
//! [`Interrupt::check`] between steps of bounded length and returns early with [`Interrupted`]. The glue
//! implements it over `CHECK_FOR_INTERRUPTS`, tests implement it to cancel at the n-th step.

use std::fmt;

/// The caller asked the work to stop; what was computed so far is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted by the caller")
    }
}

impl std::error::Error for Interrupted {}

/// Asked between the steps of long work; always called on the thread that called the engine.
pub trait Interrupt {
    /// Whether the work may go on.
    ///
    /// # Errors
    /// [`Interrupted`] when the work is to stop.
    fn check(&self) -> Result<(), Interrupted>;
}

/// Work that nobody can interrupt: tests and command-line tools.
#[derive(Debug, Clone, Copy, Default)]
pub struct NeverInterrupted;

impl Interrupt for NeverInterrupted {
    fn check(&self) -> Result<(), Interrupted> {
        Ok(())
    }
}
