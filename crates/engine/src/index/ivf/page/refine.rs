//! Refine pages: longer codes of the rows of a posting page, read for few of them.

use crate::index::HeapTid;
use crate::index::page::{
    BODY_BYTES, HEADER_BYTES, PageError, PageKind, bytes, init_page, written, written_mut,
};
use crate::index::quantize::{CodeRef, Factors};

use super::super::layout::{REFINE_FACTORS_BYTES, REFINE_HEAD_BYTES, RefineLayout, TID_BYTES};
use super::{get_tid, tid_bytes};

/// The longer code of a row.
#[derive(Debug, Clone, Copy)]
pub struct RefineRecord<'a> {
    /// Whose it is. Rows move on their page, and their longer codes a moment before or after: another row's is of no use.
    pub tid: HeapTid,
    /// The code.
    pub code: CodeRef<'a>,
}

/// Makes the page an empty one.
///
/// # Errors
/// [`PageError`] for bytes of another length than a page.
pub fn init_refine(page: &mut [u8]) -> Result<(), PageError> {
    init_page(page, PageKind::Refine)
}

/// Where row `row` begins in the body.
fn start(refine: &RefineLayout, row: usize) -> Result<usize, PageError> {
    if row >= refine.rows_per_page {
        return Err(PageError::content("row beyond the end of a refine page"));
    }
    Ok(REFINE_HEAD_BYTES + row * refine.record_bytes())
}

/// Writes the code of a row.
///
/// # Errors
/// [`PageError`] if the page is of another kind or has no such place.
pub fn write_refine(
    page: &mut [u8],
    refine: &RefineLayout,
    row: usize,
    record: &RefineRecord<'_>,
) -> Result<(), PageError> {
    let at = start(refine, row)?;
    if record.code.code.len() != refine.code_bytes {
        return Err(PageError::content(
            "refine code does not have the length of this index",
        ));
    }
    let body = bytes::range_mut(written_mut(page, PageKind::Refine)?, HEADER_BYTES, BODY_BYTES)?;
    bytes::put(body, at, &tid_bytes(record.tid))?;
    bytes::put(body, at + TID_BYTES, &record.code.factors.to_bytes())?;
    bytes::put(body, at + TID_BYTES + REFINE_FACTORS_BYTES, record.code.code)
}

/// Reads the code of a row; none where nothing was written.
///
/// # Errors
/// [`PageError`] if the page is of another kind or has no such place.
pub fn read_refine<'a>(
    page: &'a [u8],
    refine: &RefineLayout,
    row: usize,
) -> Result<Option<RefineRecord<'a>>, PageError> {
    let at = start(refine, row)?;
    let body = bytes::range(written(page, PageKind::Refine)?, HEADER_BYTES, BODY_BYTES)?;
    let Some(tid) = get_tid(body, at)? else {
        return Ok(None);
    };
    let factors = Factors::from_bytes(bytes::array(body, at + TID_BYTES)?);
    let code = bytes::range(body, at + TID_BYTES + REFINE_FACTORS_BYTES, refine.code_bytes)?;
    Ok(Some(RefineRecord {
        tid,
        code: CodeRef { factors, code },
    }))
}
