//! Searches of the lists.

use super::state::{self, Opened};
use crate::am::hints::Hints;
use crate::am::keys::Keys;
use crate::am::search::{Rows, Search};
use crate::am::storage::RelationStorage;
use crate::error::Result;
use crate::guc;
use crate::pg::relation::Relation;
use castmatch_engine::index::hnsw::scan::Hit;
use castmatch_engine::index::ivf::Index;
use castmatch_engine::index::ivf::scan::{Scan, ScanOptions};
use castmatch_engine::index::key::Filter;
use castmatch_engine::index::{IndexError, Metric};
use std::rc::Rc;
use std::sync::Arc;

/// A search of one index.
pub struct Searcher {
    opened: Opened,
    scan: Scan,
}

impl Search for Searcher {
    type Index = Index;

    fn open(relation: Relation, before: Option<Self>) -> Result<Self> {
        let opened = state::open(relation)?;
        let scan = before.map_or_else(|| opened.spare_scan(), |before| before.scan);
        Ok(Self { opened, scan })
    }

    fn index(&self) -> &Index {
        &self.opened.index
    }

    fn metric(&self) -> Metric {
        self.opened.index.options.metric
    }

    fn keys(&self) -> &Keys {
        &self.opened.keys
    }

    fn hints(&self) -> Rc<Hints> {
        Rc::clone(&self.opened.hints)
    }

    fn rescan(
        &mut self,
        storage: &mut RelationStorage,
        target: Option<&[f32]>,
        filter: Option<Filter>,
    ) -> core::result::Result<(), IndexError> {
        self.scan.set_options(ScanOptions {
            probes: guc::probes(),
            epsilon: guc::rerank_confidence(),
            memory_limit_bytes: crate::pg::memory::work_mem_bytes(),
        });
        self.scan
            .rescan(storage, Arc::clone(&self.opened.directory), target, filter)
    }

    fn next(
        &mut self,
        storage: &mut RelationStorage,
        rows: &mut Rows<'_>,
    ) -> core::result::Result<Option<Hit>, IndexError> {
        self.scan.next(storage, rows)
    }

    fn close(self) {
        self.opened.keep_scan(self.scan);
    }
}
