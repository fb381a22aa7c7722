//! Pages of PostgreSQL's GIN indexes over one column of type bigint, for reading.
//!
//! The format is that of src/include/access/ginblock.h, unchanged since PostgreSQL 9.4: an entry tree by key, whose leaves hold short
//! posting lists themselves, and for longer ones the root of a posting tree. The server's own way to them is a bitmap scan
//! for each key, which costs a descent and an entry in a hash table for each row; here the keys of a term,
//! which are neighbours, are read at once and rows as they are stored (docs/design/matching.md has the figures). Which pages are read
//! in which order, and under which locks, is the glue's matter.

use super::accumulate::Row;

/// The page of the index's own facts, and the root of the entry tree.
pub const META_BLOCK: u32 = 0;
/// The root of the entry tree.
pub const ROOT_BLOCK: u32 = 1;

const HEADER_BYTES: usize = 24;
const LINE_POINTER_BYTES: usize = 4;
/// Where the data of a posting tree's page begins: after the header and the right bound.
const POSTING_DATA: usize = 32;
const POSTING_ITEM_BYTES: usize = 10;
/// Header of an index tuple; the key follows it.
const TUPLE_HEADER_BYTES: usize = 8;
/// Header of a posting list: its first row and the number of its further bytes.
const LIST_HEADER_BYTES: usize = 8;

const DATA: u16 = 1;
const LEAF: u16 = 2;
const DELETED: u16 = 4;
const META: u16 = 8;
const COMPRESSED: u16 = 128;

/// No block.
const NONE: u32 = u32::MAX;
/// In the place of the number of rows: they are in a posting tree.
const TREE: u16 = u16::MAX;
/// A tuple whose key is null: what has no key at all.
const NULL_KEY: u16 = 0x8000;
/// Bits of the line pointer in a row's place, as posting lists have it.
const OFFSET_BITS: u32 = 11;
/// Bits of a place: block and line pointer.
pub const PLACE_BITS: u32 = 32 + OFFSET_BITS;

/// A page that is not what it must be: the index is damaged, or of a format that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a page of the text index is not what it should be: {0}")]
pub struct Damage(pub &'static str);

type Result<T> = core::result::Result<T, Damage>;

/// Block and line pointer of a place.
pub fn block_and_offset(place: Row) -> (u32, u16) {
    let offset = place & ((1 << OFFSET_BITS) - 1);
    ((place >> OFFSET_BITS) as u32, offset as u16)
}

/// A page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    bytes: &'a [u8],
    right: u32,
    count: u16,
    flags: u16,
}

/// Where to go from a page of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To a page below.
    Down(u32),
    /// To the next page on the same height.
    Right(u32),
    /// This is the page.
    Here,
}

/// The rows of a key.
#[derive(Clone, Copy, Debug)]
pub enum Postings<'a> {
    /// A posting list of `count` rows.
    List {
        /// How many.
        count: usize,
        /// The list.
        bytes: &'a [u8],
    },
    /// A posting tree with this root.
    Tree(u32),
}

/// A page of a posting tree.
#[derive(Clone, Copy, Debug)]
pub enum PostingPage<'a> {
    /// An inner one, with the leftmost page below.
    Inner(u32),
    /// A leaf: its posting lists, one after the other.
    Leaf(&'a [u8]),
}

