//! What the snapshot of the calling query sees of transactions.

use castmatch_engine::cache::epoch::Snapshot;
use pgrx::pg_sys;

/// The snapshot of the calling query, with its bounds as numbers without wraparound.
pub struct QuerySnapshot {
    snapshot: pg_sys::Snapshot,
    oldest_running: u64,
    first_unknown: u64,
}

/// The number that the next transaction will get, without wraparound.
pub fn next_transaction() -> u64 {
    // SAFETY: reads shared memory under its lock.
    unsafe { pg_sys::ReadNextFullTransactionId() }.value
}

/// The number of the current transaction, if it has one.
pub fn own_transaction() -> Option<u64> {
    // SAFETY: a plain read of backend state.
    let own = unsafe { pg_sys::GetTopFullTransactionIdIfAny() }.value;
    (own != 0).then_some(own)
}

/// Whether the server replays another's changes: none of castmatch's triggers see them.
pub fn in_recovery() -> bool {
    // SAFETY: reads shared memory.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Whether reads of this transaction are tracked for conflicts.
pub fn is_serializable() -> bool {
    // SAFETY: a plain global of the backend.
    unsafe { pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE as i32 }
}

/// Runs `f` under a snapshot that sees everything committed by now, whatever the calling query sees.
pub fn with_latest<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: a snapshot for a catalog without a cache is a new one each time; it is copied by being pushed, and popped below, or by
    // the abort after an ERROR.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetCatalogSnapshot(pg_sys::InvalidOid)) };
    let result = f();
    // SAFETY: the snapshot pushed above is the active one.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

impl QuerySnapshot {
    /// The active snapshot, if it is an ordinary one of this server.
    pub fn active() -> Option<Self> {
        // SAFETY: asks whether there is one.
        if !unsafe { pg_sys::ActiveSnapshotSet() } {
            return None;
        }
        // SAFETY: there is one (above); it stays active while the calling query runs.
        let snapshot = unsafe { pg_sys::GetActiveSnapshot() };
        // SAFETY: as above.
        let data = unsafe { snapshot.as_ref() }?;
        if data.snapshot_type != pg_sys::SnapshotType::SNAPSHOT_MVCC || data.takenDuringRecovery {
            return None;
        }
        let next = next_transaction();
        // A snapshot's bounds are never ahead of the next number, and less than 2^31 behind it.
        let full = |number: pg_sys::TransactionId| {
            let behind = (next as u32).wrapping_sub(number.into());
            next.saturating_sub(u64::from(behind))
        };
        Some(Self {
            snapshot,
            oldest_running: full(data.xmin),
            first_unknown: full(data.xmax),
        })
    }
}

impl Snapshot for QuerySnapshot {
    fn oldest_running(&self) -> u64 {
        self.oldest_running
    }

    fn sees_end_of(&self, transaction: u64) -> bool {
        if transaction >= self.first_unknown {
            return false;
        }
        let number = pg_sys::TransactionId::from(transaction as u32);
        // SAFETY: the snapshot is active (`active`), the number is not below its oldest running one (trait's promise).
        !unsafe { pg_sys::XidInMVCCSnapshot(number, self.snapshot) }
    }
}
