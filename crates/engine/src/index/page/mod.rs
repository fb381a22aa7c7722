//! The pages of an index as bytes: where each field stands, and checked ways to read and write it.
//!
//! All numbers are little endian. Nothing here trusts a byte of a page: a reader that only steers a search takes what it can use
//! and ignores the rest ([`SlotHead`], [`parse_neighbours`]), every other reader returns a [`PageError`]. Writers check all
//! lengths before the first byte changes.
//!
//! # Every page
//!
//! | offset | bytes | content                                                                    |
//! |-------:|------:|----------------------------------------------------------------------------|
//! |      0 |    24 | PostgreSQL's page header; neither read nor written here                     |
//! |     24 |  8160 | body                                                                       |
//! |   8184 |     4 | magic [`MAGIC`]                                                            |
//! |   8188 |     1 | kind: 1 meta, 2 center, 3 node, 4 upper; 5 to 10: [`super::ivf::page`]     |
//! |   8189 |     1 | format version [`FORMAT`]                                                  |
//! |   8190 |     2 | zero                                                                       |
//!
//! A page whose last 8 bytes are zero is *new*: added to the file and not written, as a crash can leave it. It is empty.
//! Block 0 is the meta page, blocks 1 to `center_blocks` hold the center, all later ones are node or upper pages in any order.
//!
//! # Body of the meta page
//!
//! | offset in body | bytes | content                                                                  |
//! |---------------:|------:|--------------------------------------------------------------------------|
//! |              0 |     1 | format version, again                                                    |
//! |              1 |     1 | metric: 1 L2, 2 inner product, 3 cosine, 4 L1                            |
//! |              2 |     1 | element type: 1 `vector`, 2 `halfvec`                                    |
//! |              3 |     1 | bits of a code per dimension: 4, 8 or 32                                 |
//! |              4 |     4 | dimensions                                                               |
//! |              8 |     2 | m                                                                        |
//! |             10 |     2 | ef_construction                                                          |
//! |             12 |     2 | bytes of the keys in a slot                                              |
//! |             14 |     2 | zero                                                                     |
//! |             16 |     8 | seed of the rotation and of the levels                                   |
//! |             24 |     8 | build id: random, another one after each build                           |
//! |             32 |     4 | number of center pages; 0: the center is zero                            |
//! |             36 |     4 | zero                                                                     |
//! |             40 |   128 | 16 entries of 8 bytes: slot id (4; all ones: free), level (1), zero (3)  |
//! |            168 |   256 | 64 blocks of upper pages that probably have room (4 each), 0: none        |
//! |            424 |     8 | kinds of the key columns, see [`super::key::KeyKind`]; 0: none             |
//!
//! # Body of a center page
//!
//! 2040 numbers of 4 bytes (`f32`) each: page `i` (from 0, in block `i + 1`) holds dimensions `2040 i` and following of the
//! rotated center.
//!
//! # Body of a node page
//!
//! `S` slots of equal size from the front of the body; slot `i` of block `b` has the id `b * S + i`. Ids are below 2^32 - 1.
//!
//! | offset in slot    | bytes      | content                                                                 |
//! |------------------:|-----------:|-------------------------------------------------------------------------|
//! |                 0 |          1 | state: 0 free, 1 live, 2 dead, 3 unranked                               |
//! |                 1 |          1 | level, at most 7                                                        |
//! |                 2 |          6 | row: block (4), line pointer (2); all zero: none                        |
//! |                 8 |          4 | id of the upper record of level 1; all ones at level 0                  |
//! |                12 |         20 | factors of the code                                                     |
//! |                32 | code bytes | code                                                                    |
//! |         32 + code | key bytes  | keys, see [`super::key`]                                                |
//! |  32 + code + keys |         8m | 2m neighbours of level 0 (4 each), from the front, the rest all ones    |
//!
//! # Body of an upper page
//!
//! `U` records of equal size; record `i` of block `b` has the id `b * U + i`. The list of level `l` of an element stands `l - 1`
//! records after that of level 1, on the same page.
//!
//! | offset in record | bytes | content                                                                  |
//! |-----------------:|------:|--------------------------------------------------------------------------|
//! |                0 |     4 | slot id of the owner                                                     |
//! |                4 |     1 | level, 1 to 7                                                            |
//! |                5 |     1 | state: 0 free, 1 used                                                    |
//! |                6 |     2 | zero                                                                     |
//! |                8 |    4m | m neighbours, from the front, the rest all ones                          |

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

