//! A sample of the rows of a table, by blocks.

use super::plan::Plan;
use crate::am::index_error;
use crate::am::rows::Reader;
use crate::am::value::ColumnValue;
use crate::error::Result;
use crate::pg::array::ReportError;
use crate::pg::index::{Part, scan_table};
use crate::pg::relation::Relation;
use castmatch_engine::index::ivf::build::Sample;
use castmatch_engine::index::ivf::{Index, lists_for};
use castmatch_engine::index::quantize::Rankable;
use pgrx::pg_sys;

/// Blocks that are read one after the other.
const RANGE_BLOCKS: u32 = 4;
/// The number of lists is estimated anew after so many ranges.
const RANGES_AT_ONCE: u32 = 64;

/// A sample, and what it says of the table.
pub struct Sampled {
    /// The sample.
    pub sample: Sample,
    /// About how many rows the index will have.
    pub rows: u64,
    /// How many lists it is to have.
    pub lists: u32,
}

/// Reads ranges of blocks from all over the table until there are as many rows as the lists of so many rows need, or all were read.
///
/// # Errors
/// Those of the table, 53200 without memory.
pub fn take_sample<V: ColumnValue>(
    table: Relation,
    relation: Relation,
    info: *mut pg_sys::IndexInfo,
    (index, plan): (&Index, &Plan),
    memory: usize,
) -> Result<Sampled> {
    // Half of the memory is left to the clustering.
    let mut sample = Sample::new(index.layout.dims, memory / 2, plan.options.seed);
    let mut reader = Reader::<_, V>::new(index, None);
    let blocks = table.blocks();
    let ranges = blocks.div_ceil(RANGE_BLOCKS);
    let stride = stride(ranges);
    let (mut range, mut read_blocks) = (0, 0_u64);
    let mut lists = 1;
    for turn in 0..ranges {
        let first = range * RANGE_BLOCKS;
        let count = RANGE_BLOCKS.min(blocks - first);
        scan_table(table, relation, info, Part::Blocks(first, count), &mut |row| {
            let added = reader.read(row, |transformed, rankable, _, _| match rankable {
                Rankable::Yes => sample.add(transformed),
                Rankable::No => Ok(()),
            });
            if let Some(Err(failure)) = added {
                index_error(relation, failure).report_error();
            }
        });
        read_blocks += u64::from(count);
        range = ((u64::from(range) + u64::from(stride)) % u64::from(ranges)) as u32;
        if (turn + 1) % RANGES_AT_ONCE == 0 {
            lists = lists_of(plan, rows_of(&sample, read_blocks, blocks));
            if sample.seen() >= Sample::wanted(lists) as u64 {
                break;
            }
        }
    }
    reader.close();
    let rows = rows_of(&sample, read_blocks, blocks);
    lists = lists.max(lists_of(plan, rows));
    // Centroids, their codes and the model's copies of them.
    let list_bytes = index.layout.dims * size_of::<f32>() * 4;
    let lists = lists
        .min(u32::try_from(memory / 2 / list_bytes).unwrap_or(u32::MAX))
        .max(1);
    sample.limit(lists);
    Ok(Sampled { sample, rows, lists })
}

fn lists_of(plan: &Plan, rows: u64) -> u32 {
    match plan.options.lists {
        0 => lists_for(rows),
        lists => lists,
    }
}

/// Rows of the table, by those of the blocks that were read.
fn rows_of(sample: &Sample, read_blocks: u64, blocks: u32) -> u64 {
    if read_blocks == 0 {
        return 0;
    }
    (sample.seen() as f64 * f64::from(blocks) / read_blocks as f64).ceil() as u64
}

/// A step through `count` places that comes to each of them once and, on its way, evenly to all parts: near the golden section.
fn stride(count: u32) -> u32 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let mut stride = (f64::from(count) * GOLDEN) as u32;
    while stride > 1 && greatest_common_divisor(stride, count) != 1 {
        stride -= 1;
    }
    stride.max(1)
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}