impl<'a> Page<'a> {
    /// Looks at a page.
    ///
    /// # Errors
    /// If it is not one of a GIN index, or deleted.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let special = usize::from(u16_at(bytes, 16)?);
        if special < HEADER_BYTES || bytes.len().checked_sub(special) != Some(8) {
            return Err(Damage("no page of a GIN index"));
        }
        let page = Self {
            bytes,
            right: u32_at(bytes, special)?,
            count: u16_at(bytes, special + 4)?,
            flags: u16_at(bytes, special + 6)?,
        };
        if page.flags & DELETED != 0 {
            return Err(Damage("a deleted page"));
        }
        Ok(page)
    }

    /// The next page on the same height.
    pub fn right(&self) -> Option<u32> {
        (self.right != NONE).then_some(self.right)
    }

    fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether rows wait in the pending list, of which the entry tree knows nothing.
    ///
    /// # Errors
    /// If this is not the page of the index's own facts.
    pub fn has_pending(&self) -> Result<bool> {
        if !self.is(META) {
            return Err(Damage("no meta page"));
        }
        Ok(u32_at(self.bytes, HEADER_BYTES)? != NONE)
    }

    fn tuples(&self) -> Result<usize> {
        let end = usize::from(u16_at(self.bytes, 12)?);
        Ok(end.saturating_sub(HEADER_BYTES) / LINE_POINTER_BYTES)
    }

    fn tuple(&self, number: usize) -> Result<&'a [u8]> {
        let pointer = u32_at(self.bytes, HEADER_BYTES + number * LINE_POINTER_BYTES)?;
        let (start, length) = ((pointer & 0x7fff) as usize, (pointer >> 17) as usize);
        self.bytes
            .get(start..start + length)
            .ok_or(Damage("a tuple outside its page"))
    }

    /// The key of a tuple; none for what has no key, which comes after all others.
    fn key(tuple: &[u8]) -> Result<Option<i64>> {
        if u16_at(tuple, 6)? & NULL_KEY != 0 {
            return Ok(None);
        }
        let bytes = tuple
            .get(TUPLE_HEADER_BYTES..TUPLE_HEADER_BYTES + 8)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(Damage("a tuple without a key"))?;
        Ok(Some(i64::from_le_bytes(bytes)))
    }

    /// The first of the first `count` tuples whose key is not below `key`; `count` if there is none.
    fn lower_bound(&self, key: i64, count: usize) -> Result<usize> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            let below = Self::key(self.tuple(middle)?)?.is_some_and(|found| found < key);
            if below {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Where to go from this page of the entry tree to find a key.
    ///
    /// # Errors
    /// If it is no such page.
    pub fn entry_step(&self, key: i64) -> Result<Step> {
        if self.is(DATA) || self.is(META) {
            return Err(Damage("no page of the entry tree"));
        }
        let count = self.tuples()?;
        // A key beyond the page's last was moved to the right by a split that the page above did not know of yet.
        if let Some(right) = self.right()
            && self.lower_bound(key, count)? == count
        {
            return Ok(Step::Right(right));
        }
        if self.is(LEAF) {
            return Ok(Step::Here);
        }
        // The last tuple of the rightmost inner page stands for all that is left. Splits leave its key as it was, so that it may
        // be below those before it: it is not looked at.
        let last = count
            .checked_sub(1)
            .ok_or(Damage("an inner page without tuples"))?;
        let bounded = if self.right().is_some() { count } else { last };
        let place = self.lower_bound(key, bounded)?;
        Ok(Step::Down(block_at(self.tuple(place)?, 0)?))
    }

    /// Shows the keys from `first` to `last` on this leaf of the entry tree, and returns whether there may be more to the right.
    ///
    /// # Errors
    /// If it is no such page, and those of `look`.
    pub fn entries<E: From<Damage>>(
        &self,
        first: i64,
        last: i64,
        mut look: impl FnMut(i64, Postings<'a>) -> core::result::Result<(), E>,
    ) -> core::result::Result<bool, E> {
        if self.is(DATA) || !self.is(LEAF) {
            return Err(Damage("no leaf of the entry tree").into());
        }
        let count = self.tuples()?;
        for number in self.lower_bound(first, count)?..count {
            let tuple = self.tuple(number)?;
            match Self::key(tuple)? {
                Some(key) if key <= last => look(key, postings(tuple)?)?,
                _ => return Ok(false),
            }
        }
        Ok(self.right().is_some())
    }

    /// Looks at a page of a posting tree.
    ///
    /// # Errors
    /// If it is no such page.
    pub fn postings(&self) -> Result<PostingPage<'a>> {
        if !self.is(DATA) {
            return Err(Damage("no page of a posting tree"));
        }
        if !self.is(LEAF) {
            if self.count == 0 {
                return Err(Damage("an inner page without items"));
            }
            let first = self
                .bytes
                .get(POSTING_DATA..POSTING_DATA + POSTING_ITEM_BYTES)
                .ok_or(Damage("an item outside its page"))?;
            return Ok(PostingPage::Inner(block_at(first, 0)?));
        }
        if !self.is(COMPRESSED) {
            return Err(Damage("a posting tree of PostgreSQL 9.3"));
        }
        let end = usize::from(u16_at(self.bytes, 12)?);
        self.bytes
            .get(POSTING_DATA..end)
            .map(PostingPage::Leaf)
            .ok_or(Damage("posting lists outside their page"))
    }
}

