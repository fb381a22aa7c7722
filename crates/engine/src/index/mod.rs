//! The vector indexes: quantisation, page formats, the graph.
//!
//! Durable state is pages of 8 KB and nothing else. This module knows pages as byte slices and reaches them through the traits of
//! [`storage`]; the PostgreSQL glue implements these over shared buffers and WAL, tests over memory.
//!
//! Distances in here are *keys*: `f32` numbers that ascend with the distance. L2: the squared distance; cosine: the squared
//! distance of the normalised vectors, which is twice the cosine distance; inner product: its negative; L1: the taxicab distance; Hamming
//! and Jaccard: these distances of bits.

pub mod hnsw;
pub mod ivf;
pub mod key;
pub mod page;
pub mod project;
pub mod quantize;
pub mod storage;
pub mod value;

use crate::interrupt::Interrupted;

/// What an index orders by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Metric {
    /// The Euclidean distance.
    L2 = 1,
    /// The negative inner product.
    InnerProduct = 2,
    /// The cosine distance.
    Cosine = 3,
    /// The taxicab distance.
    L1 = 4,
    /// The number of bits that differ.
    Hamming = 5,
    /// One less the share of the bits set in either that are set in both.
    Jaccard = 6,
}

impl Metric {
    /// The metric that [`Metric::to_u8`] wrote.
    #[must_use]
    pub fn from_u8(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::L2),
            2 => Some(Self::InnerProduct),
            3 => Some(Self::Cosine),
            4 => Some(Self::L1),
            5 => Some(Self::Hamming),
            6 => Some(Self::Jaccard),
            _ => None,
        }
    }

    /// The number that stands for the metric on disk.
    #[must_use]
    pub fn to_u8(self) -> u8 {
        self as u8
    }

    /// The name that `index_info` shows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::InnerProduct => "inner product",
            Self::Cosine => "cosine",
            Self::L1 => "l1",
            Self::Hamming => "hamming",
            Self::Jaccard => "jaccard",
        }
    }
}

/// The type of the indexed column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ElementKind {
    /// `vector`: 32-bit floats.
    Vector = 1,
    /// `halfvec`: 16-bit floats.
    Halfvec = 2,
    /// `bit`.
    Bit = 3,
    /// `sparsevec`: the elements that are not zero.
    Sparsevec = 4,
}

impl ElementKind {
    /// The kind that [`ElementKind::to_u8`] wrote.
    #[must_use]
    pub fn from_u8(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Vector),
            2 => Some(Self::Halfvec),
            3 => Some(Self::Bit),
            4 => Some(Self::Sparsevec),
            _ => None,
        }
    }

    /// The name of the type in SQL.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Halfvec => "halfvec",
            Self::Bit => "bit",
            Self::Sparsevec => "sparsevec",
        }
    }

    /// Dimensions of what is coded of a value of `dims` dimensions: sparse vectors of many are projected to a few.
    #[must_use]
    pub fn coded_dims(self, dims: u32) -> u32 {
        match self {
            Self::Sparsevec => dims.min(project::DIMS),
            Self::Vector | Self::Halfvec | Self::Bit => dims,
        }
    }

    /// The number that stands for the kind on disk.
    #[must_use]
    pub fn to_u8(self) -> u8 {
        self as u8
    }
}

/// Where a row stands in the table: block and line pointer (from 1). All zero stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HeapTid {
    /// Block of the table.
    pub block: u32,
    /// Line pointer in the block, from 1.
    pub offset: u16,
}

impl HeapTid {
    /// No row.
    pub const NONE: HeapTid = HeapTid { block: 0, offset: 0 };
}

/// The dense number of an element of an index: which block and which slot of it, see [`page::Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct SlotId(pub u32);

impl SlotId {
    /// No element; also ends a list of neighbours.
    pub const NONE: SlotId = SlotId(u32::MAX);
}

/// Why an index operation did not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A page does not hold what it must; the index is to be rebuilt.
    #[error("unexpected content in block {block}: {what}")]
    Corrupt {
        /// The block of the index.
        block: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The index was written by another version of the format.
    #[error("index has format version {found}, this version of castmatch reads {expected}")]
    Version {
        /// The version on the meta page.
        found: u8,
        /// The version that this code reads and writes.
        expected: u8,
    },
    /// Memory could not be had.
    #[error("out of memory: {what} needs {bytes} bytes")]
    OutOfMemory {
        /// What the memory is for.
        what: &'static str,
        /// How much.
        bytes: usize,
    },
    /// More than an index can hold: a vector too large for a page, or more slots than 32 bits number.
    #[error("{what} is {value}, at most {limit} is possible")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        value: u64,
        /// How large it may be.
        limit: u64,
    },
    /// The work broke off through a mistake in the program.
    #[error("{what}")]
    Failed {
        /// What happened.
        what: &'static str,
    },
}
