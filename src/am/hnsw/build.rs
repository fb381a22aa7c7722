//! CREATE INDEX and REINDEX: the table is read, the graph linked in memory by threads, the pages written and logged as a whole.

use super::options;
use crate::am::index_error;
use crate::am::opclass::{self, OpClass};
use crate::error::{Result, error, invalid_argument, out_of_memory};
use crate::pg::array::ReportError;
use crate::pg::index::{Part, TableRow, planned_workers, scan_table};
use crate::pg::memory::{RowMemory, maintenance_work_mem_bytes};
use crate::pg::relation::Relation;
use crate::pg::thread::SignalBlock;
use crate::pg::vector::VectorArg;
use crate::pg::{buffer, progress, random, varlena, xact};
use castmatch_engine::index::hnsw::build::{Builder, PageSink, Pushed, Supervisor};
use castmatch_engine::index::hnsw::{Index, IndexOptions};
use castmatch_engine::index::page::PageBytes;
use castmatch_engine::index::quantize::{CenterBuilder, CodeBits, CodeRef, Quantizer, Rankable};
use castmatch_engine::index::{ElementKind, HeapTid, IndexError};
use castmatch_engine::interrupt::{Interrupt, Interrupted, NeverInterrupted};
use castmatch_engine::vector::{Element, VectorError, f16};
use core::ffi::CStr;
use core::marker::PhantomData;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Rows of the table and of the index.
pub struct Counts {
    /// Rows that were read.
    pub heap_rows: f64,
    /// Rows that are in the index.
    pub index_rows: f64,
}

const PHASE_SAMPLING: i64 = 2;
const PHASE_READING: i64 = 3;
const PHASE_LINKING: i64 = 4;
const PHASE_WRITING: i64 = 5;

/// The name of a phase, for pg_stat_progress_create_index.
pub fn phase_name(phase: i64) -> Option<&'static CStr> {
    match phase {
        1 => Some(c"initializing"),
        PHASE_SAMPLING => Some(c"sampling rows"),
        PHASE_READING => Some(c"reading rows"),
        PHASE_LINKING => Some(c"linking rows"),
        PHASE_WRITING => Some(c"writing pages"),
        _ => None,
    }
}

/// The seed of rotation and levels: the same for every index, so that the same rows give the same index.
const SEED: u64 = 0x6361_7374_6d61_7463;

/// ambuild.
///
/// # Errors
/// 22023 for options or a column that make no sense, 54000 for too many dimensions, 53200 without memory.
pub fn build(table: Relation, index: Relation, info: *mut pg_sys::IndexInfo) -> Result<Counts> {
    let plan = Plan::of(index)?;
    match plan.class.element {
        ElementKind::Vector => build_typed::<f32>(table, index, info, &plan),
        ElementKind::Halfvec => build_typed::<f16>(table, index, info, &plan),
    }
}

/// ambuildempty: what an unlogged index is after a crash.
///
/// # Errors
/// As for [`build`].
pub fn build_empty(index: Relation) -> Result<()> {
    let plan = Plan::of(index)?;
    let empty = plan.index(index, Vec::new())?;
    let mut pages = Pages(Vec::new());
    Builder::new(&empty, maintenance_work_mem_bytes(), 0)
        .finish(&NeverInterrupted)
        .and_then(|built| built.write_index(&mut pages))
        .map_err(|failure| index_error(index, failure))?;
    buffer::write_init_fork(index, &pages.0);
    Ok(())
}

/// What is to be built, from the catalogs.
struct Plan {
    class: OpClass,
    options: IndexOptions,
}

impl Plan {
    fn of(index: Relation) -> Result<Self> {
        let class = opclass::of(index)?;
        let given = options::of(index)?;
        let (_, typmod) = index.first_column_type();
        let Some(dims) = u32::try_from(typmod).ok().filter(|&dims| dims > 0) else {
            return Err(invalid_argument("column does not have dimensions").set_hint(
                "Give the column's type its number of dimensions, as in vector(384), or index the expression (column::vector(384)).",
            ));
        };
        let bits = given
            .code_bits
            .unwrap_or_else(|| CodeBits::default_for(class.metric, dims as usize));
        Ok(Self {
            class,
            options: IndexOptions {
                metric: class.metric,
                element: class.element,
                bits,
                dims,
                m: given.m,
                ef_construction: given.ef_construction,
                seed: SEED,
                build_id: random::number(),
            },
        })
    }

