//! Single flight: of all processes that miss the same key at once, one computes the value and the others wait for it.
//!
//! Whoever misses asks to lead. A flight ends when its leader says so, whether it stored a value or failed; the waiters look
//! again then and one of them leads. A leader that is gone without a word is found out by its waiters, who take over.

use super::Locks;
use super::key::KeyHash;
use super::layout::{FLIGHT_WORDS, FLIGHTS};
use super::shared::Cache;

const HIGH: usize = 0;
const LOW: usize = 1;
const LEADER: usize = 2;

/// What a process is to do about a key that it misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Compute the value, and end the flight in any case.
    Lead {
        /// Whether a leader that is gone left it.
        taken_over: bool,
    },
    /// Wait until that process's flight ends.
    Follow {
        /// The leader.
        leader: u32,
    },
    /// Compute the value: too many flights are under way to tell others of this one.
    Alone,
}

impl<L: Locks> Cache<'_, L> {
    fn flights(&self, partition: usize) -> impl Iterator<Item = usize> + use<L> {
        let start = self.region.layout.flights_at(partition);
        (0..FLIGHTS).map(move |flight| start + flight * FLIGHT_WORDS)
    }

    /// Asks to compute the value of a key as the process `own`, not 0; `is_alive` says whether a leader still exists.
    ///
    /// Different keys of one hash share a flight: whoever waited for another's value leads the next one.
    pub fn board(&self, hash: KeyHash, own: u32, is_alive: impl Fn(u32) -> bool) -> Role {
        let partition = self.partition(hash);
        let region = &self.region;
        self.locks.exclusive(partition, || {
            let leader = |at: usize| region.load(at + LEADER) as u32;
            let is_of_key =
                |at: &usize| region.load(at + HIGH) == hash.high && region.load(at + LOW) == hash.low;
            let under_way = self
                .flights(partition)
                .filter(|&at| leader(at) != 0)
                .find(is_of_key);
            if let Some(at) = under_way {
                let leader = leader(at);
                if leader != own && is_alive(leader) {
                    return Role::Follow { leader };
                }
                region.store(at + LEADER, u64::from(own));
                return Role::Lead {
                    taken_over: leader != own,
                };
            }
            let free = self.flights(partition).find(|&at| leader(at) == 0).or_else(|| {
                self.flights(partition)
                    .find(|&at| leader(at) != own && !is_alive(leader(at)))
            });
            let Some(at) = free else { return Role::Alone };
            region.store(at + HIGH, hash.high);
            region.store(at + LOW, hash.low);
            region.store(at + LEADER, u64::from(own));
            Role::Lead { taken_over: false }
        })
    }

    /// Ends the flight of a key that the process `own` leads; waiters are to be woken then.
    pub fn land(&self, hash: KeyHash, own: u32) {
        let partition = self.partition(hash);
        let region = &self.region;
        self.locks.exclusive(partition, || {
            for at in self.flights(partition) {
                let is_own = region.load(at + LEADER) == u64::from(own);
                if is_own && region.load(at + HIGH) == hash.high && region.load(at + LOW) == hash.low {
                    region.store(at + LEADER, 0);
                }
            }
        });
    }

    /// Whether the flight of a key is still led by that process.
    pub fn is_led_by(&self, hash: KeyHash, leader: u32) -> bool {
        let partition = self.partition(hash);
        let region = &self.region;
        self.locks.shared(partition, || {
            self.flights(partition).any(|at| {
                region.load(at + LEADER) == u64::from(leader)
                    && region.load(at + HIGH) == hash.high
                    && region.load(at + LOW) == hash.low
            })
        })
    }

    /// Ends all flights of a process that is about to exit; `wake` gets their partitions.
    pub fn land_all(&self, own: u32, wake: impl Fn(usize)) {
        let region = &self.region;
        for partition in 0..region.layout.partitions {
            let leads = |at: &usize| region.load(at + LEADER) == u64::from(own);
            // Only the process itself makes its own flights, so none is missed without the lock.
            if !self.flights(partition).any(|at| leads(&at)) {
                continue;
            }
            self.locks.exclusive(partition, || {
                for at in self.flights(partition).filter(leads) {
                    region.store(at + LEADER, 0);
                }
            });
            wake(partition);
        }
    }
}
