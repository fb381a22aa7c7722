//! Single flight between backends: of those that miss a key at once one computes, the others wait for it.
//!
//! A leader ends its flight when its guard goes, whatever way: with a value, with an ERROR that unwinds, or when its process
//! exits. Whoever waits looks every [`TICK`] whether the leader still exists, and wakes at once when the flight ends.

use crate::cache::memory::{self, PartitionLocks};
use crate::pg::worker::{is_alive, my_pid, on_process_exit};
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::flight::Role;
use castmatch_engine::cache::key::KeyHash;
use castmatch_engine::cache::shared::Cache;
use core::time::Duration;
use std::cell::Cell;
use std::time::Instant;

/// How often a waiting process looks whether the leader still exists.
const TICK: Duration = Duration::from_millis(50);

thread_local! {
    static EXIT_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// What came of asking to compute a value.
pub enum Boarding {
    /// This process is to compute it; the flight ends with the guard.
    Lead {
        /// The flight, if others can wait for it.
        flight: Option<Flight>,
        /// Whether a leader that is gone left it.
        taken_over: bool,
    },
    /// Another one's flight has ended: look again.
    Waited,
}

/// A flight that this process leads.
pub struct Flight {
    cache: Cache<'static, PartitionLocks>,
    hash: KeyHash,
}

impl Drop for Flight {
    // Takes a lock and wakes processes; neither raises an ERROR.
    fn drop(&mut self) {
        self.cache.land(self.hash, own());
        wake(self.cache.partition(self.hash));
    }
}

fn own() -> u32 {
    my_pid() as u32
}

fn wake(partition: usize) {
    if let Some(conditions) = memory::conditions() {
        conditions.wake(partition);
    }
}

/// How long a process waits for another's value before it computes its own. A value that needs locks of tables may wait for this very
/// process, which nothing would find out.
fn patience(kind: Kind) -> Duration {
    match kind {
        Kind::Embedding => Duration::from_secs(30),
        Kind::Match => Duration::from_secs(1),
        Kind::Reply => Duration::from_secs(10),
    }
}

/// Asks to compute the value of a key, and waits while another process does.
pub fn board(cache: Cache<'static, PartitionLocks>, hash: KeyHash, kind: Kind, since: Instant) -> Boarding {
    if !EXIT_HOOK.replace(true) {
        on_process_exit(land_all);
    }
    let exists = |pid: u32| i32::try_from(pid).is_ok_and(is_alive);
    match cache.board(hash, own(), exists) {
        Role::Lead { taken_over } => Boarding::Lead {
            flight: Some(Flight { cache, hash }),
            taken_over,
        },
        Role::Alone => Boarding::Lead {
            flight: None,
            taken_over: false,
        },
        Role::Follow { leader } => {
            let Some(conditions) = memory::conditions() else {
                return Boarding::Waited;
            };
            let patience = patience(kind);
            let is_over = || !cache.is_led_by(hash, leader) || !exists(leader) || since.elapsed() >= patience;
            conditions.wait_until(cache.partition(hash), TICK, is_over);
            if since.elapsed() >= patience && cache.is_led_by(hash, leader) {
                return Boarding::Lead {
                    flight: None,
                    taken_over: false,
                };
            }
            Boarding::Waited
        }
    }
}

/// Runs when the backend exits, also when it is terminated while it computes.
fn land_all() {
    if let Some(cache) = memory::cache() {
        cache.land_all(own(), wake);
    }
}
