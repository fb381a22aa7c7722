//! Data epochs: which changes of a table a cached match has seen.
//!
//! A transaction that changed a table registers here before its commit becomes visible: its table gets a new epoch, and the
//! transaction's number is noted. A reader may use the value of an epoch, or store one under it, if its snapshot sees the end of
//! every transaction noted; then the changes that it sees are exactly those of all transactions registered so far. The proof
//! is in `docs/design/caches.md`.
//!
//! Of the notes only the latest are kept. For the others, and for all that happened before the table's slot was made, a bound
//! stands: the snapshot must have no running transaction below it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Sets of slots, each with a lock of its own.
pub const SETS: usize = 64;
/// Tables of a set that are known at once.
const WAYS: usize = 8;
/// Transactions noted for a table.
pub const NOTES: usize = 16;
/// Words of a slot: table, epoch, bound, last use, notes.
const SLOT_WORDS: usize = 4 + NOTES;
const TABLE: usize = 0;
const EPOCH: usize = 1;
const BOUND: usize = 2;
const USED: usize = 3;
const NOTED: usize = 4;
/// Words before the slots: the latest epoch, the latest use.
const HEADER_WORDS: usize = 2;
/// Words in all.
pub const WORDS: usize = HEADER_WORDS + SETS * WAYS * SLOT_WORDS;

/// Locks of the sets.
pub trait SetLocks {
    /// Runs `f` under the exclusive lock of a set.
    fn exclusive<R>(&self, set: usize, f: impl FnOnce() -> R) -> R;
}

/// The epochs of all tables, in [`WORDS`] words that were zero at first.
#[derive(Clone, Copy)]
pub struct Epochs<'a, L> {
    words: &'a [AtomicU64],
    locks: L,
}

/// A table: its database and its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The database.
    pub database: u32,
    /// The table, not 0.
    pub table: u32,
}

/// The state of a table's changes at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The epoch; no other state of any table has the same.
    pub epoch: u64,
    bound: u64,
    noted: [u64; NOTES],
}

/// What a snapshot sees of transactions, by their numbers without wraparound.
pub trait Snapshot {
    /// Every transaction below this one has ended for the snapshot.
    fn oldest_running(&self) -> u64;
    /// Whether the snapshot sees the end, by commit or abort, of a transaction that is not below [`Self::oldest_running`].
    fn sees_end_of(&self, transaction: u64) -> bool;
}

impl View {
    /// Whether the snapshot sees the end of all transactions that have registered a change of the table.
    pub fn is_seen_by(&self, snapshot: &impl Snapshot) -> bool {
        let oldest = snapshot.oldest_running();
        self.bound <= oldest
            && self
                .noted
                .iter()
                .all(|&noted| noted < oldest || snapshot.sees_end_of(noted))
    }
}

impl<'a, L: SetLocks> Epochs<'a, L> {
    /// The epochs in that memory.
    pub fn new(words: &'a [AtomicU64], locks: L) -> Self {
        Self { words, locks }
    }

