//! Which entry goes when room is needed: S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak, "FIFO queues are all you need for cache
//! eviction", SOSP 2023, section 4).
//!
//! New keys wait in a small queue, a tenth of the partition. What was read twice there moves on to the main queue; the others are
//! dropped, so that a scan of keys that never come back passes through a tenth of the cache only. In the main queue what was
//! read since its last turn takes another one.
//!
//! Differences from the paper: sizes are blocks, not entries, since entries are of every size; each partition has its own queues,
//! whose keys are a random part of all.

use super::Kind;
use super::entry::Entry;
use super::ghost;
use super::key::Quarter;
use super::layout::NONE;
use super::pool::Chain;
use super::region::Region;

/// A queue of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Small,
    Main,
}

/// Words of a partition: of each queue its newest and its oldest entry and its blocks.
const SMALL: usize = 0;
const MAIN: usize = 3;
const NEWEST: usize = 0;
const OLDEST: usize = 1;
const BLOCKS: usize = 2;
/// Deaths so far.
pub(super) const CLOCK: usize = 6;
/// Entries of the main queue.
pub(super) const MAIN_ENTRIES: usize = 7;
/// Entries and bytes of each kind.
const KINDS: usize = 8;
/// How often entries of the partition have begun or ended to change: odd while they do.
pub(super) const VERSION: usize = 14;

/// One tenth of a partition is the small queue's.
const SMALL_PART: u64 = 10;
/// Reads after which an entry of the small queue moves on.
const READS_TO_STAY: u64 = 2;
/// Turns that are taken under one lock. What remains after them goes whatever was read.
const MOST_TURNS: usize = 64;

impl Queue {
    fn at(self, region: &Region, partition: usize) -> usize {
        region.layout.partition_at(partition)
            + match self {
                Self::Small => SMALL,
                Self::Main => MAIN,
            }
    }
}

/// Empties a partition. Nobody else may use the memory yet.
pub(super) fn format(region: &Region, partition: usize) {
    let at = region.layout.partition_at(partition);
    for word in 0..super::layout::PARTITION_WORDS {
        region.store(at + word, 0);
    }
    for queue in [Queue::Small, Queue::Main] {
        let at = queue.at(region, partition);
        region.store(at + NEWEST, u64::from(NONE));
        region.store(at + OLDEST, u64::from(NONE));
    }
    for bucket in 0..region.layout.buckets {
        region.set_bucket(partition, bucket, None);
    }
}

fn end(region: &Region, place: usize) -> Option<u32> {
    u32::try_from(region.load(place))
        .ok()
        .and_then(|block| region.existing(block))
}

fn set_end(region: &Region, place: usize, entry: Option<u32>) {
    region.store(place, u64::from(entry.unwrap_or(NONE)));
}

/// Puts an entry to the new end of a queue.
fn push(region: &Region, partition: usize, queue: Queue, entry: Entry) {
    let at = queue.at(region, partition);
    let newest = end(region, at + NEWEST);
    entry.set_queue(region, queue);
    entry.set_neighbours(region, None, newest);
    match newest.map(Entry::at) {
        Some(newest) => {
            let (_, older) = newest.neighbours(region);
            newest.set_neighbours(region, Some(entry.block), older);
        }
        None => set_end(region, at + OLDEST, Some(entry.block)),
    }
    set_end(region, at + NEWEST, Some(entry.block));
    let blocks = entry.blocks(region) as u64;
    region.update(at + BLOCKS, |sum| sum.saturating_add(blocks));
    if queue == Queue::Main {
        let entries = region.layout.partition_at(partition) + MAIN_ENTRIES;
        region.update(entries, |entries| entries.saturating_add(1));
    }
}

/// Takes an entry out of its queue.
fn pull(region: &Region, partition: usize, entry: Entry) {
    let queue = entry.queue(region);
    let at = queue.at(region, partition);
    let (newer, older) = entry.neighbours(region);
    match newer.map(Entry::at) {
        Some(newer) => newer.set_neighbours(region, newer.neighbours(region).0, older),
        None => set_end(region, at + NEWEST, older),
    }
    match older.map(Entry::at) {
        Some(older) => older.set_neighbours(region, newer, older.neighbours(region).1),
        None => set_end(region, at + OLDEST, newer),
    }
    let blocks = entry.blocks(region) as u64;
    region.update(at + BLOCKS, |sum| sum.saturating_sub(blocks));
    if queue == Queue::Main {
        let entries = region.layout.partition_at(partition) + MAIN_ENTRIES;
        region.update(entries, |entries| entries.saturating_sub(1));
    }
}

fn count(region: &Region, partition: usize, entry: Entry, change: impl Fn(u64, u64) -> u64) {
    let at = region.layout.partition_at(partition) + KINDS + 2 * entry.tag(region).kind as usize;
    let (key, value) = entry.lengths(region);
    region.update(at, |entries| change(entries, 1));
    region.update(at + 1, |bytes| change(bytes, (key + value) as u64));
}

