//! An entry: a chain of blocks whose first one begins with a header.
//!
//! ```text
//! word  what
//! 0, 1  hash of the key
//! 2     bytes of the key | bytes of the value
//! 3     when it was stored, milliseconds
//! 4     checksum of the value
//! 5     database | table
//! 6     kind | queue
//! 7     how often it was read since, up to 3; changed under the shared lock
//! 8     next entry of the bucket | last block of the chain
//! 9     neighbours in the queue: newer | older
//! 10 …  the key, from a word's start on the value
//! ```

use super::Kind;
use super::key::{Key, KeyHash};
use super::layout::{BLOCK_WORDS, NONE};
use super::queue::Queue;
use super::region::{Region, pack, unpack};
use super::shared::MOST_BYTES;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const HIGH: usize = 0;
const LOW: usize = 1;
const LENGTHS: usize = 2;
const STORED: usize = 3;
const CHECKSUM: usize = 4;
const OWNER: usize = 5;
const SORT: usize = 6;
const READS: usize = 7;
const CHAIN: usize = 8;
const NEIGHBOURS: usize = 9;
const HEADER: usize = 10;

/// Reads that count.
const MOST_READS: u64 = 3;

/// What an entry is about, for whoever removes entries by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What the value is.
    pub kind: Kind,
    /// The database that it belongs to.
    pub database: u32,
    /// The table that it comes from, or 0.
    pub target: u32,
}

/// An entry by its first block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) block: u32,
}

/// What is written into an entry.
pub(super) struct Content<'c> {
    pub(super) hash: KeyHash,
    pub(super) key: &'c Key,
    pub(super) value: &'c [u8],
    pub(super) stored_ms: u64,
}

/// Bytes from a chain of blocks, not yet checked.
pub(super) struct Copied {
    pub(super) value: Vec<u8>,
    pub(super) stored_ms: u64,
    checksum: u64,
    hash: KeyHash,
}

impl Copied {
    /// Whether they are what was stored.
    pub(super) fn is_sound(&self) -> bool {
        checksum(self.hash, &self.value) == self.checksum
    }
}

fn checksum(hash: KeyHash, value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, hash.low ^ value.len() as u64)
}

/// Words that so many bytes take.
fn words(bytes: usize) -> usize {
    bytes.div_ceil(8)
}

/// Blocks that an entry takes.
pub(super) fn blocks(key_bytes: usize, value_bytes: usize) -> usize {
    (HEADER + words(key_bytes) + words(value_bytes)).div_ceil(BLOCK_WORDS)
}

impl Entry {
    pub(super) fn at(block: u32) -> Self {
        Self { block }
    }

    fn place(self, region: &Region, word: usize) -> usize {
        region.layout.block_at(self.block) + word
    }

    fn get(self, region: &Region, word: usize) -> u64 {
        region.load(self.place(region, word))
    }

    fn set(self, region: &Region, word: usize, value: u64) {
        region.store(self.place(region, word), value);
    }

    pub(super) fn hash(self, region: &Region) -> KeyHash {
        KeyHash {
            high: self.get(region, HIGH),
            low: self.get(region, LOW),
        }
    }

    pub(super) fn tag(self, region: &Region) -> Tag {
        let (database, target) = unpack(self.get(region, OWNER));
        let kind = Kind::from_number(self.get(region, SORT) >> 8).unwrap_or(Kind::Embedding);
        Tag {
            kind,
            database,
            target,
        }
    }

    pub(super) fn stored_ms(self, region: &Region) -> u64 {
        self.get(region, STORED)
    }

    /// Bytes of the key and the value.
    pub(super) fn lengths(self, region: &Region) -> (usize, usize) {
        let (key, value) = unpack(self.get(region, LENGTHS));
        (key as usize, value as usize)
    }

    pub(super) fn blocks(self, region: &Region) -> usize {
        let (key, value) = self.lengths(region);
        blocks(key, value)
    }

    pub(super) fn last_block(self, region: &Region) -> u32 {
        unpack(self.get(region, CHAIN)).1
    }

    pub(super) fn next_of_bucket(self, region: &Region) -> Option<u32> {
        region.existing(unpack(self.get(region, CHAIN)).0)
    }

    pub(super) fn set_next_of_bucket(self, region: &Region, next: Option<u32>) {
        let last = self.last_block(region);
        self.set(region, CHAIN, pack(next.unwrap_or(NONE), last));
    }

    pub(super) fn queue(self, region: &Region) -> Queue {
        if self.get(region, SORT) & 1 == 0 {
            Queue::Small
        } else {
            Queue::Main
        }
    }

    pub(super) fn set_queue(self, region: &Region, queue: Queue) {
        let sort = self.get(region, SORT);
        self.set(region, SORT, sort & !1 | u64::from(queue == Queue::Main));
    }

