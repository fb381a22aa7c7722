//! Building an index in memory, then writing its pages in order.
//!
//! A [`Builder`] takes coded vectors until its memory is used up. [`Builder::finish`] links them on several threads ([`link`]),
//! makes sure that all are reachable ([`reach`]), and gives a [`Built`], whose pages go to a [`PageSink`].

mod chunks;
mod elements;
mod graph;
mod link;
mod order;
mod placement;
mod prune;
mod reach;
mod shards;
pub(in crate::index) mod team;
mod write;

#[cfg(test)]
mod tests;

pub use shards::{Means, Sharded, Tape, link_pages};
pub use team::Supervisor;
pub use write::PageSink;

use self::elements::Elements;
use self::link::{Linker, Part, Scratch};
use self::order::{Grouper, Order};
use self::placement::Placement;
use self::prune::Trimmer;
use self::reach::Reach;
use self::team::Stop;
use self::write::Writer;
use super::Index;
use crate::index::key::find_fault;
use crate::index::page::{Entry, EntrySet};
use crate::index::quantize::{CodeRef, Rankable};
use crate::index::{HeapTid, IndexError};

/// What became of a vector given to a [`Builder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is stored.
    Stored,
    /// The memory does not suffice; it is not stored.
    Full,
}

/// Collects the elements of an index in memory.
#[derive(Debug)]
pub struct Builder<'a> {
    index: &'a Index,
    elements: Elements,
    memory_limit_bytes: usize,
    threads: usize,
}

impl<'a> Builder<'a> {
    /// An empty build that may use so much memory, all threads together.
    #[must_use]
    pub fn new(index: &'a Index, memory_limit_bytes: usize, threads: usize) -> Self {
        Builder {
            index,
            elements: Elements::new(index, memory_limit_bytes, index.keys.count()),
            memory_limit_bytes,
            threads,
        }
    }

    /// As [`Builder::new`], of elements whose slots are written already: it holds no keys.
    fn of_written(index: &'a Index, memory_limit_bytes: usize, threads: usize) -> Self {
        Builder {
            index,
            elements: Elements::new(index, memory_limit_bytes, 0),
            memory_limit_bytes,
            threads,
        }
    }

    /// Stores a coded vector with the keys of its row, see [`crate::index::key::RowKeys`]. One without a rank is stored, but no search
    /// will come by.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`], [`IndexError::Limit`] for more elements than an index numbers, [`IndexError::Failed`] for keys that
    /// are not those of this index.
    pub fn push(
        &mut self,
        code: CodeRef<'_>,
        keys: &[u8],
        tid: HeapTid,
        rank: Rankable,
    ) -> Result<Pushed, IndexError> {
        if let Some(what) = find_fault(keys, self.index.keys.count()) {
            return Err(IndexError::Failed { what });
        }
        let level = match rank {
            Rankable::Yes => self.index.level(tid),
            Rankable::No => 0,
        };
        self.push_at(code, keys, tid, level, rank)
    }

    /// As [`Builder::push`], at a level that the caller chooses.
    fn push_at(
        &mut self,
        code: CodeRef<'_>,
        keys: &[u8],
        tid: HeapTid,
        level: u8,
        rank: Rankable,
    ) -> Result<Pushed, IndexError> {
        let growth = self.elements.growth_bytes(level);
        // Between two growths nothing is allocated, and what the end needs grows by less than the chunks do.
        if growth > 0 && self.memory_bytes() + growth > self.memory_limit_bytes {
            return Ok(Pushed::Full);
        }
        self.elements
            .push(code, keys, tid, level, rank == Rankable::Yes)?;
        Ok(Pushed::Stored)
    }

