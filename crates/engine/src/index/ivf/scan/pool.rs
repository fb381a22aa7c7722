//! The rows that a scan knows of, by what their distance is at least.
//!
//! The nearest few are in order, the many behind them are not: most scans never ask for those. Rows whose exact distance was fetched wait in a
//! heap until no other row can be nearer.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::index::{HeapTid, IndexError};

/// A row and what its key is at least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub lower: f32,
    pub block: u32,
    pub offset: u16,
    /// Whether the longer code was looked at.
    pub refined: bool,
    /// The posting page of the row in the pool's list of pages, and its place there; for the longer codes.
    pub page: u32,
    pub place: u16,
}

impl Row {
    pub fn tid(&self) -> HeapTid {
        HeapTid {
            block: self.block,
            offset: self.offset,
        }
    }
}

/// A row whose exact key is known. The greatest is the nearest; not a number is farthest.
#[derive(Debug, Clone, Copy)]
struct Fetched {
    key: f64,
    tid: HeapTid,
}

impl Ord for Fetched {
    fn cmp(&self, other: &Self) -> Ordering {
        let ordered = |key: f64| if key.is_nan() { f64::NAN.abs() } else { key };
        ordered(other.key)
            .total_cmp(&ordered(self.key))
            .then_with(|| other.tid.cmp(&self.tid))
    }
}

impl PartialOrd for Fetched {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Fetched {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Fetched {}

/// What is to be done next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// This row is the nearest of all in the pool.
    Emit(HeapTid, f64),
    /// Exact keys are needed.
    Fetch,
    /// There are no rows.
    Empty,
}

/// Rows that are put in order at once, at first; twice as many each time.
const FIRST_FRONT: usize = 64;
const FRONT_MAX: usize = 4096;
/// Rows that are fetched at once: at first, and later.
const FIRST_BATCH: usize = 24;
const BATCH: usize = 8;

/// The rows that a scan knows of.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// In no order, none nearer than those in front.
    rest: Vec<Row>,
    /// The nearest, farthest first.
    front: Vec<Row>,
    front_size: usize,
    fetched: BinaryHeap<Fetched>,
    batch: Vec<Row>,
    batches: usize,
    /// Rows that were ever added, and that were returned.
    total: usize,
    returned: usize,
    limit: usize,
}

impl Pool {
    /// Empties it. It is full when its rows occupy so many bytes.
    pub fn clear(&mut self, limit_bytes: usize) {
        self.limit = (limit_bytes / size_of::<Row>()).max(FRONT_MAX);
        self.rest.clear();
        // What a scan with more memory left is given back.
        self.rest.shrink_to(self.limit);
        self.front.clear();
        self.fetched.clear();
        self.front_size = FIRST_FRONT;
        (self.batches, self.total, self.returned) = (0, 0, 0);
    }

    pub fn memory_bytes(&self) -> usize {
        (self.rest.capacity() + self.front.capacity()) * size_of::<Row>()
            + self.fetched.capacity() * size_of::<Fetched>()
    }

    /// Whether it has as many rows as it may.
    pub fn is_full(&self) -> bool {
        self.rest.len() + self.front.len() >= self.limit
    }

    pub fn total(&self) -> usize {
        self.total
    }

    pub fn returned(&self) -> usize {
        self.returned
    }

    /// Makes room for so many rows more.
    pub fn reserve(&mut self, rows: usize) -> Result<(), IndexError> {
        // The rows in front go back behind, see `push`.
        let rows = rows + self.front.len();
        self.rest.try_reserve(rows).map_err(|_| IndexError::OutOfMemory {
            what: "rows of a search",
            bytes: (self.rest.len() + rows).saturating_mul(size_of::<Row>()),
        })
    }

    /// Adds a row, in room that was made. A bound that is no number says nothing.
    #[inline]
    pub fn push(&mut self, row: Row) {
        if !self.front.is_empty() {
            self.rest.append(&mut self.front);
        }
        self.total += 1;
        let lower = if row.lower < f32::MAX {
            row.lower
        } else {
            f32::NEG_INFINITY
        };
        self.rest.push(Row { lower, ..row });
    }