    /// The entries before and after it in its queue: newer, older.
    pub(super) fn neighbours(self, region: &Region) -> (Option<u32>, Option<u32>) {
        let (newer, older) = unpack(self.get(region, NEIGHBOURS));
        (region.existing(newer), region.existing(older))
    }

    pub(super) fn set_neighbours(self, region: &Region, newer: Option<u32>, older: Option<u32>) {
        let word = pack(newer.unwrap_or(NONE), older.unwrap_or(NONE));
        self.set(region, NEIGHBOURS, word);
    }

    /// Reads since it was stored or last passed over, at most 3.
    pub(super) fn reads(self, region: &Region) -> u64 {
        self.get(region, READS).min(MOST_READS)
    }

    pub(super) fn set_reads(self, region: &Region, reads: u64) {
        self.set(region, READS, reads);
    }

    /// Whether a further read would be counted.
    pub(super) fn counts_reads(self, region: &Region) -> bool {
        self.reads(region) < MOST_READS
    }

    /// Counts a read. Once enough are counted nothing is written any more, so that readers do not take the memory from each other.
    pub(super) fn count_read(self, region: &Region) {
        if let Some(reads) = region.word(self.place(region, READS))
            && reads.load(Ordering::Relaxed) < MOST_READS
        {
            reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes key and value into a chain of [`blocks`] blocks that nobody else knows yet.
    pub(super) fn write(self, region: &Region, last: u32, content: &Content) {
        let Content {
            hash,
            key,
            value,
            stored_ms,
        } = *content;
        let header = [
            hash.high,
            hash.low,
            pack(key.bytes().len() as u32, value.len() as u32),
            stored_ms,
            checksum(hash, value),
            pack(key.database(), key.target()),
            (key.kind() as u64) << 8,
            0,
            pack(NONE, last),
            pack(NONE, NONE),
        ];
        for (word, value) in header.into_iter().enumerate() {
            self.set(region, word, value);
        }
        let mut payload = Payload::of(self, region);
        for bytes in [key.bytes(), value] {
            for chunk in bytes.chunks(8) {
                payload.write(word_of(chunk));
            }
        }
    }

    /// Whether it is the entry of that key.
    pub(super) fn has_key(self, region: &Region, hash: KeyHash, key: &[u8]) -> bool {
        if self.hash(region) != hash || self.lengths(region).0 != key.len() {
            return false;
        }
        let mut payload = Payload::of(self, region);
        key.chunks(8).all(|chunk| payload.read() == Some(word_of(chunk)))
    }

    /// A copy of the value; `None` without memory for it, or if it is longer than any entry.
    pub(super) fn copy(self, region: &Region) -> Option<Copied> {
        let (key_bytes, value_bytes) = self.lengths(region);
        // Whoever looks without a lock may see the middle of a change.
        if key_bytes.saturating_add(value_bytes) > MOST_BYTES {
            return None;
        }
        let mut value = Vec::new();
        value.try_reserve_exact(words(value_bytes) * 8).ok()?;
        let mut payload = Payload::of(self, region);
        payload.skip(words(key_bytes));
        while value.len() < value_bytes {
            let wanted = words(value_bytes - value.len());
            let piece = payload.piece(wanted);
            if piece.is_empty() {
                break;
            }
            for word in piece {
                value.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
            }
        }
        value.truncate(value_bytes);
        Some(Copied {
            value,
            stored_ms: self.stored_ms(region),
            checksum: self.get(region, CHECKSUM),
            hash: self.hash(region),
        })
    }
}

/// Up to eight bytes as a word, filled up with zeros.
fn word_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// The words of an entry after its header, block by block.
struct Payload<'r, 'a> {
    region: &'r Region<'a>,
    block: Option<u32>,
    rest: &'a [AtomicU64],
}

impl<'r, 'a> Payload<'r, 'a> {
    fn of(entry: Entry, region: &'r Region<'a>) -> Self {
        Self {
            region,
            block: Some(entry.block),
            rest: region.block_words(entry.block, HEADER),
        }
    }

    /// The next words that stand together, at most `most`; none at the end of the chain.
    fn piece(&mut self, most: usize) -> &'a [AtomicU64] {
        if self.rest.is_empty() {
            self.block = self.block.and_then(|block| self.region.link(block));
            self.rest = self.block.map_or(&[], |block| self.region.block_words(block, 0));
        }
        let (piece, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        piece
    }

    fn skip(&mut self, mut words: usize) {
        while words > 0 {
            let skipped = self.piece(words).len();
            if skipped == 0 {
                break;
            }
            words -= skipped;
        }
    }

    fn read(&mut self) -> Option<u64> {
        self.piece(1).first().map(|word| word.load(Ordering::Relaxed))
    }

    fn write(&mut self, value: u64) {
        if let Some(word) = self.piece(1).first() {
            word.store(value, Ordering::Relaxed);
        }
    }
}
