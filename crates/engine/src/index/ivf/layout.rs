//! Where things stand on the pages of an inverted file; a function of dimensions and options.

use crate::index::IndexError;
use crate::index::page::BODY_BYTES;
use crate::kernels::scan::{DIMS_ALIGN, code_bytes};

/// Vectors of fewer dimensions are padded with zeros to so many before they are rotated: the error of a code of one bit per dimension
/// falls with the root of their number, and a code shorter than the rest of the row saves little.
const LEAST_CODED_DIMS: usize = 256;
/// Rows of a block, where as many fit a page; else the next of these.
const LANES: [usize; 3] = [32, 16, 8];
/// Bytes of a row's place in the table.
pub(super) const TID_BYTES: usize = 6;
/// Bytes of the factors of a code: scale and addend.
pub(super) const CODE_FACTORS_BYTES: usize = 8;
/// Bytes of the head of a posting page, before the blocks of its refine pages.
pub(super) const POSTING_HEAD_BYTES: usize = 16;
/// Bytes of the head of a directory page.
pub(super) const DIRECTORY_HEAD_BYTES: usize = 8;
/// Bytes of a list's entry beside its code and factors.
pub(super) const ENTRY_BYTES: usize = 32;
/// Bytes of a block number.
pub(super) const BLOCK_NUMBER_BYTES: usize = 4;
/// Bytes of the head of a refine page.
pub(super) const REFINE_HEAD_BYTES: usize = 8;
/// The factors of a refine code.
pub(super) const REFINE_FACTORS_BYTES: usize = crate::index::page::FACTORS_BYTES;

/// The sizes of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Dimensions of a code: those of the vectors, padded.
    pub dims: usize,
    /// Rows of a block.
    pub lanes: usize,
    /// Bytes of the keys of a row.
    pub key_bytes: usize,
    /// Bytes of the codes of a block.
    pub code_bytes: usize,
    /// Blocks of a posting page.
    pub posting_blocks: usize,
    /// Blocks of a directory page.
    pub directory_blocks: usize,
    /// Centroids of a page.
    pub centroids_per_page: usize,
    /// Longer codes; none without them.
    pub refine: Option<RefineLayout>,
}

/// The sizes of the longer codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefineLayout {
    /// Bytes of a code.
    pub code_bytes: usize,
    /// Rows of a refine page.
    pub rows_per_page: usize,
    /// Refine pages of a posting page.
    pub pages: usize,
}

impl RefineLayout {
    /// Bytes of a row.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        TID_BYTES + REFINE_FACTORS_BYTES + self.code_bytes
    }
}

/// Dimensions of the code of a vector of so many dimensions.
#[must_use]
pub fn coded_dims(dims: usize) -> usize {
    dims.max(LEAST_CODED_DIMS).next_multiple_of(DIMS_ALIGN)
}

impl Layout {
    /// For vectors of `dims` dimensions, coded in [`coded_dims`]. `refine_code_bytes` is the length of a longer code, 0 without.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for dimensions that do not fit a page.
    pub fn new(dims: usize, key_bytes: usize, refine_code_bytes: usize) -> Result<Self, IndexError> {
        let coded = coded_dims(dims);
        let too_many = IndexError::Limit {
            what: "number of dimensions",
            value: dims as u64,
            limit: MAX_DIMS as u64,
        };
        if dims > MAX_DIMS {
            return Err(too_many);
        }
        let body = BODY_BYTES;
        // As many refine pages as a posting page of full length can need are few; the blocks are counted for the room that is left.
        let mut refine_pages = 0;
        loop {
            let head = POSTING_HEAD_BYTES + BLOCK_NUMBER_BYTES * refine_pages;
            let room = body.saturating_sub(head);
            let row = CODE_FACTORS_BYTES + TID_BYTES + key_bytes;
            let lanes = LANES
                .into_iter()
                .find(|&lanes| {
                    let codes = code_bytes(coded, lanes);
                    let entries = lanes * (CODE_FACTORS_BYTES + ENTRY_BYTES);
                    codes + lanes * row <= room && codes + entries <= body - DIRECTORY_HEAD_BYTES
                })
                .ok_or(too_many)?;
            let codes = code_bytes(coded, lanes);
            let posting_blocks = room / (codes + lanes * row);
            let directory_block = codes + lanes * (CODE_FACTORS_BYTES + ENTRY_BYTES);
            let directory_blocks = (body - DIRECTORY_HEAD_BYTES) / directory_block;
            let centroids_per_page = body / centroid_bytes(coded);
            if directory_blocks == 0 || centroids_per_page == 0 {
                return Err(too_many);
            }
            let refine = match refine_code_bytes {
                0 => None,
                code_bytes => {
                    let record = TID_BYTES + REFINE_FACTORS_BYTES + code_bytes;
                    let rows_per_page = (body - REFINE_HEAD_BYTES) / record;
                    if rows_per_page == 0 {
                        return Err(too_many);
                    }
                    Some(RefineLayout {
                        code_bytes,
                        rows_per_page,
                        pages: (posting_blocks * lanes).div_ceil(rows_per_page),
                    })
                }
            };
            let needed = refine.map_or(0, |refine| refine.pages);
            if needed > refine_pages {
                refine_pages = needed;
                continue;
            }
            return Ok(Self {
                dims: coded,
                lanes,
                key_bytes,
                code_bytes: codes,
                posting_blocks,
                directory_blocks,
                centroids_per_page,
                refine: refine.map(|refine| RefineLayout {
                    pages: refine_pages,
                    ..refine
                }),
            });
        }
    }

