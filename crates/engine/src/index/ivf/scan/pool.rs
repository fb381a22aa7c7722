//! The rows that a scan knows of, by what their distance is at least.
//!
//! Most scans ask for a few of many thousand rows. So the pool is a *window*: it keeps the rows whose bound is not above its ceiling, which
//! falls as nearer rows come, and forgets the others. When its rows are used up the next window begins at the ceiling, and the lists are read
//! again for what is in it. Within the window the nearest few are in order, the others behind them are not. Rows whose exact distance was
//! fetched wait in a heap until no other row can be nearer.

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
    /// The window is used up, and there are rows beyond it.
    Widen,
    /// There are no rows.
    Empty,
}

/// Rows that are put in order at once, at first; twice as many each time.
const FIRST_FRONT: usize = 64;
const FRONT_MAX: usize = 4096;
/// Rows of the first window, and how many times as many each further one has.
const FIRST_WINDOW: usize = 512;
const WINDOW_GROWTH: usize = 4;
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
    /// Rows that were met, and that were returned.
    total: usize,
    returned: usize,
    /// Rows of the window, and the most that a window has.
    window: usize,
    limit: usize,
    /// Rows above it are not kept.
    ceiling: f32,
}

impl Pool {
    /// Empties it. Its rows may occupy so many bytes.
    pub fn clear(&mut self, limit_bytes: usize) {
        // A window is cut when it has twice its rows.
        self.limit = (limit_bytes / (2 * size_of::<Row>())).max(FRONT_MAX);
        self.window = FIRST_WINDOW;
        self.ceiling = f32::INFINITY;
        self.rest.clear();
        // What a scan with more memory left is given back.
        self.rest.shrink_to(2 * self.limit);
        self.front.clear();
        self.fetched.clear();
        self.front_size = FIRST_FRONT;
        (self.batches, self.total, self.returned) = (0, 0, 0);
    }

    pub fn memory_bytes(&self) -> usize {
        (self.rest.capacity() + self.front.capacity()) * size_of::<Row>()
            + self.fetched.capacity() * size_of::<Fetched>()
    }

    /// The bound above which rows are not kept.
    pub fn ceiling(&self) -> f32 {
        self.ceiling
    }

    /// Counts rows that were met, whether they are kept or not.
    pub fn count(&mut self, rows: usize) {
        self.total += rows;
    }

    /// Lowers the ceiling if there are far more rows than the window is to have.
    pub fn cut(&mut self) {
        if self.rest.len() <= 2 * self.window || self.window == 0 {
            return;
        }
        let (_, last, _) = self
            .rest
            .select_nth_unstable_by(self.window - 1, |a, b| a.lower.total_cmp(&b.lower));
        let ceiling = last.lower;
        // With all that are as near as the last. A longer code may have raised the bound of a row of this window, which no further one would find.
        self.rest.retain(|row| row.refined || row.lower <= ceiling);
        self.ceiling = ceiling;
    }

    /// Begins the next window. Returns where: rows that are not above have been in one before.
    pub fn widen(&mut self) -> f32 {
        self.window = self.window.saturating_mul(WINDOW_GROWTH).min(self.limit);
        core::mem::replace(&mut self.ceiling, f32::INFINITY)
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
        let nearest = self.front.last().map(|row| row.lower);
        let is_windowed = self.ceiling < f32::INFINITY;
        // A row whose longer code was looked at may lie above the window, and then rows beyond it may be nearer.
        let is_beyond = is_windowed && nearest.is_none_or(|lower| lower > self.ceiling);
        let next = if is_beyond { Some(self.ceiling) } else { nearest };
        match (self.fetched.peek(), next.map(f64::from)) {
            (Some(best), None) => self.emit(best.tid, best.key),
            (Some(best), Some(next)) if best.key <= next => self.emit(best.tid, best.key),
            (_, Some(_)) if is_beyond => Step::Widen,
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
