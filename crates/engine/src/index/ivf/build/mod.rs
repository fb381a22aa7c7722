//! An index is built: a sample gives the lists, every row goes to its nearest list, and the lists are written one after the other.
//!
//! [`train`] clusters the sample. [`Assembly`] takes the rows, coded, within its memory; what is more goes to tapes, each of which has the
//! rows of some lists. Threads find lists and code; the caller reads the table meanwhile, since only its thread may call the server.

mod assembly;
mod pipeline;
mod train;
mod write;

pub use assembly::{Assembly, TapeMaker};
pub use pipeline::{Feed, run};
pub use train::{Model, Sample, train};

use super::directory::Finder;
use super::encode::{Coded, encode};
use super::index::Index;
use super::insert::NewElement;
use super::layout::{CODE_FACTORS_BYTES, TID_BYTES};
use super::page::tid_bytes;
use crate::index::IndexError;
use crate::index::quantize::{Factors, Rankable};
use crate::index::storage::MemoryStorage;

/// Codes rows for the lists of a model; one for each thread.
#[derive(Debug, Default)]
pub struct Coder {
    finder: Finder,
    storage: MemoryStorage,
    code: Coded,
    refine: Vec<u8>,
}

/// Bytes of a row on its way to its list: place, code, keys, refine code.
fn record_bytes(index: &Index) -> usize {
    let layout = &index.layout;
    let refine = layout
        .refine
        .map_or(0, |refine| Factors::BYTES + refine.code_bytes);
    TID_BYTES + CODE_FACTORS_BYTES + layout.bits_bytes() + layout.key_bytes + refine
}

impl Coder {
    /// Appends the row's record to `out`. Returns its list.
    fn code(
        &mut self,
        index: &Index,
        model: &Model,
        element: &NewElement<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u32, IndexError> {
        out.try_reserve(record_bytes(index))
            .map_err(|_| IndexError::OutOfMemory {
                what: "rows of a build",
                bytes: record_bytes(index),
            })?;
        out.extend_from_slice(&tid_bytes(element.tid));
        self.code.bits.clear();
        self.code.bits.resize(index.layout.bits_bytes(), 0);
        (self.code.scale, self.code.addend) = (0.0, 0.0);
        let mut list = super::directory::UNRANKED;
        if element.rankable == Rankable::Yes {
            list = model.nearest(index, &mut self.finder, &mut self.storage, element.transformed)?;
            encode(
                index.kernels,
                index.options.metric,
                element.transformed,
                model.centroid(list),
                &mut self.code,
            );
        }
        out.extend_from_slice(&self.code.scale.to_le_bytes());
        out.extend_from_slice(&self.code.addend.to_le_bytes());
        out.extend_from_slice(&self.code.bits);
        out.extend_from_slice(element.keys);
        if let Some(refine) = index.layout.refine {
            self.refine.resize(refine.code_bytes, 0);
            let factors = index.quantizer.encode(element.transformed, &mut self.refine);
            out.extend_from_slice(&factors.to_bytes());
            out.extend_from_slice(&self.refine);
        }
        Ok(list)
    }
}
