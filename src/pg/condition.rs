//! Condition variables in shared memory.

use core::mem::size_of;
use core::time::Duration;
use pgrx::pg_sys;

/// A row of condition variables.
#[derive(Clone, Copy)]
pub struct Conditions {
    first: *mut pg_sys::ConditionVariable,
    count: usize,
}

impl Conditions {
    /// Bytes that so many take.
    pub const fn bytes(count: usize) -> usize {
        count * size_of::<pg_sys::ConditionVariable>()
    }

    /// Makes the variables in memory of [`Self::bytes`].
    ///
    /// # Safety
    /// The memory is the caller's alone, zeroed or not, aligned for the type, and lives as long as the result is used.
    pub unsafe fn format(memory: *mut u8, count: usize) -> Self {
        let first = memory.cast::<pg_sys::ConditionVariable>();
        for number in 0..count {
            // SAFETY: inside the memory, by the caller's promise.
            unsafe { pg_sys::ConditionVariableInit(first.add(number)) };
        }
        Self { first, count }
    }

    fn get(self, number: usize) -> *mut pg_sys::ConditionVariable {
        // SAFETY: within the row; the remainder keeps a wrong number inside.
        unsafe { self.first.add(number % self.count.max(1)) }
    }

    /// Waits until `is_over`, looking again whenever the variable is signalled, and at the latest after `tick`. Answers interrupts.
    pub fn wait_until(self, number: usize, tick: Duration, mut is_over: impl FnMut() -> bool) {
        let variable = self.get(number);
        let tick_ms = core::ffi::c_long::try_from(tick.as_millis()).unwrap_or(core::ffi::c_long::MAX);
        // SAFETY: a variable that was initialised; being on its list before the condition is tested loses no signal.
        unsafe { pg_sys::ConditionVariablePrepareToSleep(variable) };
        while !is_over() {
            // SAFETY: as above; an ERROR takes this process off the list at abort.
            unsafe { pg_sys::ConditionVariableTimedSleep(variable, tick_ms, pg_sys::PG_WAIT_EXTENSION) };
        }
        // SAFETY: ends what was prepared above. Its result (PostgreSQL 17 and later) says whether a signal came meanwhile.
        unsafe { pg_sys::ConditionVariableCancelSleep() };
    }

    /// Wakes everybody who waits.
    pub fn wake(self, number: usize) {
        // SAFETY: a variable that was initialised.
        unsafe { pg_sys::ConditionVariableBroadcast(self.get(number)) };
    }
}
