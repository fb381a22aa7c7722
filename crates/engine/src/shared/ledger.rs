//! The ledger: what calls of models have used and no table says yet.
//!
//! A call costs what it costs whether or not its transaction commits, so a backend notes it here and a worker of the database writes it
//! to a table in a transaction of its own. An entry goes through these states, each arrow one atomic exchange:
//!
//! ```text
//! Free -> Claimed -> Noted -> Taken -> Free
//!         Claimed -> Free                      (the process died while it wrote)
//!                    Taken -> Noted            (the worker's transaction failed)
//! ```

use crate::model_name::MAX_NAME_BYTES;
use crate::usage::Used;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

/// Calls that can wait to be written.
pub const ENTRIES: usize = 128;
const NAME_WORDS: usize = MAX_NAME_BYTES.div_ceil(8);

const FREE: u32 = 0;
const CLAIMED: u32 = 1;
const NOTED: u32 = 2;
const TAKEN: u32 = 3;

/// What a call used, and whose it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The database.
    pub database: u32,
    /// The role that called.
    pub role: u32,
    /// The day, since 1970-01-01, UTC.
    pub day: u32,
    /// The model, at most [`MAX_NAME_BYTES`] bytes.
    pub model: String,
    /// What it used.
    pub used: Used,
}

#[repr(C)]
struct Entry {
    state: AtomicU32,
    /// Of who writes or has taken it.
    pid: AtomicI32,
    database: AtomicU32,
    role: AtomicU32,
    day: AtomicU32,
    requests: AtomicU32,
    failed: AtomicU32,
    length: AtomicU32,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    cost_micros: AtomicU64,
    model: [AtomicU64; NAME_WORDS],
}

/// The ledger of all databases.
#[repr(C)]
pub struct Ledger {
    entries: [Entry; ENTRIES],
    /// Notes that found no place.
    lost: AtomicU64,
}

impl Entry {
    fn advance(&self, from: u32, to: u32) -> bool {
        self.state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    fn write(&self, note: &Note) {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        self.database.store(note.database, Ordering::Relaxed);
        self.role.store(note.role, Ordering::Relaxed);
        self.day.store(note.day, Ordering::Relaxed);
        self.requests.store(small(note.used.requests), Ordering::Relaxed);
        self.failed.store(small(note.used.failed), Ordering::Relaxed);
        self.prompt_tokens
            .store(note.used.prompt_tokens, Ordering::Relaxed);
        self.completion_tokens
            .store(note.used.completion_tokens, Ordering::Relaxed);
        self.cost_micros.store(note.used.cost_micros, Ordering::Relaxed);
        let end = note.model.floor_char_boundary(MAX_NAME_BYTES);
        self.length.store(end as u32, Ordering::Relaxed);
        let mut bytes = note.model.bytes().take(end);
        for word in &self.model {
            let part: [u8; 8] = std::array::from_fn(|_| bytes.next().unwrap_or(0));
            word.store(u64::from_le_bytes(part), Ordering::Relaxed);
        }
    }

    fn read(&self) -> Note {
        let length = (self.length.load(Ordering::Relaxed) as usize).min(MAX_NAME_BYTES);
        let bytes: Vec<u8> = self
            .model
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .take(length)
            .collect();
        Note {
            database: self.database.load(Ordering::Relaxed),
            role: self.role.load(Ordering::Relaxed),
            day: self.day.load(Ordering::Relaxed),
            model: String::from_utf8_lossy(&bytes).into_owned(),
            used: Used {
                requests: self.requests.load(Ordering::Relaxed).into(),
                failed: self.failed.load(Ordering::Relaxed).into(),
                prompt_tokens: self.prompt_tokens.load(Ordering::Relaxed),
                completion_tokens: self.completion_tokens.load(Ordering::Relaxed),
                cost_micros: self.cost_micros.load(Ordering::Relaxed),
            },
        }
    }

    fn is_in_use(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), NOTED | TAKEN)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            entries: std::array::from_fn(|_| Entry {
                state: AtomicU32::new(FREE),
                pid: AtomicI32::new(0),
                database: AtomicU32::new(0),
                role: AtomicU32::new(0),
                day: AtomicU32::new(0),
                requests: AtomicU32::new(0),
                failed: AtomicU32::new(0),
                length: AtomicU32::new(0),
                prompt_tokens: AtomicU64::new(0),
                completion_tokens: AtomicU64::new(0),
                cost_micros: AtomicU64::new(0),
                model: [const { AtomicU64::new(0) }; NAME_WORDS],
            }),
            lost: AtomicU64::new(0),
        }
    }
}

/// A note that the worker has taken to write it.
pub struct Taken<'a>(&'a Entry);

impl Taken<'_> {
    /// The note.
    pub fn note(&self) -> Note {
        self.0.read()
    }

    /// It is written.
    pub fn settle(self) {
        self.0.pid.store(0, Ordering::Relaxed);
        self.0.advance(TAKEN, FREE);
    }
}