pub(in crate::index) mod bytes;
mod center;
mod check;
mod entries;
mod layout;
mod meta;
mod neighbours;
mod node;
mod options;
mod room;
mod slot;
mod upper;

pub use center::{center_blocks, center_range, read_center, write_center};
pub use check::{Finding, PageChecker, Problem};
pub use entries::{ENTRIES_BYTES, ENTRIES_PLACE, ENTRY_COUNT, Entry, EntrySet};
pub use layout::{Layout, UpperId};
pub use meta::Meta;
pub use neighbours::{NeighbourList, parse_neighbours};
pub use node::{NodePage, NodePageMut, StateCounts};
pub use options::{
    EF_CONSTRUCTION_MAX, EF_CONSTRUCTION_MIN, M_MAX, M_MIN, OptionError, check_ef_construction, check_m,
};
pub use room::{UPPER_ROOM_BYTES, UPPER_ROOM_PLACE, UpperRoom};
pub use slot::{FRONT_BYTES, NewSlot, ROW_BYTES, SlotHead, SlotRef, SlotState, parse_row, parse_tid};
pub use upper::{UpperPage, UpperPageMut, UpperRecord};

use super::IndexError;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 8192;
/// Bytes of PostgreSQL's header at the front of a page.
pub const HEADER_BYTES: usize = 24;
/// Bytes between the header and the special area.
pub const BODY_BYTES: usize = 8160;
/// Bytes of the special area at the end of a page.
pub const SPECIAL_BYTES: usize = 8;
/// Where the special area begins.
pub const SPECIAL_OFFSET: usize = 8184;
/// The first bytes of the special area: "cmhn" read as a little-endian number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"cmhn");
/// The version of the format that this code reads and writes.
pub const FORMAT: u8 = 1;
/// The highest level of an element.
pub const MAX_LEVEL: u8 = 7;
/// The most dimensions of a vector that an index takes.
pub const MAX_DIMS: u32 = 16_000;
const _: () = assert!(MAX_DIMS as usize == crate::vector::MAX_DIMENSIONS);
/// The most bits of an index of bits: as many as a page has.
pub const MAX_BITS: u32 = 65_536;
const _: () = assert!(MAX_BITS as usize == 8 * PAGE_BYTES);
/// The most dimensions of an index of sparse vectors.
pub const MAX_SPARSE_DIMS: u32 = 1_000_000_000;
/// Bytes of the factors beside a code; their meaning is the quantiser's.
pub const FACTORS_BYTES: usize = 20;
/// The highest line pointer that a heap page of 8 KB can have.
pub const MAX_TID_OFFSET: u16 = 2048;

/// A whole page.
pub type PageBytes = [u8; PAGE_BYTES];

const _: () = assert!(HEADER_BYTES + BODY_BYTES == SPECIAL_OFFSET);
const _: () = assert!(SPECIAL_OFFSET + SPECIAL_BYTES == PAGE_BYTES);

const KIND_OFFSET: usize = SPECIAL_OFFSET + 4;
const FORMAT_OFFSET: usize = SPECIAL_OFFSET + 5;

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PageKind {
    /// Block 0: what the index is, and where searches begin.
    Meta = 1,
    /// The mean of the vectors.
    Center = 2,
    /// Elements.
    Node = 3,
    /// Neighbour lists of the upper levels.
    Upper = 4,
    /// Block 0 of an inverted file, see [`super::ivf::page`], as are those that follow.
    ListMeta = 5,
    /// The lists of an inverted file.
    Directory = 6,
    /// The centroids of lists.
    Centroids = 7,
    /// Rows of a list.
    Posting = 8,
    /// Longer codes of the rows of a posting page.
    Refine = 9,
    /// In no use.
    Unused = 10,
}

impl PageKind {
    /// The kind that stands on a page as `code`.
    #[must_use]
    pub fn from_u8(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Meta),
            2 => Some(Self::Center),
            3 => Some(Self::Node),
            4 => Some(Self::Upper),
            5 => Some(Self::ListMeta),
            6 => Some(Self::Directory),
            7 => Some(Self::Centroids),
            8 => Some(Self::Posting),
            9 => Some(Self::Refine),
            10 => Some(Self::Unused),
            _ => None,
        }
    }

    /// The number that stands for the kind on a page.
    #[must_use]
    pub fn to_u8(self) -> u8 {
        self as u8
    }
}

