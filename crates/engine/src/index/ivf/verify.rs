//! Whether an inverted file is as it must be.
//!
//! [`verify`] looks at the form of every page, follows the pages of every list, and hands back the rows that are searched, against which the caller
//! holds the rows of the table. It goes by the directory as it was when it began, as a scan does, so that lists may be replaced meanwhile.
//! What a crash may leave is named in the details and is no failure: pages that no list has, lists between two states.

use crate::index::hnsw::idset::IdSet;
use crate::index::hnsw::verify::{Check, Findings, IndexedRows, Verification};
use crate::index::key::find_fault;
use crate::index::page::{PageError, PageKind, page_kind};
use crate::index::storage::PageRead;
use crate::index::{HeapTid, IndexError, SlotId};

use super::directory::{Directory, List, UNRANKED};
use super::index::Index;
use super::page::{DirectoryPage, Entry, ListState, PostingPage, read_centroid, read_refine};

/// A refine code that is not its row's only costs time: of so many rows one may have lost its own, to insertions that crashed, and those of a
/// page to a vacuum that crashed before the rows followed their codes.
const REFINED_SHARE: u64 = 100;

/// Checks the whole index. Memory: a bit for each page and eight bytes for each row, sixteen with key columns.
///
/// # Errors
/// Those of the storage, [`IndexError::OutOfMemory`]. What is wrong with the index is not an error but a check that failed.
pub fn verify<S: PageRead>(storage: &mut S) -> Result<Verification, IndexError> {
    let opened = Index::open(storage).and_then(|(index, _)| {
        let directory = Directory::load(&index, storage)?;
        Ok((index, directory))
    });
    let (index, directory) = match opened {
        Ok(opened) => opened,
        Err(error @ (IndexError::Corrupt { .. } | IndexError::Version { .. } | IndexError::Limit { .. })) => {
            return Ok(Verification {
                checks: vec![Check {
                    name: "meta page",
                    ok: false,
                    detail: error.to_string(),
                }],
                rows: IndexedRows::default(),
            });
        }
        Err(error) => return Err(error),
    };
    let mut checks = vec![Check {
        name: "meta page",
        ok: true,
        detail: format!(
            "{}, {} dimensions, {} lists",
            index.options.metric.name(),
            index.options.dims,
            directory.len()
        ),
    }];
    let mut verifier = Verifier {
        index: &index,
        owned: IdSet::with_bound(storage.blocks()?)?,
        lists: Findings::default(),
        rows: IndexedRows::default(),
        row_faults: Findings::default(),
        counted: 0,
        unrefined: Findings::default(),
        unrefined_count: 0,
    };
    verifier.list(storage, &directory.unranked)?;
    for list in directory.lists() {
        verifier.list(storage, list)?;
    }
    checks.push(verifier.pages(storage)?);
    checks.push(
        verifier
            .lists
            .check("lists", &format!("{} lists", directory.len())),
    );
    let counted = format!("{} rows", verifier.counted);
    checks.push(verifier.row_faults.check("rows", &counted));
    if index.layout.refine.is_some() {
        let mut check = verifier.unrefined.check("refine codes", &counted);
        let tolerated = verifier.counted / REFINED_SHARE + index.layout.rows_per_page() as u64;
        check.ok = verifier.unrefined_count <= tolerated;
        checks.push(check);
    }
    let (rows, check) = verifier.rows.sorted(|| storage.check_interrupts())?;
    checks.push(check);
    Ok(Verification { checks, rows })
}

struct Verifier<'a> {
    index: &'a Index,
    owned: IdSet,
    lists: Findings,
    rows: IndexedRows,
    row_faults: Findings,
    counted: u64,
    unrefined: Findings,
    unrefined_count: u64,
}

/// A row, its keys, and the place of its longer code.
type PageRow = (HeapTid, Vec<u8>, Option<(u32, usize)>);

/// What is on a page of a list.
struct PageRows {
    next: u32,
    rows: Vec<PageRow>,
    faults: Vec<&'static str>,
}

