//! Look up, store, remove.

use super::entry::{self, Content, Copied, Entry, Tag};
use super::key::{Key, KeyHash, Quarter};
use super::layout::{Layout, NONE};
use super::pool::{self, Chain};
use super::region::Region;
use super::{Kind, Locks, queue};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Header words: whether the memory is formatted, then those of the pool, then these.
const FORMATTED_AT: usize = 0;
const HAND_AT: usize = 3;
const SECRET_AT: usize = 4;
/// What stands in the first word of formatted memory.
const FORMATTED: u64 = 0x6361_7374_6d61_7401;

/// Longest key and value together, in bytes.
pub const MOST_BYTES: usize = 1 << 20;

/// The cache.
#[derive(Clone, Copy)]
pub struct Cache<'a, L> {
    pub(super) region: Region<'a>,
    pub(super) locks: L,
}

/// What a look-up found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The value, and when it was stored.
    Value {
        /// Its bytes.
        value: Vec<u8>,
        /// Milliseconds, by the clock of whoever stored it.
        stored_ms: u64,
    },
    /// There is no entry, or no memory for a copy.
    Absent,
    /// There is one, but it is too old.
    Expired,
    /// There was one whose checksum was wrong; it is removed.
    Damaged,
}

/// What a look at a partition saw.
enum Seen {
    Value(Copied),
    Nothing,
    Expired,
    /// A value whose read has yet to be counted.
    Uncounted,
}

/// Entries of a bucket that a look without a lock goes through: what it sees may be the middle of a change, without an end.
const LONGEST_UNLOCKED: usize = 32;

/// What storing did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Whether the value is in the cache now. One that is too long is not.
    pub stored: bool,
    /// Entries that made room, by kind.
    pub evicted: [u32; Kind::ALL.len()],
}

/// What the cache holds of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// When the oldest was stored.
    pub oldest_ms: Option<u64>,
}

impl<'a, L: Locks> Cache<'a, L> {
    /// The cache in formatted memory; `None` if it is not, or too small for the layout.
    pub fn attach(layout: Layout, wide: &'a [AtomicU64], narrow: &'a [AtomicU32], locks: L) -> Option<Self> {
        let region = Region::new(layout, wide, narrow)?;
        let formatted = region.word(FORMATTED_AT)?.load(Ordering::Acquire) == FORMATTED;
        formatted.then_some(Self { region, locks })
    }

    /// Makes the memory an empty cache. Nobody else may use it yet. The secret keeps outsiders from making keys that collide.
    pub fn format(layout: Layout, wide: &[AtomicU64], narrow: &[AtomicU32], secret: (u64, u64)) {
        let Some(region) = Region::new(layout, wide, narrow) else {
            return;
        };
        for word in 0..layout.block_at(0) {
            region.store(word, 0);
        }
        pool::format(&region);
        for partition in 0..layout.partitions {
            queue::format(&region, partition);
        }
        region.store(SECRET_AT, secret.0);
        region.store(SECRET_AT + 1, secret.1);
        if let Some(word) = region.word(FORMATTED_AT) {
            word.store(FORMATTED, Ordering::Release);
        }
    }

    /// The place of a key.
    pub fn hash(&self, key: &Key) -> KeyHash {
        let secret = (self.region.load(SECRET_AT), self.region.load(SECRET_AT + 1));
        KeyHash::of(key.bytes(), secret)
    }

    /// The partition of a key, whose waiters its flight wakes.
    pub fn partition(&self, hash: KeyHash) -> usize {
        hash.below(Quarter::Partition, self.region.layout.partitions)
    }

