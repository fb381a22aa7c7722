//! Longer codes are looked at for the rows that would be fetched next.

use crate::index::IndexError;
use crate::index::page::PageError;
use crate::index::storage::PageRead;

use super::super::page::{PostingPage, read_refine};
use super::Scan;
use super::pool::Row;

impl Scan {
    /// Looks at the longer code of the nearest row, if that was not done. Returns whether it was now.
    pub(super) fn refine_next<S: PageRead>(&mut self, storage: &mut S) -> Result<bool, IndexError> {
        let Some(layout) = self.index.layout.refine else {
            return Ok(false);
        };
        let Some(row) = self.pool.take_unrefined() else {
            return Ok(false);
        };
        self.pool.reserve(1)?;
        let index = &*self.index;
        let place = storage.read(row.page, |bytes| {
            // A page that was given to something else meanwhile has nothing to say.
            PostingPage::open(bytes, &index.layout).map(|page| page.refine_place(usize::from(row.place)))
        })?;
        let mut lower = row.lower;
        if let Ok(Some((block, at))) = place {
            let (query, epsilon) = (&self.query, self.options.epsilon);
            let bound = storage.read(block, |bytes| -> Result<Option<f32>, PageError> {
                let Ok(Some(record)) = read_refine(bytes, &layout, at) else {
                    return Ok(None);
                };
                // Rows move on their page, their longer codes a moment before or after.
                Ok((record.tid == row.tid()).then(|| {
                    let key = query.estimate(record.code);
                    query.lower_bound(key, &record.code.factors, epsilon)
                }))
            })?;
            // The tighter bound alone: where the short code promised more it may have been wrong.
            if let Some(bound) = bound.map_err(|error| error.at(block))? {
                lower = bound;
            }
        }
        self.pool.put_back(Row {
            lower,
            refined: true,
            ..row
        });
        Ok(true)
    }
}
