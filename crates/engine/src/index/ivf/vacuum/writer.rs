//! A list is written, page by page, that nobody sees yet.

use crate::index::IndexError;
use crate::index::page::{PAGE_BYTES, PageBytes, PageError};
use crate::index::quantize::CodeRef;
use crate::index::storage::{Change, PageRead, PageWrite};

use super::super::encode::{Coded, encode};
use super::super::index::Index;
use super::super::insert::NewElement;
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
    /// The longer codes of the rows of the page: their places on it and what is to stand there.
    refine: Vec<(
        usize,
        crate::index::HeapTid,
        crate::index::quantize::Factors,
        Vec<u8>,
    )>,
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
                self.refine.push((place, element.tid, factors, code));
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
            for (place, tid, factors, code) in self.refine.drain(..) {
                let Some((block, at)) = page.refine_place(place) else {
                    continue;
                };
                let record = RefineRecord {
                    tid,
                    code: CodeRef { factors, code: &code },
                };
                let written =
                    storage.update(block, |bytes| match write_refine(bytes, &layout, at, &record) {
                        Ok(()) => (Change::Made, Ok(())),
                        Err(error) => (Change::None, Err(error)),
                    })?;
                written.map_err(|error| error.at(block))?;
            }
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