    /// Rows of a posting page.
    #[must_use]
    pub fn rows_per_page(&self) -> usize {
        self.posting_blocks * self.lanes
    }

    /// Lists of a directory page.
    #[must_use]
    pub fn lists_per_page(&self) -> usize {
        self.directory_blocks * self.lanes
    }

    /// Bytes of a row's code, a bit a dimension.
    #[must_use]
    pub fn bits_bytes(&self) -> usize {
        self.dims / 8
    }

    /// Bytes of a block of a posting page.
    #[must_use]
    pub fn posting_block_bytes(&self) -> usize {
        self.code_bytes + self.lanes * (CODE_FACTORS_BYTES + TID_BYTES + self.key_bytes)
    }

    /// Bytes of a block of a directory page.
    #[must_use]
    pub fn directory_block_bytes(&self) -> usize {
        self.code_bytes + self.lanes * (CODE_FACTORS_BYTES + ENTRY_BYTES)
    }

    /// Where the first block of a posting page begins in its body.
    #[must_use]
    pub fn posting_head_bytes(&self) -> usize {
        POSTING_HEAD_BYTES + BLOCK_NUMBER_BYTES * self.refine.map_or(0, |refine| refine.pages)
    }

    /// Bytes of a centroid.
    #[must_use]
    pub fn centroid_bytes(&self) -> usize {
        centroid_bytes(self.dims)
    }
}

/// The most dimensions of a vector: the centroid of a list must fit a page.
pub const MAX_DIMS: usize = 4_000;
const _: () = assert!(centroid_bytes(4_000usize.next_multiple_of(DIMS_ALIGN)) <= BODY_BYTES);

/// Bytes of a centroid: a scale, and 16 bits a dimension.
const fn centroid_bytes(coded_dims: usize) -> usize {
    4 + 2 * coded_dims
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn sizes_are_those_of_the_document() {
        let layout = Layout::new(384, 0, 0).unwrap();
        assert_eq!(
            (
                layout.dims,
                layout.lanes,
                layout.rows_per_page(),
                layout.lists_per_page(),
                layout.centroids_per_page
            ),
            (384, 32, 128, 64, 10)
        );
        let layout = Layout::new(768, 0, 0).unwrap();
        assert_eq!((layout.rows_per_page(), layout.lists_per_page()), (64, 32));
        assert_eq!(Layout::new(3, 0, 0).unwrap().dims, 256);
    }

    #[test]
    fn everything_fits_a_page() {
        for dims in [1, 3, 256, 300, 384, 768, 1536, 1900, 2000, 3072, 4000] {
            for keys in [0, 12, 68] {
                for refine in [0, coded_dims(dims) / 2] {
                    let layout = Layout::new(dims, keys, refine).unwrap();
                    let posting =
                        layout.posting_head_bytes() + layout.posting_blocks * layout.posting_block_bytes();
                    assert!(posting <= BODY_BYTES, "{dims} {keys} {refine}");
                    assert!(
                        DIRECTORY_HEAD_BYTES + layout.directory_blocks * layout.directory_block_bytes()
                            <= BODY_BYTES
                    );
                    if let Some(refine) = layout.refine {
                        assert!(refine.pages * refine.rows_per_page >= layout.rows_per_page());
                    }
                }
            }
        }
        assert!(Layout::new(4001, 0, 0).is_err());
    }
}