    fn load(&self, place: usize) -> u64 {
        self.words
            .get(place)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn store(&self, place: usize, value: u64) {
        if let Some(word) = self.words.get(place) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The next number of a counter in the header.
    fn next(&self, place: usize) -> u64 {
        self.words
            .get(place)
            .map_or(0, |word| word.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn slots(set: usize) -> impl Iterator<Item = usize> {
        let start = HEADER_WORDS + set * WAYS * SLOT_WORDS;
        (0..WAYS).map(move |way| start + way * SLOT_WORDS)
    }

    fn slot(&self, set: usize, table: u64) -> Option<usize> {
        Self::slots(set).find(|&slot| self.load(slot + TABLE) == table)
    }

    /// Registers that the transaction changed the table. To be called before its end becomes visible to others.
    ///
    /// A table without a slot needs none: whoever makes one demands that this transaction has ended.
    pub fn register(&self, table: Table, transaction: u64) {
        let (set, table) = place(table);
        self.locks.exclusive(set, || {
            let Some(slot) = self.slot(set, table) else { return };
            self.store(slot + EPOCH, self.next(0));
            let notes = || slot + NOTED..slot + NOTED + NOTES;
            if notes().any(|note| self.load(note) == transaction) {
                return;
            }
            // The lowest number is the one most likely to have ended for everybody.
            if let Some(lowest) = notes().min_by_key(|&note| self.load(note)) {
                let forgotten = self.load(lowest);
                if forgotten > 0 {
                    self.store(slot + BOUND, self.load(slot + BOUND).max(forgotten + 1));
                }
                self.store(lowest, transaction);
            }
        });
    }

    /// The state of a table's changes now. `next_transaction` gives the number that the next transaction will get; it is asked only
    /// for a table without a slot.
    pub fn view(&self, table: Table, next_transaction: impl FnOnce() -> u64) -> View {
        let (set, table) = place(table);
        self.locks.exclusive(set, || {
            let slot = self.slot(set, table).unwrap_or_else(|| {
                let unused = |&slot: &usize| self.load(slot + USED);
                let slot = Self::slots(set).min_by_key(unused).unwrap_or(HEADER_WORDS);
                self.store(slot + TABLE, table);
                self.store(slot + EPOCH, self.next(0));
                self.store(slot + BOUND, next_transaction());
                for note in slot + NOTED..slot + NOTED + NOTES {
                    self.store(note, 0);
                }
                slot
            });
            self.store(slot + USED, self.next(1));
            View {
                epoch: self.load(slot + EPOCH),
                bound: self.load(slot + BOUND),
                noted: std::array::from_fn(|note| self.load(slot + NOTED + note)),
            }
        })
    }

    /// Ends the epoch of a table, whatever changed.
    pub fn advance(&self, table: Table) {
        let (set, table) = place(table);
        self.locks.exclusive(set, || {
            if let Some(slot) = self.slot(set, table) {
                self.store(slot + EPOCH, self.next(0));
            }
        });
    }
}

/// The set and the number of a table; 0 is no table's.
fn place(table: Table) -> (usize, u64) {
    let number = u64::from(table.database) << 32 | u64::from(table.table);
    // Fibonacci hashing (Knuth, TAOCP 3, 6.4): neighbouring numbers go to different sets.
    let set = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    (set as usize % SETS, number)
}

#[cfg(test)]
mod tests {
    use super::{Epochs, NOTES, SETS, SetLocks, Snapshot, Table, WORDS};
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicU64;

    #[derive(Clone, Copy)]
    struct OneThread;

    impl SetLocks for OneThread {
        fn exclusive<R>(&self, _set: usize, f: impl FnOnce() -> R) -> R {
            f()
        }
    }

    /// A snapshot by the transactions that run for it, and the first that has not begun.
    #[derive(Clone, Debug)]
    struct Seen {
        running: BTreeSet<u64>,
        next: u64,
    }

    impl Snapshot for Seen {
        fn oldest_running(&self) -> u64 {
            self.running.first().copied().unwrap_or(self.next)
        }

        fn sees_end_of(&self, transaction: u64) -> bool {
            transaction < self.next && !self.running.contains(&transaction)
        }
    }

    fn seen(running: &[u64], next: u64) -> Seen {
        Seen {
            running: running.iter().copied().collect(),
            next,
        }
    }

    fn words() -> Vec<AtomicU64> {
        std::iter::repeat_with(AtomicU64::default).take(WORDS).collect()
    }

    const TABLE: Table = Table {
        database: 5,
        table: 16_384,
    };

    #[test]
    fn a_change_is_another_epoch_and_must_have_been_seen() {
        let words = words();
        let epochs = Epochs::new(&words, OneThread);
        let first = epochs.view(TABLE, || 100);
        assert!(first.is_seen_by(&seen(&[], 100)));
        assert!(!first.is_seen_by(&seen(&[98], 100)), "may have changed it before");
        epochs.register(TABLE, 103);
        let second = epochs.view(TABLE, || unreachable!());
        assert_ne!(first.epoch, second.epoch);
        assert!(!second.is_seen_by(&seen(&[103], 110)), "it runs");
        assert!(!second.is_seen_by(&seen(&[], 103)), "it had not begun");
        assert!(second.is_seen_by(&seen(&[102, 105], 110)));
    }

    #[test]
    fn what_is_forgotten_leaves_a_bound() {
        let words = words();
        let epochs = Epochs::new(&words, OneThread);
        epochs.view(TABLE, || 10);
        for transaction in 20..20 + NOTES as u64 + 1 {
            epochs.register(TABLE, transaction);
        }
        let view = epochs.view(TABLE, || unreachable!());
        assert!(!view.is_seen_by(&seen(&[20], 1000)));
        assert!(view.is_seen_by(&seen(&[40], 1000)));
        assert!(!view.is_seen_by(&seen(&[15], 1000)), "in doubt: below the bound");
    }

    #[test]
    fn a_table_that_lost_its_slot_begins_anew() {
        let words = words();
        let epochs = Epochs::new(&words, OneThread);
        let before = epochs.view(TABLE, || 10);
        for table in 0..(100 * SETS as u32) {
            epochs.view(
                Table {
                    database: 6,
                    table: table + 1,
                },
                || 10,
            );
        }
        epochs.register(TABLE, 12);
        let after = epochs.view(TABLE, || 20);
        assert_ne!(before.epoch, after.epoch);
        assert!(!after.is_seen_by(&seen(&[12], 20)));
    }

    /// Random histories: whoever may use the value of an epoch sees the very changes that whoever stored it saw.
    #[test]
    fn one_epoch_is_one_state() {
        let mut random = 88_172_645_463_325_252_u64;
        let mut next_random = move |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        for _ in 0..300 {
            let words = words();
            let epochs = Epochs::new(&words, OneThread);
            let mut next = 3_u64;
            let mut running: BTreeSet<u64> = BTreeSet::new();
            let (mut registered, mut changed) = (BTreeSet::new(), BTreeSet::new());
            let mut snapshots: Vec<(Seen, BTreeSet<u64>)> = Vec::new();
            let mut states: std::collections::BTreeMap<u64, BTreeSet<u64>> =
                std::collections::BTreeMap::new();
            for _ in 0..120 {
                match next_random(6) {
                    0 => {
                        running.insert(next);
                        next += 1;
                    }
                    1 => {
                        // It is about to commit a change.
                        if let Some(&transaction) = running.iter().nth(next_random(4) as usize) {
                            epochs.register(TABLE, transaction);
                            registered.insert(transaction);
                        }
                    }
                    2 => {
                        if let Some(&transaction) = running.iter().nth(next_random(4) as usize) {
                            running.remove(&transaction);
                            // Some abort all the same.
                            if registered.contains(&transaction) && next_random(4) > 0 {
                                changed.insert(transaction);
                            }
                        }
                    }
                    3 => {
                        let snapshot = Seen {
                            running: running.clone(),
                            next,
                        };
                        snapshots.push((snapshot, changed.clone()));
                    }
                    4 if next_random(10) == 0 => {
                        // The slot is lost to other tables.
                        for table in 0..(40 * SETS as u32) {
                            epochs.view(
                                Table {
                                    database: 6,
                                    table: table + 1,
                                },
                                || next,
                            );
                        }
                    }
                    _ => {
                        let Some((snapshot, state)) =
                            snapshots.get(next_random(snapshots.len().max(1) as u64) as usize)
                        else {
                            continue;
                        };
                        let view = epochs.view(TABLE, || next);
                        if view.is_seen_by(snapshot) {
                            let known = states.entry(view.epoch).or_insert_with(|| state.clone());
                            assert_eq!(known, state, "epoch {}", view.epoch);
                        }
                    }
                }
            }
        }
    }
}
