//! The meta page of an inverted file.

use crate::index::key::KeyKinds;
use crate::index::page::{
    BODY_BYTES, FORMAT, HEADER_BYTES, PageError, PageKind, bytes, init_page, written, written_mut,
};
use crate::index::{ElementKind, Metric};

use super::super::layout::MAX_DIMS;

const DIMS_OFFSET: usize = 4;
const LISTS_OFFSET: usize = 8;
const DIRECTORY_OFFSET: usize = 12;
const SEED_OFFSET: usize = 16;
const BUILD_ID_OFFSET: usize = 24;
const VERSION_OFFSET: usize = 32;
const GENERATION_OFFSET: usize = 40;
const KEY_KINDS_OFFSET: usize = 48;

/// Bits per dimension that a refine code adds to the code of a row.
const REFINE_BITS: u8 = 3;

/// What the meta page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// What the index orders by.
    pub metric: Metric,
    /// The type of the column.
    pub element: ElementKind,
    /// Whether rows have refine codes.
    pub refine: bool,
    /// Dimensions of the vectors.
    pub dims: u32,
    /// Lists that were asked for; 0: as many as suit the rows.
    pub lists: u32,
    /// The first directory page.
    pub directory: u32,
    /// The seed of the rotation.
    pub seed: u64,
    /// Another one after each build.
    pub build_id: u64,
    /// Changes when the lists do; odd while they are being replaced.
    pub version: u64,
    /// The generation of the newest list.
    pub generation: u32,
    /// The key columns.
    pub keys: KeyKinds,
}

impl Meta {
    /// Reads the meta page.
    ///
    /// # Errors
    /// [`PageError::Version`] for another version of the format, [`PageError::Content`] for what is no meta page of an inverted file.
    pub fn parse(page: &[u8]) -> Result<Self, PageError> {
        let body = bytes::range(written(page, PageKind::ListMeta)?, HEADER_BYTES, BODY_BYTES)?;
        let wrong = PageError::content;
        let format = bytes::get_u8(body, 0)?;
        if format != FORMAT {
            return Err(PageError::Version {
                found: format,
                expected: FORMAT,
            });
        }
        let meta = Self {
            metric: Metric::from_u8(bytes::get_u8(body, 1)?)
                .filter(|metric| !matches!(metric, Metric::L1 | Metric::Jaccard))
                .ok_or(wrong("unknown metric"))?,
            element: ElementKind::from_u8(bytes::get_u8(body, 2)?)
                .filter(|element| *element != ElementKind::Sparsevec)
                .ok_or(wrong("unknown element type"))?,
            refine: match bytes::get_u8(body, 3)? {
                0 => false,
                REFINE_BITS => true,
                _ => return Err(wrong("refine bits are neither 0 nor 3")),
            },
            dims: bytes::get_u32(body, DIMS_OFFSET)?,
            lists: bytes::get_u32(body, LISTS_OFFSET)?,
            directory: bytes::get_u32(body, DIRECTORY_OFFSET)?,
            seed: bytes::get_u64(body, SEED_OFFSET)?,
            build_id: bytes::get_u64(body, BUILD_ID_OFFSET)?,
            version: bytes::get_u64(body, VERSION_OFFSET)?,
            generation: bytes::get_u32(body, GENERATION_OFFSET)?,
            keys: KeyKinds::from_bytes(*bytes::array(body, KEY_KINDS_OFFSET)?)
                .ok_or(wrong("unknown kind of a key column"))?,
        };
        if (meta.element == ElementKind::Bit) != (meta.metric == Metric::Hamming) {
            return Err(wrong("metric is not one of the element type"));
        }
        if meta.dims == 0 || meta.dims as usize > MAX_DIMS {
            return Err(wrong("number of dimensions is out of range"));
        }
        Ok(meta)
    }

    /// Makes the page a meta page.
    ///
    /// # Errors
    /// [`PageError`] for bytes of another length than a page.
    pub fn write(&self, page: &mut [u8]) -> Result<(), PageError> {
        init_page(page, PageKind::ListMeta)?;
        let body = bytes::range_mut(written_mut(page, PageKind::ListMeta)?, HEADER_BYTES, BODY_BYTES)?;
        let refine = if self.refine { REFINE_BITS } else { 0 };
        bytes::put(
            body,
            0,
            &[FORMAT, self.metric.to_u8(), self.element.to_u8(), refine],
        )?;
        bytes::put(body, DIMS_OFFSET, &self.dims.to_le_bytes())?;
        bytes::put(body, LISTS_OFFSET, &self.lists.to_le_bytes())?;
        bytes::put(body, DIRECTORY_OFFSET, &self.directory.to_le_bytes())?;
        bytes::put(body, SEED_OFFSET, &self.seed.to_le_bytes())?;
        bytes::put(body, BUILD_ID_OFFSET, &self.build_id.to_le_bytes())?;
        bytes::put(body, VERSION_OFFSET, &self.version.to_le_bytes())?;
        bytes::put(body, GENERATION_OFFSET, &self.generation.to_le_bytes())?;
        bytes::put(body, KEY_KINDS_OFFSET, &self.keys.to_bytes())
    }

    /// Changes the version and the generation.
    ///
    /// # Errors
    /// [`PageError`] if the page is no meta page.
    pub fn write_version(page: &mut [u8], version: u64, generation: u32) -> Result<(), PageError> {
        let body = bytes::range_mut(written_mut(page, PageKind::ListMeta)?, HEADER_BYTES, BODY_BYTES)?;
        bytes::put(body, VERSION_OFFSET, &version.to_le_bytes())?;
        bytes::put(body, GENERATION_OFFSET, &generation.to_le_bytes())
    }
}
