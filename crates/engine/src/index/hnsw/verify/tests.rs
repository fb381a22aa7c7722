//! Verification finds damage, and nobody panics over it.

use super::super::vacuum::tests::fixture::{Fixture, Random, Shape, insert, search_tids};
use super::verify;
use crate::index::hnsw::statistics::Statistics;
use crate::index::page::{ENTRIES_PLACE, PAGE_BYTES, SPECIAL_OFFSET, SlotState, UpperId};
use crate::index::storage::{MemoryStorage, PageRead, Place};
use crate::index::{IndexError, SlotId};

/// An index with free slots, lists above level 0, and several pages of each kind.
fn fixture() -> Fixture {
    let mut fixture = Fixture::random(
        Shape {
            m: 5,
            ef_construction: 10,
            ..Shape::small(6)
        },
        700,
        1,
    );
    fixture.delete(|row| row % 10 == 3);
    fixture.vacuum().unwrap();
    fixture.assert_exact();
    fixture
}

/// What is on the pages, by the places at which it can be damaged.
struct Map {
    live: Vec<SlotId>,
    high: Vec<(SlotId, UpperId, u8)>,
    free: Vec<SlotId>,
    blocks: u32,
}

fn map(fixture: &mut Fixture) -> Map {
    let blocks = fixture.storage.blocks().unwrap();
    let mut map = Map {
        live: Vec::new(),
        high: Vec::new(),
        free: Vec::new(),
        blocks,
    };
    let layout = fixture.index.layout;
    for block in fixture.index.first_node_block()..blocks {
        let bytes = fixture.storage.page(block).unwrap();
        let Ok(page) = crate::index::page::NodePage::open(bytes, &layout) else {
            continue;
        };
        for (slot, content) in page.slots() {
            let (head, id) = (content.unwrap().head, layout.id(block, slot).unwrap());
            match head.state {
                SlotState::Live => map.live.push(id),
                _ => map.free.push(id),
            }
            if head.level > 0 {
                map.high.push((id, head.upper, head.level));
            }
        }
    }
    map
}

/// Something that can be wrong with an index.
type Damage = fn(&mut Fixture, &Map, &mut Random);

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}

fn put(storage: &mut MemoryStorage, place: Place, plus: usize, bytes: &[u8]) {
    let at = usize::from(place.offset) + plus;
    storage.page_mut(place.block).unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
}

fn get(storage: &MemoryStorage, place: Place, plus: usize) -> u8 {
    storage.page(place.block).unwrap()[usize::from(place.offset) + plus]
}

/// Another value of a byte.
fn another(random: &mut Random, byte: u8, bound: u64) -> u8 {
    loop {
        let other = random.below(bound) as u8;
        if other != byte {
            return other;
        }
    }
}

fn damage_special(fixture: &mut Fixture, map: &Map, random: &mut Random, byte: usize) {
    let block = random.below(u64::from(map.blocks)) as u32;
    let page = fixture.storage.page_mut(block).unwrap();
    let at = SPECIAL_OFFSET + byte;
    page[at] = another(random, page[at], 256);
}

fn damage_neighbour(
    fixture: &mut Fixture,
    map: &Map,
    random: &mut Random,
    id: impl Fn(SlotId, &[u8]) -> SlotId,
) {
    let owner = pick(random, &map.live);
    let place = fixture.index.layout.neighbours_place(owner);
    let second = Place {
        offset: place.offset + 4,
        ..place
    };
    let mut first = [0; 4];
    fixture.storage.peek(&[place], 4, &mut first).unwrap();
    put(
        &mut fixture.storage,
        second,
        0,
        &id(owner, &first).0.to_le_bytes(),
    );
}

fn damage_record(fixture: &mut Fixture, map: &Map, random: &mut Random, plus: usize, bytes: &[u8]) {
    let (_, upper, _) = pick(random, &map.high);
    let place = fixture.index.layout.upper_place(upper);
    put(&mut fixture.storage, place, plus, bytes);
}

