//! Dynamic shared memory segments: the batch of texts that a backend hands to the embedding worker.
//!
//! A mapping belongs to its [`Segment`] and to no resource owner, so that a request outlives the transaction that made it. The
//! other side of that: an ERROR does not unmap it by itself. While one unwinds nothing is called that could raise another, so a
//! segment that is dropped then is noted, and unmapped at the end of the transaction or before the next one is made.

use crate::error::{Result, out_of_memory};
use castmatch_engine::shared::embedder::SLOTS;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};

thread_local! {
    /// Mappings whose owner an ERROR has unwound.
    static ORPHANS: RefCell<Vec<*mut pg_sys::dsm_segment>> = const { RefCell::new(Vec::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// A segment that this process has mapped; unmapped on drop.
pub struct Segment {
    segment: *mut pg_sys::dsm_segment,
}

impl Segment {
    /// Creates a segment of `bytes` zeroed bytes, in a transaction or in none.
    ///
    /// # Errors
    /// 53200 if the server has no room for another segment.
    pub fn create(bytes: usize) -> Result<Self> {
        unmap_orphans();
        if !REGISTERED.replace(true) {
            // SAFETY: the callback is a static function that stays for the backend's life; the argument is unused.
            unsafe { pg_sys::RegisterXactCallback(Some(at_transaction_end), core::ptr::null_mut()) };
        }
        // A process maps one segment for each request at most. A drop while an ERROR unwinds must not allocate.
        ORPHANS.with_borrow_mut(|orphans| orphans.reserve(SLOTS));
        // SAFETY: any size is accepted; the flag turns "too many segments" into null instead of an ERROR.
        let segment = unsafe { pg_sys::dsm_create(bytes, pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as i32) };
        if segment.is_null() {
            return Err(out_of_memory("a batch of texts in dynamic shared memory", bytes));
        }
        Ok(Self::owning(segment))
    }

    /// Maps the segment with that handle and keeps it mapped until drop; `None` if its creator is gone.
    pub fn attach(handle: u32) -> Option<Self> {
        // SAFETY: any handle may be asked for; an unknown one gives null.
        let segment = unsafe { pg_sys::dsm_attach(handle) };
        if segment.is_null() {
            return None;
        }
        Some(Self::owning(segment))
    }

    /// Takes the mapping from the resource owner, which would unmap it at the end of its (sub)transaction.
    fn owning(segment: *mut pg_sys::dsm_segment) -> Self {
        // SAFETY: mapped by this process just now; allowed with and without a resource owner.
        unsafe { pg_sys::dsm_pin_mapping(segment) };
        Self { segment }
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
        if std::thread::panicking() {
            ORPHANS.with_borrow_mut(|orphans| orphans.push(self.segment));
        } else {
            // SAFETY: mapped by this process and not yet detached.
            unsafe { pg_sys::dsm_detach(self.segment) };
        }
    }
}

fn unmap_orphans() {
    while let Some(segment) = ORPHANS.with_borrow_mut(Vec::pop) {
        // SAFETY: mapped by this process; its `Segment` is gone without having detached it.
        unsafe { pg_sys::dsm_detach(segment) };
    }
}

/// Where the resource owners unmap what is theirs, too.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _argument: *mut core::ffi::c_void,
) {
    if matches!(
        event,
        pg_sys::XactEvent::XACT_EVENT_COMMIT
            | pg_sys::XactEvent::XACT_EVENT_PREPARE
            | pg_sys::XactEvent::XACT_EVENT_ABORT
    ) {
        unmap_orphans();
    }
}
