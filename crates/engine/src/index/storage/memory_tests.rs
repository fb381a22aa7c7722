#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use crate::index::page::{BODY_BYTES, SPECIAL_OFFSET};

const OUTSIDE: IndexError = IndexError::Corrupt {
    block: 9,
    what: "block is outside the index",
};

/// Three pages; the body of block `b` is full of `b + 1`.
fn three_pages() -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    for number in 0..3_u8 {
        let (block, ()) = storage
            .extend(|_, page| page[HEADER_BYTES..].fill(number + 1))
            .unwrap();
        assert_eq!(block, u32::from(number));
    }
    storage
}

fn set_byte(storage: &mut impl PageWrite, block: u32, byte: u8) -> Result<(), IndexError> {
    storage.update(block, |page| {
        page[100] = byte;
        (Change::Made, ())
    })
}

#[test]
fn pages_are_read_and_changed() {
    let mut storage = three_pages();
    assert_eq!(storage.blocks().unwrap(), 3);
    set_byte(&mut storage, 1, 77).unwrap();
    assert_eq!(
        storage
            .read(1, |page| (page.len(), page[100], page[101]))
            .unwrap(),
        (PAGE_BYTES, 77, 2)
    );
    assert_eq!(storage.page(1).unwrap()[100], 77);
    assert_eq!(storage.read(9, |_| ()), Err(OUTSIDE));
    assert_eq!(set_byte(&mut storage, 9, 1), Err(OUTSIDE));
    assert!(storage.page(9).is_none());
    let copy = *storage.page(1).unwrap();
    assert_eq!(storage.push_page(&copy).unwrap(), 3);
    assert_eq!(storage.page(3).unwrap(), &copy);
}