/// The named classes of damage.
const CLASSES: [(&str, Damage); 21] = [
    ("magic", |fixture, map, random| {
        let byte = random.below(4) as usize;
        damage_special(fixture, map, random, byte);
    }),
    ("kind", |fixture, map, random| {
        damage_special(fixture, map, random, 4)
    }),
    ("format version", |fixture, map, random| {
        damage_special(fixture, map, random, 5)
    }),
    ("format version of the meta page", |fixture, _, random| {
        fixture.storage.page_mut(0).unwrap()[24] = 2 + random.below(250) as u8;
    }),
    ("page of zeros", |fixture, map, random| {
        let block = random.below(u64::from(map.blocks)) as u32;
        fixture.storage.page_mut(block).unwrap().fill(0);
    }),
    ("page of another block", |fixture, map, random| {
        let first = u64::from(fixture.index.first_node_block());
        let block = (first + random.below(u64::from(map.blocks) - first)) as u32;
        let other = if block + 1 < map.blocks {
            block + 1
        } else {
            block - 1
        };
        let copy = *fixture.storage.page(other).unwrap();
        *fixture.storage.page_mut(block).unwrap() = copy;
    }),
    ("cut short", |fixture, map, random| {
        let keep = 1 + random.below(u64::from(map.blocks) - 1) as u32;
        let mut cut = MemoryStorage::new();
        for block in 0..keep {
            cut.push_page(fixture.storage.page(block).unwrap()).unwrap();
        }
        fixture.storage = cut;
    }),
    ("state of an element", |fixture, map, random| {
        let place = fixture.index.layout.head_place(pick(random, &map.live));
        let state = another(random, 1, 256);
        put(&mut fixture.storage, place, 0, &[state]);
    }),
    ("free slot made live", |fixture, map, random| {
        let place = fixture.index.layout.head_place(pick(random, &map.free));
        put(&mut fixture.storage, place, 0, &[1]);
    }),
    ("level", |fixture, map, random| {
        let place = fixture.index.layout.head_place(pick(random, &map.live));
        let level = another(random, get(&fixture.storage, place, 1), 256);
        put(&mut fixture.storage, place, 1, &[level]);
    }),
    ("possible level of a high element", |fixture, map, random| {
        let place = fixture.index.layout.head_place(pick(random, &map.high).0);
        let level = another(random, get(&fixture.storage, place, 1), 8);
        put(&mut fixture.storage, place, 1, &[level]);
    }),
    ("row", |fixture, map, random| {
        let place = fixture.index.layout.tid_place(pick(random, &map.live));
        let byte = random.below(6) as usize;
        let other = another(random, get(&fixture.storage, place, byte), 256);
        put(&mut fixture.storage, place, byte, &[other]);
    }),
    ("row of another element", |fixture, map, random| {
        let (a, b) = (
            map.live[0],
            map.live[1 + random.below(map.live.len() as u64 - 1) as usize],
        );
        let mut tid = [0; 6];
        fixture
            .storage
            .peek(&[fixture.index.layout.tid_place(a)], 6, &mut tid)
            .unwrap();
        put(&mut fixture.storage, fixture.index.layout.tid_place(b), 0, &tid);
    }),
    ("upper id", |fixture, map, random| {
        let place = fixture.index.layout.head_place(pick(random, &map.high).0);
        let byte = 8 + random.below(4) as usize;
        let other = another(random, get(&fixture.storage, place, byte), 256);
        put(&mut fixture.storage, place, byte, &[other]);
    }),
    ("neighbour out of range", |fixture, map, random| {
        let beyond = random.next() as u32 | 0x8000_0000;
        damage_neighbour(fixture, map, random, |_, _| SlotId(beyond & !1));
    }),
    ("freed neighbour", |fixture, map, random| {
        let freed = pick(random, &map.free);
        damage_neighbour(fixture, map, random, |_, _| freed);
    }),
    ("neighbour on an upper page", |fixture, map, random| {
        let (block, _) = fixture.index.layout.upper(pick(random, &map.high).1);
        let id = fixture.index.layout.id(block, 1).unwrap();
        damage_neighbour(fixture, map, random, |_, _| id);
    }),
    ("neighbour twice", |fixture, map, random| {
        damage_neighbour(fixture, map, random, |_, first| {
            SlotId(u32::from_le_bytes(first.try_into().unwrap()))
        });
    }),
    ("neighbour of itself", |fixture, map, random| {
        damage_neighbour(fixture, map, random, |owner, _| owner)
    }),
    ("upper record", |fixture, map, random| match random.below(4) {
        0 => damage_record(fixture, map, random, 0, &[0xFF, 0xFF, 0xFF, 0xFF]),
        1 => damage_record(fixture, map, random, 4, &[6]),
        2 => damage_record(fixture, map, random, 5, &[0]),
        _ => damage_record(fixture, map, random, 8, &[0, 0, 0, 0x10]),
    }),
    ("entry", |fixture, map, random| {
        let id = pick(random, &map.free);
        put(
            &mut fixture.storage,
            ENTRIES_PLACE,
            8 * random.below(16) as usize,
            &id.0.to_le_bytes(),
        );
    }),
];

