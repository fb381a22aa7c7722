//! Key columns: values of a row that stand beside its vector in an index, to be tested before a distance is estimated.
//!
//! Each value becomes 8 bytes ([`KeyKind`] says how, [`ordered_i64`] and its like do it), each condition of a query a [`Test`] of
//! such bytes. A test may be true of a row that the condition refuses (the caller then looks at the row itself), never the other
//! way round. Nothing here knows a graph or a page; what is read may be torn or garbage, and gives an answer all the same.
//!
//! | offset | bytes | content                                                                       |
//! |-------:|------:|-------------------------------------------------------------------------------|
//! |      0 |     1 | a bit for each column, from the lowest: 1 where it is NULL; the rest zero      |
//! |      1 |     3 | zero                                                                           |
//! |      4 |  8 each | the values, little endian; zero for NULL                                     |

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

mod encode;
mod filter;

pub use encode::{Signature, hash_bytes, ordered_f64, ordered_i64, ordered_u64};
pub use filter::{Condition, Filter, Test};

/// The most key columns of an index.
pub const MAX_KEYS: usize = 8;
/// Bytes before the values: the bits of the columns that are NULL, and zeros that keep what follows aligned.
const HEAD_BYTES: usize = 4;
const VALUE_BYTES: usize = 8;
/// Bytes of the keys of as many columns as there can be.
const MOST_BYTES: usize = HEAD_BYTES + MAX_KEYS * VALUE_BYTES;

/// Bytes of the keys of a row of so many columns; none without columns.
#[must_use]
pub const fn key_bytes(count: usize) -> usize {
    match count {
        0 => 0,
        MAX_KEYS.. => MOST_BYTES,
        count => HEAD_BYTES.saturating_add(count.saturating_mul(VALUE_BYTES)),
    }
}

/// How the value of a column became 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// A number that orders as the values do, one to one: equality and ranges are exact.
    Ordered = 1,
    /// A number that orders as the values do, which several values may share: equality and ranges are to be looked at again.
    Rounded = 2,
    /// A hash: equality, to be looked at again.
    Hashed = 3,
    /// A [`Signature`] of the elements of an array: overlap and containment, to be looked at again.
    Signature = 4,
}

impl KeyKind {
    /// The kind that [`KeyKind::to_u8`] wrote.
    #[must_use]
    pub fn from_u8(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Ordered),
            2 => Some(Self::Rounded),
            3 => Some(Self::Hashed),
            4 => Some(Self::Signature),
            _ => None,
        }
    }

    /// The number that stands for the kind on disk.
    #[must_use]
    pub fn to_u8(self) -> u8 {
        self as u8
    }

    /// Whether a test of the 8 bytes says all about the condition; if not, the row is to be looked at.
    #[must_use]
    pub fn is_exact(self) -> bool {
        self == Self::Ordered
    }
}

/// The key columns of an index, in order; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyKinds {
    /// As they stand in the meta page: kinds from the front, then zeros.
    codes: [u8; MAX_KEYS],
}

impl KeyKinds {
    /// No key columns.
    pub const NONE: KeyKinds = KeyKinds { codes: [0; MAX_KEYS] };

    /// These columns; none if they are more than [`MAX_KEYS`].
    #[must_use]
    pub fn new(kinds: &[KeyKind]) -> Option<Self> {
        let mut keys = Self::NONE;
        keys.codes
            .get_mut(..kinds.len())?
            .iter_mut()
            .zip(kinds)
            .for_each(|(code, kind)| *code = kind.to_u8());
        Some(keys)
    }

    /// The columns that [`KeyKinds::to_bytes`] wrote; none for what it cannot have written.
    #[must_use]
    pub fn from_bytes(codes: [u8; MAX_KEYS]) -> Option<Self> {
        let keys = Self { codes };
        let (columns, rest) = codes.split_at_checked(keys.count())?;
        let sound = columns.iter().all(|code| KeyKind::from_u8(*code).is_some());
        (sound && rest.iter().all(|code| *code == 0)).then_some(keys)
    }

    /// A byte a column, zero where there is none.
    #[must_use]
    pub fn to_bytes(self) -> [u8; MAX_KEYS] {
        self.codes
    }

    /// How many columns there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.codes.iter().take_while(|code| **code != 0).count()
    }

    /// The kind of a column, from 0.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<KeyKind> {
        self.codes.get(column).and_then(|code| KeyKind::from_u8(*code))
    }

    /// The kinds, in order.
    pub fn iter(&self) -> impl Iterator<Item = KeyKind> + use<> {
        self.codes.into_iter().map_while(KeyKind::from_u8)
    }

    /// Bytes of the keys of a row.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        key_bytes(self.count())
    }
}

/// The keys of a row, as they stand in its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKeys {
    bytes: [u8; MOST_BYTES],
    count: usize,
}

impl RowKeys {
    /// The keys of a row with so many columns, at most [`MAX_KEYS`], all of them NULL.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let count = count.min(MAX_KEYS);
        let mut keys = Self {
            bytes: [0; MOST_BYTES],
            count,
        };
        if let Some(nulls) = keys.bytes.first_mut() {
            *nulls = columns_mask(count);
        }
        keys
    }

    /// Sets the value of a column; none for NULL. A column that is not there is passed by.
    pub fn set(&mut self, column: usize, value: Option<u64>) {
        if column >= self.count {
            return;
        }
        let bit = column_bit(column);
        if let Some((nulls, rest)) = self.bytes.split_first_mut() {
            *nulls = if value.is_none() {
                *nulls | bit
            } else {
                *nulls & !bit
            };
            let values = rest.get_mut(HEAD_BYTES - 1..).unwrap_or_default();
            if let Some(place) = values.as_chunks_mut::<VALUE_BYTES>().0.get_mut(column) {
                *place = value.unwrap_or_default().to_le_bytes();
            }
        }
    }

    /// The bytes of the slot, [`key_bytes`] of the number of columns.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..key_bytes(self.count)).unwrap_or_default()
    }
}

/// What is wrong with the keys in a slot of an index with so many columns; none if a [`RowKeys`] can have given them.
#[must_use]
pub fn find_fault(keys: &[u8], count: usize) -> Option<&'static str> {
    if keys.len() != key_bytes(count) {
        return Some("keys do not have the length of this index");
    }
    // Without columns there are no bytes, and nothing can be wrong with them.
    let (&[nulls, reserved @ ..], values) = keys.split_first_chunk::<HEAD_BYTES>()?;
    if reserved != [0; HEAD_BYTES - 1] {
        return Some("reserved bytes of the keys are not zero");
    }
    if nulls & !columns_mask(count) != 0 {
        return Some("keys say that an absent column is NULL");
    }
    let mut values = values.as_chunks::<VALUE_BYTES>().0.iter().enumerate();
    values
        .any(|(column, value)| nulls & column_bit(column) != 0 && *value != [0; VALUE_BYTES])
        .then_some("a NULL key has a value")
}

/// The bit of a column among those that are NULL.
#[inline]
fn column_bit(column: usize) -> u8 {
    u32::try_from(column).map_or(0, |column| 1_u8.checked_shl(column).unwrap_or(0))
}

/// The bits of the first `count` columns.
fn columns_mask(count: usize) -> u8 {
    (0..count).fold(0, |mask, column| mask | column_bit(column))
}

#[cfg(test)]
mod tests;
