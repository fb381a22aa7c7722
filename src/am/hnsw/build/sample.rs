//! The centre of a sample of the rows.

use super::plan::Plan;
use crate::am::index_error;
use crate::am::rows::Reader;
use crate::am::value::ColumnValue;
use crate::error::Result;
use crate::pg::index::{Part, scan_table};
use crate::pg::relation::Relation;
use castmatch_engine::index::hnsw::Index;
use castmatch_engine::index::quantize::{CenterBuilder, Quantizer, Rankable};
use pgrx::pg_sys;

/// Blocks that a sample is read from, spread over the table.
const SAMPLE_RANGES: u32 = 128;
/// Blocks of each of them.
const SAMPLE_RANGE_BLOCKS: u32 = 4;

/// The centre of a sample of the rows; empty where codes have none.
pub fn sample_center<V: ColumnValue>(
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
        CenterBuilder::new(index.coded_dims() as usize).map_err(|failure| index_error(relation, failure))?;
    let mut reader = Reader::<_, V>::new(index, None);
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