/// Why a page cannot be read, or not be written as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The page does not hold what it must, or does not have what was asked for.
    #[error("{what}")]
    Content {
        /// What is wrong.
        what: &'static str,
    },
    /// The page was written in another version of the format.
    #[error("format version {found} instead of {expected}")]
    Version {
        /// The version on the page.
        found: u8,
        /// The version that this code reads and writes.
        expected: u8,
    },
}

impl PageError {
    pub(crate) const fn content(what: &'static str) -> Self {
        Self::Content { what }
    }

    /// The error of an index operation that met this on `block`.
    #[must_use]
    pub fn at(self, block: u32) -> IndexError {
        match self {
            Self::Content { what } => IndexError::Corrupt { block, what },
            Self::Version { found, expected } => IndexError::Version { found, expected },
        }
    }
}

/// Whether a page was ever written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageState {
    /// Added to the file and not written: empty, of no kind yet.
    New,
    /// Written, with the expected special area.
    Ok,
}

/// The kind of the page; none for a new one.
///
/// # Errors
/// [`PageError`] for another length than [`PAGE_BYTES`], a wrong magic, an unknown kind, another version of the format.
pub fn page_kind(bytes: &[u8]) -> Result<Option<PageKind>, PageError> {
    let page = whole(bytes)?;
    let special = page.last_chunk::<SPECIAL_BYTES>().ok_or(WRONG_LENGTH)?;
    if *special == [0; SPECIAL_BYTES] {
        return Ok(None);
    }
    let [a, b, c, d, kind, format, _, _] = *special;
    if u32::from_le_bytes([a, b, c, d]) != MAGIC {
        return Err(PageError::content("page is not of a castmatch index"));
    }
    if format != FORMAT {
        return Err(PageError::Version {
            found: format,
            expected: FORMAT,
        });
    }
    PageKind::from_u8(kind)
        .map(Some)
        .ok_or(PageError::content("page is of an unknown kind"))
}

/// Looks whether the page is one of the expected kind, or new.
///
/// # Errors
/// As [`page_kind`], and for a page of another kind.
pub fn check_page(bytes: &[u8], expected: PageKind) -> Result<PageState, PageError> {
    match page_kind(bytes)? {
        None => Ok(PageState::New),
        Some(kind) if kind == expected => Ok(PageState::Ok),
        Some(_) => Err(PageError::content("page is of another kind than expected")),
    }
}

/// Makes the page an empty one of this kind: zeroes the body and writes the special area. The header stays.
///
/// # Errors
/// [`PageError`] for another length than [`PAGE_BYTES`].
pub fn init_page(bytes: &mut [u8], kind: PageKind) -> Result<(), PageError> {
    let page: &mut PageBytes = bytes.try_into().map_err(|_| WRONG_LENGTH)?;
    page.get_mut(HEADER_BYTES..).ok_or(WRONG_LENGTH)?.fill(0);
    bytes::put(page, SPECIAL_OFFSET, &MAGIC.to_le_bytes())?;
    bytes::put(page, KIND_OFFSET, &[kind.to_u8()])?;
    bytes::put(page, FORMAT_OFFSET, &[FORMAT])
}

const WRONG_LENGTH: PageError = PageError::content("page is not 8192 bytes long");
const NOT_WRITTEN: PageError = PageError::content("page was added and never written");

/// The bytes as a page.
fn whole(bytes: &[u8]) -> Result<&PageBytes, PageError> {
    bytes.try_into().map_err(|_| WRONG_LENGTH)
}

/// The bytes as a written page of this kind.
pub(in crate::index) fn written(bytes: &[u8], kind: PageKind) -> Result<&PageBytes, PageError> {
    match check_page(bytes, kind)? {
        PageState::New => Err(NOT_WRITTEN),
        PageState::Ok => whole(bytes),
    }
}

/// The bytes as a written page of this kind, to be changed.
pub(in crate::index) fn written_mut(bytes: &mut [u8], kind: PageKind) -> Result<&mut PageBytes, PageError> {
    match check_page(bytes, kind)? {
        PageState::New => Err(NOT_WRITTEN),
        PageState::Ok => bytes.try_into().map_err(|_| WRONG_LENGTH),
    }
}

#[cfg(test)]
mod tests;
