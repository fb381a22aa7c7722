//! Many threads at once: every value is whole, and no block is lost.

use super::{Memory, Random, key, put};
use crate::cache::shared::Found;

#[test]
fn threads_find_whole_values_only() {
    let memory = Memory::of_bytes(1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let memory = &memory;
            scope.spawn(move || {
                let cache = memory.cache();
                let mut random = Random(1 + thread);
                for _ in 0..50_000 {
                    let number = random.below(100);
                    let key = key(number);
                    match random.below(10) {
                        0 => cache.remove(cache.hash(&key), &key),
                        1..=3 => {
                            // A value says what it is.
                            let length = 8 + random.below(4000) as usize;
                            let mut value = vec![length as u8; length];
                            value[..8].copy_from_slice(&number.to_le_bytes());
                            put(&cache, &key, &value, 0);
                        }
                        _ => match cache.get(cache.hash(&key), &key, 0) {
                            Found::Value { value, .. } => {
                                assert_eq!(value[..8], number.to_le_bytes());
                                assert!(value[8..].iter().all(|&byte| byte == value.len() as u8));
                            }
                            Found::Absent => {}
                            // A look without a lock that saw a change would be told by the checksum.
                            other => panic!("{other:?}"),
                        },
                    }
                }
            });
        }
    });
    let cache = memory.cache();
    let entries: u64 = cache.holdings().iter().map(|holding| holding.entries).sum();
    assert!(entries > 0);
    assert_eq!(cache.remove_where(|_| true), entries);
    assert_eq!(cache.room().0, cache.room().1);
}
