//! The pages of an inverted file as bytes. The frame of a page, its special area and its kinds are those of [`crate::index::page`].
//!
//! Block 0 is the meta page; all other kinds come in any order. A page is of another kind only after it was [`PageKind::Unused`].
//!
//! # Body of the meta page (kind 5)
//!
//! | offset | bytes | content                                                                                   |
//! |-------:|------:|-------------------------------------------------------------------------------------------|
//! |      0 |     1 | format version, again                                                                     |
//! |      1 |     1 | metric: 1 L2, 2 inner product, 3 cosine                                                   |
//! |      2 |     1 | element type: 1 `vector`, 2 `halfvec`                                                     |
//! |      3 |     1 | refine bits per dimension: 0 or 3                                                         |
//! |      4 |     4 | dimensions                                                                                |
//! |      8 |     4 | lists that were asked for, 0: as many as suit the rows                                    |
//! |     12 |     4 | first directory page                                                                      |
//! |     16 |     8 | seed of the rotation                                                                      |
//! |     24 |     8 | build id                                                                                  |
//! |     32 |     8 | version of the directory; odd while lists are being replaced                              |
//! |     40 |     4 | generation of the newest list                                                             |
//! |     44 |     4 | zero                                                                                      |
//! |     48 |     8 | kinds of the key columns                                                                  |
//!
//! # Body of a directory page (kind 6)
//!
//! Next directory page (4; 0: none), lists on this page (2), zero (2), then blocks of `L` lists (`L` is 32, or 16 or 8 for long
//! vectors): codes of the centroids relative to the root as [`crate::kernels::scan`] lays them out, scales and addends (4 `L` each), and
//! `L` entries of 32 bytes:
//!
//! | offset | bytes | content                                                                                   |
//! |-------:|------:|-------------------------------------------------------------------------------------------|
//! |      0 |     1 | state, see [`ListState`]                                                                  |
//! |      1 |     1 | zero                                                                                      |
//! |      2 |     2 | place of the centroid on its page                                                         |
//! |      4 |     4 | page of the centroid                                                                      |
//! |      8 |     4 | first posting page                                                                        |
//! |     12 |     4 | a posting page near the end of the list                                                   |
//! |     16 |     4 | generation                                                                                |
//! |     20 |     4 | the list on whose state this one depends, see [`ListState`]; all ones: none               |
//! |     24 |     8 | retired: the next transaction then; else: rows that the list was made with                |
//!
//! Lists are numbered along the directory. List 0 has the rows without rank; its centroid is the root.
//!
//! # Body of a centroids page (kind 7)
//!
//! Centroids of `4 + 2 D` bytes: a scale (`f32`), then `D` numbers of 16 bits that are multiplied by it.
//!
//! # Body of a posting page (kind 8)
//!
//! List (4), its generation (4), next page of the list (4; 0: none), rows (2), flags (2; 1: nothing is added to the list any more), the blocks
//! of its refine pages (4 each), then blocks of `L` rows: codes, scales and addends, then 6 bytes a row for its place in the table,
//! then the keys of the rows.
//!
//! # Body of a refine page (kind 9)
//!
//! Eight zeros, then for each row of a posting page in order the place in the table (6), factors (20) and code of the quantiser.

mod centroid;
mod directory;
mod meta;
mod posting;
mod refine;

pub(in crate::index::ivf) use centroid::centroid_offset as centroid_place;
pub use centroid::{RoundedCentroid, read_centroid, write_centroid};
pub use directory::{
    DirectoryPage, Entry, ListState, ParsedEntry, init_directory, set_next, write_entry, write_list,
};
pub use meta::Meta;
pub use posting::{CLOSED, NewRow, PostingHead, PostingPage, PostingPageMut, init_posting};
pub use refine::{RefineRecord, init_refine, read_refine, write_refine};

use crate::index::HeapTid;
use crate::index::page::{MAX_TID_OFFSET, PageError, bytes};

/// Reads a row's place in the table; none for what can be none.
pub(in crate::index::ivf) fn get_tid(body: &[u8], at: usize) -> Result<Option<HeapTid>, PageError> {
    let tid = HeapTid {
        block: bytes::get_u32(body, at)?,
        offset: bytes::get_u16(body, at + 4)?,
    };
    Ok((1..=MAX_TID_OFFSET).contains(&tid.offset).then_some(tid))
}

/// A row's place in the table, as it stands on a page.
pub(in crate::index::ivf) fn tid_bytes(tid: HeapTid) -> [u8; 6] {
    let [a, b, c, d] = tid.block.to_le_bytes();
    let [e, f] = tid.offset.to_le_bytes();
    [a, b, c, d, e, f]
}
