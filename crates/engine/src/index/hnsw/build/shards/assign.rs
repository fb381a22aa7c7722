//! Which elements go to which shards.
//!
//! Read from the pages in batches; the threads find the nearest regions of a batch, then the calling thread gives each element to the
//! two nearest that have room and notes that on the tape.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::codes::Codes;
use super::members::members;
use super::nearest::{Frontier, NEAREST};
use super::regions::Regions;
use super::{COPIES, Member, Tape, Work};
use crate::index::hnsw::Index;
use crate::index::hnsw::build::Quiet;
use crate::index::hnsw::build::team::{self, Stop};
use crate::index::hnsw::paged::code_of;
use crate::index::hnsw::queue::reserve;
use crate::index::hnsw::sweep::{Content, PageCopy, sweep};
use crate::index::quantize::Query;
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

/// Bytes of an entry of the tape: the id, then the shards.
const ENTRY_BYTES: usize = size_of::<u32>() + COPIES as usize * size_of::<u16>();
/// Entries that are read at once.
const ENTRIES: usize = 1 << 10;
/// The largest batch, in elements.
const MAX_BATCH: usize = 1 << 13;
/// A batch takes at most this part of the memory.
const MEMORY_SHARE: usize = 8;
/// No shard.
const NONE: u16 = u16::MAX;

/// A batch of elements.
struct Batch<'a> {
    index: &'a Index,
    regions: &'a Regions,
    ids: Vec<SlotId>,
    codes: Codes,
    /// The nearest shards of each, 16 bits each.
    nearest: Vec<AtomicU64>,
    size: usize,
}

impl team::Work for Batch<'_> {
    type Scratch = (Query, Frontier);

    fn scratch(&self) -> Result<(Query, Frontier), IndexError> {
        Ok((Query::default(), Frontier::new()?))
    }

    fn items(&self) -> u64 {
        self.ids.len() as u64
    }

    fn share(&self) -> u64 {
        64
    }

    fn item(&self, item: u64, (query, frontier): &mut (Query, Frontier)) -> Result<(), IndexError> {
        let at = item as usize;
        query.prepare_code(&self.index.quantizer, self.codes.get(at));
        let nearest = self.regions.nearest(self.index, query, self.ids[at].0, frontier);
        let packed = nearest
            .iter()
            .fold(0, |packed, shard| packed << 16 | u64::from(*shard));
        self.nearest[at].store(packed, Relaxed);
        Ok(())
    }
}

impl<'a> Batch<'a> {
    fn new(index: &'a Index, regions: &'a Regions, memory_bytes: usize) -> Result<Self, IndexError> {
        let each = Codes::bytes_each(index) + size_of::<SlotId>() + size_of::<u64>();
        let size = (memory_bytes / MEMORY_SHARE / each).clamp(1, MAX_BATCH);
        let (mut ids, mut nearest) = (Vec::new(), Vec::new());
        reserve(&mut ids, size, "batch of an index build")?;
        reserve(&mut nearest, size, "batch of an index build")?;
        nearest.resize_with(size, AtomicU64::default);
        Ok(Batch {
            index,
            regions,
            ids,
            codes: Codes::with_capacity(index, size)?,
            nearest,
            size,
        })
    }

    /// The nearest shards of an element, nearest first.
    fn nearest_of(&self, at: usize) -> [u16; NEAREST] {
        let packed = self.nearest[at].load(Relaxed);
        core::array::from_fn(|place| (packed >> (16 * (NEAREST - 1 - place))) as u16)
    }
}

/// How many elements each shard may still take.
struct Room {
    left: Vec<u32>,
    /// No shard before this one has room.
    first: usize,
}

impl Room {
    /// Takes a place in a shard if it has one.
    fn take(&mut self, shard: u16) -> bool {
        match self.left.get_mut(usize::from(shard)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Takes a place in any shard.
    fn take_any(&mut self) -> u16 {
        while self.first < self.left.len() {
            // There are no more shards than 16 bits number.
            if self.take(self.first as u16) {
                return self.first as u16;
            }
            self.first += 1;
        }
        NONE
    }
}

/// Writes to the tape which shards the elements of a level go to, none of them more than `capacity`.
pub(super) fn assign<S: PageRead>(
    work: &Work<'_>,
    storage: &mut S,
    tape: &mut impl Tape,
    regions: &Regions,
    level: u8,
    capacity: u32,
) -> Result<(), IndexError> {
    let mut left = Vec::new();
    reserve(
        &mut left,
        usize::from(regions.shards()),
        "parts of an index build",
    )?;
    left.resize(usize::from(regions.shards()), capacity);
    let mut room = Room { left, first: 0 };
    let mut batch = Batch::new(work.index, regions, work.means.memory_bytes)?;
    tape.clear()?;
    sweep(work.index, storage, &mut PageCopy::new(), |_, copy| {
        members(work.index, copy, level, |member| {
            batch.ids.push(member.id);
            batch.codes.push(member.code);
            if batch.ids.len() == batch.size {
                write_batch(work, &mut batch, tape, &mut room)?;
            }
            Ok(())
        })
    })?;
    write_batch(work, &mut batch, tape, &mut room)
}

fn write_batch(
    work: &Work<'_>,
    batch: &mut Batch<'_>,
    tape: &mut impl Tape,
    room: &mut Room,
) -> Result<(), IndexError> {
    let stop = Stop::default();
    team::run(batch, work.means.threads, &stop, &Quiet(work.supervisor))?;
    for (at, id) in batch.ids.iter().enumerate() {
        let mut shards = [NONE; COPIES as usize];
        let mut found = 0;
        for shard in batch.nearest_of(at) {
            if found < shards.len() && room.take(shard) {
                shards[found] = shard;
                found += 1;
            }
        }
        if found == 0 {
            shards[0] = room.take_any();
        }
        let mut entry = [0; ENTRY_BYTES];
        entry[..4].copy_from_slice(&id.0.to_le_bytes());
        for (bytes, shard) in entry[4..].chunks_exact_mut(2).zip(shards) {
            bytes.copy_from_slice(&shard.to_le_bytes());
        }
        tape.append(&entry)?;
    }
    batch.ids.clear();
    batch.codes.clear();
    Ok(())
}

/// Shows the elements of a shard, in the order of the pages.
pub(super) fn read_shard<S: PageRead>(
    index: &Index,
    storage: &mut S,
    tape: &mut impl Tape,
    shard: u16,
    mut take: impl FnMut(Member<'_>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let mut entries = [0; ENTRY_BYTES * ENTRIES];
    let mut copy = PageCopy::new();
    let mut loaded = None;
    tape.rewind()?;
    loop {
        storage.check_interrupts()?;
        let read = tape.read(&mut entries)?;
        for entry in entries[..read].chunks_exact(ENTRY_BYTES) {
            let (id, shards) = entry.split_at(4);
            if !shards.chunks_exact(2).any(|bytes| bytes == shard.to_le_bytes()) {
                continue;
            }
            let id = SlotId(u32::from_le_bytes(id.try_into().unwrap_or_default()));
            let (block, number) = index.layout.slot(id);
            if loaded != Some(block) {
                copy.load(storage, block)?;
                loaded = Some(block);
            }
            let Content::Nodes(page) = copy.content(index)? else {
                continue;
            };
            let head = page.slot(number).map_err(|error| error.at(block))?.head;
            take(Member {
                id,
                level: head.level,
                tid: head.tid,
                code: code_of(&head),
            })?;
        }
        if read < entries.len() {
            return Ok(());
        }
    }
}