impl Verifier<'_> {
    /// Follows the pages of a list.
    fn list<S: PageRead>(&mut self, storage: &mut S, list: &List) -> Result<(), IndexError> {
        let (mut block, number) = (list.head, list.number);
        let mut centroid = vec![0.0; self.index.layout.dims];
        match list.centroid(self.index, storage, &mut centroid) {
            Err(IndexError::Corrupt { block, what }) => {
                self.lists
                    .add(|| format!("centroid of list {number}, block {block}: {what}"));
            }
            other => other?,
        }
        if block == 0 {
            self.lists.add(|| format!("list {number} has no page"));
        }
        while block != 0 {
            storage.check_interrupts()?;
            if block >= storage.blocks()? {
                self.lists
                    .add(|| format!("list {number} names block {block} beyond the end of the index"));
                break;
            }
            if !self.owned.insert(SlotId(block))? {
                self.lists
                    .add(|| format!("block {block} of list {number} is in a list twice"));
                break;
            }
            match storage.read(block, |bytes| self.read_page(bytes, list))? {
                Err(_) => {
                    self.lists
                        .add(|| format!("block {block} of list {number} cannot be read"));
                    break;
                }
                // A list that ends on a page of another was given up, or the page was never linked.
                Ok(None) => {
                    self.lists
                        .add(|| format!("block {block} of list {number} is not of this list"));
                    break;
                }
                Ok(Some(page)) => {
                    block = self.take(storage, block, page)?;
                }
            }
        }
        Ok(())
    }

    fn read_page(&self, bytes: &[u8], list: &List) -> Result<Option<PageRows>, PageError> {
        let page = PostingPage::open(bytes, &self.index.layout)?;
        let head = page.head();
        if !head.is_of(list.number, list.generation) {
            return Ok(None);
        }
        let mut found = PageRows {
            next: head.next,
            rows: Vec::new(),
            faults: Vec::new(),
        };
        let keys = self.index.options.keys.count();
        let mut place = 0;
        for rows in page.blocks() {
            let rows = rows?;
            for row in 0..rows.count {
                match rows.tid(row) {
                    Ok(tid) => {
                        // Nobody looks at the longer code of a row without rank.
                        let refine = page.refine_place(place).filter(|_| list.number != UNRANKED);
                        found.rows.push((tid, rows.keys(row).to_vec(), refine));
                    }
                    Err(_) => found.faults.push("a row without a place in the table"),
                }
                found.faults.extend(find_fault(rows.keys(row), keys));
                place += 1;
            }
        }
        Ok(Some(found))
    }

    /// Takes in what is on a page. Returns the next.
    fn take<S: PageRead>(&mut self, storage: &mut S, block: u32, page: PageRows) -> Result<u32, IndexError> {
        for fault in page.faults {
            self.row_faults.add(|| format!("block {block}: {fault}"));
        }
        for (tid, keys, refine) in page.rows {
            self.counted += 1;
            self.rows.push(tid, &keys)?;
            if let (Some(layout), Some((refine_block, at))) = (self.index.layout.refine, refine) {
                let own = refine_block < storage.blocks()?
                    && storage.read(refine_block, |bytes| {
                        matches!(read_refine(bytes, &layout, at), Ok(Some(record)) if record.tid == tid)
                    })?;
                if !own {
                    self.unrefined_count += 1;
                    self.unrefined.add(|| {
                        format!(
                            "block {refine_block} place {at} is not that of row ({},{})",
                            tid.block, tid.offset
                        )
                    });
                }
            }
        }
        Ok(page.next)
    }

    /// The form of every page.
    fn pages<S: PageRead>(&mut self, storage: &mut S) -> Result<Check, IndexError> {
        let mut faults = Findings::default();
        let (mut unused, mut others) = (0_u64, 0_u64);
        let blocks = storage.blocks()?;
        let index = self.index;
        storage.read_in_order(1..blocks);
        for block in 1..blocks {
            storage.check_interrupts()?;
            let owned = self.owned.contains(SlotId(block));
            let read = storage.read(block, |bytes| -> Result<(), PageError> {
                match page_kind(bytes)? {
                    None | Some(PageKind::Unused) => unused += 1,
                    Some(PageKind::Posting) => {
                        PostingPage::open(bytes, &index.layout)?;
                        others += u64::from(!owned);
                    }
                    Some(PageKind::Refine) => {}
                    Some(PageKind::Directory) => check_directory(bytes, index)?,
                    Some(PageKind::Centroids) => {
                        for slot in 0..index.layout.centroids_per_page {
                            read_centroid(bytes, &index.layout, u16::try_from(slot).unwrap_or(u16::MAX))?;
                        }
                    }
                    Some(_) => return Err(PageError::content("page is of a kind that this index has not")),
                }
                Ok(())
            })?;
            if let Err(error) = read {
                faults.add(|| format!("block {block}: {error}"));
            }
        }
        Ok(faults.check(
            "pages",
            &format!("{blocks} pages, {unused} unused, {others} of lists that are not searched"),
        ))
    }
}

fn check_directory(bytes: &[u8], index: &Index) -> Result<(), PageError> {
    for parsed in DirectoryPage::open(bytes, &index.layout)?.entries() {
        let Entry { state, leader, .. } = parsed?.entry;
        let depends = matches!(state, ListState::Closing | ListState::Pending);
        if depends != leader.is_some() {
            return Err(PageError::content(
                "a list depends on another and should not, or the reverse",
            ));
        }
    }
    Ok(())
}