fn postings(tuple: &[u8]) -> Result<Postings<'_>> {
    let count = u16_at(tuple, 4)?;
    let block = block_at(tuple, 0)?;
    if count == TREE {
        return Ok(Postings::Tree(block));
    }
    let (compressed, at) = (block >> 31 == 1, (block & 0x7fff_ffff) as usize);
    if !compressed && count > 0 {
        return Err(Damage("a posting list of PostgreSQL 9.3"));
    }
    let bytes = tuple
        .get(at..)
        .ok_or(Damage("a posting list outside its tuple"))?;
    Ok(Postings::List {
        count: usize::from(count),
        bytes: if count == 0 { &[] } else { bytes },
    })
}

/// Rows of posting lists that stand one after the other.
///
/// # Errors
/// If a list goes beyond its end.
pub fn count(mut lists: &[u8]) -> Result<usize> {
    let mut count = 0;
    while !lists.is_empty() {
        let (_, deltas, rest) = split_list(lists)?;
        count += 1 + deltas.iter().filter(|&&byte| byte & 0x80 == 0).count();
        lists = rest;
    }
    Ok(count)
}

/// Appends the rows of posting lists that stand one after the other, each with the bits of `table`.
///
/// # Errors
/// If a list goes beyond its end.
pub fn decode(mut lists: &[u8], table: Row, rows: &mut Vec<Row>) -> Result<()> {
    while !lists.is_empty() {
        let (first, deltas, rest) = split_list(lists)?;
        decode_list(first, deltas, table, rows)?;
        lists = rest;
    }
    Ok(())
}

/// Appends the `count` rows of one posting list, which its tuple may pad.
///
/// # Errors
/// If the list goes beyond its end or has another number of rows.
pub fn decode_entry(list: &[u8], count: usize, table: Row, rows: &mut Vec<Row>) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let before = rows.len();
    let (first, deltas, _) = split_list(list)?;
    decode_list(first, deltas, table, rows)?;
    if rows.len() - before == count {
        Ok(())
    } else {
        Err(Damage("a posting list of another length"))
    }
}

/// The first row of a list, its further bytes, and what comes after it.
fn split_list(lists: &[u8]) -> Result<(Row, &[u8], &[u8])> {
    let first = (u64::from(block_at(lists, 0)?) << OFFSET_BITS) | u64::from(u16_at(lists, 4)?);
    let length = usize::from(u16_at(lists, 6)?);
    let (deltas, rest) = lists
        .get(LIST_HEADER_BYTES..)
        .and_then(|bytes| bytes.split_at_checked(length))
        .ok_or(Damage("a posting list beyond its end"))?;
    // Lists begin at even places.
    let rest = rest.get(length % 2..).unwrap_or_default();
    Ok((first, deltas, rest))
}

/// Differences of the packed places, seven bits in a byte, the lowest first; the high bit says that another byte follows.
fn decode_list(first: Row, deltas: &[u8], table: Row, rows: &mut Vec<Row>) -> Result<()> {
    let mut place = first;
    rows.push(place | table);
    let (mut delta, mut shift) = (0_u64, 0);
    for &byte in deltas {
        delta |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 != 0 {
            shift += 7;
            if shift > 42 {
                return Err(Damage("a difference of more than seven bytes"));
            }
        } else {
            place = place.wrapping_add(delta) & ((1 << PLACE_BITS) - 1);
            rows.push(place | table);
            (delta, shift) = (0, 0);
        }
    }
    if shift == 0 {
        Ok(())
    } else {
        Err(Damage("a posting list that is cut"))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    bytes
        .get(at..at + 2)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u16::from_le_bytes)
        .ok_or(Damage("a number outside its page"))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from(u16_at(bytes, at)?) | (u32::from(u16_at(bytes, at + 2)?) << 16))
}

/// A block number as in the place of a row: the high half comes first.
fn block_at(bytes: &[u8], at: usize) -> Result<u32> {
    Ok((u32::from(u16_at(bytes, at)?) << 16) | u32::from(u16_at(bytes, at + 2)?))
}

#[cfg(test)]
mod tests;
