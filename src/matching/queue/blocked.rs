//! Tables that the sync worker passes over for a while, because their model cannot be used: others must not wait for them.

use crate::embed::Embedder;
use crate::embed::client;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// First and longest time until a model is tried again, unless the model itself says when.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The longest that a model can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

struct Wait {
    model: Embedder,
    until: Instant,
    /// How long the next one is.
    next: Duration,
    /// Whether it ends when the model is loaded: it was not there before.
    until_loaded: bool,
}

/// The tables, by OID.
#[derive(Default)]
pub struct Blocked(HashMap<pg_sys::Oid, Wait>);

impl Blocked {
    /// Notes that the table's model cannot be used, and when to try again.
    pub fn note(
        &mut self,
        table: pg_sys::Oid,
        model: Embedder,
        retry_after: Option<Duration>,
        until_loaded: bool,
    ) {
        let next = self.0.get(&table).map_or(FIRST_WAIT, |wait| wait.next);
        // Whoever asks for more time gets it, within reason.
        let wait = next.max(retry_after.unwrap_or_default().min(LONGEST_ASKED));
        self.0.insert(
            table,
            Wait {
                model,
                until: Instant::now() + wait,
                next: (next * 2).min(LONGEST_WAIT),
                until_loaded,
            },
        );
    }

    /// Notes that the table's model has been used.
    pub fn clear(&mut self, table: pg_sys::Oid) {
        self.0.remove(&table);
    }

    fn waiting(&self) -> impl Iterator<Item = (pg_sys::Oid, Duration)> {
        self.0.iter().filter_map(|(&table, wait)| {
            let left = wait.until.saturating_duration_since(Instant::now());
            let is_there = wait.until_loaded && client::is_loaded(&wait.model);
            (!left.is_zero() && !is_there).then_some((table, left))
        })
    }

    /// The tables to pass over now. One whose model somebody else has found to be there is none of them.
    pub fn tables(&self) -> Vec<pg_sys::Oid> {
        self.waiting().map(|(table, _)| table).collect()
    }

    /// When the first of them is to be tried again.
    pub fn soonest(&self) -> Option<Duration> {
        self.waiting().map(|(_, left)| left).min()
    }
}
