//! Rows on their way to their lists: in memory, and on tapes as far as that does not suffice.

use crate::index::IndexError;
use crate::index::hnsw::build::{PageSink, Supervisor, Tape};
use crate::index::page::bytes;

use super::super::directory::UNRANKED;
use super::super::index::Index;
use super::super::page::Entry;
use super::record_bytes;
use super::train::Model;
use super::write::{
    FIRST_GENERATION, first_posting_block, number, pages_of, write_directory, write_postings,
};

/// Makes tapes.
pub trait TapeMaker {
    /// What it makes.
    type Tape: Tape;

    /// An empty tape.
    fn open(&mut self) -> Self::Tape;

    /// Takes back a tape that is of no more use.
    fn close(&mut self, tape: Self::Tape);
}

/// Some rows and their lists.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub lists: Vec<u32>,
    pub records: Vec<u8>,
}

/// Where a row of a list is, in the order of the index.
type Sorted = (u32, u64, u32, u32);

/// What a row takes beside its record while it is sorted.
const ROW_OVERHEAD_BYTES: usize = size_of::<u32>() + size_of::<Sorted>() + size_of::<&[u8]>();
/// What a row takes on a tape beside its record: its list.
const LIST_BYTES: usize = size_of::<u32>();
/// More tapes than this are not kept open at once.
const TAPES_MAX: usize = 256;
/// How many bytes are put together for a tape or read from it at once.
const TAPE_BYTES: usize = 64 << 10;

/// An index whose rows are being collected.
pub struct Assembly<'a, M: TapeMaker> {
    index: &'a Index,
    model: &'a Model,
    maker: M,
    memory_bytes: usize,
    expected_rows: u64,
    batches: Vec<Batch>,
    held: usize,
    counts: Vec<u64>,
    tapes: Vec<(M::Tape, Vec<u8>)>,
    rows: u64,
}