const ROUNDS: u64 = 25;

/// TESTING: 500 mutants, of the named classes all found.
#[test]
fn every_class_of_damage_is_found() {
    let whole = fixture();
    for (number, (name, damage)) in CLASSES.iter().enumerate() {
        for round in 0..ROUNDS {
            let mut fixture = Fixture {
                index: Shape {
                    m: 5,
                    ef_construction: 10,
                    ..Shape::small(6)
                }
                .index(),
                storage: whole.storage.clone(),
                rows: whole.rows.clone(),
            };
            let map = map(&mut fixture);
            let mut random = Random(1 + round * 1_000 + number as u64);
            damage(&mut fixture, &map, &mut random);
            if whole.storage_equals(&fixture) {
                continue;
            }
            let verification = fixture.verify();
            assert!(!verification.is_ok(), "{name}, round {round}: not found");
            let details = verification.checks.iter().map(|check| check.detail.len()).max();
            assert!(details < Some(2_000), "{name}: details without a bound");
            use_damaged(&mut fixture);
        }
    }
}

/// Whatever the pages hold: an error, or some result; no panic, no endless loop.
fn use_damaged(fixture: &mut Fixture) {
    let tolerate = |result: Result<(), IndexError>| {
        if let Err(error) = result {
            let expected = matches!(
                error,
                IndexError::Corrupt { .. } | IndexError::Version { .. } | IndexError::Limit { .. }
            );
            assert!(expected, "{error:?}");
        }
    };
    let query = vec![0.5; 6];
    search_tids(&fixture.index, &mut fixture.storage, &query, 40);
    for row in 5_000..5_003 {
        tolerate(insert(&fixture.index, &mut fixture.storage, row, &query, 1).map(|_| ()));
    }
    tolerate(Statistics::take(&fixture.index, &mut fixture.storage).map(|_| ()));
    tolerate(fixture.vacuum().map(|_| ()));
    verify(&mut fixture.storage).unwrap();
}

#[test]
fn random_bytes_make_nobody_panic() {
    let whole = fixture();
    let mut random = Random(4711);
    for _ in 0..300 {
        let mut fixture = Fixture {
            index: Shape {
                m: 5,
                ef_construction: 10,
                ..Shape::small(6)
            }
            .index(),
            storage: whole.storage.clone(),
            rows: whole.rows.clone(),
        };
        let blocks = u64::from(fixture.storage.blocks().unwrap());
        for _ in 0..1 + random.below(40) {
            let page = fixture.storage.page_mut(random.below(blocks) as u32).unwrap();
            let at = 24 + random.below(PAGE_BYTES as u64 - 24) as usize;
            let length = (1 + random.below(64) as usize).min(PAGE_BYTES - at);
            let byte = [0, 0xFF, random.next() as u8][random.below(3) as usize];
            page[at..at + length].fill(byte);
        }
        verify(&mut fixture.storage).unwrap();
        use_damaged(&mut fixture);
    }
}

#[test]
fn dead_elements_and_their_links_are_named_and_no_failure() {
    let mut fixture = fixture();
    fixture.delete(|row| row % 7 == 0);
    fixture.bulk_delete().unwrap();
    let verification = fixture.verify();
    assert!(verification.is_ok(), "{:#?}", verification.checks);
    let details: String = verification
        .checks
        .iter()
        .map(|check| check.detail.as_str())
        .collect();
    assert!(
        details.contains("to dead elements") && details.contains("a vacuum is pending"),
        "{details}"
    );
}

#[test]
fn a_missing_row_and_one_too_many_of_the_table_are_told_apart() {
    let mut fixture = fixture();
    // Not visible to the caller any more: no failure.
    fixture.rows.remove(&0);
    assert!(fixture.verify().is_ok());
    fixture.rows.insert(9_999, vec![0.0; 6]);
    let verification = fixture.verify();
    let failed: Vec<_> = verification.checks.iter().filter(|check| !check.ok).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].detail.contains("row (99,100)"), "{failed:?}");
}

#[test]
fn an_empty_index_is_in_order() {
    let mut fixture = Fixture::random(Shape::small(6), 0, 1);
    fixture.assert_exact();
    fixture.vacuum().unwrap();
    fixture.assert_exact();
    assert_eq!(fixture.recall(10, 40, 3, 1), 1.0);
}
