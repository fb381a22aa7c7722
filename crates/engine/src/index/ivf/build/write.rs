//! The pages of a new index, in the order of their blocks.

use crate::index::IndexError;
use crate::index::page::{PAGE_BYTES, PageBytes, PageError, PageKind, bytes, init_page};
use crate::index::quantize::{CodeRef, Factors};

use super::super::encode::Coded;
use super::super::index::Index;
use super::super::layout::{CODE_FACTORS_BYTES, TID_BYTES};
use super::super::page::{
    Entry, Meta, NewRow, PostingPageMut, RefineRecord, RoundedCentroid, get_tid, init_directory,
    init_posting, init_refine, set_next, write_centroid, write_list, write_refine,
};

/// The generation of the lists of a build.
pub(super) const FIRST_GENERATION: u32 = 1;

/// Takes a page with its block.
pub(super) type Sink<'a> = dyn FnMut(u32, &PageBytes) -> Result<(), IndexError> + 'a;

/// Blocks before the first posting page of an index with so many lists.
pub(super) fn first_posting_block(index: &Index, lists: usize) -> usize {
    let directory = lists.div_ceil(index.layout.lists_per_page()).max(1);
    1 + directory + lists.div_ceil(index.layout.centroids_per_page)
}

/// Writes the meta page, the directory and the centroids. The entries have all but the places of their centroids.
pub(super) fn write_directory(
    index: &Index,
    rounded: &[RoundedCentroid],
    numbers: &[f32],
    entries: &[Entry],
    sink: &mut Sink<'_>,
) -> Result<(), IndexError> {
    let layout = &index.layout;
    let options = &index.options;
    let mut page = Box::new([0; PAGE_BYTES]);
    let meta = Meta {
        metric: options.metric,
        element: options.element,
        refine: options.refine,
        dims: options.dims,
        lists: options.lists,
        directory: 1,
        seed: options.seed,
        build_id: options.build_id,
        version: 0,
        generation: FIRST_GENERATION,
        keys: options.keys,
    };
    meta.write(&mut page[..]).map_err(|error| error.at(0))?;
    sink(0, &page)?;
    let per_page = layout.lists_per_page();
    let pages = entries.len().div_ceil(per_page).max(1);
    let first_centroid = number(1 + pages)?;
    let mut codes = super::train::codes(index, numbers);
    for (at, entries) in entries.chunks(per_page).enumerate() {
        let block = number(1 + at)?;
        let failed = |error: PageError| error.at(block);
        init_directory(&mut page[..]).map_err(failed)?;
        if at + 1 < pages {
            set_next(&mut page[..], block + 1).map_err(failed)?;
        }
        for (place, entry) in entries.iter().enumerate() {
            let list = at * per_page + place;
            let entry = Entry {
                centroid_block: first_centroid.saturating_add(number(list / layout.centroids_per_page)?),
                centroid_slot: u16::try_from(list % layout.centroids_per_page).unwrap_or(u16::MAX),
                ..*entry
            };
            let code = codes.next().unwrap_or_default();
            write_list(&mut page[..], layout, place, &entry, &code).map_err(failed)?;
        }
        sink(block, &page)?;
    }
    for (at, centroids) in rounded.chunks(layout.centroids_per_page).enumerate() {
        let block = first_centroid.saturating_add(number(at)?);
        let failed = |error: PageError| error.at(block);
        init_page(&mut page[..], PageKind::Centroids).map_err(failed)?;
        for (slot, centroid) in (0_u16..).zip(centroids) {
            write_centroid(&mut page[..], layout, slot, centroid).map_err(failed)?;
        }
        sink(block, &page)?;
    }
    Ok(())
}

/// A block number.
pub(super) fn number(block: usize) -> Result<u32, IndexError> {
    u32::try_from(block)
        .ok()
        .filter(|block| *block != u32::MAX)
        .ok_or(IndexError::Limit {
            what: "number of blocks",
            value: block as u64,
            limit: u64::from(u32::MAX) - 1,
        })
}

