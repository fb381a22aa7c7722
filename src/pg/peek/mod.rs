//! Reads of shared buffers without a pin; see peek.c and docs/design/hnsw.md.

use super::relation::Locator;
use core::ffi::c_int;
use pgrx::pg_sys;

/// Some bytes of a page. The layout is shared with peek.c.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Place {
    /// The block.
    pub block: u32,
    /// The offset of the first byte in the page.
    pub offset: u16,
}

unsafe extern "C" {
    // Never raises an ERROR, so it needs no guard.
    fn castmatch_peek(
        tablespace: pg_sys::Oid,
        database: pg_sys::Oid,
        number: pg_sys::Oid,
        hints: *const i32,
        hint_count: u32,
        places: *const Place,
        count: c_int,
        length: c_int,
        out: *mut u8,
        missed: *mut i32,
    ) -> c_int;
}

/// Copies `length` bytes of each place to `out` as far as the hints lead to the page; the indexes of the others go to `missed`.
///
/// `hints[block]` is the buffer that held the block when last seen, or 0. Shared relations only.
pub fn peek(
    file: Locator,
    hints: &[i32],
    places: &[Place],
    length: usize,
    out: &mut [u8],
    missed: &mut Vec<i32>,
) {
    missed.clear();
    missed.resize(places.len(), 0);
    if out.len() < places.len().saturating_mul(length) || length == 0 || length > super::buffer::PAGE_BYTES {
        missed.clear();
        return;
    }
    // SAFETY: `out` has room for every copy and `missed` for every index (checked and resized above); the numbers of elements are
    // those of the slices, which are far below 2^31. The function reads shared buffers only within their pages.
    let misses = unsafe {
        castmatch_peek(
            file.tablespace,
            file.database,
            file.number,
            hints.as_ptr(),
            hints.len() as u32,
            places.as_ptr(),
            places.len() as c_int,
            length as c_int,
            out.as_mut_ptr(),
            missed.as_mut_ptr(),
        )
    };
    missed.truncate(usize::try_from(misses).unwrap_or(0));
}