impl<'a, M: TapeMaker> Assembly<'a, M> {
    /// An empty one, of about so many rows.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn new(
        index: &'a Index,
        model: &'a Model,
        maker: M,
        memory_bytes: usize,
        expected_rows: u64,
    ) -> Result<Self, IndexError> {
        let mut counts = Vec::new();
        counts
            .try_reserve_exact(model.len())
            .map_err(|_| out_of_memory(model.len() * size_of::<u64>()))?;
        counts.resize(model.len(), 0);
        Ok(Self {
            index,
            model,
            maker,
            memory_bytes,
            expected_rows,
            batches: Vec::new(),
            held: 0,
            counts,
            tapes: Vec::new(),
            rows: 0,
        })
    }

    /// The index.
    pub(super) fn parts(&self) -> (&'a Index, &'a Model) {
        (self.index, self.model)
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn row_bytes(&self) -> usize {
        record_bytes(self.index) + ROW_OVERHEAD_BYTES
    }

    /// Takes some rows.
    pub(super) fn absorb(&mut self, batch: Batch) -> Result<(), IndexError> {
        for list in &batch.lists {
            if let Some(count) = self.counts.get_mut(*list as usize) {
                *count += 1;
            }
        }
        self.rows += batch.lists.len() as u64;
        self.held += batch.lists.len();
        self.batches.push(batch);
        if self.held * self.row_bytes() > self.memory_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// The tape of a list: each has as many lists.
    fn tape_of(&self, list: u32) -> usize {
        list as usize * self.tapes.len() / self.model.len().max(1)
    }

    /// Writes what is in memory to tapes.
    fn spill(&mut self) -> Result<(), IndexError> {
        if self.tapes.is_empty() {
            // Half of the memory for the rows of one tape, since lists are uneven.
            let total = self
                .expected_rows
                .max(self.rows)
                .saturating_mul(self.row_bytes() as u64);
            let tapes = total.div_ceil((self.memory_bytes as u64 / 2).max(1)) as usize;
            for _ in 0..tapes.clamp(2, TAPES_MAX.min(self.model.len().max(2))) {
                self.tapes.push((self.maker.open(), Vec::new()));
            }
        }
        let length = record_bytes(self.index);
        let batches = core::mem::take(&mut self.batches);
        for batch in &batches {
            for (list, record) in batch.lists.iter().zip(batch.records.chunks_exact(length)) {
                let tape = self.tape_of(*list);
                if let Some((tape, buffer)) = self.tapes.get_mut(tape) {
                    buffer.extend_from_slice(&list.to_le_bytes());
                    buffer.extend_from_slice(record);
                    if buffer.len() >= TAPE_BYTES {
                        tape.append(buffer)?;
                        buffer.clear();
                    }
                }
            }
        }
        self.held = 0;
        Ok(())
    }

    /// Writes the index. Returns its rows and its blocks.
    ///
    /// # Errors
    /// [`IndexError::Limit`], [`IndexError::OutOfMemory`], [`IndexError::Interrupted`], those of the sink and the tapes.
    pub fn finish(
        mut self,
        sink: &mut impl PageSink,
        supervisor: &dyn Supervisor,
    ) -> Result<(u64, u32), IndexError> {
        let (index, model) = self.parts();
        let mut next = first_posting_block(index, model.len());
        let mut entries = Vec::new();
        let mut heads = Vec::new();
        for count in &self.counts {
            let (postings, all) = pages_of(index, *count);
            heads.push(next);
            entries.push(Entry {
                head: number(next)?,
                tail: number(next + postings - 1)?,
                generation: FIRST_GENERATION,
                ..Entry::EMPTY
            });
            next += all;
        }
        let blocks = number(next)?;
        let mut write = |block: u32, bytes: &_| sink.page(block, bytes);
        write_directory(index, &model.rounded, model.centroids(), &entries, &mut write)?;
        drop(entries);
        let rows = self.rows;
        if self.tapes.is_empty() {
            let batches = core::mem::take(&mut self.batches);
            write_lists(index, &batches, (0, model.len()), &heads, &mut write, supervisor)?;
            return Ok((rows, blocks));
        }
        self.spill()?;
        let count = self.tapes.len();
        let mut first = 0;
        for (at, (mut tape, buffer)) in core::mem::take(&mut self.tapes).into_iter().enumerate() {
            tape.append(&buffer)?;
            drop(buffer);
            // The first list of the next tape.
            let end = ((at + 1) * model.len()).div_ceil(count);
            let batch = read_tape(index, &mut tape, supervisor)?;
            self.maker.close(tape);
            write_lists(index, &[batch], (first, end), &heads, &mut write, supervisor)?;
            first = end;
        }
        Ok((rows, blocks))
    }
}

/// The rows of a tape.
fn read_tape(index: &Index, tape: &mut impl Tape, supervisor: &dyn Supervisor) -> Result<Batch, IndexError> {
    let length = LIST_BYTES + record_bytes(index);
    let mut batch = Batch::default();
    let mut buffer = vec![0; length * (TAPE_BYTES / length).max(1)];
    tape.rewind()?;
    loop {
        supervisor.check()?;
        let read = tape.read(&mut buffer)?;
        for record in buffer.get(..read).unwrap_or_default().chunks_exact(length) {
            let list = bytes::get_u32(record, 0).map_err(|error| error.at(0))?;
            let record = record.get(LIST_BYTES..).unwrap_or_default();
            batch
                .lists
                .try_reserve(1)
                .map_err(|_| out_of_memory(batch.lists.len()))?;
            batch
                .records
                .try_reserve(record.len())
                .map_err(|_| out_of_memory(batch.records.len()))?;
            batch.lists.push(list);
            batch.records.extend_from_slice(record);
        }
        if read < buffer.len() {
            return Ok(batch);
        }
    }
}

/// Writes the lists from the first of the range up to before its end.
fn write_lists(
    index: &Index,
    batches: &[Batch],
    (first, end): (usize, usize),
    heads: &[usize],
    sink: &mut super::write::Sink<'_>,
    supervisor: &dyn Supervisor,
) -> Result<(), IndexError> {
    let length = record_bytes(index);
    let rows = batches.iter().map(|batch| batch.lists.len()).sum::<usize>();
    let mut sorted: Vec<Sorted> = Vec::new();
    sorted
        .try_reserve_exact(rows)
        .map_err(|_| out_of_memory(rows.saturating_mul(size_of::<Sorted>())))?;
    for (at, batch) in (0_u32..).zip(batches) {
        for ((row, list), record) in (0_u32..)
            .zip(&batch.lists)
            .zip(batch.records.chunks_exact(length))
        {
            // In the order of the table, whatever order threads finished in.
            let block = bytes::get_u32(record, 0).map_err(|error| error.at(0))?;
            let offset = bytes::get_u16(record, size_of::<u32>()).map_err(|error| error.at(0))?;
            sorted.push((*list, u64::from(block) << 16 | u64::from(offset), at, row));
        }
    }
    sorted.sort_unstable();
    let mut rest = sorted.as_slice();
    let mut records: Vec<&[u8]> = Vec::new();
    for list in first..end {
        supervisor.check()?;
        let count = rest.partition_point(|row| row.0 as usize <= list);
        records.clear();
        records
            .try_reserve(count)
            .map_err(|_| out_of_memory(count.saturating_mul(size_of::<&[u8]>())))?;
        for (_, _, batch, row) in rest.split_off(..count).unwrap_or_default() {
            let start = *row as usize * length;
            let record = batches
                .get(*batch as usize)
                .and_then(|batch| batch.records.get(start..start + length));
            records.push(record.unwrap_or_default());
        }
        let list_number = u32::try_from(list).unwrap_or(UNRANKED);
        let head = heads.get(list).copied().unwrap_or_default();
        write_postings(index, (list_number, head), &records, sink)?;
        supervisor.progress(list as u64, heads.len() as u64);
    }
    Ok(())
}

fn out_of_memory(bytes: usize) -> IndexError {
    IndexError::OutOfMemory {
        what: "rows of a build",
        bytes,
    }
}