    /// Puts a row back with another bound. It is in front as long as it is nearer than those behind; the caller has taken it from there.
    pub fn put_back(&mut self, row: Row) {
        let at = self.front.partition_point(|other| other.lower > row.lower);
        if at == 0 && !self.rest.is_empty() {
            self.rest.push(row);
        } else {
            self.front.insert(at, row);
        }
    }

    /// Puts the next rows in order.
    fn fill_front(&mut self) {
        if !self.front.is_empty() || self.rest.is_empty() {
            return;
        }
        let (length, count) = (self.rest.len(), self.front_size.min(self.rest.len()));
        self.front_size = (2 * self.front_size).min(FRONT_MAX);
        if count < length {
            // The nearest at the end, to be cut off.
            self.rest
                .select_nth_unstable_by(length - count, |a, b| b.lower.total_cmp(&a.lower));
        }
        self.front.extend(self.rest.drain(length - count..));
        self.front.sort_unstable_by(|a, b| {
            b.lower
                .total_cmp(&a.lower)
                .then_with(|| (b.block, b.offset).cmp(&(a.block, a.offset)))
        });
    }

    /// What is to be done next; a row that is returned is no longer in the pool.
    pub fn step(&mut self) -> Step {
        self.fill_front();
        let next = self.front.last().map(|row| f64::from(row.lower));
        match (self.fetched.peek(), next) {
            (Some(best), None) => self.emit(best.tid, best.key),
            (Some(best), Some(next)) if best.key <= next => self.emit(best.tid, best.key),
            (_, Some(_)) => Step::Fetch,
            (None, None) => Step::Empty,
        }
    }

    fn emit(&mut self, tid: HeapTid, key: f64) -> Step {
        self.fetched.pop();
        self.returned += 1;
        Step::Emit(tid, key)
    }

    /// The nearest row, if its longer code was not looked at.
    pub fn take_unrefined(&mut self) -> Option<Row> {
        self.fill_front();
        self.front.pop_if(|row| !row.refined)
    }

    /// The rows to be fetched next, in the order of the table; perhaps only those whose longer codes were looked at. Room for their keys is
    /// made.
    pub fn take_batch(&mut self, only_refined: bool) -> Result<Vec<Row>, IndexError> {
        self.fill_front();
        let wanted = if self.batches == 0 { FIRST_BATCH } else { BATCH };
        self.batches += 1;
        let mut batch = core::mem::take(&mut self.batch);
        batch.clear();
        let out_of_memory = |_| IndexError::OutOfMemory {
            what: "rows of a search",
            bytes: wanted * size_of::<Fetched>(),
        };
        self.fetched.try_reserve(wanted).map_err(out_of_memory)?;
        batch.try_reserve(wanted).map_err(out_of_memory)?;
        for _ in 0..wanted {
            let Some(row) = self.front.pop_if(|row| row.refined || !only_refined) else {
                break;
            };
            batch.push(row);
        }
        batch.sort_unstable_by_key(|row| (row.block, row.offset));
        Ok(batch)
    }

    /// Takes back the memory of a batch, and the rows of it that were not fetched.
    pub fn keep_batch(&mut self, mut batch: Vec<Row>, fetched: usize) {
        for row in batch.drain(fetched.min(batch.len())..) {
            self.total = self.total.saturating_sub(1);
            self.push(row);
        }
        self.batch = batch;
    }

    /// Takes in an exact key.
    pub fn fetched(&mut self, tid: HeapTid, key: f64) -> Result<(), IndexError> {
        self.fetched.try_reserve(1).map_err(|_| IndexError::OutOfMemory {
            what: "rows of a search",
            bytes: (self.fetched.len() + 1).saturating_mul(size_of::<Fetched>()),
        })?;
        self.fetched.push(Fetched { key, tid });
        Ok(())
    }
}