    /// How many vectors are stored.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.elements.count()
    }

    /// What the build occupies when it finishes with the elements it has.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.elements.memory_bytes() + self.linking_bytes(self.elements.capacity())
    }

    /// What a build of so many elements will occupy, about.
    fn estimated_bytes(&self, count: u32) -> usize {
        self.elements.estimated_bytes(count, self.index) + self.linking_bytes(count)
    }

    /// What linking so many elements takes beside them.
    fn linking_bytes(&self, capacity: u32) -> usize {
        let threads = self.threads.max(1) * Scratch::estimated_bytes(capacity, self.index);
        // The linker and its threads are gone when reachability is looked at.
        let linking = Linker::estimated_bytes() + Order::estimated_bytes(capacity, self.index.m) + threads;
        // The order becomes the placement, half by half.
        let placing =
            Order::estimated_bytes(capacity, self.index.m) + Placement::estimated_bytes(capacity) / 2;
        let reaching = Reach::estimated_bytes(capacity) + Placement::estimated_bytes(capacity) + threads;
        linking.max(placing).max(reaching)
    }

    /// Writes the elements as they are, each with empty lists, and the pages before them, for [`link_pages`].
    ///
    /// # Errors
    /// As [`Built::write`].
    pub fn write_unlinked(&self, sink: &mut impl PageSink) -> Result<(), IndexError> {
        write::write_head(self.index, EntrySet::default(), sink)?;
        let writer = Writer {
            elements: &self.elements,
            index: self.index,
            first_block: self.index.first_node_block(),
            placement: None,
        };
        writer.write(sink).map(drop)
    }

    /// Links all elements: on `threads` threads while the calling one waits, or on the calling one if there are none.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`] soon after the supervisor asks for it, with no thread left; [`IndexError::OutOfMemory`];
    /// [`IndexError::Failed`].
    pub fn finish(self, supervisor: &dyn Supervisor) -> Result<Built<'a>, IndexError> {
        let Builder {
            index,
            elements,
            threads,
            ..
        } = self;
        let stop = Stop::default();
        let mut order = Order::new(&elements, supervisor)?;
        let entries = order.entries(&elements)?;
        let total = u64::from(elements.count());
        let linker = Linker::new(&elements, index, &stop, &entries, &order, Part::Upper)?;
        team::run(
            &linker,
            threads,
            &stop,
            &Reported {
                supervisor,
                before: 0,
                total,
            },
        )?;
        for level in [1, 0] {
            let grouper = Grouper {
                elements: &elements,
                index,
                stop: &stop,
                entries: &entries,
                order: &order,
                level,
            };
            team::run(&grouper, threads, &stop, &Quiet(supervisor))?;
            if level == 1 {
                order.rank_upper(supervisor)?
            } else {
                order.sort_base(supervisor)?
            }
        }
        supervisor.check()?;
        let before = order.upper().len() as u64;
        let linker = Linker::new(&elements, index, &stop, &entries, &order, Part::Base)?;
        team::run(
            &linker,
            threads,
            &stop,
            &Reported {
                supervisor,
                before,
                total,
            },
        )?;
        let placement = Placement::new(order, &elements, supervisor)?;
        team::run(
            &Trimmer {
                elements: &elements,
                index,
            },
            threads,
            &stop,
            &Quiet(supervisor),
        )?;
        let repaired = reach::connect(&elements, index, &entries, supervisor)?;
        Ok(Built {
            index,
            elements,
            entries,
            placement,
            repaired,
        })
    }
}

/// A supervisor of a step that begins where others have ended.
struct Reported<'a> {
    supervisor: &'a dyn Supervisor,
    before: u64,
    total: u64,
}

impl crate::interrupt::Interrupt for Reported<'_> {
    fn check(&self) -> Result<(), crate::interrupt::Interrupted> {
        self.supervisor.check()
    }
}

impl Supervisor for Reported<'_> {
    fn progress(&self, done: u64, _of_this_step: u64) {
        self.supervisor.progress(self.before + done, self.total);
    }

    fn before_spawn(&self) {
        self.supervisor.before_spawn();
    }

    fn after_spawn(&self) {
        self.supervisor.after_spawn();
    }
}

/// A supervisor of a short step that is not reported.
struct Quiet<'a>(&'a dyn Supervisor);

impl crate::interrupt::Interrupt for Quiet<'_> {
    fn check(&self) -> Result<(), crate::interrupt::Interrupted> {
        self.0.check()
    }
}

impl Supervisor for Quiet<'_> {
    fn before_spawn(&self) {
        self.0.before_spawn();
    }

    fn after_spawn(&self) {
        self.0.after_spawn();
    }
}

/// A finished graph in memory.
#[derive(Debug)]
pub struct Built<'a> {
    index: &'a Index,
    elements: Elements,
    entries: Vec<Entry>,
    placement: Placement,
    repaired: u32,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The first block behind the pages.
    pub end_block: u32,
    /// Slots that are in use.
    pub elements: u32,
    /// Where searches begin.
    pub entries: EntrySet,
}

impl Built<'_> {
    /// Writes node pages and upper pages from `first_block` on.
    ///
    /// # Errors
    /// Those of the sink, [`IndexError::Limit`] for more pages than ids number.
    pub fn write(&self, sink: &mut impl PageSink, first_block: u32) -> Result<Written, IndexError> {
        let writer = Writer {
            elements: &self.elements,
            index: self.index,
            first_block,
            placement: Some(&self.placement),
        };
        let end_block = writer.write(sink)?;
        Ok(Written {
            end_block,
            elements: self.elements.count(),
            entries: writer.entries(&self.entries),
        })
    }

    /// Writes the whole index: meta page, centre, elements. The meta page comes first.
    ///
    /// # Errors
    /// As [`Built::write`].
    pub fn write_index(&self, sink: &mut impl PageSink) -> Result<Written, IndexError> {
        let first_block = self.index.first_node_block();
        let writer = Writer {
            elements: &self.elements,
            index: self.index,
            first_block,
            placement: Some(&self.placement),
        };
        write::write_head(self.index, writer.entries(&self.entries), sink)?;
        self.write(sink, first_block)
    }

    /// How many elements were not reachable after linking and got a link of their own.
    #[must_use]
    pub fn repaired(&self) -> u32 {
        self.repaired
    }
}
