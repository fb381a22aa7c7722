use proptest::prelude::*;

use super::*;
use crate::index::HeapTid;
use crate::index::storage::{Change, MemoryStorage, PageRead, PageWrite, Place};

const FACTORS: [u8; FACTORS_BYTES] = [9; FACTORS_BYTES];

fn element<'a>(code: &'a [u8], neighbours: &'a [SlotId]) -> NewSlot<'a> {
    NewSlot {
        state: SlotState::Live,
        level: 2,
        tid: HeapTid {
            block: 0x0403_0201,
            offset: 0x0605,
        },
        upper: UpperId(0x0D0C_0B0A),
        factors: &FACTORS,
        code,
        keys: &[],
        neighbours,
    }
}

#[test]
fn a_slot_has_the_documented_bytes() {
    let layout = Layout::new(32, 2, 3).unwrap();
    let mut page = page_of(PageKind::Node);
    let (code, list) = ([7; 32], ids(&[0x0100, 0x0200]));
    let new = NewSlot {
        keys: &[21, 22, 23],
        ..element(&code, &list)
    };
    NodePageMut::open(&mut page, &layout)
        .unwrap()
        .write_slot(1, &new)
        .unwrap();
    let mut expected = vec![1, 2, 1, 2, 3, 4, 5, 6, 0x0A, 0x0B, 0x0C, 0x0D];
    expected.extend([9; 20]);
    expected.extend([7; 32]);
    expected.extend([21, 22, 23]);
    expected.extend([0, 1, 0, 0, 0, 2, 0, 0]);
    expected.extend([0xFF; 8]);
    assert_eq!(layout.slot_bytes(), expected.len());
    let start = HEADER_BYTES + layout.slot_bytes();
    assert_eq!(page[start..start + expected.len()], expected);
    assert!(
        page[HEADER_BYTES..start].iter().all(|byte| *byte == 0),
        "slot 0 is untouched"
    );
    assert!(
        page[start + expected.len()..SPECIAL_OFFSET]
            .iter()
            .all(|byte| *byte == 0)
    );
    assert_eq!(page[..HEADER_BYTES], [0xEE; HEADER_BYTES]);
}

#[test]
fn peeks_read_what_was_written() {
    let layout = usual_layout();
    let (code, list) = ([0x5A; 192], ids(&[23, 99, 5]));
    let mut storage = MemoryStorage::new();
    for _ in 0..3 {
        storage
            .extend(|_, page| {
                init_page(page, PageKind::Node)?;
                NodePageMut::open(page, &layout)?.write_slot(22, &element(&code, &list))
            })
            .unwrap()
            .1
            .unwrap();
    }
    let id = layout.id(2, 22).unwrap();
    let mut peek = |place: Place, length: usize| {
        let mut out = vec![0xCC; length];
        storage.peek(&[place], length, &mut out).unwrap();
        out
    };
    let bytes = peek(layout.head_place(id), layout.head_bytes());
    let head = SlotHead::parse(&bytes, &layout).unwrap();
    assert_eq!(
        (head.state, head.level, head.upper),
        (SlotState::Live, 2, UpperId(0x0D0C_0B0A))
    );
    assert_eq!((head.factors, head.code), (&FACTORS, &code[..]));
    let tid = HeapTid {
        block: 0x0403_0201,
        offset: 0x0605,
    };
    assert_eq!(head.tid, tid);
    assert_eq!(
        parse_row(&peek(layout.head_place(id), ROW_BYTES)),
        Some((SlotState::Live, tid))
    );
    assert_eq!(parse_tid(&peek(layout.tid_place(id), 6)), Some(tid));
    let mut found = ids(&[1]);
    parse_neighbours(
        &peek(layout.neighbours_place(id), layout.neighbours_bytes(0)),
        69,
        &mut found,
    );
    assert_eq!(
        found,
        ids(&[1, 23, 5]),
        "appended, without the id that is out of range"
    );
    // Outside the index: a free slot without neighbours.
    let outside = layout.id(9, 0).unwrap();
    let bytes = peek(layout.head_place(outside), layout.head_bytes());
    assert_eq!(SlotHead::parse(&bytes, &layout).unwrap().state, SlotState::Free);
    found.clear();
    parse_neighbours(
        &peek(layout.neighbours_place(outside), layout.neighbours_bytes(0)),
        69,
        &mut found,
    );
    assert_eq!(found, []);
}

