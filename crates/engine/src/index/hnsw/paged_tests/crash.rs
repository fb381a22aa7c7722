//! Crashes between any two log records, and full disks.

use super::checks::{check_lists, elements, free, kill};
use super::*;
use crate::index::page::SlotState;

fn of_level(index: &Index, least: u8, from: usize) -> usize {
    (from..).find(|row| index.level(tid_of(*row)) >= least).unwrap()
}

#[test]
fn a_crash_between_any_two_records_of_an_insertion_leaves_a_sound_index() {
    let mut random = Random(21);
    let vectors = random.clustered(4_000, 16, 6);
    let kind = Kind {
        m: 4,
        ef_construction: 32,
        bits: CodeBits::Eight,
        ..Kind::new(Metric::L2, 16)
    };
    let (index, mut storage) = empty_index(kind);
    insert_all(&index, &mut storage, &vectors[..300]);
    // One of level 0, one of several levels.
    for row in [301, of_level(&index, 2, 302)] {
        let mut records = 0;
        loop {
            let mut crashed = storage.clone();
            crashed.fail_after(records);
            let mut insertions = Insertions::default();
            let inserted = insertions.insert(&index, &mut crashed, &vectors[row], row);
            crashed.recover();
            check_lists(&index, &mut crashed);
            // The row of a crashed insertion was never committed.
            let mut visible = vec![false; 4_000];
            visible[..300].fill(true);
            let mut table = Table::new(Metric::L2, &vectors, &vectors[7]);
            table.visible = Some(&visible);
            let hits = search(&index, &mut crashed, &mut table, with_ef(20), usize::MAX);
            assert_eq!(sorted(rows(&hits)), (0..300).collect::<Vec<_>>());
            assert_eq!(rows(&hits)[..10], table.nearest(10));
            // The next one works, with the same scratch memory.
            insertions
                .insert(&index, &mut crashed, &vectors[3_000], 3_000)
                .unwrap();
            check_lists(&index, &mut crashed);
            if let Ok(id) = inserted {
                assert!(records > 3, "an insertion of {records} records");
                assert_eq!(
                    elements(&index, &mut crashed)[&id].level,
                    index.level(tid_of(row))
                );
                break;
            }
            assert_eq!(inserted, Err(MemoryStorage::FAILURE));
            records += 1;
        }
    }
}

#[test]
fn an_interrupted_insertion_leaves_a_sound_index() {
    let mut random = Random(22);
    let vectors = random.clustered(600, 16, 6);
    let (index, mut storage) = empty_index(Kind::new(Metric::Cosine, 16));
    let mut insertions = Insertions::default();
    let mut interrupted = 0;
    for (row, vector) in vectors.iter().enumerate() {
        storage.interrupt_after(random.next() % 200);
        match insertions.insert(&index, &mut storage, vector, row) {
            Ok(_) => {}
            Err(IndexError::Interrupted(_)) => interrupted += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(interrupted > 50);
    check_lists(&index, &mut storage);
}

#[test]
fn a_full_index_refuses_and_stays_sound() {
    let mut random = Random(23);
    let vectors = random.vectors(3_000, 16);
    let (index, mut storage) = empty_index(Kind::new(Metric::L2, 16));
    storage.set_max_blocks(6);
    let mut insertions = Insertions::default();
    let mut stored = 0;
    for (row, vector) in vectors.iter().enumerate() {
        match insertions.insert(&index, &mut storage, vector, row) {
            Ok(_) => stored += 1,
            Err(IndexError::Limit { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(stored > 100 && stored < 3_000);
    check_lists(&index, &mut storage);
    let wrong = insertions.insert(&index, &mut storage, &[1.0; 3], 1);
    assert!(matches!(wrong, Err(IndexError::Limit { .. })));
}

#[test]
fn free_slots_are_used_again() {
    let mut random = Random(24);
    let vectors = random.vectors(1_200, 16);
    let (index, mut storage) = empty_index(Kind::new(Metric::L2, 16));
    let ids = insert_all(&index, &mut storage, &vectors[..600]);
    let blocks = storage.blocks().unwrap();
    // Lists still name them, as after a vacuum that missed some.
    free(&index, &mut storage, ids[100..500].iter().copied());
    for block in 1..blocks {
        storage.note_room(block, PageKind::Node, 1).unwrap();
    }
    let mut insertions = Insertions::default();
    for row in 600..1_000 {
        insertions
            .insert(&index, &mut storage, &vectors[row], row)
            .unwrap();
    }
    assert!(storage.blocks().unwrap() <= blocks + 2);
    let query = vec![0.4; 16];
    let mut table = Table::new(Metric::L2, &vectors, &query);
    let visible: Vec<bool> = (0..1_200)
        .map(|row| row < 100 || (500..1_000).contains(&row))
        .collect();
    table.visible = Some(&visible);
    let hits = rows(&search(&index, &mut storage, &mut table, with_ef(80), usize::MAX));
    assert_eq!(hits[..5], table.nearest(5));
    assert_eq!(hits.len(), 600);
}

#[test]
fn insertion_goes_on_when_everything_is_dead() {
    let mut random = Random(25);
    let vectors = random.vectors(900, 8);
    for freed in [false, true] {
        let (index, mut storage) = empty_index(Kind::new(Metric::L2, 8));
        let ids = insert_all(&index, &mut storage, &vectors[..400]);
        kill(&index, &mut storage, ids.iter().copied());
        if freed {
            free(&index, &mut storage, ids.iter().copied());
        }
        let mut insertions = Insertions::default();
        for row in 400..900 {
            insertions
                .insert(&index, &mut storage, &vectors[row], row)
                .unwrap();
        }
        let all = elements(&index, &mut storage);
        let live = all.values().filter(|element| element.state == SlotState::Live);
        let linked = live.filter(|element| !element.lists[0].is_empty());
        assert!(linked.count() >= 499);
        assert!(checks::unreachable(&index, &mut storage).len() <= 2);
        let query = vec![0.4; 8];
        let mut table = Table::new(Metric::L2, &vectors, &query);
        let visible: Vec<bool> = (0..900).map(|row| row >= 400).collect();
        table.visible = Some(&visible);
        let hits = rows(&search(&index, &mut storage, &mut table, with_ef(100), 10));
        let found = table.nearest(10).iter().filter(|row| hits.contains(row)).count();
        assert!(found >= 9, "{found}");
    }
}

#[test]
fn a_page_that_a_crash_left_unwritten_is_used() {
    let (index, mut storage) = empty_index(Kind::new(Metric::L2, 8));
    storage.extend(|_, _| ()).unwrap();
    storage.note_room(1, PageKind::Node, 1).unwrap();
    let mut random = Random(26);
    let vectors = random.vectors(50, 8);
    insert_all(&index, &mut storage, &vectors);
    assert_eq!(check_lists(&index, &mut storage).len(), 50);
    assert!(elements(&index, &mut storage).contains_key(&index.layout.id(1, 0).unwrap()));
}

#[test]
fn the_entries_are_the_highest_elements() {
    let mut random = Random(27);
    let vectors = random.vectors(2_000, 4);
    let kind = Kind {
        m: 4,
        ef_construction: 16,
        ..Kind::new(Metric::L2, 4)
    };
    let (index, mut storage) = empty_index(kind);
    insert_all(&index, &mut storage, &vectors);
    let mut levels: Vec<u8> = elements(&index, &mut storage)
        .values()
        .map(|element| element.level)
        .collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    let entries = super::super::paged::peek_entries(&mut storage).unwrap();
    let mut found: Vec<u8> = entries.iter().map(|entry| entry.level).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(found, levels[..16]);
}
