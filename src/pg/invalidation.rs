//! Messages of the server that something in the catalogs has changed.

use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;

/// Told of a table that changed, or, with `None`, that any may have. Must not fail, and must not look anything up.
pub type Listener = fn(Option<pg_sys::Oid>);

thread_local! {
    static LISTENERS: RefCell<Vec<Listener>> = const { RefCell::new(Vec::new()) };
}

/// What a backend keeps of tables, each until the server says that it has changed.
pub struct Known<V> {
    values: HashMap<u32, V>,
    /// How often something was dropped.
    changes: u64,
}

impl<V> Default for Known<V> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            changes: 0,
        }
    }
}

impl<V: Clone> Known<V> {
    /// What is known of a table.
    pub fn get(&self, table: pg_sys::Oid) -> Option<V> {
        self.values.get(&table.to_u32()).cloned()
    }

    /// How often something was dropped so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Keeps what was looked up of a table, unless something was dropped since `changes`: that may have been this.
    pub fn keep(&mut self, table: pg_sys::Oid, value: V, changes: u64) {
        if changes == self.changes {
            self.values.insert(table.to_u32(), value);
        }
    }

    /// Drops what is known of a table, or of all (`None`), and what `concerns` the table besides.
    pub fn forget(&mut self, table: Option<pg_sys::Oid>, concerns: impl Fn(&V, pg_sys::Oid) -> bool) {
        self.changes = self.changes.wrapping_add(1);
        match table {
            Some(table) => self
                .values
                .retain(|&known, value| known != table.to_u32() && !concerns(value, table)),
            None => self.values.clear(),
        }
    }
}

/// Caches whose entries stand in what listeners keep: names of schemas, text search configurations and their dictionaries, types, operator
/// classes.
const NAMES: [pg_sys::SysCacheIdentifier::Type; 5] = [
    pg_sys::SysCacheIdentifier::NAMESPACEOID,
    pg_sys::SysCacheIdentifier::TSCONFIGMAP,
    pg_sys::SysCacheIdentifier::TSDICTOID,
    pg_sys::SysCacheIdentifier::TYPEOID,
    pg_sys::SysCacheIdentifier::CLAOID,
];

/// Has the listener told of every change from now on; once for each listener.
pub fn watch(listener: Listener) {
    let first = LISTENERS.with_borrow_mut(|listeners| {
        if listeners
            .iter()
            .any(|&known| core::ptr::fn_addr_eq(known, listener))
        {
            return false;
        }
        listeners.push(listener);
        listeners.len() == 1
    });
    if first {
        // SAFETY: the callbacks are static functions that stay for the backend's life; the arguments are unused.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(on_relation), pg_sys::Datum::null());
            for cache in NAMES {
                pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(on_name), pg_sys::Datum::null());
            }
        }
    }
}

/// Has every backend drop what it keeps of a table once this transaction has committed, and this one at once.
pub fn send(table: pg_sys::Oid) {
    // SAFETY: looks the table up; one that is gone raises an ERROR, which the check excludes.
    unsafe {
        if pg_sys::SearchSysCacheExists(
            pg_sys::SysCacheIdentifier::RELOID as i32,
            table.into(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        ) {
            pg_sys::CacheInvalidateRelcacheByRelid(table);
        }
    }
}

fn tell(table: Option<pg_sys::Oid>) {
    LISTENERS.with_borrow(|listeners| listeners.iter().for_each(|listener| listener(table)));
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_relation(_argument: pg_sys::Datum, table: pg_sys::Oid) {
    tell((table != pg_sys::InvalidOid).then_some(table));
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_name(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    tell(None);
}
