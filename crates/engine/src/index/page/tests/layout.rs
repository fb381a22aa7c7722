use proptest::prelude::*;

use super::*;

#[test]
fn the_usual_layout_has_the_documented_sizes() {
    let layout = usual_layout();
    assert_eq!(layout.head_bytes(), 224);
    assert_eq!(layout.keys_offset(), 224);
    assert_eq!(layout.neighbours_offset(), 224);
    assert_eq!(layout.neighbours_bytes(0), 128);
    assert_eq!(layout.neighbours_bytes(1), 64);
    assert_eq!(layout.slot_bytes(), 352);
    assert_eq!(layout.slots_per_page(), 23);
    assert_eq!(layout.upper_bytes(), 72);
    assert_eq!(layout.uppers_per_page(), 113);
    assert_eq!(layout.id(3, 5), Some(SlotId(3 * 23 + 5)));
    assert_eq!(layout.upper_id(3, 5), Some(UpperId(3 * 113 + 5)));
    let place = layout.head_place(SlotId(3 * 23 + 5));
    assert_eq!((place.block, usize::from(place.offset)), (3, 24 + 5 * 352));
}

#[test]
fn the_largest_vector_fills_a_page_exactly() {
    let layout = Layout::new(8000, 16, 0).unwrap();
    assert_eq!((layout.slot_bytes(), layout.slots_per_page()), (BODY_BYTES, 1));
    let refused = |code, m, keys| Layout::new(code, m, keys).unwrap_err();
    let expected = IndexError::Limit {
        what: "size of an index element in bytes",
        value: 8161,
        limit: 8160,
    };
    assert_eq!(refused(8000, 16, 1), expected);
    assert!(matches!(
        refused(8000, 17, 0),
        IndexError::Limit {
            value: 8168,
            limit: 8160,
            ..
        }
    ));
    assert!(matches!(
        refused(16000, 2, 0),
        IndexError::Limit { limit: 8160, .. }
    ));
    assert!(matches!(
        refused(32, M_MAX + 1, 0),
        IndexError::Limit {
            what: "m",
            value: 101,
            limit: 100
        }
    ));
    assert!(matches!(
        refused(usize::MAX, 16, usize::MAX),
        IndexError::Limit { .. }
    ));
}

#[test]
fn lists_of_upper_levels_follow_each_other_on_one_page() {
    let layout = usual_layout();
    let first = layout.upper_id(4, 106).unwrap();
    for level in 1..=MAX_LEVEL {
        let expected = layout.upper_id(4, 105 + u16::from(level));
        assert_eq!(layout.upper_at(first, level), expected);
    }
    assert_eq!(layout.upper_at(first, 0), None);
    assert_eq!(layout.upper_at(first, MAX_LEVEL + 1), None);
    let late = layout.upper_id(4, 107).unwrap();
    assert_eq!(
        layout.upper_at(late, 7),
        None,
        "level 7 would be on the next page"
    );
    assert_eq!(layout.upper_at(UpperId::NONE, 1), None);
    assert_eq!(layout.upper_at(UpperId(u32::MAX - 1), 2), None);
}

#[test]
fn no_id_wraps_around() {
    let layout = usual_layout();
    let most = layout.max_blocks();
    assert_eq!(most, u32::MAX / 113);
    assert_eq!(layout.id_bound(most).unwrap(), most * 23);
    assert_eq!(layout.upper_bound(most).unwrap(), most * 113);
    for bound in [
        layout.id_bound(most + 1),
        layout.upper_bound(most + 1),
        layout.id_bound(u32::MAX),
    ] {
        assert!(matches!(bound, Err(IndexError::Limit { .. })));
    }
    assert_eq!(layout.id(most, 0), None);
    assert_eq!(layout.upper_id(most, 0), None);
    assert_eq!(layout.id(u32::MAX, 0), None);
    let last = layout.upper_id(most - 1, 112).unwrap();
    assert!(last < UpperId::NONE);
    // Also where pages hold one slot, and the number of slots is that of blocks.
    let large = Layout::new(8000, 16, 0).unwrap();
    assert!(large.max_blocks() < u32::MAX);
}