impl Ledger {
    /// Notes what a call used; false if there is no place. `alive` tells whether a process exists: one that died while it wrote has left
    /// a place that is nobody's.
    pub fn note(&self, note: &Note, pid: i32, alive: impl Fn(i32) -> bool) -> bool {
        let claim = || self.entries.iter().find(|entry| entry.advance(FREE, CLAIMED));
        let entry = claim().or_else(|| {
            for entry in &self.entries {
                let owner = entry.pid.load(Ordering::Acquire);
                if owner != 0 && entry.state.load(Ordering::Acquire) == CLAIMED && !alive(owner) {
                    entry.advance(CLAIMED, FREE);
                }
            }
            claim()
        });
        let Some(entry) = entry else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        entry.pid.store(pid, Ordering::Release);
        entry.write(note);
        entry.advance(CLAIMED, NOTED);
        true
    }

    /// Takes the notes of a database to write them; the worker settles each. Notes that a worker which is gone had taken come with them:
    /// it may have written them, so that they may count twice rather than not at all.
    pub fn take(&self, database: u32, pid: i32, alive: impl Fn(i32) -> bool) -> Vec<Taken<'_>> {
        let is_ours = |entry: &Entry| entry.database.load(Ordering::Relaxed) == database;
        let mine = |entry: &&Entry| {
            if !is_ours(entry) {
                return false;
            }
            let owner = entry.pid.load(Ordering::Acquire);
            if entry.state.load(Ordering::Acquire) == TAKEN && owner != pid && !alive(owner) {
                entry.advance(TAKEN, NOTED);
            }
            if !entry.advance(NOTED, TAKEN) {
                return false;
            }
            // It may have become another database's between the look and the taking.
            let ours = is_ours(entry);
            if !ours {
                entry.advance(TAKEN, NOTED);
            }
            ours
        };
        self.entries
            .iter()
            .filter(mine)
            .map(|entry| {
                entry.pid.store(pid, Ordering::Release);
                Taken(entry)
            })
            .collect()
    }

    /// Gives back what this process has taken and not settled: its transaction failed.
    pub fn put_back(&self, pid: i32) {
        for entry in &self.entries {
            if entry.pid.load(Ordering::Acquire) == pid {
                entry.advance(TAKEN, NOTED);
            }
        }
    }

    /// The notes of a database that no table says yet.
    pub fn pending(&self, database: u32) -> Vec<Note> {
        self.entries
            .iter()
            .filter(|entry| entry.is_in_use())
            .map(Entry::read)
            .filter(|note| note.database == database)
            .collect()
    }

    /// Notes that found no place.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(database: u32, model: &str) -> Note {
        Note {
            database,
            role: 10,
            day: 20_000,
            model: model.to_owned(),
            used: Used {
                requests: 1,
                failed: 0,
                prompt_tokens: 5_000_000_000,
                completion_tokens: 4,
                cost_micros: 3,
            },
        }
    }

    const ALIVE: fn(i32) -> bool = |_| true;

    #[test]
    fn what_is_noted_comes_back_once() {
        let ledger = Ledger::default();
        let long = "n".repeat(MAX_NAME_BYTES);
        for name in ["gpt", "मॉडल", &long] {
            assert!(ledger.note(&note(1, name), 7, ALIVE));
        }
        assert!(ledger.note(&note(2, "other"), 7, ALIVE));
        assert_eq!(ledger.pending(1).len(), 3);
        let taken = ledger.take(1, 9, ALIVE);
        let notes: Vec<Note> = taken.iter().map(Taken::note).collect();
        assert_eq!(notes, [note(1, "gpt"), note(1, "मॉडल"), note(1, &long)]);
        assert_eq!(ledger.pending(1).len(), 3, "no table says it yet");
        taken.into_iter().for_each(Taken::settle);
        assert!(ledger.pending(1).is_empty());
        assert!(ledger.take(1, 9, ALIVE).is_empty());
        assert_eq!(ledger.pending(2), [note(2, "other")]);
    }

    #[test]
    fn a_failed_transaction_and_a_worker_that_is_gone_lose_nothing() {
        let ledger = Ledger::default();
        assert!(ledger.note(&note(1, "a"), 7, ALIVE));
        assert_eq!(ledger.take(1, 9, ALIVE).len(), 1);
        assert!(ledger.take(1, 10, ALIVE).is_empty(), "another worker's");
        ledger.put_back(9);
        assert_eq!(ledger.take(1, 9, ALIVE).len(), 1);
        assert_eq!(ledger.take(1, 10, |pid| pid != 9).len(), 1);
    }

    #[test]
    fn a_full_ledger_says_so_and_the_places_of_the_dead_are_free() {
        let ledger = Ledger::default();
        for _ in 0..ENTRIES {
            assert!(ledger.note(&note(1, "a"), 7, ALIVE));
        }
        assert!(!ledger.note(&note(1, "a"), 7, ALIVE));
        assert_eq!(ledger.lost(), 1);
        let dying = &ledger.entries[3];
        dying.state.store(CLAIMED, Ordering::Relaxed);
        assert!(!ledger.note(&note(1, "a"), 8, ALIVE));
        assert!(ledger.note(&note(1, "b"), 8, |pid| pid != 7));
    }
}
