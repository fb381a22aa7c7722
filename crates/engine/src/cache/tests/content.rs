//! What goes in comes out, and the room is accounted for.

use super::{Memory, Random, get, key, put};
use crate::cache::Kind;
use crate::cache::key::{Key, KeyHash};
use crate::cache::shared::{Found, MOST_BYTES};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

#[test]
fn values_of_every_length_come_back() {
    let memory = Memory::of_bytes(16 << 20);
    let cache = memory.cache();
    let value = |length: usize| -> Vec<u8> { (0..length).map(|byte| (byte * 31 + length) as u8).collect() };
    let lengths = [
        0,
        1,
        7,
        8,
        9,
        39,
        40,
        41,
        127,
        128,
        129,
        1536,
        10_000,
        1 << 19,
        MOST_BYTES - 17,
    ];
    for (number, length) in lengths.into_iter().enumerate() {
        let key = key(number as u64);
        assert!(put(&cache, &key, &value(length), 5).stored, "{length}");
        assert_eq!(get(&cache, &key), Some(value(length)), "{length}");
    }
    assert_eq!(get(&cache, &key(99)), None);
    let refused = put(&cache, &key(50), &value(MOST_BYTES), 5);
    assert!(!refused.stored);
    assert_eq!(get(&cache, &key(50)), None);
}

#[test]
fn a_small_cache_refuses_what_would_be_most_of_it() {
    let memory = Memory::of_bytes(1 << 20);
    let cache = memory.cache();
    assert!(!put(&cache, &key(1), &vec![1; 300_000], 0).stored);
    assert!(put(&cache, &key(1), &vec![1; 200_000], 0).stored);
}

#[test]
fn a_key_stored_again_has_the_new_value_and_age() {
    let memory = Memory::of_bytes(1 << 20);
    let cache = memory.cache();
    let key = Key::new(Kind::Reply, 1, 2).with(br#"{"a": "$$ ' \\ \u0000"}"#);
    put(&cache, &key, b"old", 10);
    assert_eq!(cache.get(cache.hash(&key), &key, 11), Found::Expired);
    put(&cache, &key, br#"new $$ ' \"#, 20);
    let found = Found::Value {
        value: br#"new $$ ' \"#.to_vec(),
        stored_ms: 20,
    };
    assert_eq!(cache.get(cache.hash(&key), &key, 11), found);
    assert_eq!(cache.holdings()[Kind::Reply as usize].entries, 1);
    cache.remove(cache.hash(&key), &key);
    assert_eq!(get(&cache, &key), None);
    assert_eq!(cache.room().0, cache.room().1, "all is free again");
}

#[test]
fn keys_of_one_hash_do_not_mix() {
    let memory = Memory::of_bytes(1 << 20);
    let cache = memory.cache();
    let hash: KeyHash = cache.hash(&key(1));
    for number in 0..50_u64 {
        cache.put(hash, &key(number), &number.to_le_bytes(), 0);
    }
    for number in 0..50_u64 {
        let found = Found::Value {
            value: number.to_le_bytes().to_vec(),
            stored_ms: 0,
        };
        assert_eq!(cache.get(hash, &key(number), 0), found);
    }
    assert_eq!(cache.get(hash, &key(50), 0), Found::Absent);
    cache.remove(hash, &key(25));
    assert_eq!(cache.get(hash, &key(25), 0), Found::Absent);
    assert_ne!(cache.get(hash, &key(24), 0), Found::Absent);
}

#[test]
fn a_changed_byte_is_noticed_once_and_the_entry_goes() {
    let memory = Memory::of_bytes(1 << 20);
    let cache = memory.cache();
    put(&cache, &key(1), &[77; 1000], 0);
    let damaged = memory
        .wide
        .iter()
        .rfind(|word| word.load(Ordering::Relaxed) == u64::from_le_bytes([77; 8]))
        .unwrap();
    damaged.fetch_xor(1 << 20, Ordering::Relaxed);
    let hash = cache.hash(&key(1));
    assert_eq!(cache.get(hash, &key(1), 0), Found::Damaged);
    assert_eq!(cache.get(hash, &key(1), 0), Found::Absent);
}

#[test]
fn chosen_entries_are_removed_and_only_they() {
    let memory = Memory::of_bytes(4 << 20);
    let cache = memory.cache();
    for target in 0..4_u32 {
        for number in 0..200_u64 {
            put(
                &cache,
                &Key::new(Kind::Match, 1, target).with_number(number),
                b"rows",
                0,
            );
            put(
                &cache,
                &Key::new(Kind::Reply, 1, target).with_number(number),
                b"text",
                0,
            );
        }
    }
    let removed = cache.remove_where(|tag| tag.kind == Kind::Match && tag.target == 2);
    assert_eq!(removed, 200);
    let holdings = cache.holdings();
    assert_eq!(holdings[Kind::Match as usize].entries, 600);
    assert_eq!(holdings[Kind::Reply as usize].entries, 800);
    assert_eq!(get(&cache, &Key::new(Kind::Match, 1, 2).with_number(7)), None);
    assert!(get(&cache, &Key::new(Kind::Match, 1, 1).with_number(7)).is_some());
    assert_eq!(cache.remove_where(|_| true), 1400);
    assert_eq!(cache.room().0, cache.room().1);
}

/// The part of the budget that neither entries nor free blocks account for, and what is free although entries had to go.
#[test]
fn a_full_cache_strands_less_than_a_tenth() {
    let memory = Memory::of_bytes(8 << 20);
    let cache = memory.cache();
    let mut random = Random(99);
    let mut evicted = 0;
    for number in 0..60_000 {
        let length = match random.below(100) {
            0 => 100_000 + random.below(400_000),
            1..=40 => 1536,
            _ => 200 + random.below(6000),
        };
        let stored = put(&cache, &key(number), &vec![number as u8; length as usize], number);
        evicted += stored.evicted.iter().sum::<u32>();
    }
    assert!(evicted > 10_000);
    let holding = cache.holdings()[0];
    let (capacity, free) = cache.room();
    let stranded = (8 << 20) - holding.bytes - 80 * holding.entries;
    assert!(stranded * 10 <= 8 << 20, "{stranded} of {capacity}, {free} free");
}

proptest! {
    /// Against a map: whatever is found is what was stored last, and the blocks are never lost or doubled.
    #[test]
    fn never_another_value(steps in proptest::collection::vec((0_u64..40, 0_usize..5000, 0_u8..10), 1..400)) {
        let memory = Memory::of_bytes(1 << 18);
        let cache = memory.cache();
        let mut stored: HashMap<u64, Vec<u8>> = HashMap::new();
        for (number, length, action) in steps {
            match action {
                0 => {
                    cache.remove(cache.hash(&key(number)), &key(number));
                    prop_assert_eq!(get(&cache, &key(number)), None);
                    stored.remove(&number);
                }
                1..=5 => {
                    let value = vec![length as u8; length];
                    if put(&cache, &key(number), &value, 0).stored {
                        stored.insert(number, value);
                    }
                }
                _ => {
                    if let Some(value) = get(&cache, &key(number)) {
                        prop_assert_eq!(Some(&value), stored.get(&number));
                    }
                }
            }
        }
        let holding = cache.holdings()[0];
        prop_assert!(holding.entries <= stored.len() as u64);
        prop_assert_eq!(cache.remove_where(|_| true), holding.entries);
        prop_assert_eq!(cache.room().0, cache.room().1);
    }
}
