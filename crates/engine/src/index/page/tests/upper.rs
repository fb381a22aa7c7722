use proptest::prelude::*;

use super::*;

#[test]
fn a_record_has_the_documented_bytes() {
    let layout = Layout::new(32, 2, 0).unwrap();
    let mut page = page_of(PageKind::Upper);
    UpperPageMut::open(&mut page, &layout)
        .unwrap()
        .write(1, SlotId(0x0403_0201), 7, &ids(&[5]))
        .unwrap();
    let expected = [1, 2, 3, 4, 7, 1, 0, 0, 5, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
    assert_eq!(layout.upper_bytes(), expected.len());
    assert_eq!(page[HEADER_BYTES + 16..HEADER_BYTES + 32], expected);
    assert!(
        page[HEADER_BYTES..HEADER_BYTES + 16]
            .iter()
            .all(|byte| *byte == 0)
    );
    assert!(
        page[HEADER_BYTES + 32..SPECIAL_OFFSET]
            .iter()
            .all(|byte| *byte == 0)
    );
}

#[test]
fn free_records_in_a_row_are_found() {
    let layout = usual_layout();
    let mut bytes = page_of(PageKind::Upper);
    let mut page = UpperPageMut::open(&mut bytes, &layout).unwrap();
    assert_eq!(page.as_ref().find_free(113), Some(0));
    assert_eq!(page.as_ref().find_free(114), None);
    for index in 0..113 {
        page.write(index, SlotId(50), 1, &[]).unwrap();
    }
    assert_eq!(
        (page.as_ref().find_free(1), page.as_ref().find_free(0)),
        (None, None)
    );
    assert_eq!(page.as_ref().longest_free_run(), 0);
    for index in [3, 10, 11, 110, 111, 112] {
        page.clear(index).unwrap();
    }
    let page = page.as_ref();
    assert_eq!(
        [1, 2, 3, 4].map(|count| page.find_free(count)),
        [Some(3), Some(10), Some(110), None]
    );
    assert_eq!((page.longest_free_run(), page.free_count()), (3, 6));
    assert!(!page.record(3).unwrap().used && page.record(4).unwrap().used);
}

#[test]
fn setters_change_what_they_name() {
    let layout = usual_layout();
    let mut bytes = page_of(PageKind::Upper);
    let mut page = UpperPageMut::open(&mut bytes, &layout).unwrap();
    page.write(112, SlotId(50), 3, &ids(&[60, 61])).unwrap();
    page.set_neighbours(112, &ids(&[62])).unwrap();
    page.set_owner(112, SlotId(51)).unwrap();
    let record = page.as_ref().record(112).unwrap();
    assert_eq!((record.used, record.owner, record.level), (true, SlotId(51), 3));
    assert!(record.neighbours.equals(&ids(&[62])));
    page.clear(112).unwrap();
    let record = page.as_ref().record(112).unwrap();
    assert_eq!(
        (record.used, record.owner, record.level),
        (false, SlotId::NONE, 0)
    );
    assert!(record.neighbours.is_empty());
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let layout = usual_layout();
    let mut bytes = page_of(PageKind::Upper);
    let before = bytes.clone();
    let many: Vec<SlotId> = (100..117).map(SlotId).collect();
    let mut page = UpperPageMut::open(&mut bytes, &layout).unwrap();
    let refused = [
        page.write(113, SlotId(1), 1, &[]),
        page.write(0, SlotId(1), 0, &[]),
        page.write(0, SlotId(1), MAX_LEVEL + 1, &[]),
        page.write(0, SlotId(1), 1, &many),
        page.write(0, SlotId(1), 1, &[SlotId::NONE]),
        page.set_neighbours(0, &many),
        page.set_neighbours(113, &[]),
        page.set_owner(113, SlotId(1)),
        page.clear(113),
    ];
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert!(page.as_ref().record(113).is_err());
    assert_eq!(bytes, before);
}

#[test]
fn an_unknown_state_is_neither_free_nor_readable() {
    let layout = usual_layout();
    let mut bytes = page_of(PageKind::Upper);
    bytes[HEADER_BYTES + 5] = 2;
    let page = UpperPage::open(&bytes, &layout).unwrap();
    assert!(page.record(0).is_err());
    assert_eq!(page.find_free(1), Some(1));
    assert_eq!(page.free_count(), 112);
    let peeked =
        UpperRecord::parse(&bytes[HEADER_BYTES..HEADER_BYTES + layout.upper_bytes()], &layout).unwrap();
    assert!(!peeked.used);
    assert_eq!(
        UpperRecord::parse(&bytes[..layout.upper_bytes() - 1], &layout),
        None
    );
}

proptest! {
    #[test]
    fn records_come_back_as_written(
        m in M_MIN..=M_MAX,
        (index, owner, level) in (any::<u16>(), any::<u32>(), 1..=MAX_LEVEL),
        numbers in proptest::collection::vec(0..u32::MAX, 0..=100),
    ) {
        let layout = Layout::new(32, m, 0).unwrap();
        let index = index % layout.uppers_per_page();
        let mut list = ids(&numbers);
        list.truncate(layout.max_neighbours(level));
        let mut bytes = page_of(PageKind::Upper);
        bytes[HEADER_BYTES..SPECIAL_OFFSET].fill(0xAB);
        let before = bytes.clone();
        UpperPageMut::open(&mut bytes, &layout).unwrap().write(index, SlotId(owner), level, &list).unwrap();
        let record = UpperPage::open(&bytes, &layout).unwrap().record(index).unwrap();
        prop_assert_eq!((record.used, record.owner, record.level), (true, SlotId(owner), level));
        prop_assert!(record.neighbours.equals(&list));
        let start = usize::from(layout.upper_place(layout.upper_id(0, index).unwrap()).offset);
        let end = start + layout.upper_bytes();
        let peeked = UpperRecord::parse(&bytes[start..end], &layout).unwrap();
        prop_assert_eq!(peeked, record);
        prop_assert_eq!(&bytes[..start], &before[..start]);
        prop_assert_eq!(&bytes[end..], &before[end..]);
    }
}
