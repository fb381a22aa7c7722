//! The rows of the table on their way into the index.

use super::plan::Plan;
use crate::am::index_error;
use crate::am::keys::Keys;
use crate::error::Result;
use crate::pg::array::ReportError;
use crate::pg::index::{Columns, Part, TableRow, scan_table};
use crate::pg::memory::RowMemory;
use crate::pg::relation::Relation;
use crate::pg::vector::VectorArg;
use crate::pg::{varlena, xact};
use castmatch_engine::index::HeapTid;
use castmatch_engine::index::hnsw::Index;
use castmatch_engine::index::key::RowKeys;
use castmatch_engine::index::quantize::{CenterBuilder, Quantizer, Rankable};
use castmatch_engine::vector::{Element, VectorError};
use core::marker::PhantomData;
use pgrx::pg_sys;

/// Blocks that a sample is read from, spread over the table.
const SAMPLE_RANGES: u32 = 128;
/// Blocks of each of them.
const SAMPLE_RANGE_BLOCKS: u32 = 4;

/// The centre of a sample of the rows; empty where codes have none.
pub fn sample_center<T: Element>(
    table: Relation,
    relation: Relation,
    info: *mut pg_sys::IndexInfo,
    plan: &Plan,
    index: &Index,
) -> Result<Vec<f32>> {
    if !Quantizer::uses_center(plan.options.metric, plan.options.bits) {
        return Ok(Vec::new());
    }
    let mut center =
        CenterBuilder::new(plan.options.dims as usize).map_err(|failure| index_error(relation, failure))?;
    let mut reader = Reader::<T>::new(index, None);
    let blocks = table.blocks();
    let ranges = blocks.div_ceil(SAMPLE_RANGE_BLOCKS).min(SAMPLE_RANGES);
    for range in 0..ranges {
        let first = (u64::from(blocks) * u64::from(range) / u64::from(ranges)) as u32;
        let count = SAMPLE_RANGE_BLOCKS.min(blocks - first);
        scan_table(table, relation, info, Part::Blocks(first, count), &mut |row| {
            reader.read(row, |transformed, rankable, _, _| {
                if rankable == Rankable::Yes {
                    center.add(transformed);
                }
            });
        });
    }
    reader.close();
    if center.count() == 0 {
        return Ok(Vec::new());
    }
    Ok(center.finish())
}

/// Turns rows of the table into what the engine indexes.
pub struct Reader<'a, T: Element> {
    index: &'a Index,
    keys: Option<&'a Keys>,
    transformed: Vec<f32>,
    memory: RowMemory,
    element: PhantomData<T>,
}

impl<'a, T: Element> Reader<'a, T> {
    /// For an index with these parameters. Without `keys` rows come with none.
    pub fn new(index: &'a Index, keys: Option<&'a Keys>) -> Self {
        Self {
            index,
            keys,
            transformed: vec![0.0; index.quantizer.dims()],
            memory: RowMemory::new(),
            element: PhantomData,
        }
    }

    /// Gives back the memory of rows.
    pub fn close(self) {
        self.memory.delete();
    }

    /// Hands the transformed vector of a row and its keys to `take`; nothing for a vector that is NULL.
    pub fn read<R>(
        &mut self,
        row: TableRow<'_>,
        take: impl FnOnce(&[f32], Rankable, &RowKeys, HeapTid) -> R,
    ) -> Option<R> {
        row.columns.get(0)?;
        let tid = HeapTid {
            block: row.block,
            offset: row.offset,
        };
        let (index, keys, transformed) = (self.index, self.keys, &mut self.transformed);
        self.memory.with(|| {
            let (vector, keys) = if row.alive {
                read_values::<T>(row.columns, keys)?
            } else {
                read_dead_values::<T>(row.columns, keys)?
            };
            let elements = vector.elements();
            if elements.len() != transformed.len() {
                let expected = vec![T::ZERO; transformed.len()];
                crate::error::vector_error(VectorError::mismatch(expected.as_slice(), elements))
                    .report_error();
            }
            let rankable = index.quantizer.transform(elements, transformed);
            Some(take(transformed, rankable, &keys, tid))
        })
    }
}

/// The vector of a row, none if it is NULL, and its keys.
fn read_values<T: Element>(row: Columns<'_>, keys: Option<&Keys>) -> Option<(VectorArg<T>, RowKeys)> {
    let datum = row.get(0)?;
    // SAFETY: the server gives a value of the column's type, which the operator class fixes.
    #[allow(unsafe_code)]
    let vector = unsafe { VectorArg::<T>::from_datum(datum) };
    let keys = keys.map_or_else(|| Ok(RowKeys::new(0)), |keys| keys.encode(row));
    match vector.and_then(|vector| keys.map(|keys| (vector, keys))) {
        Ok(values) => Some(values),
        Err(report) => report.report_error(),
    }
}

/// The same of a row that is deleted but may be visible to an old snapshot. If its TOAST chunks are gone, vacuum has found meanwhile that
/// no snapshot can see it: none.
fn read_dead_values<T: Element>(row: Columns<'_>, keys: Option<&Keys>) -> Option<(VectorArg<T>, RowKeys)> {
    // SAFETY: a non-NULL value of a varlena type.
    #[allow(unsafe_code)]
    let outside = unsafe { varlena::is_stored_outside(row.get(0)?) };
    if !outside && !keys.is_some_and(|keys| keys.any_stored_outside(row)) {
        return read_values(row, keys);
    }
    xact::in_subtransaction(|| Ok(read_values(row, keys)))
        .ok()
        .flatten()
}
