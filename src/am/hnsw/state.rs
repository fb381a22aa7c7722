//! What a backend remembers of an index between calls: its unchanging parameters, and in which buffers its pages were.

use super::METHOD;
use crate::am::hints::Hints;
use crate::am::keys::Keys;
use crate::am::remembered::{Indexes, Spare};
use crate::am::storage::RelationStorage;
use crate::am::{column, index_error};
use crate::error::Result;
use crate::pg::relation::Relation;
use castmatch_engine::index::IndexError;
use castmatch_engine::index::hnsw::Index;
use castmatch_engine::index::hnsw::scan::{Scan, ScanOptions};
use castmatch_engine::index::page::{EntrySet, Meta};
use castmatch_engine::index::storage::PageRead;
use std::rc::Rc;
use std::sync::Arc;

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
    spare: Spare<Scan>,
}

impl Opened {
    /// A scan that has yet to be given its query.
    pub fn spare_scan(&self) -> Scan {
        self.spare
            .take()
            .unwrap_or_else(|| Scan::new(Arc::clone(&self.index), ScanOptions::default()))
    }

    /// Keeps the memory of a scan that has ended, unless it has grown large.
    pub fn keep_scan(&self, scan: Scan) {
        let bytes = scan.memory_bytes();
        self.spare.keep(scan, bytes);
    }
}

#[derive(Clone)]
struct Remembered {
    index: Arc<Index>,
    keys: Rc<Keys>,
    hints: Rc<Hints>,
    spare: Spare<Scan>,
}

thread_local! {
    static INDEXES: Indexes<Remembered> = Indexes::new();
}

/// Opens an index: reads its meta page, and the rest unless this backend has seen this very build of the index before.
///
/// # Errors
/// XX002 if the pages are not those of an index of this format.
pub fn open(relation: Relation) -> Result<Opened> {
    let locator = relation.locator();
    let known = INDEXES.with(|indexes| indexes.get(locator));
    let hints = known
        .as_ref()
        .map_or_else(Rc::default, |known| Rc::clone(&known.hints));
    let mut storage = RelationStorage::new(relation, Rc::clone(&hints));
    let failed = |failure| index_error(relation, failure);
    if let Some(known) = known {
        let meta = read_meta(&mut storage).map_err(failed)?;
        if known.index.build_id == meta.build_id {
            return Ok(known.opened(meta.entries));
        }
    }
    let (index, entries) = Index::open(&mut storage).map_err(failed)?;
    let keys = column::check(
        relation,
        METHOD,
        (index.metric, index.element, index.dims),
        index.keys,
    )?;
    let remembered = Remembered {
        index: Arc::new(index),
        keys: Rc::new(keys),
        hints,
        spare: Spare::default(),
    };
    INDEXES.with(|indexes| indexes.put(locator, remembered.clone()));
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