proptest! {
    #[test]
    fn every_legal_layout_fits_or_is_refused(
        dims in 1_usize..=16_000,
        eight in any::<bool>(),
        m in M_MIN..=M_MAX,
        keys in 0_usize..64,
    ) {
        let code = if eight { dims.next_multiple_of(32) } else { dims.next_multiple_of(64) / 2 };
        let slot = 32 + code + keys + 8 * usize::from(m);
        match Layout::new(code, m, keys) {
            Err(error) => {
                prop_assert!(slot > BODY_BYTES);
                let what = "size of an index element in bytes";
                prop_assert_eq!(error, IndexError::Limit { what, value: slot as u64, limit: BODY_BYTES as u64 });
            }
            Ok(layout) => {
                let (slots, uppers) = (usize::from(layout.slots_per_page()), usize::from(layout.uppers_per_page()));
                prop_assert_eq!(layout.slot_bytes(), slot);
                prop_assert!(slots >= 1 && slots * slot <= BODY_BYTES && (slots + 1) * slot > BODY_BYTES);
                prop_assert_eq!(layout.upper_bytes(), 8 + 4 * usize::from(m));
                prop_assert!(uppers >= usize::from(MAX_LEVEL));
                prop_assert!(uppers * layout.upper_bytes() <= BODY_BYTES);
                prop_assert_eq!(layout.neighbours_offset() + layout.neighbours_bytes(0), slot);
                // No wrap-around: the last id of the last legal page is below the reserved one.
                let most = u64::from(layout.max_blocks());
                prop_assert!(most * slots.max(uppers) as u64 <= u64::from(u32::MAX));
                prop_assert!((most + 1) * slots.max(uppers) as u64 > u64::from(u32::MAX));
                prop_assert_eq!(layout.id_bound(layout.max_blocks()).unwrap() as u64, most * slots as u64);
                prop_assert!(layout.id_bound(layout.max_blocks() + 1).is_err());
            }
        }
    }

    #[test]
    fn ids_and_places_are_each_others_inverse(
        code in 0_usize..8000,
        m in M_MIN..=M_MAX,
        block in any::<u32>(),
        index in any::<u16>(),
    ) {
        let Ok(layout) = Layout::new(code, m, 0) else { return Ok(()) };
        let block = block % layout.max_blocks();
        let slot = index % layout.slots_per_page();
        let id = layout.id(block, slot).unwrap();
        prop_assert!(id < SlotId::NONE && id.0 < layout.id_bound(block + 1).unwrap());
        prop_assert_eq!(layout.slot(id), (block, slot));
        let start = HEADER_BYTES + usize::from(slot) * layout.slot_bytes();
        let (head, tid, list) = (layout.head_place(id), layout.tid_place(id), layout.neighbours_place(id));
        prop_assert_eq!([head.block, tid.block, list.block], [block; 3]);
        prop_assert_eq!(usize::from(head.offset), start);
        prop_assert_eq!(usize::from(tid.offset), start + 2);
        prop_assert_eq!(usize::from(list.offset), start + layout.neighbours_offset());
        prop_assert!(usize::from(list.offset) + layout.neighbours_bytes(0) <= SPECIAL_OFFSET);

        let record = index % layout.uppers_per_page();
        let id = layout.upper_id(block, record).unwrap();
        prop_assert_eq!(layout.upper(id), (block, record));
        let place = layout.upper_place(id);
        prop_assert_eq!(usize::from(place.offset), HEADER_BYTES + usize::from(record) * layout.upper_bytes());
        prop_assert!(usize::from(place.offset) + layout.upper_bytes() <= SPECIAL_OFFSET);

        prop_assert_eq!(layout.id(block, layout.slots_per_page()), None);
        prop_assert_eq!(layout.upper_id(block, layout.uppers_per_page()), None);
    }

    /// What stands in a damaged list leads to some place, never to a panic.
    #[test]
    fn any_id_has_a_place(id in any::<u32>(), code in 0_usize..8000, m in 0_u16..=M_MAX, level in any::<u8>()) {
        let Ok(layout) = Layout::new(code, m, 0) else { return Ok(()) };
        for id in [id, u32::MAX, u32::MAX - 1, 0] {
            for place in [layout.head_place(SlotId(id)), layout.tid_place(SlotId(id)),
                layout.neighbours_place(SlotId(id)), layout.upper_place(UpperId(id))] {
                prop_assert!(usize::from(place.offset) <= SPECIAL_OFFSET);
            }
            if let Some(record) = layout.upper_at(UpperId(id), level) {
                prop_assert_eq!(record.0 - id, u32::from(level) - 1);
            }
        }
    }
}
