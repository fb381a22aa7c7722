//! Linking an index that is larger than the memory of its build.
//!
//! All elements stand on their pages, with empty lists. The elements of a level are divided into *shards* that fit into memory:
//! each element goes to the two shards whose regions it is nearest to. One shard after the other is linked in memory as a small
//! build of its own, and its lists are merged into those on the pages; that elements belong to two shards is what connects these.
//! After Subramanya et al., DiskANN (NeurIPS 2019, section 4.3), with other regions, see [`regions`], and for every level that does not
//! fit: the highest levels, which do, are linked as one.
//!
//! An element is linked twice, so that this costs about twice the time of a build in memory; beside that, what finding its regions takes hardly
//! grows with their number, see [`nearest`].
//! Memory beside that of a shard: five bits for each element in the last step, and four bytes for each above level 0.

mod assign;
mod codes;
mod members;
mod merge;
mod nearest;
mod regions;

use crate::bisect::largest_fitting;
use crate::index::hnsw::Index;
use crate::index::hnsw::sweep::{Content, PageCopy, sweep};
use crate::index::hnsw::vacuum;
use crate::index::page::{MAX_LEVEL, SlotState};
use crate::index::storage::PageWrite;
use crate::index::{HeapTid, IndexError, SlotId};

use super::team::Supervisor;
use super::{Builder, Built, Pushed, Reported};
use crate::index::quantize::{CodeRef, Rankable};
use assign::assign;
use members::members;
use merge::Merger;
use regions::Regions;

/// To how many shards an element goes.
const COPIES: u64 = 2;
/// Shards are made for so much of what one may hold, in percent, since they do not fill evenly.
const FILL_PERCENT: u64 = 85;
/// The most shards, far fewer than 16 bits number.
const MAX_SHARDS: u64 = 1 << 15;

/// Temporary storage that is written in sequence, then read in sequence any number of times.
pub trait Tape {
    /// Forgets what was written.
    ///
    /// # Errors
    /// Those of the storage.
    fn clear(&mut self) -> Result<(), IndexError>;

    /// Appends some bytes.
    ///
    /// # Errors
    /// Those of the storage.
    fn append(&mut self, bytes: &[u8]) -> Result<(), IndexError>;

    /// Goes back to the first byte, to read.
    ///
    /// # Errors
    /// Those of the storage.
    fn rewind(&mut self) -> Result<(), IndexError>;

    /// Reads the next bytes; fewer than `out` has room for only at the end.
    ///
    /// # Errors
    /// Those of the storage.
    fn read(&mut self, out: &mut [u8]) -> Result<usize, IndexError>;
}

/// What a build may use.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// The memory, all threads together.
    pub memory_bytes: usize,
    /// Threads beside the calling one.
    pub threads: usize,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharded {
    /// Elements of the graph.
    pub elements: u64,
    /// Shards that were linked.
    pub shards: u32,
    /// Elements that could not be reached afterwards and were linked one by one.
    pub relinked: u64,
}

/// Links the elements of an index whose lists are empty, see [`Built::write_unlinked`](super::Builder::write_unlinked) and
/// [`Inserter::store_unlinked`](crate::index::hnsw::insert::Inserter::store_unlinked). Nobody else may work on the index.
///
/// # Errors
/// Those of the storage and the tape, [`IndexError::OutOfMemory`], [`IndexError::Interrupted`], [`IndexError::Failed`].
pub fn link_pages<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    tape: &mut impl Tape,
    means: Means,
    supervisor: &dyn Supervisor,
) -> Result<Sharded, IndexError> {
    let counts = count_levels(index, storage)?;
    let mut work = Work {
        index,
        means,
        supervisor,
        merger: Merger::new(index),
        done: 0,
        total: 0,
        shards: 0,
    };
    let capacity = work.capacity();
    let whole = (1..=MAX_LEVEL).find(|level| reaching(&counts, *level) <= u64::from(capacity));
    let whole = whole.unwrap_or(MAX_LEVEL + 1);
    work.total = (0..whole).map(|level| COPIES * reaching(&counts, level)).sum();
    if whole <= MAX_LEVEL && reaching(&counts, whole) > 0 {
        work.link_whole(storage, whole)?;
    }
    for level in (0..whole).rev() {
        let elements = reaching(&counts, level);
        if elements > 0 {
            work.link_level(storage, tape, level, elements, capacity)?;
        }
    }
    let relinked = vacuum::connect(index, storage)?;
    Ok(Sharded {
        elements: reaching(&counts, 0),
        shards: work.shards,
        relinked,
    })
}

