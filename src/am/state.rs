//! What a backend remembers of an index between calls: its unchanging parameters, and in which buffers its pages were.

use super::keys::Keys;
use super::opclass;
use super::storage::RelationStorage;
use crate::error::Result;
use crate::pg::relation::{Locator, Relation};
use castmatch_engine::index::IndexError;
use castmatch_engine::index::hnsw::Index;
use castmatch_engine::index::hnsw::scan::{Scan, ScanOptions};
use castmatch_engine::index::page::{EntrySet, Meta};
use castmatch_engine::index::storage::PageRead;
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

/// The access method whose indexes these are.
const METHOD: &str = super::hnsw::METHOD;
/// The block of the meta page.
const META_BLOCK: u32 = 0;
/// Indexes that a backend remembers.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Where a backend last saw the pages of an index.
#[derive(Default)]
pub struct Hints {
    /// The buffer that each block was in; 0 where that is unknown.
    buffers: RefCell<Vec<i32>>,
    /// The page that this backend adds elements to.
    target: Cell<Option<u32>>,
    /// Reads without a pin, from scan to scan.
    reads: Cell<u32>,
}

impl Hints {
    /// Counts reads without a pin. Returns whether one of them is the next of each `every`.
    pub fn count_reads(&self, count: usize, every: u32) -> bool {
        let before = self.reads.get();
        let after = before.wrapping_add(count as u32);
        self.reads.set(after);
        before / every != after / every
    }

    /// The buffer of a block, if one is known.
    pub fn get(&self, block: u32) -> Option<i32> {
        let hints = self.buffers.borrow();
        hints.get(block as usize).copied().filter(|&buffer| buffer > 0)
    }

    /// Notes the buffer of a block.
    ///
    /// # Errors
    /// Out of memory.
    pub fn set(&self, block: u32, buffer: i32) -> Result<(), IndexError> {
        let mut hints = self.buffers.borrow_mut();
        let needed = block as usize + 1;
        if hints.len() < needed {
            let more = needed - hints.len();
            hints.try_reserve(more).map_err(|_| IndexError::OutOfMemory {
                what: "the table of buffers of an index",
                bytes: needed.saturating_mul(size_of::<i32>()),
            })?;
            hints.resize(needed, 0);
        }
        if let Some(hint) = hints.get_mut(block as usize) {
            *hint = buffer;
        }
        Ok(())
    }

    /// All hints, by block.
    pub fn with<R>(&self, look: impl FnOnce(&[i32]) -> R) -> R {
        look(&self.buffers.borrow())
    }

    /// The page that this backend adds elements to, while it has room.
    pub fn target(&self) -> Option<u32> {
        self.target.get()
    }

    /// Notes how much room a node page has.
    pub fn note_target(&self, block: u32, free: u16) {
        if free > 0 {
            self.target.set(Some(block));
        } else if self.target.get() == Some(block) {
            self.target.set(None);
        }
    }
}

/// An index that is ready to be searched or changed.
pub struct Opened {
    /// Its unchanging parameters.
    pub index: Arc<Index>,
    /// Its filter columns.
    pub keys: Rc<Keys>,
    /// Where searches begin now.
    pub entries: EntrySet,
    /// Where its pages were.
    pub hints: Rc<Hints>,
    spare: Spare,
}

/// The memory of a scan that has ended, for the next one.
type Spare = Rc<Cell<Option<Scan>>>;

impl Opened {
    /// A scan that has yet to be given its query.
    pub fn spare_scan(&self) -> Scan {
        self.spare
            .take()
            .unwrap_or_else(|| Scan::new(Arc::clone(&self.index), ScanOptions::default()))
    }

    /// Keeps the memory of a scan that has ended, unless it has grown large.
    pub fn keep_scan(&self, scan: Scan) {
        if scan.memory_bytes() <= SPARE_BYTES {
            self.spare.set(Some(scan));
        }
    }
}

/// A scan that occupies more is not kept for the next one.
const SPARE_BYTES: usize = 4 << 20;

#[derive(Clone)]
struct Remembered {
    index: Arc<Index>,
    keys: Rc<Keys>,
    hints: Rc<Hints>,
    spare: Spare,
}

thread_local! {
    static INDEXES: RefCell<LruCache<Locator, Remembered>> = RefCell::new(LruCache::new(REMEMBERED));
}

/// Opens an index: reads its meta page, and the rest unless this backend has seen this very build of the index before.
///
/// # Errors
/// XX002 if the pages are not those of an index of this format.
pub fn open(relation: Relation) -> Result<Opened> {
    let locator = relation.locator();
    let known = INDEXES.with_borrow_mut(|indexes| indexes.get(&locator).cloned());
    let hints = known
        .as_ref()
        .map_or_else(Rc::default, |known| Rc::clone(&known.hints));
    let mut storage = RelationStorage::new(relation, Rc::clone(&hints));
    let failed = |failure| super::index_error(relation, failure);
    if let Some(known) = known {
        let meta = read_meta(&mut storage).map_err(failed)?;
        if known.index.build_id == meta.build_id {
            return Ok(known.opened(meta.entries));
        }
    }
    let (index, entries) = Index::open(&mut storage).map_err(failed)?;
    let class = opclass::of(relation)?;
    let keys = Keys::of(relation, METHOD)?;
    // The catalogs know it independently of the pages. A column that has lost its type modifier says nothing of dimensions.
    let (_, typmod) = relation.first_column_type();
    let known_dims = u32::try_from(typmod).ok().filter(|&dims| dims > 0);
    if index.metric != class.metric
        || index.element != class.element
        || known_dims.is_some_and(|dims| dims != index.dims)
    {
        return Err(failed(IndexError::Corrupt {
            block: META_BLOCK,
            what: "metric, type or dimensions are not those of the column",
        }));
    }
    if index.keys != keys.kinds() {
        return Err(failed(IndexError::Corrupt {
            block: META_BLOCK,
            what: "filter columns are not those of the index",
        }));
    }
    let remembered = Remembered {
        index: Arc::new(index),
        keys: Rc::new(keys),
        hints,
        spare: Spare::default(),
    };
    INDEXES.with_borrow_mut(|indexes| indexes.put(locator, remembered.clone()));
    Ok(remembered.opened(entries))
}

impl Remembered {
    fn opened(self, entries: EntrySet) -> Opened {
        let Self {
            index,
            keys,
            hints,
            spare,
        } = self;
        Opened {
            index,
            keys,
            entries,
            hints,
            spare,
        }
    }
}

fn read_meta(storage: &mut RelationStorage) -> Result<Meta, IndexError> {
    storage.read(0, Meta::parse)?.map_err(|failure| failure.at(0))
}
