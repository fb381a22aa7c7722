//! The backend's own level: the values it used last, in memory of its own.

use castmatch_engine::cache::Kind;
use castmatch_engine::cache::key::Key;
use castmatch_engine::cache::shared::Holding;
use lru::LruCache;
use std::cell::RefCell;
use std::rc::Rc;

/// What an entry takes besides its key and value, roughly: the list's and the allocator's.
const OVERHEAD_BYTES: usize = 128;

/// A value, and what its use depends on.
#[derive(Clone, Debug)]
pub struct Value {
    /// The bytes.
    pub bytes: Rc<[u8]>,
    /// The epoch of its table.
    pub epoch: u64,
    /// When it was computed, milliseconds.
    pub stored_ms: u64,
}

struct Entry {
    value: Value,
    kind: Kind,
    /// The state of invalidation that it was stored under.
    generation: u64,
}

struct Local {
    entries: LruCache<Box<[u8]>, Entry>,
    bytes: usize,
}

thread_local! {
    static LOCAL: RefCell<Local> = RefCell::new(Local { entries: LruCache::unbounded(), bytes: 0 });
}

fn size(key: &[u8], entry: &Entry) -> usize {
    key.len() + entry.value.bytes.len() + OVERHEAD_BYTES
}

/// The value of a key, unless it is of an earlier generation or does not fit into `limit` bytes, which may have been lowered.
pub fn get(key: &Key, generation: u64, limit: usize) -> Option<Value> {
    LOCAL.with_borrow_mut(|local| {
        local.shrink(limit, |_| ());
        let entry = local.entries.get(key.bytes())?;
        if entry.generation == generation {
            return Some(entry.value.clone());
        }
        local.remove(key.bytes());
        None
    })
}

/// Stores a value within `limit` bytes; returns the kinds of the entries that made room.
pub fn put(key: &Key, value: Value, generation: u64, limit: usize) -> Vec<Kind> {
    let entry = Entry {
        value,
        kind: key.kind(),
        generation,
    };
    LOCAL.with_borrow_mut(|local| {
        local.remove(key.bytes());
        let needed = size(key.bytes(), &entry);
        let mut gone = Vec::new();
        if needed <= limit {
            local.bytes += needed;
            local.entries.put(key.bytes().into(), entry);
        }
        local.shrink(limit, |kind| gone.push(kind));
        gone
    })
}

/// Removes everything.
pub fn clear() {
    LOCAL.with_borrow_mut(|local| {
        local.entries.clear();
        local.bytes = 0;
    });
}

/// What is held of a kind, as far as it is of this generation.
pub fn holding(kind: Kind, generation: u64) -> Holding {
    LOCAL.with_borrow(|local| {
        let mut holding = Holding::default();
        for (key, entry) in &local.entries {
            if entry.kind != kind || entry.generation != generation {
                continue;
            }
            holding.entries += 1;
            holding.bytes += (key.len() + entry.value.bytes.len()) as u64;
            let stored = entry.value.stored_ms;
            holding.oldest_ms = Some(holding.oldest_ms.map_or(stored, |oldest| oldest.min(stored)));
        }
        holding
    })
}

impl Local {
    fn shrink(&mut self, limit: usize, mut gone: impl FnMut(Kind)) {
        while self.bytes > limit
            && let Some((key, entry)) = self.entries.pop_lru()
        {
            self.bytes -= size(&key, &entry);
            gone(entry.kind);
        }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.pop(key) {
            self.bytes -= size(key, &entry);
        }
    }
}