/// How many elements of the graph have each level.
fn count_levels<S: PageWrite>(
    index: &Index,
    storage: &mut S,
) -> Result<[u64; MAX_LEVEL as usize + 1], IndexError> {
    let mut counts = [0; MAX_LEVEL as usize + 1];
    sweep(index, storage, &mut PageCopy::new(), |_, copy| {
        let Content::Nodes(page) = copy.content(index)? else {
            return Ok(());
        };
        for (_, slot) in page.slots() {
            let head = slot.map_err(|error| error.at(copy.block()))?.head;
            if head.state == SlotState::Live
                && let Some(count) = counts.get_mut(usize::from(head.level))
            {
                *count += 1;
            }
        }
        Ok(())
    })?;
    Ok(counts)
}

/// How many elements have this level or a higher one.
fn reaching(counts: &[u64], level: u8) -> u64 {
    counts.iter().skip(usize::from(level)).sum()
}

/// An element on its way into a shard.
#[derive(Debug, Clone, Copy)]
struct Member<'a> {
    id: SlotId,
    level: u8,
    tid: HeapTid,
    code: CodeRef<'a>,
}

struct Work<'a> {
    index: &'a Index,
    means: Means,
    supervisor: &'a dyn Supervisor,
    merger: Merger<'a>,
    /// Elements linked so far, each as often as it is in shards, and how many that will be.
    done: u64,
    total: u64,
    shards: u32,
}

impl<'a> Work<'a> {
    fn builder(&self) -> Builder<'a> {
        Builder::of_written(self.index, self.means.memory_bytes, self.means.threads)
    }

    /// How many elements a shard may have: what the builder takes less the ids that belong to its elements.
    fn capacity(&self) -> u32 {
        let builder = self.builder();
        let fits = |count: u32| {
            let ids = count as usize * size_of::<SlotId>();
            builder.estimated_bytes(count).saturating_add(ids) <= self.means.memory_bytes
        };
        largest_fitting(u32::MAX / 2, fits)
    }

    /// Links all elements from a level on, which fit into memory, at that level and those above.
    fn link_whole<S: PageWrite>(&mut self, storage: &mut S, level: u8) -> Result<(), IndexError> {
        let mut shard = Shard::new(self.builder(), level);
        let index = self.index;
        sweep(index, storage, &mut PageCopy::new(), |_, copy| {
            members(index, copy, level, |member| shard.push(&member))
        })?;
        self.finish(storage, shard, true)
    }

    /// Links all elements from a level on at that level, shard by shard.
    fn link_level<S: PageWrite>(
        &mut self,
        storage: &mut S,
        tape: &mut impl Tape,
        level: u8,
        elements: u64,
        capacity: u32,
    ) -> Result<(), IndexError> {
        let room = (u64::from(capacity) * FILL_PERCENT / 100).max(1);
        let wanted = (COPIES * elements).div_ceil(room).clamp(2, MAX_SHARDS);
        let regions = Regions::of_sample(
            self.index,
            storage,
            level,
            elements,
            wanted,
            &self.means,
            self.supervisor,
        )?;
        let shards = regions.shards();
        assign(self, storage, tape, &regions, level, capacity)?;
        drop(regions);
        for number in 0..shards {
            let mut shard = Shard::new(self.builder(), level);
            assign::read_shard(self.index, storage, tape, number, |member| shard.push(&member))?;
            self.finish(storage, shard, false)?;
            self.shards += 1;
        }
        Ok(())
    }

    /// Links a shard and merges its lists into those on the pages: those of all its levels, or of the lowest.
    fn finish<S: PageWrite>(
        &mut self,
        storage: &mut S,
        shard: Shard<'_>,
        all_levels: bool,
    ) -> Result<(), IndexError> {
        let count = u64::from(shard.builder.count());
        let reported = Reported {
            supervisor: self.supervisor,
            before: self.done,
            total: self.total,
        };
        let built = shard.builder.finish(&reported)?;
        self.merger
            .merge(storage, &built, &shard.ids, shard.level, all_levels)?;
        if !all_levels {
            self.done += count;
        }
        Ok(())
    }
}

/// A shard that is being filled.
struct Shard<'a> {
    builder: Builder<'a>,
    /// The ids of its elements in the index.
    ids: Vec<SlotId>,
    level: u8,
}

impl<'a> Shard<'a> {
    fn new(builder: Builder<'a>, level: u8) -> Self {
        Shard {
            builder,
            ids: Vec::new(),
            level,
        }
    }

    /// Takes an element. One for which there is no room stays out of this shard: its other one links it, or the end of the build does.
    fn push(&mut self, member: &Member<'_>) -> Result<(), IndexError> {
        let level = member.level.saturating_sub(self.level);
        let pushed = self
            .builder
            .push_at(member.code, &[], member.tid, level, Rankable::Yes)?;
        if pushed == Pushed::Stored {
            super::super::queue::reserve(&mut self.ids, 1, "ids of a part of an index build")?;
            self.ids.push(member.id);
        }
        Ok(())
    }
}

/// The levels of a built shard that are merged.
fn levels_of(built: &Built<'_>, local: SlotId, all: bool) -> std::ops::RangeInclusive<u8> {
    0..=if all { built.elements.row(local).level } else { 0 }
}

#[cfg(test)]
mod tests;
