//! Passes over all pages of an index, for vacuum, verification and statistics.
//!
//! A pass copies each page under its shared lock and lets go of it before anything else happens, so that the lock is held for
//! the length of a copy. The relation may grow meanwhile: a pass ends when it has seen the block that is the last one then.

use crate::index::page::{HEADER_BYTES, NodePage, PAGE_BYTES, PageBytes, PageKind, UpperPage, page_kind};
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::Index;

/// The copy of a page.
#[derive(Debug)]
pub(crate) struct PageCopy {
    block: u32,
    bytes: Box<PageBytes>,
}

impl PageCopy {
    /// An empty copy.
    pub(crate) fn new() -> Self {
        Self {
            block: 0,
            bytes: Box::new([0; PAGE_BYTES]),
        }
    }

    /// Copies a page.
    ///
    /// # Errors
    /// Those of the storage.
    pub(crate) fn load<S: PageRead>(&mut self, storage: &mut S, block: u32) -> Result<(), IndexError> {
        let copy = &mut *self.bytes;
        self.block = block;
        storage.read(block, |page| match <&PageBytes>::try_from(page) {
            Ok(page) => copy.copy_from_slice(page),
            Err(_) => copy.fill(0),
        })
    }

    /// Which page it is.
    pub(crate) fn block(&self) -> u32 {
        self.block
    }

    /// The whole page.
    pub(crate) fn bytes(&self) -> &[u8] {
        &*self.bytes
    }

    /// What the page holds. A new page, or one that was never written, is empty.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] and [`IndexError::Version`] for what is no page of an index, or has no place behind the center.
    pub(crate) fn content(&self, index: &Index) -> Result<Content<'_>, IndexError> {
        let at = |error: crate::index::page::PageError| error.at(self.block);
        match page_kind(self.bytes()).map_err(at)? {
            Some(PageKind::Node) => NodePage::open(self.bytes(), &index.layout)
                .map(Content::Nodes)
                .map_err(at),
            Some(PageKind::Upper) => UpperPage::open(self.bytes(), &index.layout)
                .map(Content::Uppers)
                .map_err(at),
            Some(_) => Err(IndexError::Corrupt {
                block: self.block,
                what: "page is of a kind that does not belong here",
            }),
            None if self.bytes.iter().skip(HEADER_BYTES).any(|byte| *byte != 0) => Err(IndexError::Corrupt {
                block: self.block,
                what: "page is not of a castmatch index",
            }),
            None => Ok(Content::New),
        }
    }
}

/// What stands on a page behind the center.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// Nothing yet.
    New,
    /// Elements.
    Nodes(NodePage<'a>),
    /// Lists of the upper levels.
    Uppers(UpperPage<'a>),
}

/// Shows every page behind the center to `look`, in ascending order, each under no lock. Asks for interrupts before each.
///
/// # Errors
/// Those of the storage and of `look`.
pub(crate) fn sweep<S: PageRead>(
    index: &Index,
    storage: &mut S,
    copy: &mut PageCopy,
    mut look: impl FnMut(&mut S, &PageCopy) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let mut block = index.first_node_block();
    loop {
        let end = storage.blocks()?;
        if block >= end {
            return Ok(());
        }
        storage.read_in_order(block..end);
        while block < end {
            storage.check_interrupts()?;
            copy.load(storage, block)?;
            look(storage, copy)?;
            block = block.saturating_add(1);
        }
    }
}

/// The id of a slot on a page.
///
/// # Errors
/// [`IndexError::Corrupt`] on a page beyond the last that an index can have.
pub(crate) fn slot_id(index: &Index, block: u32, slot: u16) -> Result<SlotId, IndexError> {
    index.layout.id(block, slot).ok_or(IndexError::Corrupt {
        block,
        what: "block is beyond the largest index",
    })
}