    /// The parameters of the index with this centre.
    fn index(&self, relation: Relation, center: Vec<f32>) -> Result<Index> {
        Index::new(&self.options, center).map_err(|failure| match failure {
            IndexError::Limit { .. } => self.too_many_dimensions(),
            failure => index_error(relation, failure),
        })
    }

    fn too_many_dimensions(&self) -> ErrorReport {
        let IndexOptions { dims, m, .. } = self.options;
        let fits = |dims: u32| Index::new(&IndexOptions { dims, ..self.options }, Vec::new()).is_ok();
        let (mut most, mut too_many) = (0, dims);
        while most + 1 < too_many {
            let middle = most + (too_many - most) / 2;
            if fits(middle) {
                most = middle
            } else {
                too_many = middle
            }
        }
        error(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("column has {dims} dimensions, a castmatch_hnsw index with these options can have at most {most}"),
        )
        .set_detail(format!(
            "The code of a vector and its {} neighbours must fit on one page.",
            2 * m
        ))
        .set_hint(if self.options.bits == CodeBits::Four {
            "Use a smaller m."
        } else {
            "Use a smaller m or code_bits = 4."
        })
    }
}

fn build_typed<T: Element>(
    table: Relation,
    relation: Relation,
    info: *mut pg_sys::IndexInfo,
    plan: &Plan,
) -> Result<Counts> {
    let failed = |failure| index_error(relation, failure);
    // Refuses what cannot be built before the table is read.
    let provisional = plan.index(relation, Vec::new())?;
    let center = sample_center::<T>(table, relation, info, plan, &provisional)?;
    let index = plan.index(relation, center)?;
    progress::phase(PHASE_READING);
    let workers = planned_workers(table, relation);
    let threads = if workers == 0 { 0 } else { workers + 1 };
    let memory = maintenance_work_mem_bytes();
    let mut builder = Builder::new(&index, memory, threads);
    let mut reader = Reader::<T>::new(&index);
    let mut code = vec![0; index.quantizer.code_bytes()];
    let heap_rows = scan_table(table, relation, info, Part::All, &mut |row| {
        let pushed = reader.read(row, |transformed, rankable, tid| {
            let factors = index.quantizer.encode(transformed, &mut code);
            builder.push(CodeRef { factors, code: &code }, tid, rankable)
        });
        match pushed {
            None | Some(Ok(Pushed::Stored)) => {}
            Some(Ok(Pushed::Full)) => out_of_memory("the graph", memory).report_error(),
            Some(Err(failure)) => failed(failure).report_error(),
        }
    });
    reader.memory.delete();
    let index_rows = f64::from(builder.count());
    progress::phase(PHASE_LINKING);
    progress::rows_total(index_rows as i64);
    progress::rows_done(0);
    let built = builder.finish(&Backend::default()).map_err(failed)?;
    progress::phase(PHASE_WRITING);
    let mut file = File { relation };
    let written = built.write_index(&mut file).map_err(failed)?;
    buffer::log_all(relation, written.end_block);
    Ok(Counts {
        heap_rows,
        index_rows,
    })
}

/// Blocks that a sample is read from, spread over the table.
const SAMPLE_RANGES: u32 = 128;
/// Blocks of each of them.
const SAMPLE_RANGE_BLOCKS: u32 = 4;

/// The centre of a sample of the rows; empty where codes have none.
fn sample_center<T: Element>(
    table: Relation,
    relation: Relation,
    info: *mut pg_sys::IndexInfo,
    plan: &Plan,
    index: &Index,
) -> Result<Vec<f32>> {
    if !Quantizer::uses_center(plan.options.metric, plan.options.bits) {
        return Ok(Vec::new());
    }
    progress::phase(PHASE_SAMPLING);
    let mut center =
        CenterBuilder::new(plan.options.dims as usize).map_err(|failure| index_error(relation, failure))?;
    let mut reader = Reader::<T>::new(index);
    let blocks = table.blocks();
    let ranges = blocks.div_ceil(SAMPLE_RANGE_BLOCKS).min(SAMPLE_RANGES);
    for range in 0..ranges {
        let first = (u64::from(blocks) * u64::from(range) / u64::from(ranges)) as u32;
        let count = SAMPLE_RANGE_BLOCKS.min(blocks - first);
        scan_table(table, relation, info, Part::Blocks(first, count), &mut |row| {
            reader.read(row, |transformed, rankable, _| {
                if rankable == Rankable::Yes {
                    center.add(transformed);
                }
            });
        });
    }
    reader.memory.delete();
    if center.count() == 0 {
        return Ok(Vec::new());
    }
    Ok(center.finish())
}