#[test]
fn short_or_unknown_peeks_are_passed_by() {
    let layout = usual_layout();
    let mut bytes = vec![1; layout.head_bytes()];
    assert_eq!(SlotHead::parse(&bytes[1..], &layout), None);
    assert_eq!(SlotHead::parse(&[], &layout), None);
    assert_eq!(parse_row(&bytes[..ROW_BYTES - 1]), None);
    assert_eq!(parse_tid(&bytes[..5]), None);
    bytes[0] = 4;
    assert_eq!(SlotHead::parse(&bytes, &layout).unwrap().state, SlotState::Free);
    assert_eq!(parse_row(&bytes).unwrap().0, SlotState::Free);
}

#[test]
fn states_are_counted_and_free_slots_found() {
    let layout = usual_layout();
    let code = [1; 192];
    let mut bytes = page_of(PageKind::Node);
    let mut page = NodePageMut::open(&mut bytes, &layout).unwrap();
    assert_eq!(
        page.as_ref().counts(),
        StateCounts {
            free: 23,
            ..StateCounts::default()
        }
    );
    for index in 0..23 {
        assert_eq!(page.as_ref().first_free(), Some(index));
        page.write_slot(index, &element(&code, &[])).unwrap();
    }
    assert_eq!(page.as_ref().first_free(), None);
    page.set_state(3, SlotState::Dead).unwrap();
    page.set_state(4, SlotState::Unranked).unwrap();
    page.clear_slot(9).unwrap();
    let expected = StateCounts {
        free: 1,
        live: 20,
        dead: 1,
        unranked: 1,
        unknown: 0,
    };
    assert_eq!(page.as_ref().counts(), expected);
    assert_eq!(page.as_ref().first_free(), Some(9));
    // A state that nobody wrote is neither free nor readable.
    bytes[HEADER_BYTES] = 200;
    let page = NodePage::open(&bytes, &layout).unwrap();
    assert_eq!(
        page.counts(),
        StateCounts {
            live: 19,
            unknown: 1,
            ..expected
        }
    );
    assert_eq!(page.slot(0), Err(PageError::content("slot has an unknown state")));
    assert_eq!(page.slots().filter(|(_, slot)| slot.is_err()).count(), 1);
}

#[test]
fn a_cleared_slot_leads_nowhere() {
    let layout = usual_layout();
    let (code, list) = ([1; 192], ids(&[30, 31, 32]));
    let mut bytes = page_of(PageKind::Node);
    let mut page = NodePageMut::open(&mut bytes, &layout).unwrap();
    page.write_slot(2, &element(&code, &list)).unwrap();
    page.clear_slot(2).unwrap();
    let slot = page.as_ref().slot(2).unwrap();
    assert_eq!((slot.head.state, slot.head.level), (SlotState::Free, 0));
    assert_eq!((slot.head.tid, slot.head.upper), (HeapTid::NONE, UpperId::NONE));
    assert!(slot.neighbours.is_empty());
}

