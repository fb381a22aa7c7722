//! An index as it is opened: what its meta and center pages say, with what follows from them.

use crate::index::page::{
    ENTRIES_BYTES, ENTRIES_PLACE, EntrySet, Layout, Meta, PageError, center_blocks, center_range, read_center,
};
use crate::index::quantize::{CodeBits, Quantizer};
use crate::index::storage::PageRead;
use crate::index::{ElementKind, IndexError, Metric};

use super::queue::reserve;
use super::walk::Entry;

/// An opened index. Nothing in it changes until the index is built again, see [`Meta::build_id`]; it is shared by scans.
#[derive(Debug)]
pub struct Index {
    /// Where slots and upper records stand.
    pub layout: Layout,
    /// How vectors become codes.
    pub quantizer: Quantizer,
    /// What the index orders by.
    pub metric: Metric,
    /// The type of the column.
    pub element: ElementKind,
    /// Dimensions of the vectors.
    pub dims: usize,
    /// Neighbours of a list above level 0; twice as many at level 0.
    pub m: u16,
    /// Candidates of an insertion.
    pub ef_construction: u16,
    /// The seed of the rotation and of the levels.
    pub seed: u64,
    /// Another one after each build.
    pub build_id: u64,
    /// Pages that hold the center.
    pub center_blocks: u32,
}

impl Index {
    /// Reads the meta page and the center, and prepares the quantiser.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] and [`IndexError::Version`] for what is not such an index, [`IndexError::OutOfMemory`], and those
    /// of the storage.
    pub fn open<S: PageRead>(storage: &mut S) -> Result<(Self, EntrySet), IndexError> {
        let meta = storage.read(0, Meta::parse)?.map_err(|error| error.at(0))?;
        let center = read_whole_center(storage, &meta)?;
        let bits = match meta.bits {
            4 => CodeBits::Four,
            8 => CodeBits::Eight,
            _ => return Err(PageError::content("bits per dimension are neither 4 nor 8").at(0)),
        };
        let dims = meta.dims as usize;
        let quantizer = Quantizer::new(meta.metric, dims, bits, meta.seed, &center)?;
        let layout = Layout::new(quantizer.code_bytes(), meta.m, usize::from(meta.key_bytes))?;
        let index = Self {
            layout,
            quantizer,
            metric: meta.metric,
            element: meta.element,
            dims,
            m: meta.m,
            ef_construction: meta.ef_construction,
            seed: meta.seed,
            build_id: meta.build_id,
            center_blocks: meta.center_blocks,
        };
        Ok((index, meta.entries))
    }

    /// The entry set as it is now, by a peek.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn entries<S: PageRead>(&self, storage: &mut S) -> Result<EntrySet, IndexError> {
        let mut bytes = [0; ENTRIES_BYTES];
        storage.peek(&[ENTRIES_PLACE], ENTRIES_BYTES, &mut bytes)?;
        Ok(EntrySet::parse(&bytes))
    }

    /// The first block that is neither meta nor center.
    #[must_use]
    pub fn first_block(&self) -> u32 {
        self.center_blocks.saturating_add(1)
    }
}

/// The center, empty where it is zero.
fn read_whole_center<S: PageRead>(storage: &mut S, meta: &Meta) -> Result<Vec<f32>, IndexError> {
    let mut center = Vec::new();
    if meta.center_blocks == 0 {
        return Ok(center);
    }
    let dims = meta.dims as usize;
    reserve(&mut center, dims, "center of an index")?;
    center.resize(dims, 0.0);
    for page in 0..center_blocks(meta.dims) {
        let block = page.saturating_add(1);
        let Some(part) = center.get_mut(center_range(meta.dims, page)) else {
            continue;
        };
        storage
            .read(block, |bytes| read_center(bytes, part))?
            .map_err(|error| error.at(block))?;
    }
    Ok(center)
}

/// The entries as [`super::walk::descend`] takes them; `buffer` holds them.
pub(super) fn walk_entries<'b>(set: &EntrySet, buffer: &'b mut [Entry; super::ENTRIES]) -> &'b [Entry] {
    let mut count = 0;
    for (place, entry) in buffer.iter_mut().zip(set.iter()) {
        *place = Entry {
            id: entry.id,
            level: entry.level,
        };
        count += 1;
    }
    buffer.get(..count).unwrap_or_default()
}
