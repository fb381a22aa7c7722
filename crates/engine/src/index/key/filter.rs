//! Conditions on key columns, as tests of the bytes in a slot.

use super::{HEAD_BYTES, KeyKinds, MAX_KEYS, VALUE_BYTES, column_bit, key_bytes};

/// A test of one column. NULL passes [`Test::IsNull`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// No row passes: a condition that compares with NULL.
    Never,
    /// From `low` to `high`, both included; equality where they are the same.
    Range {
        /// The least value that passes.
        low: u64,
        /// The greatest value that passes.
        high: u64,
    },
    /// One of these, in ascending order, each once; [`Filter::new`] sees to that.
    Any(Vec<u64>),
    /// The column is NULL.
    IsNull,
    /// The column is not NULL.
    IsNotNull,
    /// A signature with all bits of one of these, see [`super::Signature::mask`].
    Overlaps(Vec<u64>),
    /// A signature with all of these bits.
    Contains(u64),
}

impl Test {
    /// Whether no row can pass.
    fn is_never(&self) -> bool {
        match self {
            Self::Never => true,
            Self::Range { low, high } => low > high,
            Self::Any(values) | Self::Overlaps(values) => values.is_empty(),
            Self::IsNull | Self::IsNotNull | Self::Contains(_) => false,
        }
    }

    #[inline]
    fn passes(&self, is_null: bool, value: u64) -> bool {
        match self {
            Self::Never => false,
            Self::IsNull => is_null,
            _ if is_null => false,
            Self::IsNotNull => true,
            Self::Range { low, high } => (*low..=*high).contains(&value),
            Self::Any(values) => values.binary_search(&value).is_ok(),
            Self::Overlaps(masks) => masks.iter().any(|mask| value & mask == *mask),
            Self::Contains(mask) => value & mask == *mask,
        }
    }
}

/// A test of a column, which is numbered from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which key column.
    pub column: u8,
    /// What is tested.
    pub test: Test,
}

/// Conditions that all must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    conditions: Vec<Condition>,
    /// How many bytes of the keys are looked at, from the front.
    reach: usize,
    never: bool,
}

impl Filter {
    /// These conditions together.
    #[must_use]
    pub fn new(mut conditions: Vec<Condition>) -> Self {
        let mut columns = 0;
        for condition in &mut conditions {
            if let Test::Any(values) | Test::Overlaps(values) = &mut condition.test {
                values.sort_unstable();
                values.dedup();
            }
            columns = columns.max(usize::from(condition.column).saturating_add(1));
        }
        // What refuses most for the least work first: bits and numbers before lists.
        conditions.sort_by_key(|condition| matches!(condition.test, Test::Any(_) | Test::Overlaps(_)));
        Self {
            reach: key_bytes(columns),
            never: conditions.iter().any(|condition| condition.test.is_never()),
            conditions,
        }
    }

    /// Whether the keys of a row pass. Keys that are cut short pass no condition; garbage may pass.
    #[must_use]
    #[inline]
    pub fn matches(&self, keys: &[u8]) -> bool {
        if self.conditions.is_empty() {
            return true;
        }
        let Some((&[nulls, ..], values)) = keys.split_first_chunk::<HEAD_BYTES>() else {
            return false;
        };
        let values = values.as_chunks::<VALUE_BYTES>().0;
        self.conditions.iter().all(|condition| {
            let column = usize::from(condition.column);
            values.get(column).is_some_and(|value| {
                condition
                    .test
                    .passes(nulls & column_bit(column) != 0, u64::from_le_bytes(*value))
            })
        })
    }

    /// How many bytes of the keys [`Filter::matches`] looks at, from the front.
    #[must_use]
    pub fn reach(&self) -> usize {
        self.reach
    }

    /// Whether it is known that no row passes.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.never
    }

    /// Whether every row passes.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether all its columns are among these.
    #[must_use]
    pub fn fits(&self, keys: &KeyKinds) -> bool {
        self.conditions
            .iter()
            .all(|condition| usize::from(condition.column) < keys.count().min(MAX_KEYS))
    }
}
