//! Which values of a table are current: the glue of the protocol that `castmatch_engine::cache::epoch` describes.
//!
//! A transaction that changed an attached table says so before it commits; a reader asks whether its snapshot has seen all who said
//! so. What a transaction changed itself only it can see, so it uses and stores nothing of that table.

use crate::cache::memory;
use crate::pg::snapshot::{self, QuerySnapshot};
use crate::pg::{catalog, xact};
use castmatch_engine::cache::epoch::Table;
use pgrx::pg_sys;
use std::cell::RefCell;

thread_local! {
    /// Tables that this transaction has changed, committed or rolled-back parts of it alike.
    static CHANGED: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
}

fn table(target: pg_sys::Oid) -> Table {
    Table {
        database: catalog::my_database().to_u32(),
        table: target.to_u32(),
    }
}

/// Notes that this transaction has changed a table. Cheap from the second time on.
pub fn note_change(target: pg_sys::Oid) {
    let is_known =
        CHANGED.with_borrow(|changed| changed.last() == Some(&target) || changed.contains(&target));
    if !is_known {
        CHANGED.with_borrow_mut(|changed| changed.push(target));
        xact::at_commit(register, forget);
    }
    // Changes by what runs at commit, after this transaction has registered.
    if xact::is_committing() {
        register_one(target);
    }
}

/// Notes a change of a row of this table, which is a change of the partitioned tables that it is a part of too.
pub fn note_change_of_row(table: pg_sys::Oid) {
    let is_known = CHANGED.with_borrow(|changed| changed.last() == Some(&table));
    if is_known && !xact::is_committing() {
        return;
    }
    catalog::partition_ancestors(table)
        .into_iter()
        .for_each(note_change);
    note_change(table);
}

fn register_one(target: pg_sys::Oid) {
    if let (Some(epochs), Some(transaction)) = (memory::epochs(), snapshot::own_transaction()) {
        epochs.register(table(target), transaction);
    }
}

/// Runs before the commit, or the preparation of one, can be seen by others.
fn register() {
    CHANGED.with_borrow(|changed| changed.iter().copied().for_each(register_one));
}

/// Runs when the transaction has ended.
fn forget() {
    CHANGED.with_borrow_mut(Vec::clear);
}

/// The epoch of a table if the calling query sees the table as of that epoch; `None` if it is not certain that it does. A value that
/// the query computes may be stored under this epoch, one that was stored under it may be used.
pub fn current(target: pg_sys::Oid) -> Option<u64> {
    let epochs = memory::epochs()?;
    let is_own = CHANGED.with_borrow(|changed| changed.contains(&target));
    // A standby sees no triggers of what it replays; a serializable transaction must be seen to read.
    if is_own || snapshot::in_recovery() || snapshot::is_serializable() {
        return None;
    }
    let snapshot = QuerySnapshot::active()?;
    let view = epochs.view(table(target), first_after_others);
    view.is_seen_by(&snapshot).then_some(view.epoch)
}

/// The number that every other transaction so far is below: this one, which has changed nothing of the table, does not count, or the
/// first `castmatch.chat` about a table could not store its reply.
fn first_after_others() -> u64 {
    let next = snapshot::next_transaction();
    match snapshot::own_transaction() {
        Some(own) if own + 1 == next => own,
        _ => next,
    }
}

/// Ends the epoch of a table for everybody, whether it has changed or not.
pub fn advance(target: pg_sys::Oid) {
    if let Some(epochs) = memory::epochs() {
        epochs.advance(table(target));
    }
}