    /// The value of a key, unless it was stored before `since_ms`.
    ///
    /// Once an entry was read often enough its reads are not counted any more, and a look at it writes nothing: then it takes no lock
    /// either, but makes sure that nothing of the partition changed meanwhile. Readers of one value do not disturb each other so.
    pub fn get(&self, hash: KeyHash, key: &Key, since_ms: u64) -> Found {
        let partition = self.partition(hash);
        let look = |longest: usize, count: bool| {
            let Some(entry) = self.find(partition, hash, key, longest) else {
                return Seen::Nothing;
            };
            if entry.stored_ms(&self.region) < since_ms {
                return Seen::Expired;
            }
            if entry.counts_reads(&self.region) {
                if !count {
                    return Seen::Uncounted;
                }
                entry.count_read(&self.region);
            }
            entry.copy(&self.region).map_or(Seen::Nothing, Seen::Value)
        };
        let seen = match self.unlocked(partition, || look(LONGEST_UNLOCKED, false)) {
            Some(Seen::Value(copied)) => Seen::Value(copied),
            _ => self
                .locks
                .shared(partition, || look(self.region.layout.blocks, true)),
        };
        match seen {
            Seen::Nothing | Seen::Uncounted => Found::Absent,
            Seen::Expired => Found::Expired,
            Seen::Value(copied) if copied.is_sound() => Found::Value {
                value: copied.value,
                stored_ms: copied.stored_ms,
            },
            Seen::Value(_) => {
                self.remove(hash, key);
                Found::Damaged
            }
        }
    }

    /// What `look` sees without a lock, if no entry of the partition changed meanwhile: a sequence lock, with the fences of Boehm, "Can
    /// Seqlocks Get Along With Programming Language Memory Models?", MSPC 2012. `look` must write nothing, and bear whatever it sees.
    fn unlocked<R>(&self, partition: usize, look: impl FnOnce() -> R) -> Option<R> {
        let version = self.version(partition)?;
        let before = version.load(Ordering::Acquire);
        if before & 1 == 1 {
            return None;
        }
        let seen = look();
        fence(Ordering::Acquire);
        (version.load(Ordering::Relaxed) == before).then_some(seen)
    }

    /// Changes entries of a partition, under its exclusive lock.
    fn changing<R>(&self, partition: usize, change: impl FnOnce() -> R) -> R {
        self.locks.exclusive(partition, || {
            let Some(version) = self.version(partition) else {
                return change();
            };
            let before = version.load(Ordering::Relaxed);
            version.store(before | 1, Ordering::Relaxed);
            fence(Ordering::Release);
            let result = change();
            version.store((before | 1).wrapping_add(1), Ordering::Release);
            result
        })
    }

