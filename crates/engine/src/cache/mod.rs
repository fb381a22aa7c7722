//! A cache that all processes of a server share, in memory of a fixed size, and what keeps it right.
//!
//! Everything here works on slices of atomics, so that it is the same in PostgreSQL's shared memory and in a test, and so that no
//! interleaving of processes can be undefined behaviour. Locks, the clock and the liveness of a process are the caller's.
//! `docs/design/caches.md` explains layout, eviction and the proof that a cached match is current.
//!
//! | module | what it does |
//! |---|---|
//! | [`key`] | keys: bytes that hold everything a value depends on |
//! | [`text`] | the form of a text that its embedding depends on |
//! | [`layout`] | where what stands in the memory |
//! | [`shared`] | look up, store, remove |
//! | [`flight`] | who computes a value that others wait for |
//! | [`epoch`] | which changes of a table a cached match has seen |
//! | [`counters`] | hits, misses and their latency |

pub mod counters;
mod entry;
pub mod epoch;
pub mod flight;
mod ghost;
pub mod key;
pub mod layout;
mod pool;
mod queue;
mod region;
pub mod shared;
#[cfg(any(test, feature = "simulate"))]
pub mod simulate;
#[cfg(test)]
mod tests;
pub mod text;

/// How a call wants to use the caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// Look the value up, store it.
    #[default]
    Normal,
    /// Compute and store it, whatever is there.
    Refresh,
    /// Leave the caches alone.
    Bypass,
}

impl Usage {
    /// Names in SQL.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("use", Self::Normal),
        ("refresh", Self::Refresh),
        ("bypass", Self::Bypass),
    ];
}

/// What a cached value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// The embedding of a text.
    Embedding = 0,
    /// The reply of a turn of a conversation.
    Reply = 1,
    /// The rows of a match.
    Match = 2,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Embedding, Self::Reply, Self::Match];

    /// As it is called in SQL and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Reply => "reply",
            Self::Match => "match",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u64 == number)
    }
}

/// Locks of the partitions: of each, many holders of the shared mode or one of the exclusive mode.
///
/// What runs under a lock is short and takes no other of these locks.
pub trait Locks {
    /// Runs `f` under the shared lock of a partition.
    fn shared<R>(&self, partition: usize, f: impl FnOnce() -> R) -> R;
    /// Runs `f` under the exclusive lock of a partition.
    fn exclusive<R>(&self, partition: usize, f: impl FnOnce() -> R) -> R;
}
