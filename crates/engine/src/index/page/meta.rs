//! The meta page: what the index is, and its entry set.

use super::entries::{ENTRIES_BYTES, ENTRIES_OFFSET};
use super::room::{UPPER_ROOM_BYTES, UPPER_ROOM_OFFSET};
use super::{
    BODY_BYTES, EntrySet, FORMAT, HEADER_BYTES, MAX_BITS, MAX_DIMS, MAX_SPARSE_DIMS, PageError, PageKind,
    bytes, center_blocks, check_ef_construction, check_m, written, written_mut,
};
use crate::index::key::{KeyKinds, MAX_KEYS};
use crate::index::{ElementKind, Metric};

const FORMAT_OFFSET: usize = 0;
const METRIC_OFFSET: usize = 1;
const ELEMENT_OFFSET: usize = 2;
const BITS_OFFSET: usize = 3;
const DIMS_OFFSET: usize = 4;
const M_OFFSET: usize = 8;
const EF_CONSTRUCTION_OFFSET: usize = 10;
const KEY_BYTES_OFFSET: usize = 12;
const SEED_OFFSET: usize = 16;
const BUILD_ID_OFFSET: usize = 24;
const CENTER_BLOCKS_OFFSET: usize = 32;

const _: () = assert!(CENTER_BLOCKS_OFFSET + 8 == ENTRIES_OFFSET);
const _: () = assert!(ENTRIES_OFFSET + ENTRIES_BYTES == UPPER_ROOM_OFFSET);
const KEY_KINDS_OFFSET: usize = UPPER_ROOM_OFFSET + UPPER_ROOM_BYTES;
const _: () = assert!(KEY_KINDS_OFFSET + MAX_KEYS <= BODY_BYTES);

/// What the meta page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// What the index orders by.
    pub metric: Metric,
    /// The type of the column.
    pub element: ElementKind,
    /// Bits of a code per dimension: 4, 8 or 32, of bits 1.
    pub bits: u8,
    /// Dimensions of the values: of dense vectors 1 to [`MAX_DIMS`], of bits 1 to [`MAX_BITS`], of sparse vectors 1 to [`MAX_SPARSE_DIMS`].
    pub dims: u32,
    /// Neighbours of a list above level 0; twice as many at level 0.
    pub m: u16,
    /// Candidates of an insertion.
    pub ef_construction: u16,
    /// The key columns.
    pub keys: KeyKinds,
    /// The seed of the rotation and of the levels.
    pub seed: u64,
    /// Another one after each build: what is cached of an index is worthless when this changes.
    pub build_id: u64,
    /// Pages that hold the center, from block 1; 0: the center is zero.
    pub center_blocks: u32,
    /// Where searches begin.
    pub entries: EntrySet,
}

impl Meta {
    /// Reads the meta page.
    ///
    /// # Errors
    /// [`PageError::Version`] for another version of the format, [`PageError::Content`] for what is not a meta page or holds a
    /// value outside its range. The entry set is read as a search reads it, see [`EntrySet::parse`].
    pub fn parse(page: &[u8]) -> Result<Self, PageError> {
        let body = bytes::range(written(page, PageKind::Meta)?, HEADER_BYTES, BODY_BYTES)?;
        let format = bytes::get_u8(body, FORMAT_OFFSET)?;
        if format == 0 {
            return Err(PageError::content("meta page is empty"));
        }
        if format != FORMAT {
            return Err(PageError::Version {
                found: format,
                expected: FORMAT,
            });
        }
        let wrong = PageError::content;
        let m = bytes::get_u16(body, M_OFFSET)?;
        let keys = KeyKinds::from_bytes(*bytes::array(body, KEY_KINDS_OFFSET)?)
            .ok_or(wrong("unknown kind of a key column"))?;
        if usize::from(bytes::get_u16(body, KEY_BYTES_OFFSET)?) != keys.key_bytes() {
            return Err(wrong("length of the keys does not fit the key columns"));
        }
        let meta = Self {
            metric: Metric::from_u8(bytes::get_u8(body, METRIC_OFFSET)?).ok_or(wrong("unknown metric"))?,
            element: ElementKind::from_u8(bytes::get_u8(body, ELEMENT_OFFSET)?)
                .ok_or(wrong("unknown element type"))?,
            bits: bytes::get_u8(body, BITS_OFFSET)?,
            dims: bytes::get_u32(body, DIMS_OFFSET)?,
            m,
            ef_construction: bytes::get_u16(body, EF_CONSTRUCTION_OFFSET)?,
            keys,
            seed: bytes::get_u64(body, SEED_OFFSET)?,
            build_id: bytes::get_u64(body, BUILD_ID_OFFSET)?,
            center_blocks: bytes::get_u32(body, CENTER_BLOCKS_OFFSET)?,
            entries: EntrySet::parse(bytes::range(body, ENTRIES_OFFSET, ENTRIES_BYTES)?),
        };
        meta.check()?;
        Ok(meta)
    }