    fn version(&self, partition: usize) -> Option<&'a AtomicU64> {
        let at = self.region.layout.partition_at(partition);
        self.region.word(at + queue::VERSION)
    }

    fn find(&self, partition: usize, hash: KeyHash, key: &Key, longest: usize) -> Option<Entry> {
        let bucket = hash.below(Quarter::Bucket, self.region.layout.buckets);
        queue::bucket_entries(&self.region, partition, bucket)
            .take(longest)
            .find(|entry| entry.has_key(&self.region, hash, key.bytes()))
    }

    /// Stores a value, in place of an earlier one of the same key.
    pub fn put(&self, hash: KeyHash, key: &Key, value: &[u8], now_ms: u64) -> Stored {
        let mut done = Stored::default();
        let blocks = entry::blocks(key.bytes().len(), value.len());
        let bytes = key.bytes().len().saturating_add(value.len());
        if bytes > MOST_BYTES || blocks > self.region.layout.most_blocks() {
            return done;
        }
        let Some(chain) = self.reserve(blocks, &mut done.evicted) else {
            return done;
        };
        let entry = Entry::at(chain.first);
        entry.write(
            &self.region,
            chain.last,
            &Content {
                hash,
                key,
                value,
                stored_ms: now_ms,
            },
        );
        let partition = self.partition(hash);
        let replaced = self.changing(partition, || {
            let earlier = self.find(partition, hash, key, self.region.layout.blocks);
            let replaced = earlier.map(|earlier| {
                let reads = earlier.reads(&self.region);
                entry.set_reads(&self.region, reads);
                queue::remove(&self.region, partition, earlier)
            });
            queue::insert(&self.region, partition, entry);
            replaced
        });
        if let Some(chain) = replaced {
            pool::give(&self.region, &chain);
        }
        done.stored = true;
        done
    }

    /// So many blocks, from the pool or from entries that go, of one partition after the other.
    fn reserve(&self, blocks: usize, evicted: &mut [u32; Kind::ALL.len()]) -> Option<Chain> {
        let region = &self.region;
        let mut chain = pool::take(region, blocks);
        let mut fruitless = 0;
        while chain.as_ref().map_or(0, |chain| chain.length) < blocks {
            let hand = region.word(HAND_AT)?.fetch_add(1, Ordering::Relaxed);
            let partition = (hand % region.layout.partitions as u64) as usize;
            let gone = self.changing(partition, || queue::evict(region, partition));
            let Some((kind, freed)) = gone else {
                fruitless += 1;
                // Everything is in the hands of others who store just now.
                if fruitless > 2 * region.layout.partitions {
                    if let Some(chain) = chain {
                        pool::give(region, &chain);
                    }
                    return None;
                }
                let wanted = blocks - chain.as_ref().map_or(0, |chain| chain.length);
                chain = join(region, chain, pool::take(region, wanted));
                continue;
            };
            if let Some(count) = evicted.get_mut(kind as usize) {
                *count += 1;
            }
            chain = join(region, chain, Some(freed));
        }
        let (chain, rest) = chain?.split(region, blocks);
        if let Some(rest) = rest {
            pool::give(region, &rest);
        }
        Some(chain)
    }

    /// Removes the entry of a key.
    pub fn remove(&self, hash: KeyHash, key: &Key) {
        let partition = self.partition(hash);
        let gone = self.changing(partition, || {
            let entry = self.find(partition, hash, key, self.region.layout.blocks)?;
            Some(queue::remove(&self.region, partition, entry))
        });
        if let Some(chain) = gone {
            pool::give(&self.region, &chain);
        }
    }

    /// Removes the entries that `which` chooses; returns how many.
    pub fn remove_where(&self, which: impl Fn(Tag) -> bool) -> u64 {
        let mut removed = 0;
        for partition in 0..self.region.layout.partitions {
            let gone = self.changing(partition, || {
                let mut gone = None;
                let chosen = |entry: &Entry| which(entry.tag(&self.region));
                let mut next = queue::newest_entries(&self.region, partition);
                while let Some(entry) = next.entry {
                    next = next.older(&self.region);
                    if chosen(&entry) {
                        let chain = queue::remove(&self.region, partition, entry);
                        gone = join(&self.region, gone, Some(chain));
                        removed += 1;
                    }
                }
                gone
            });
            if let Some(chain) = gone {
                pool::give(&self.region, &chain);
            }
        }
        removed
    }

    /// What it holds of each kind, in the order of [`Kind::ALL`]. Looks at every entry.
    pub fn holdings(&self) -> [Holding; Kind::ALL.len()] {
        let mut holdings = [Holding::default(); Kind::ALL.len()];
        for partition in 0..self.region.layout.partitions {
            self.locks.shared(partition, || {
                for (kind, holding) in Kind::ALL.into_iter().zip(&mut holdings) {
                    let (entries, bytes) = queue::of_kind(&self.region, partition, kind);
                    holding.entries += entries;
                    holding.bytes += bytes;
                }
                for entry in queue::entries(&self.region, partition) {
                    let kind = entry.tag(&self.region).kind as usize;
                    if let Some(holding) = holdings.get_mut(kind) {
                        let stored = entry.stored_ms(&self.region);
                        holding.oldest_ms =
                            Some(holding.oldest_ms.map_or(stored, |oldest| oldest.min(stored)));
                    }
                }
            });
        }
        holdings
    }

    #[cfg(test)]
    /// Bytes that entries can take, and of these the bytes that none takes.
    pub(super) fn room(&self) -> (u64, u64) {
        let block = (super::layout::BLOCK_WORDS * 8) as u64;
        let free = self.region.load(pool::FREE_AT);
        (self.region.layout.capacity_bytes() as u64, free * block)
    }
}

fn join(region: &Region, chain: Option<Chain>, more: Option<Chain>) -> Option<Chain> {
    match (chain, more) {
        (Some(chain), Some(more)) => Some(chain.joined(region, more)),
        (chain, more) => chain.or(more),
    }
}

const _: () = assert!(NONE as usize > MOST_BYTES);