/// The pages of a list with so many rows: posting pages, and all pages.
pub(super) fn pages_of(index: &Index, rows: u64) -> (usize, usize) {
    let pages = (rows.div_ceil(index.layout.rows_per_page() as u64) as usize).max(1);
    (
        pages,
        pages * (1 + index.layout.refine.map_or(0, |refine| refine.pages)),
    )
}

/// Writes the pages of a list, from block `head`: its posting pages, then their refine pages.
pub(super) fn write_postings(
    index: &Index,
    (list, head): (u32, usize),
    records: &[&[u8]],
    sink: &mut Sink<'_>,
) -> Result<(), IndexError> {
    let layout = &index.layout;
    let (pages, _) = pages_of(index, records.len() as u64);
    let refine_pages = layout.refine.map_or(0, |refine| refine.pages);
    let mut page = Box::new([0; PAGE_BYTES]);
    let mut code = Coded::default();
    let rows = |at: usize| {
        let start = (at * layout.rows_per_page()).min(records.len());
        let end = (start + layout.rows_per_page()).min(records.len());
        records.get(start..end).unwrap_or_default()
    };
    for at in 0..pages {
        let block = number(head + at)?;
        let failed = |error: PageError| error.at(block);
        let refine: Vec<u32> = (0..refine_pages)
            .map(|page| number(head + pages + at * refine_pages + page))
            .collect::<Result<_, _>>()?;
        init_posting(&mut page[..], list, FIRST_GENERATION, &refine).map_err(failed)?;
        let mut posting = PostingPageMut::open(&mut page[..], layout).map_err(failed)?;
        if at + 1 < pages {
            posting.set_next(block + 1).map_err(failed)?;
        }
        for record in rows(at) {
            let record = Record::parse(index, record, &mut code).map_err(failed)?;
            posting
                .push(&NewRow {
                    tid: record.tid,
                    code: &code,
                    keys: record.keys,
                })
                .map_err(failed)?;
        }
        sink(block, &page)?;
    }
    let Some(refine) = layout.refine else {
        return Ok(());
    };
    for at in 0..pages {
        let mut rest = rows(at);
        for page_at in 0..refine_pages {
            let block = number(head + pages + at * refine_pages + page_at)?;
            let failed = |error: PageError| error.at(block);
            init_refine(&mut page[..]).map_err(failed)?;
            let here = rest
                .split_off(..refine.rows_per_page.min(rest.len()))
                .unwrap_or_default();
            for (row, record) in here.iter().enumerate() {
                let record = Record::parse(index, record, &mut code).map_err(failed)?;
                if let Some(code) = record.refine {
                    let record = RefineRecord {
                        tid: record.tid,
                        code,
                    };
                    write_refine(&mut page[..], &refine, row, &record).map_err(failed)?;
                }
            }
            sink(block, &page)?;
        }
    }
    Ok(())
}

/// A row on its way to its list.
struct Record<'a> {
    tid: crate::index::HeapTid,
    keys: &'a [u8],
    refine: Option<CodeRef<'a>>,
}

impl<'a> Record<'a> {
    fn parse(index: &Index, record: &'a [u8], code: &mut Coded) -> Result<Self, PageError> {
        let layout = &index.layout;
        let tid = get_tid(record, 0)?.ok_or(PageError::content("a row without a place in the table"))?;
        code.scale = f32::from_bits(bytes::get_u32(record, TID_BYTES)?);
        code.addend = f32::from_bits(bytes::get_u32(record, TID_BYTES + 4)?);
        let mut at = TID_BYTES + CODE_FACTORS_BYTES;
        code.bits.clear();
        code.bits
            .extend_from_slice(bytes::range(record, at, layout.bits_bytes())?);
        at += layout.bits_bytes();
        let keys = bytes::range(record, at, layout.key_bytes)?;
        at += layout.key_bytes;
        let refine = match layout.refine {
            None => None,
            Some(refine) => Some(CodeRef {
                factors: Factors::from_bytes(bytes::array(record, at)?),
                code: bytes::range(record, at + Factors::BYTES, refine.code_bytes)?,
            }),
        };
        Ok(Self { tid, keys, refine })
    }
}
