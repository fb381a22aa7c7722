//! Dynamic shared memory segments: the batch of texts that a backend hands to the embedding worker.

use crate::error::{Result, out_of_memory};
use pgrx::pg_sys;

/// A segment that this process has mapped; unmapped on drop.
pub struct Segment {
    segment: *mut pg_sys::dsm_segment,
}

impl Segment {
    /// Creates a segment of `bytes` zeroed bytes. It belongs to the current resource owner, so an ERROR unmaps it too.
    ///
    /// # Errors
    /// 53200 if the server has no room for another segment.
    pub fn create(bytes: usize) -> Result<Self> {
        // SAFETY: any size is accepted; the flag turns "too many segments" into null instead of an ERROR.
        let segment = unsafe { pg_sys::dsm_create(bytes, pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as i32) };
        if segment.is_null() {
            return Err(out_of_memory("a batch of texts in dynamic shared memory", bytes));
        }
        Ok(Self { segment })
    }

    /// Maps the segment with that handle and keeps it mapped until drop; `None` if its creator is gone.
    pub fn attach(handle: u32) -> Option<Self> {
        // SAFETY: any handle may be asked for; an unknown one gives null.
        let segment = unsafe { pg_sys::dsm_attach(handle) };
        if segment.is_null() {
            return None;
        }
        Some(Self { segment })
    }

    /// What another process attaches by.
    pub fn handle(&self) -> u32 {
        // SAFETY: `segment` is mapped (type invariant).
        unsafe { pg_sys::dsm_segment_handle(self.segment) }
    }

    /// Runs `f` on the segment's bytes.
    ///
    /// The two processes take turns: who may touch the bytes is decided by the state of the request's slot, whose
    /// transitions are acquire/release atomics. Nothing that another process could write is trusted by the reader.
    pub fn with_bytes<R>(&mut self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        // SAFETY: `segment` is mapped; the length is the mapping's.
        let length = unsafe { pg_sys::dsm_segment_map_length(self.segment) };
        // SAFETY: as above.
        let address = unsafe { pg_sys::dsm_segment_address(self.segment) }.cast::<u8>();
        // SAFETY: address and length describe one mapping that lives while `self` is borrowed; the slot protocol gives this
        // process exclusive use for the time being (see above).
        f(unsafe { core::slice::from_raw_parts_mut(address, length) })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // While an ERROR unwinds, the resource owner detaches the segment; doing it here too would detach it twice.
        if !std::thread::panicking() {
            // SAFETY: mapped by this process and not yet detached.
            unsafe { pg_sys::dsm_detach(self.segment) };
        }
    }
}
