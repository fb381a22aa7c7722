//! A list is written, page by page, that nobody sees yet.

use crate::index::page::{PAGE_BYTES, PageBytes, PageError};
use crate::index::quantize::{CodeRef, Factors};
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{HeapTid, IndexError};

use super::super::encode::{Coded, encode};
use super::super::index::Index;
use super::super::insert::NewElement;
use super::super::layout::RefineLayout;
use super::super::page::{NewRow, PostingPage, PostingPageMut, RefineRecord, RoundedCentroid, write_refine};
use super::super::pages::take_posting;

/// A list that is being written.
#[derive(Debug)]
pub(super) struct ListWriter {
    pub number: u32,
    pub generation: u32,
    pub head: u32,
    pub tail: u32,
    pub rows: u64,
    pub rounded: RoundedCentroid,
    centroid: Vec<f32>,
    page: Box<PageBytes>,
    code: Coded,
    /// The longer codes of rows of the page.
    refine: Vec<LongCode>,
}

/// The longer code of a row, and the row's place on its posting page.
#[derive(Debug)]
struct LongCode {
    place: usize,
    tid: HeapTid,
    factors: Factors,
    code: Vec<u8>,
}

/// Writes longer codes to their page, in one record.
fn write_codes<S: PageWrite>(
    storage: &mut S,
    layout: &RefineLayout,
    block: u32,
    page: &PostingPage<'_>,
    codes: &[LongCode],
) -> Result<(), IndexError> {
    let written = storage.update(block, |bytes| {
        for code in codes {
            let Some((_, at)) = page.refine_place(code.place) else {
                continue;
            };
            let record = RefineRecord {
                tid: code.tid,
                code: CodeRef {
                    factors: code.factors,
                    code: &code.code,
                },
            };
            // Fails for the first one or for none: the page is of another kind.
            if let Err(error) = write_refine(bytes, layout, at, &record) {
                return (Change::None, Err(error));
            }
        }
        (Change::Made, Ok(()))
    })?;
    written.map_err(|error| error.at(block))
}

impl ListWriter {
    /// Takes the first page of a list.
    pub fn begin<S: PageWrite>(
        index: &Index,
        storage: &mut S,
        (number, generation): (u32, u32),
        centroid: &[f32],
    ) -> Result<Self, IndexError> {
        let rounded = RoundedCentroid::new(centroid);
        let mut numbers = vec![0.0; index.layout.dims];
        index
            .kernels
            .decode_centroid(&rounded.numbers, rounded.scale, &mut numbers);
        let head = take_posting(index, storage, number, generation, None)?;
        let mut writer = Self {
            number,
            generation,
            head,
            tail: head,
            rows: 0,
            rounded,
            centroid: numbers,
            page: Box::new([0; PAGE_BYTES]),
            code: Coded::default(),
            refine: Vec::new(),
        };
        writer.load(storage)?;
        Ok(writer)
    }

    /// The centroid as it stands on its page.
    pub fn centroid(&self) -> &[f32] {
        &self.centroid
    }

    /// Copies the last page of the list.
    fn load<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        let page = &mut self.page;
        storage.read(self.tail, |bytes| page.copy_from_slice(bytes))
    }

    /// Adds a row.
    pub fn push<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        element: &NewElement<'_>,
    ) -> Result<(), IndexError> {
        encode(
            index.kernels,
            index.options.metric,
            element.transformed,
            &self.centroid,
            &mut self.code,
        );
        loop {
            let failed = |error: PageError| error.at(self.tail);
            let row = NewRow {
                tid: element.tid,
                code: &self.code,
                keys: element.keys,
            };
            let place = PostingPageMut::open(&mut self.page[..], &index.layout)
                .and_then(|mut page| page.push(&row))
                .map_err(failed)?;
            let Some(place) = place else {
                let next = take_posting(index, storage, self.number, self.generation, None)?;
                PostingPageMut::open(&mut self.page[..], &index.layout)
                    .and_then(|mut page| page.set_next(next))
                    .map_err(|error| error.at(self.tail))?;
                self.flush(index, storage)?;
                self.tail = next;
                self.load(storage)?;
                continue;
            };
            if let Some(refine) = index.layout.refine {
                let mut code = vec![0; refine.code_bytes];
                let factors = index.quantizer.encode(element.transformed, &mut code);
                self.refine.push(LongCode {
                    place,
                    tid: element.tid,
                    factors,
                    code,
                });
            }
            self.rows += 1;
            return Ok(());
        }
    }

    /// Writes the last page as far as it is.
    pub fn flush<S: PageWrite>(&mut self, index: &Index, storage: &mut S) -> Result<(), IndexError> {
        if let Some(layout) = index.layout.refine {
            let page =
                PostingPage::open(&self.page[..], &index.layout).map_err(|error| error.at(self.tail))?;
            let block_of = |place: usize| page.refine_place(place).map(|(block, _)| block);
            for codes in self
                .refine
                .chunk_by(|a, b| block_of(a.place) == block_of(b.place))
            {
                let Some(block) = codes.first().and_then(|code| block_of(code.place)) else {
                    continue;
                };
                write_codes(storage, &layout, block, &page, codes)?;
            }
            self.refine.clear();
        }
        let page = &self.page;
        storage.update(self.tail, |bytes| {
            // The server's header is the server's.
            let body = crate::index::page::HEADER_BYTES..;
            if let (Some(to), Some(from)) = (bytes.get_mut(body.clone()), page.get(body)) {
                to.copy_from_slice(from);
            }
            (Change::Made, ())
        })
    }
}