#[test]
fn setters_change_what_they_name() {
    let layout = usual_layout();
    let (code, list) = ([1; 192], ids(&[30, 31, 32]));
    let mut bytes = page_of(PageKind::Node);
    let mut page = NodePageMut::open(&mut bytes, &layout).unwrap();
    page.write_slot(22, &element(&code, &list)).unwrap();
    page.set_tid(22, HeapTid::NONE).unwrap();
    page.set_state(22, SlotState::Dead).unwrap();
    page.set_neighbours(22, &ids(&[40])).unwrap();
    let slot = page.as_ref().slot(22).unwrap();
    assert_eq!(
        (slot.head.state, slot.head.level, slot.head.tid),
        (SlotState::Dead, 2, HeapTid::NONE)
    );
    assert!(slot.neighbours.equals(&ids(&[40])));
    assert!(!slot.neighbours.equals(&ids(&[40, 31])));
    assert!(slot.neighbours.contains(SlotId(40)) && !slot.neighbours.contains(SlotId(31)));
    assert_eq!(slot.neighbours.len(), 1);
    let full: Vec<SlotId> = (100..132).map(SlotId).collect();
    page.set_neighbours(22, &full).unwrap();
    assert!(page.as_ref().slot(22).unwrap().neighbours.equals(&full));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let layout = usual_layout();
    let code = [1; 192];
    let mut bytes = page_of(PageKind::Node);
    let before = bytes.clone();
    let many: Vec<SlotId> = (100..133).map(SlotId).collect();
    let holed = [SlotId(1), SlotId::NONE, SlotId(2)];
    let mut page = NodePageMut::open(&mut bytes, &layout).unwrap();
    let good = element(&code, &[]);
    let refused = [
        page.write_slot(23, &good),
        page.write_slot(u16::MAX, &good),
        page.write_slot(
            0,
            &NewSlot {
                code: &code[1..],
                ..good
            },
        ),
        page.write_slot(0, &NewSlot { keys: &[1], ..good }),
        page.write_slot(
            0,
            &NewSlot {
                level: MAX_LEVEL + 1,
                ..good
            },
        ),
        page.write_slot(
            0,
            &NewSlot {
                neighbours: &many,
                ..good
            },
        ),
        page.write_slot(
            0,
            &NewSlot {
                neighbours: &holed,
                ..good
            },
        ),
        page.set_neighbours(0, &many),
        page.set_neighbours(0, &holed),
        page.set_neighbours(23, &[]),
        page.set_state(23, SlotState::Live),
        page.set_tid(23, HeapTid::NONE),
        page.clear_slot(23),
    ];
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert!(NodePage::open(&bytes, &layout).unwrap().slot(23).is_err());
    assert_eq!(bytes, before);
}

#[test]
fn an_error_in_an_update_leaves_no_record() {
    let layout = usual_layout();
    let mut storage = MemoryStorage::new();
    storage
        .extend(|_, page| init_page(page, PageKind::Node).unwrap())
        .unwrap();
    let result = storage.update(0, |page| {
        let done = NodePageMut::open(page, &layout).and_then(|mut page| page.set_state(99, SlotState::Live));
        (if done.is_ok() { Change::Made } else { Change::None }, done)
    });
    assert!(result.unwrap().is_err());
    assert_eq!(storage.counts().records, 1);
}

proptest! {
    #[test]
    fn slots_come_back_as_written(
        (code_bytes, m, key_bytes) in (0_usize..600, M_MIN..=M_MAX, 0_usize..40),
        (state, level, block, offset) in (0_u8..4, 0..=MAX_LEVEL, any::<u32>(), any::<u16>()),
        (upper, byte, index) in (any::<u32>(), any::<u8>(), any::<u16>()),
        numbers in proptest::collection::vec(0..u32::MAX, 0..=200),
    ) {
        let layout = Layout::new(code_bytes, m, key_bytes).unwrap();
        let index = index % layout.slots_per_page();
        let mut list = ids(&numbers);
        list.truncate(layout.max_neighbours(0));
        let (code, keys, factors) = (vec![byte; code_bytes], vec![!byte; key_bytes], [byte ^ 0x55; FACTORS_BYTES]);
        let new = NewSlot {
            state: SlotState::from_u8(state).unwrap(),
            level,
            tid: HeapTid { block, offset },
            upper: UpperId(upper),
            factors: &factors,
            code: &code,
            keys: &keys,
            neighbours: &list,
        };
        let mut bytes = page_of(PageKind::Node);
        bytes[HEADER_BYTES..SPECIAL_OFFSET].fill(0xAB);
        let before = bytes.clone();
        NodePageMut::open(&mut bytes, &layout).unwrap().write_slot(index, &new).unwrap();
        let slot = NodePage::open(&bytes, &layout).unwrap().slot(index).unwrap();
        prop_assert_eq!((slot.head.state, slot.head.level, slot.head.tid), (new.state, level, new.tid));
        prop_assert_eq!((slot.head.upper, slot.head.factors), (new.upper, &factors));
        prop_assert_eq!((slot.head.code, slot.keys), (&code[..], &keys[..]));
        prop_assert!(slot.neighbours.equals(&list));
        let start = HEADER_BYTES + usize::from(index) * layout.slot_bytes();
        let end = start + layout.slot_bytes();
        prop_assert_eq!(&bytes[..start], &before[..start]);
        prop_assert_eq!(&bytes[end..], &before[end..]);
    }
}