#[test]
fn peeks_outside_the_index_give_zeros() {
    let mut storage = three_pages();
    let place = |block, offset| Place { block, offset };
    let last = u16::try_from(SPECIAL_OFFSET + 8 - 4).unwrap();
    let places = [
        place(2, 24),
        place(9, 24),
        place(0, last),
        place(0, last + 1),
        place(0, u16::MAX),
    ];
    let mut out = [0xCC; 20];
    storage.peek(&places, 4, &mut out).unwrap();
    assert_eq!(out, [3, 3, 3, 3, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((storage.counts().peeks, storage.counts().peeked), (1, 5));
    storage.peek(&places, 0, &mut []).unwrap();
}

#[test]
fn a_failure_comes_before_the_change_and_lasts_until_recovery() {
    let mut storage = three_pages();
    storage.note_room(1, PageKind::Node, 4).unwrap();
    storage.fail_after(1);
    set_byte(&mut storage, 0, 70).unwrap();
    assert!(!storage.failed());
    let untouched = storage.update(1, |_| (Change::None, 5));
    assert_eq!(untouched, Ok(5), "only records fail");
    assert_eq!(set_byte(&mut storage, 1, 71), Err(MemoryStorage::FAILURE));
    assert!(storage.failed());
    assert_eq!(storage.extend(|_, _| ()), Err(MemoryStorage::FAILURE));
    assert_eq!(set_byte(&mut storage, 2, 72), Err(MemoryStorage::FAILURE));
    assert_eq!(
        [0, 1, 2].map(|block| storage.page(block).unwrap()[100]),
        [70, 2, 3]
    );
    assert_eq!((storage.blocks().unwrap(), storage.counts().records), (3, 4));
    storage.recover();
    assert!(!storage.failed());
    assert_eq!(
        storage.find_room(PageKind::Node, 1).unwrap(),
        None,
        "hints are lost"
    );
    set_byte(&mut storage, 1, 71).unwrap();
    assert_eq!(storage.extend(|block, _| block).unwrap(), (3, 3));
}

#[test]
fn the_interrupt_comes_at_its_step_and_once() {
    let mut storage = MemoryStorage::new();
    storage.interrupt_after(2);
    let interrupted = Err(IndexError::Interrupted(Interrupted));
    let answers: Vec<_> = (0..4).map(|_| storage.check_interrupts()).collect();
    assert_eq!(answers, [Ok(()), Ok(()), interrupted, Ok(())]);
    assert_eq!(storage.counts().checks, 4);
}

#[test]
fn a_caller_that_breaks_the_rules_is_told() {
    let mut storage = three_pages();
    let silent = storage.update(1, |page| {
        page[100] = 9;
        (Change::None, ())
    });
    assert!(matches!(silent, Err(IndexError::Corrupt { block: 1, .. })));
    let header = storage.update(1, |page| {
        page[HEADER_BYTES - 1] = 9;
        (Change::Made, ())
    });
    assert!(matches!(header, Err(IndexError::Corrupt { block: 1, .. })));
    assert!(
        storage.page(1).unwrap()[HEADER_BYTES..]
            .iter()
            .all(|byte| *byte == 2)
    );
    assert_eq!(storage.page(1).unwrap()[HEADER_BYTES - 1], 0);
}

#[test]
fn changes_have_positions() {
    let mut storage = three_pages();
    let before = storage.position();
    assert!(
        [0, 1, 2]
            .iter()
            .all(|block| !storage.changed_since(*block, before).unwrap())
    );
    set_byte(&mut storage, 1, 5).unwrap();
    storage.update(2, |_| (Change::None, ())).unwrap();
    assert!(storage.position() > before);
    assert_eq!(
        [0, 1, 2].map(|block| storage.changed_since(block, before).unwrap()),
        [false, true, false]
    );
    let now = storage.position();
    assert!(!storage.changed_since(1, now).unwrap());
    assert_eq!(storage.changed_since(9, now), Err(OUTSIDE));
    storage.forget_positions();
    assert!(storage.changed_since(0, now).unwrap());
}

#[test]
fn room_is_noted_by_kind() {
    let mut storage = three_pages();
    assert_eq!(storage.find_room(PageKind::Node, 1).unwrap(), None);
    storage.note_room(2, PageKind::Node, 1).unwrap();
    storage.note_room(7, PageKind::Node, 5).unwrap();
    storage.note_room(1, PageKind::Upper, 9).unwrap();
    assert_eq!(
        [1, 2, 5, 6].map(|needed| storage.find_room(PageKind::Node, needed).unwrap()),
        [Some(2), Some(7), Some(7), None]
    );
    storage.note_room(7, PageKind::Node, 0).unwrap();
    assert_eq!(storage.find_room(PageKind::Node, 2).unwrap(), None);
    assert_eq!(storage.find_room(PageKind::Upper, 9).unwrap(), Some(1));
}

#[test]
fn a_full_storage_does_not_grow() {
    let mut storage = three_pages();
    storage.set_max_blocks(3);
    let error = storage.extend(|_, _| ()).unwrap_err();
    assert_eq!(
        error,
        IndexError::Limit {
            what: "number of index pages",
            value: 4,
            limit: 3
        }
    );
    assert_eq!(storage.blocks().unwrap(), 3);
}

#[test]
fn a_clone_is_a_copy_and_a_shared_storage_is_one() {
    let mut storage = three_pages();
    let copy = storage.clone();
    storage.page_mut(0).unwrap()[100] = 50;
    assert_eq!(copy.page(0).unwrap()[100], 1);

    let shared = SharedMemoryStorage::new(storage);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut shared = shared.clone();
            scope.spawn(move || {
                for _ in 0..50 {
                    shared
                        .update(2, |page| (Change::Made, page[200] = page[200].wrapping_add(1)))
                        .unwrap();
                    shared
                        .extend(|_, page| page[HEADER_BYTES + BODY_BYTES] = 1)
                        .unwrap();
                }
            });
        }
    });
    let storage = shared.lock();
    assert_eq!(storage.page(2).unwrap()[200], 3 + 200);
    assert_eq!((storage.pages.len(), storage.counts().records), (203, 403));
}
