//! Crashes and interruptions between any two steps of a vacuum, and what the next one makes of them.

use super::fixture::{Fixture, Random, Shape, insert};
use crate::index::IndexError;
use crate::index::hnsw::paged::peek_entries;
use crate::index::hnsw::reach::Reach;
use crate::index::storage::MemoryStorage;

fn deleted(rows: u32) -> Fixture {
    let mut fixture = Fixture::random(Shape::small(4), rows, 1);
    fixture.delete(|row| row % 5 < 3);
    fixture
}

/// The index answers, takes rows in, and comes clean by the next vacuum.
fn assert_works_and_heals(fixture: &mut Fixture, what: &str) {
    let recall = fixture.recall(10, 200, 10, 3);
    assert!(recall >= 0.97, "{what}: recall {recall}");
    let mut random = Random(77);
    for row in 10_000..10_003 {
        fixture.insert(row, random.vector(4)).unwrap();
    }
    fixture.vacuum().unwrap();
    fixture.assert_exact();
    let recall = fixture.recall(10, 80, 10, 3);
    assert!(recall >= 0.97, "{what}: recall {recall} after the next vacuum");
}

#[test]
fn a_crash_before_any_record_of_a_vacuum_heals() {
    let mut whole = deleted(400);
    let before = whole.storage.counts().records;
    whole.vacuum().unwrap();
    let records = whole.storage.counts().records - before;
    assert!(records > 15, "{records}");
    for at in 0..records {
        let mut fixture = deleted(400);
        fixture.storage.fail_after(at);
        assert_eq!(fixture.vacuum(), Err(MemoryStorage::FAILURE), "record {at}");
        fixture.storage.recover();
        assert_works_and_heals(&mut fixture, &format!("record {at} of {records}"));
    }
}

#[test]
fn an_interruption_at_any_check_of_a_vacuum_heals() {
    let mut whole = deleted(250);
    let before = whole.storage.counts().checks;
    whole.vacuum().unwrap();
    let checks = whole.storage.counts().checks - before;
    for at in 0..checks {
        let mut fixture = deleted(250);
        fixture.storage.interrupt_after(at);
        assert!(
            matches!(fixture.vacuum(), Err(IndexError::Interrupted(_))),
            "check {at} of {checks}"
        );
        assert_works_and_heals(&mut fixture, &format!("check {at} of {checks}"));
    }
}

/// Every crash of an insertion, of an element that has lists above level 0: vacuum links the element or, as here its row was rolled
/// back, removes it; either way no record stays behind.
#[test]
fn a_crash_before_any_record_of_an_insertion_heals() {
    for rolled_back in [false, true] {
        for at in 0.. {
            let mut fixture = Fixture::random(Shape::small(4), 200, 1);
            fixture.storage.fail_after(at);
            let vector = Random(31).vector(4);
            let inserted = insert(&fixture.index, &mut fixture.storage, 900, &vector, 2);
            fixture.storage.recover();
            if inserted.is_ok() {
                assert!(at > 5);
                break;
            }
            // Before the first record there is nothing of the element.
            if at > 0 && !rolled_back {
                fixture.rows.insert(900, vector.clone());
            }
            let stats = fixture.vacuum().unwrap();
            fixture.assert_exact();
            let found = fixture.search(&vector, 20, 1);
            assert_eq!(found == vec![900], at > 0 && !rolled_back, "record {at}");
            assert_eq!(stats.slots_freed, u64::from(at > 0 && rolled_back), "record {at}");
        }
    }
}

#[test]
fn elements_that_nothing_names_are_linked_again_without_a_deletion() {
    let mut fixture = Fixture::random(Shape::small(4), 400, 1);
    for row in 1_000..1_040 {
        let vector = Random(u64::from(row)).vector(4);
        // The slot, and nothing more.
        fixture.storage.fail_after(1);
        insert(&fixture.index, &mut fixture.storage, row, &vector, 0).unwrap_err();
        fixture.storage.recover();
        fixture.rows.insert(row, vector);
    }
    let entries = peek_entries(&mut fixture.storage).unwrap();
    let mut reach = Reach::new(&fixture.index, &mut fixture.storage).unwrap();
    reach.from_entries(&mut fixture.storage, &entries).unwrap();
    assert_eq!(reach.met().len(), 400);
    let stats = fixture.vacuum().unwrap();
    assert_eq!((stats.elements_relinked, stats.slots_freed), (40, 0));
    fixture.assert_exact();
}
