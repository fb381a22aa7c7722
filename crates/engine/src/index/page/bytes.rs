//! Checked access to numbers in byte slices. What lies outside the slice is an error, never a panic.

use super::PageError;

const OUTSIDE: PageError = PageError::content("field lies outside the page");

/// `N` bytes from `at`.
#[inline]
pub(in crate::index) fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<&[u8; N], PageError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<N>())
        .ok_or(OUTSIDE)
}

/// `length` bytes from `at`.
#[inline]
pub(in crate::index) fn range(bytes: &[u8], at: usize, length: usize) -> Result<&[u8], PageError> {
    bytes.get(at..).and_then(|rest| rest.get(..length)).ok_or(OUTSIDE)
}

/// `length` bytes from `at`, to be changed.
#[inline]
pub(in crate::index) fn range_mut(
    bytes: &mut [u8],
    at: usize,
    length: usize,
) -> Result<&mut [u8], PageError> {
    bytes
        .get_mut(at..)
        .and_then(|rest| rest.get_mut(..length))
        .ok_or(OUTSIDE)
}

#[inline]
pub(in crate::index) fn get_u8(bytes: &[u8], at: usize) -> Result<u8, PageError> {
    bytes.get(at).copied().ok_or(OUTSIDE)
}

#[inline]
pub(in crate::index) fn get_u16(bytes: &[u8], at: usize) -> Result<u16, PageError> {
    array(bytes, at).map(|field| u16::from_le_bytes(*field))
}

#[inline]
pub(in crate::index) fn get_u32(bytes: &[u8], at: usize) -> Result<u32, PageError> {
    array(bytes, at).map(|field| u32::from_le_bytes(*field))
}

#[inline]
pub(in crate::index) fn get_u64(bytes: &[u8], at: usize) -> Result<u64, PageError> {
    array(bytes, at).map(|field| u64::from_le_bytes(*field))
}

/// Writes `field` at `at`.
#[inline]
pub(in crate::index) fn put(bytes: &mut [u8], at: usize, field: &[u8]) -> Result<(), PageError> {
    range_mut(bytes, at, field.len())?.copy_from_slice(field);
    Ok(())
}
