//! Asking for memory before it is needed.

/// A line of the processor's cache.
const LINE: usize = 64;

/// Tells the processor that these items will be read soon. Changes nothing but the time that takes.
#[inline(always)]
pub fn prefetch<T>(items: &[T]) {
    let bytes = size_of_val(items);
    let start = items.as_ptr().cast::<u8>();
    let mut offset = 0;
    while offset < bytes {
        prefetch_line(start.wrapping_add(offset));
        offset += LINE;
    }
    // Items that do not begin at a line may reach into one more.
    if bytes > 0 && !start.addr().is_multiple_of(LINE) {
        prefetch_line(start.wrapping_add(bytes - 1));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction reads nothing that the program could see and ignores addresses that are not readable.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch_line(_address: *const u8) {}
