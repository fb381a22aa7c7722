//! What a backend remembers of an index between calls: its unchanging parameters, its lists, and in which buffers its pages were.

use super::METHOD;
use crate::am::hints::Hints;
use crate::am::keys::Keys;
use crate::am::remembered::{Indexes, Spare};
use crate::am::storage::RelationStorage;
use crate::am::{column, index_error};
use crate::error::Result;
use crate::pg::relation::{Locator, Relation};
use castmatch_engine::index::IndexError;
use castmatch_engine::index::ivf::page::Meta;
use castmatch_engine::index::ivf::scan::{Scan, ScanOptions};
use castmatch_engine::index::ivf::{Directory, Index};
use castmatch_engine::index::storage::PageRead;
use std::rc::Rc;
use std::sync::Arc;

/// An index that is ready to be searched or changed.
#[derive(Clone)]
pub struct Opened {
    /// Its unchanging parameters.
    pub index: Arc<Index>,
    /// Its filter columns.
    pub keys: Rc<Keys>,
    /// Its lists now.
    pub directory: Arc<Directory>,
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

    /// Reads the lists again.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn reload(&mut self, storage: &mut RelationStorage) -> core::result::Result<(), IndexError> {
        self.directory = Arc::new(Directory::load(&self.index, storage)?);
        Ok(())
    }
}

thread_local! {
    static INDEXES: Indexes<Opened> = Indexes::new();
}

/// Opens an index: reads its meta page, and the rest unless this backend has seen this very build of the index, and these lists, before.
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
    if let Some(mut known) = known {
        let meta = read_meta(&mut storage).map_err(failed)?;
        if known.index.options.build_id == meta.build_id {
            // While lists are replaced what is read is good for this once.
            if meta.version % 2 == 1 || known.directory.version != meta.version {
                known.reload(&mut storage).map_err(failed)?;
                remember(locator, &known);
            }
            return Ok(known);
        }
    }
    let (index, _) = Index::open(&mut storage).map_err(failed)?;
    let options = &index.options;
    let keys = column::check(
        relation,
        METHOD,
        (options.metric, options.element, options.dims),
        options.keys,
    )?;
    let directory = Directory::load(&index, &mut storage).map_err(failed)?;
    let opened = Opened {
        index: Arc::new(index),
        keys: Rc::new(keys),
        directory: Arc::new(directory),
        hints,
        spare: Spare::default(),
    };
    remember(locator, &opened);
    Ok(opened)
}

fn remember(locator: Locator, opened: &Opened) {
    INDEXES.with(|indexes| indexes.put(locator, opened.clone()));
}

fn read_meta(storage: &mut RelationStorage) -> core::result::Result<Meta, IndexError> {
    storage.read(0, Meta::parse)?.map_err(|failure| failure.at(0))
}
