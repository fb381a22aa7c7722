//! Centroids: 16-bit numbers and a scale for each.

use half::f16;

use crate::index::page::{BODY_BYTES, HEADER_BYTES, PageError, PageKind, bytes, written, written_mut};

use super::super::layout::Layout;

const SCALE_BYTES: usize = 4;

/// A centroid as it stands on a page. Rows are coded relative to the rounded numbers, so that rounding costs nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoundedCentroid {
    /// What the numbers are multiplied by.
    pub scale: f32,
    /// 16-bit numbers, little endian.
    pub numbers: Vec<u8>,
}

impl RoundedCentroid {
    /// Rounds a centroid.
    #[must_use]
    pub fn new(centroid: &[f32]) -> Self {
        let largest = centroid.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let scale = if largest.is_finite() && largest > f32::MIN_POSITIVE {
            largest
        } else {
            1.0
        };
        let numbers = centroid
            .iter()
            .flat_map(|x| f16::from_f32((x / scale).clamp(-1.0, 1.0)).to_le_bytes())
            .collect();
        Self { scale, numbers }
    }

    /// Reads what [`write_centroid`] wrote.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(f32, &[u8])> {
        let (scale, numbers) = bytes.split_first_chunk::<SCALE_BYTES>()?;
        Some((f32::from_le_bytes(*scale), numbers))
    }
}

/// Where a centroid begins on its page.
pub(in crate::index::ivf) fn centroid_offset(layout: &Layout, slot: u16) -> Option<u16> {
    let slot = usize::from(slot);
    if slot >= layout.centroids_per_page {
        return None;
    }
    u16::try_from(HEADER_BYTES + slot * layout.centroid_bytes()).ok()
}

const NO_SUCH_SLOT: PageError = PageError::content("a centroid beyond the end of its page");

/// Writes a centroid in place `slot` of a page of centroids.
///
/// # Errors
/// [`PageError`] if the page is of another kind or has no such place.
pub fn write_centroid(
    page: &mut [u8],
    layout: &Layout,
    slot: u16,
    centroid: &RoundedCentroid,
) -> Result<(), PageError> {
    let at = centroid_offset(layout, slot).ok_or(NO_SUCH_SLOT)?;
    if centroid.numbers.len() != 2 * layout.dims {
        return Err(PageError::content(
            "centroid is of other dimensions than the index",
        ));
    }
    let page = written_mut(page, PageKind::Centroids)?;
    bytes::put(page, usize::from(at), &centroid.scale.to_le_bytes())?;
    bytes::put(page, usize::from(at) + SCALE_BYTES, &centroid.numbers)
}

/// Shows the scale and the numbers of the centroid in place `slot`.
///
/// # Errors
/// [`PageError`] if the page is of another kind or has no such place, or the scale is no number.
pub fn read_centroid<'a>(page: &'a [u8], layout: &Layout, slot: u16) -> Result<(f32, &'a [u8]), PageError> {
    const _: () = assert!(BODY_BYTES > SCALE_BYTES);
    let at = centroid_offset(layout, slot).ok_or(NO_SUCH_SLOT)?;
    let page = written(page, PageKind::Centroids)?;
    let bytes = bytes::range(page, usize::from(at), layout.centroid_bytes())?;
    RoundedCentroid::parse(bytes)
        .filter(|(scale, _)| scale.is_finite())
        .ok_or(PageError::content("scale of a centroid is not finite"))
}
