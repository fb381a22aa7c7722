//! Who computes, and who waits.

use super::{Memory, key};
use crate::cache::flight::Role;
use std::cell::Cell;

const ALIVE: fn(u32) -> bool = |_| true;

#[test]
fn one_leads_the_others_follow_until_it_lands() {
    let memory = Memory::of_bytes(1 << 20);
    let cache = memory.cache();
    let hash = cache.hash(&key(1));
    assert_eq!(cache.board(hash, 10, ALIVE), Role::Lead { taken_over: false });
    assert_eq!(cache.board(hash, 11, ALIVE), Role::Follow { leader: 10 });
    assert!(cache.is_led_by(hash, 10));
    cache.land(hash, 11);
    assert!(cache.is_led_by(hash, 10), "another's flight");
    cache.land(hash, 10);
    assert!(!cache.is_led_by(hash, 10));
    assert_eq!(cache.board(hash, 11, ALIVE), Role::Lead { taken_over: false });
}

#[test]
fn the_flight_of_a_leader_that_is_gone_is_taken_over_once() {
    let memory = Memory::of_bytes(1 << 20);
    let cache = memory.cache();
    let hash = cache.hash(&key(1));
    cache.board(hash, 10, ALIVE);
    assert_eq!(
        cache.board(hash, 11, |pid| pid != 10),
        Role::Lead { taken_over: true }
    );
    assert_eq!(
        cache.board(hash, 12, |pid| pid != 10),
        Role::Follow { leader: 11 }
    );
    // One that lost its own flight by an error that was caught leads again.
    assert_eq!(cache.board(hash, 11, ALIVE), Role::Lead { taken_over: false });
}

#[test]
fn more_flights_than_places_fly_alone() {
    let memory = Memory::of_bytes(1 << 20);
    let cache = memory.cache();
    let mut roles = (0, 0);
    for number in 0..10_000 {
        match cache.board(cache.hash(&key(number)), 10, ALIVE) {
            Role::Lead { .. } => roles.0 += 1,
            Role::Alone => roles.1 += 1,
            Role::Follow { .. } => panic!("a flight of its own"),
        }
    }
    assert_eq!(roles.0, 8 * 64);
    let woken = Cell::new(0);
    cache.land_all(10, |_| woken.set(woken.get() + 1));
    assert_eq!(woken.get(), 64);
    assert_eq!(
        cache.board(cache.hash(&key(9_999)), 11, ALIVE),
        Role::Lead { taken_over: false }
    );
}