    /// Writes everything to the page, which [`super::init_page`] has made a meta page.
    ///
    /// # Errors
    /// [`PageError`] if the page is no meta page, or a value is outside its range; the page is unchanged then.
    pub fn write(&self, page: &mut [u8]) -> Result<(), PageError> {
        self.check()?;
        let body = bytes::range_mut(written_mut(page, PageKind::Meta)?, HEADER_BYTES, BODY_BYTES)?;
        bytes::put(body, FORMAT_OFFSET, &[FORMAT])?;
        bytes::put(body, METRIC_OFFSET, &[self.metric.to_u8()])?;
        bytes::put(body, ELEMENT_OFFSET, &[self.element.to_u8()])?;
        bytes::put(body, BITS_OFFSET, &[self.bits])?;
        bytes::put(body, DIMS_OFFSET, &self.dims.to_le_bytes())?;
        bytes::put(body, M_OFFSET, &self.m.to_le_bytes())?;
        bytes::put(body, EF_CONSTRUCTION_OFFSET, &self.ef_construction.to_le_bytes())?;
        let key_bytes = u16::try_from(self.keys.key_bytes())
            .map_err(|_| PageError::content("length of the keys is out of range"))?;
        bytes::put(body, KEY_BYTES_OFFSET, &key_bytes.to_le_bytes())?;
        bytes::put(body, KEY_KINDS_OFFSET, &self.keys.to_bytes())?;
        bytes::put(body, SEED_OFFSET, &self.seed.to_le_bytes())?;
        bytes::put(body, BUILD_ID_OFFSET, &self.build_id.to_le_bytes())?;
        bytes::put(body, CENTER_BLOCKS_OFFSET, &self.center_blocks.to_le_bytes())?;
        self.entries
            .write(bytes::range_mut(body, ENTRIES_OFFSET, ENTRIES_BYTES)?)
    }

    /// Whether all values are in their ranges.
    fn check(&self) -> Result<(), PageError> {
        let wrong = |what| Err(PageError::content(what));
        let of_bits = self.element == ElementKind::Bit;
        if of_bits != matches!(self.metric, Metric::Hamming | Metric::Jaccard) {
            return wrong("metric is not one of the element type");
        }
        if !matches!((of_bits, self.bits), (true, 1) | (false, 4 | 8 | 32)) {
            return wrong("bits per dimension are not those of a code");
        }
        let most = match self.element {
            ElementKind::Vector | ElementKind::Halfvec => MAX_DIMS,
            ElementKind::Bit => MAX_BITS,
            ElementKind::Sparsevec => MAX_SPARSE_DIMS,
        };
        if !(1..=most).contains(&self.dims) {
            return wrong("number of dimensions is out of range");
        }
        if check_m(i64::from(self.m)).is_err() {
            return wrong("m is out of range");
        }
        if check_ef_construction(i64::from(self.ef_construction), self.m).is_err() {
            return wrong("ef_construction is out of range");
        }
        let coded_dims = self.element.coded_dims(self.dims);
        if self.center_blocks != 0 && self.center_blocks != center_blocks(coded_dims) {
            return wrong("number of center pages does not fit the dimensions");
        }
        Ok(())
    }
}