/// Entries and bytes of a kind in a partition.
pub(super) fn of_kind(region: &Region, partition: usize, kind: Kind) -> (u64, u64) {
    let at = region.layout.partition_at(partition) + KINDS + 2 * kind as usize;
    (region.load(at), region.load(at + 1))
}

/// Makes an entry known. Under the exclusive lock, as all that follows.
pub(super) fn insert(region: &Region, partition: usize, entry: Entry) {
    let hash = entry.hash(region);
    let queue = if ghost::recall(region, partition, hash) {
        Queue::Main
    } else {
        Queue::Small
    };
    let bucket = hash.below(Quarter::Bucket, region.layout.buckets);
    entry.set_next_of_bucket(region, region.bucket(partition, bucket));
    region.set_bucket(partition, bucket, Some(entry.block));
    push(region, partition, queue, entry);
    count(region, partition, entry, u64::saturating_add);
}

/// Takes an entry out; its blocks are the caller's then.
pub(super) fn remove(region: &Region, partition: usize, entry: Entry) -> Chain {
    let hash = entry.hash(region);
    let bucket = hash.below(Quarter::Bucket, region.layout.buckets);
    let next = entry.next_of_bucket(region);
    let mut before: Option<Entry> = None;
    for other in bucket_entries(region, partition, bucket) {
        if other == entry {
            match before {
                Some(before) => before.set_next_of_bucket(region, next),
                None => region.set_bucket(partition, bucket, next),
            }
            break;
        }
        before = Some(other);
    }
    pull(region, partition, entry);
    count(region, partition, entry, u64::saturating_sub);
    Chain {
        first: entry.block,
        last: entry.last_block(region),
        length: entry.blocks(region),
    }
}

/// The entries of a bucket, as many as there can be.
pub(super) fn bucket_entries<'r>(
    region: &'r Region<'_>,
    partition: usize,
    bucket: usize,
) -> impl Iterator<Item = Entry> + 'r {
    std::iter::successors(region.bucket(partition, bucket), |&entry| {
        Entry::at(entry).next_of_bucket(region)
    })
    .take(region.layout.blocks)
    .map(Entry::at)
}

/// A place in the queues of a partition, for whoever goes through all entries.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) entry: Option<Entry>,
    main: Option<Entry>,
    /// More steps than there can be entries.
    steps: usize,
}

/// The place to begin at.
pub(super) fn newest_entries(region: &Region, partition: usize) -> Place {
    let newest = |queue: Queue| end(region, queue.at(region, partition) + NEWEST).map(Entry::at);
    let (small, main) = (newest(Queue::Small), newest(Queue::Main));
    Place {
        entry: small.or(main),
        main: small.and(main),
        steps: region.layout.blocks,
    }
}

impl Place {
    /// The place after this one, whose entry is still there.
    pub(super) fn older(self, region: &Region) -> Self {
        let older = self
            .entry
            .and_then(|entry| entry.neighbours(region).1)
            .map(Entry::at);
        Self {
            entry: older.or(self.main).filter(|_| self.steps > 0),
            main: older.and(self.main),
            steps: self.steps.saturating_sub(1),
        }
    }
}

/// All entries of a partition.
pub(super) fn entries<'r>(region: &'r Region<'_>, partition: usize) -> impl Iterator<Item = Entry> + 'r {
    std::iter::successors(Some(newest_entries(region, partition)), |place| {
        place.entry.map(|_| place.older(region))
    })
    .map_while(|place| place.entry)
}

/// Drops the entry whose turn it is; `None` if the partition is empty.
pub(super) fn evict(region: &Region, partition: usize) -> Option<(Kind, Chain)> {
    for turn in 0..=MOST_TURNS {
        let patience = turn < MOST_TURNS;
        let blocks = |queue: Queue| region.load(queue.at(region, partition) + BLOCKS);
        let oldest = |queue: Queue| end(region, queue.at(region, partition) + OLDEST).map(Entry::at);
        let (small, main) = (blocks(Queue::Small), blocks(Queue::Main));
        let small_is_full = small.saturating_mul(SMALL_PART) > small.saturating_add(main);
        let entry = match (oldest(Queue::Small), oldest(Queue::Main)) {
            (Some(small), Some(_)) if small_is_full => small,
            (Some(small), None) => small,
            (_, Some(main)) => main,
            (None, None) => return None,
        };
        let reads = entry.reads(region);
        match entry.queue(region) {
            Queue::Small if patience && reads >= READS_TO_STAY => {
                pull(region, partition, entry);
                entry.set_reads(region, 0);
                push(region, partition, Queue::Main, entry);
                continue;
            }
            Queue::Small => ghost::remember(region, partition, entry.hash(region)),
            Queue::Main if patience && reads > 0 => {
                pull(region, partition, entry);
                entry.set_reads(region, reads - 1);
                push(region, partition, Queue::Main, entry);
                continue;
            }
            Queue::Main => {}
        }
        let kind = entry.tag(region).kind;
        return Some((kind, remove(region, partition, entry)));
    }
    None
}