/// Turns rows of the table into what the engine indexes.
struct Reader<'a, T: Element> {
    index: &'a Index,
    transformed: Vec<f32>,
    memory: RowMemory,
    element: PhantomData<T>,
}

impl<'a, T: Element> Reader<'a, T> {
    fn new(index: &'a Index) -> Self {
        Self {
            index,
            transformed: vec![0.0; index.quantizer.dims()],
            memory: RowMemory::new(),
            element: PhantomData,
        }
    }

    /// Hands the transformed vector of a row to `take`; nothing for NULL.
    fn read<R>(&mut self, row: TableRow, take: impl FnOnce(&[f32], Rankable, HeapTid) -> R) -> Option<R> {
        let datum = row.value?;
        let tid = HeapTid {
            block: row.block,
            offset: row.offset,
        };
        let (index, transformed) = (self.index, &mut self.transformed);
        self.memory.with(|| {
            let vector = if row.alive {
                read_vector::<T>(datum)
            } else {
                read_vector_of_dead_row::<T>(datum)?
            };
            let elements = vector.elements();
            if elements.len() != transformed.len() {
                let expected = vec![T::ZERO; transformed.len()];
                crate::error::vector_error(VectorError::mismatch(expected.as_slice(), elements))
                    .report_error();
            }
            let rankable = index.quantizer.transform(elements, transformed);
            Some(take(transformed, rankable, tid))
        })
    }
}

fn read_vector<T: Element>(datum: pg_sys::Datum) -> VectorArg<T> {
    // SAFETY: the server gives a value of the column's type, which the operator class fixes.
    #[allow(unsafe_code)]
    let vector = unsafe { VectorArg::<T>::from_datum(datum) };
    match vector {
        Ok(vector) => vector,
        Err(report) => report.report_error(),
    }
}

/// The vector of a row that is deleted but may be visible to an old snapshot. If its TOAST chunks are gone, vacuum has found meanwhile that
/// no snapshot can see it: none.
fn read_vector_of_dead_row<T: Element>(datum: pg_sys::Datum) -> Option<VectorArg<T>> {
    // SAFETY: a non-NULL value of a varlena type.
    #[allow(unsafe_code)]
    let outside = unsafe { varlena::is_stored_outside(datum) };
    if !outside {
        return Some(read_vector(datum));
    }
    xact::in_subtransaction(|| Ok(read_vector(datum))).ok()
}

/// The backend that builds: it answers cancel requests, and shows how far the threads are.
#[derive(Default)]
struct Backend {
    signals: SignalBlock,
}

impl Interrupt for Backend {
    fn check(&self) -> Result<(), Interrupted> {
        crate::pg::signals::check_for_interrupts();
        Ok(())
    }
}

impl Supervisor for Backend {
    fn progress(&self, done: u64, _total: u64) {
        progress::rows_done(i64::try_from(done).unwrap_or(i64::MAX));
    }

    fn before_spawn(&self) {
        self.signals.block();
    }

    fn after_spawn(&self) {
        self.signals.restore();
    }
}

/// The index's file, written from its front.
struct File {
    relation: Relation,
}

impl PageSink for File {
    fn page(&mut self, block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        crate::pg::signals::check_for_interrupts();
        buffer::append_unlogged(self.relation, block, bytes);
        Ok(())
    }
}

/// Pages in memory, for the init fork.
struct Pages(Vec<Box<PageBytes>>);

impl PageSink for Pages {
    fn page(&mut self, _block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        self.0.push(Box::new(*bytes));
        Ok(())
    }
}
