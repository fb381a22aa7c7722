//! Center pages: the center of the vectors in the rotated space, cut into pages.

use std::ops::Range;

use super::{BODY_BYTES, HEADER_BYTES, PageError, PageKind, bytes, written, written_mut};

const NUMBER_BYTES: usize = 4;
const NUMBERS_PER_PAGE: usize = BODY_BYTES / NUMBER_BYTES;

/// How many pages a center of so many dimensions takes, from block 1.
#[must_use]
pub fn center_blocks(dims: u32) -> u32 {
    const PER_PAGE: u32 = 2040;
    const _: () = assert!(PER_PAGE as usize == NUMBERS_PER_PAGE);
    dims.div_ceil(PER_PAGE)
}

/// Which dimensions of the center stand on center page `page` (from 0, in block `page + 1`); empty past the end.
#[must_use]
pub fn center_range(dims: u32, page: u32) -> Range<usize> {
    let dims = usize::try_from(dims).unwrap_or(usize::MAX);
    let start = usize::try_from(page)
        .unwrap_or(usize::MAX)
        .saturating_mul(NUMBERS_PER_PAGE)
        .min(dims);
    start..start.saturating_add(NUMBERS_PER_PAGE).min(dims)
}

/// Writes a part of the center, [`center_range`] of it, to a page that [`super::init_page`] has made a center page.
///
/// # Errors
/// [`PageError`] if the page is no center page, or the part does not fit or has a number that is not finite.
pub fn write_center(page: &mut [u8], part: &[f32]) -> Result<(), PageError> {
    check_numbers(part)?;
    let body = bytes::range_mut(written_mut(page, PageKind::Center)?, HEADER_BYTES, BODY_BYTES)?;
    if part.len() > NUMBERS_PER_PAGE {
        return Err(PageError::content("part of the center does not fit a page"));
    }
    for (place, number) in body.as_chunks_mut::<NUMBER_BYTES>().0.iter_mut().zip(part) {
        *place = number.to_le_bytes();
    }
    Ok(())
}

/// Reads a part of the center.
///
/// # Errors
/// [`PageError`] if the page is no center page, `out` is longer than a page holds, or a number is not finite.
pub fn read_center(page: &[u8], out: &mut [f32]) -> Result<(), PageError> {
    let body = bytes::range(written(page, PageKind::Center)?, HEADER_BYTES, BODY_BYTES)?;
    if out.len() > NUMBERS_PER_PAGE {
        return Err(PageError::content("part of the center is longer than a page"));
    }
    for (number, place) in out.iter_mut().zip(body.as_chunks::<NUMBER_BYTES>().0) {
        *number = f32::from_le_bytes(*place);
    }
    check_numbers(out)
}

fn check_numbers(part: &[f32]) -> Result<(), PageError> {
    if part.iter().all(|number| number.is_finite()) {
        Ok(())
    } else {
        Err(PageError::content("center has a number that is not finite"))
    }
}
