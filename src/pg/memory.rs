//! The server's limits on memory.

use pgrx::pg_sys;

/// `work_mem` in bytes.
pub fn work_mem_bytes() -> usize {
    // SAFETY: a plain global of the backend.
    bytes(unsafe { pg_sys::work_mem })
}

/// `maintenance_work_mem` in bytes.
pub fn maintenance_work_mem_bytes() -> usize {
    // SAFETY: a plain global of the backend.
    bytes(unsafe { pg_sys::maintenance_work_mem })
}

fn bytes(kilobytes: i32) -> usize {
    usize::try_from(kilobytes).unwrap_or(0).saturating_mul(1024)
}

/// A memory context, to be made the current one for a while.
#[derive(Clone, Copy)]
pub struct Context(pg_sys::MemoryContext);

impl Context {
    /// The current one.
    pub fn current() -> Self {
        // SAFETY: a plain global of the backend.
        Self(unsafe { pg_sys::CurrentMemoryContext })
    }

    /// Runs `work` with the context current: what it allocates lives as long as the context.
    ///
    /// # Safety
    /// The context has not ended.
    pub unsafe fn with<R>(self, work: impl FnOnce() -> R) -> R {
        // SAFETY: the caller's promise; an ERROR in between resets the current context anyway.
        let previous = unsafe { pg_sys::MemoryContextSwitchTo(self.0) };
        let result = work();
        // SAFETY: the context from before, whose user waits for this to return.
        unsafe { pg_sys::MemoryContextSwitchTo(previous) };
        result
    }
}

/// A memory context for what one row needs, emptied after each.
pub struct RowMemory(pg_sys::MemoryContext);

impl RowMemory {
    /// A new context below the current one, whose end is its own too.
    pub fn new() -> Self {
        // SAFETY: a child of the current context.
        Self(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"castmatch row".as_ptr(),
                0,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        })
    }

    /// Runs `work` with the context current, then frees what it allocated.
    pub fn with<R>(&self, work: impl FnOnce() -> R) -> R {
        // SAFETY: the context lives as long as its parent; an ERROR in between resets the current context anyway.
        let previous = unsafe { pg_sys::MemoryContextSwitchTo(self.0) };
        let result = work();
        // SAFETY: back to the caller's context; nothing of the row is used any more.
        unsafe {
            pg_sys::MemoryContextSwitchTo(previous);
            pg_sys::MemoryContextReset(self.0);
        }
        result
    }

    /// Frees the context.
    pub fn delete(self) {
        // SAFETY: made by `new`, not used after this.
        unsafe { pg_sys::MemoryContextDelete(self.0) };
    }
}
