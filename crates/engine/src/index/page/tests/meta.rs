use proptest::prelude::*;

use super::*;
use crate::index::key::{KeyKind, KeyKinds, MAX_KEYS};
use crate::index::{ElementKind, Metric};

pub(super) fn usual_meta() -> Meta {
    let mut entries = EntrySet::default();
    entries.offer(SlotId(77), 3);
    Meta {
        metric: Metric::Cosine,
        element: ElementKind::Halfvec,
        bits: 4,
        dims: 384,
        m: 16,
        ef_construction: 128,
        keys: KeyKinds::NONE,
        seed: 0x0102_0304_0506_0708,
        build_id: 0x1112_1314_1516_1718,
        center_blocks: 1,
        entries,
    }
}

#[test]
fn the_meta_page_has_the_documented_bytes() {
    let mut page = page_of(PageKind::Meta);
    usual_meta().write(&mut page).unwrap();
    let body = &page[HEADER_BYTES..];
    assert_eq!(body[..16], [1, 3, 2, 4, 0x80, 1, 0, 0, 16, 0, 128, 0, 0, 0, 0, 0]);
    assert_eq!(body[16..24], [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(body[24..32], [0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]);
    assert_eq!(body[32..40], [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(body[40..48], [77, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(body[48..56], [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
    assert!(body[168..BODY_BYTES].iter().all(|byte| *byte == 0));
    let at = usize::from(ENTRIES_PLACE.offset);
    assert_eq!(
        EntrySet::parse(&page[at..at + ENTRIES_BYTES]),
        usual_meta().entries
    );
}

#[test]
fn another_version_has_its_own_error() {
    let mut page = page_of(PageKind::Meta);
    usual_meta().write(&mut page).unwrap();
    page[HEADER_BYTES] = 2;
    assert_eq!(
        Meta::parse(&page),
        Err(PageError::Version {
            found: 2,
            expected: 1
        })
    );
    page[HEADER_BYTES] = 1;
    page[FORMAT_OFFSET] = 9;
    assert_eq!(
        Meta::parse(&page),
        Err(PageError::Version {
            found: 9,
            expected: 1
        })
    );
    let error = usual_meta().write(&mut page);
    assert_eq!(
        error,
        Err(PageError::Version {
            found: 9,
            expected: 1
        })
    );
}

#[test]
fn values_out_of_range_are_neither_read_nor_written() {
    let good = usual_meta();
    let bad = [
        Meta { bits: 5, ..good },
        Meta { dims: 0, ..good },
        Meta {
            dims: MAX_DIMS + 1,
            ..good
        },
        Meta { m: 1, ..good },
        Meta { m: 101, ..good },
        Meta {
            ef_construction: 31,
            ..good
        },
        Meta {
            ef_construction: 1001,
            ..good
        },
        Meta {
            center_blocks: 2,
            ..good
        },
    ];
    let mut page = page_of(PageKind::Meta);
    let before = page.clone();
    for meta in bad {
        assert!(meta.write(&mut page).is_err(), "{meta:?}");
    }
    assert_eq!(page, before);
    assert!(Meta::parse(&page).is_err(), "zeros are no meta page");
    good.write(&mut page).unwrap();
    for (at, byte) in [
        (1, 0),
        (1, 5),
        (2, 3),
        (3, 0),
        (7, 1),
        (8, 1),
        (10, 1),
        (13, 0xFF),
        (32, 2),
    ] {
        let mut damaged = page.clone();
        damaged[HEADER_BYTES + at] = byte;
        assert!(
            matches!(Meta::parse(&damaged), Err(PageError::Content { .. })),
            "byte {at}"
        );
    }
    assert!(good.write(&mut page_of(PageKind::Node)).is_err());
}

#[test]
fn the_center_is_cut_into_pages() {
    assert_eq!([0, 1, 2040, 2041, 16_000].map(center_blocks), [0, 1, 1, 2, 8]);
    assert_eq!(center_range(384, 0), 0..384);
    assert_eq!(center_range(384, 1), 384..384);
    assert_eq!(center_range(5000, 2), 4080..5000);
    assert_eq!(center_range(u32::MAX, u32::MAX).len(), 0);
    let center: Vec<f32> = (0..5000_u16).map(|dim| f32::from(dim) - 2500.0).collect();
    let mut read = vec![0.0; 5000];
    for number in 0..center_blocks(5000) {
        let mut page = page_of(PageKind::Center);
        write_center(&mut page, &center[center_range(5000, number)]).unwrap();
        read_center(&page, &mut read[center_range(5000, number)]).unwrap();
    }
    assert_eq!(read, center);
}

#[test]
fn a_center_that_is_no_center_is_refused() {
    let mut page = page_of(PageKind::Center);
    assert!(write_center(&mut page, &[1.0, f32::NAN]).is_err());
    assert!(write_center(&mut page, &[0.0; 2041]).is_err());
    assert!(read_center(&page, &mut [0.0; 2041]).is_err());
    assert!(write_center(&mut page_of(PageKind::Node), &[1.0]).is_err());
    page[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(read_center(&page, &mut [0.0; 3]).is_err());
}

#[test]
fn the_entry_set_keeps_the_highest_levels() {
    let mut set = EntrySet::default();
    assert_eq!((set.max_level(), set.len()), (None, 0));
    for id in 1..=16 {
        assert!(set.offer(SlotId(id), 0));
    }
    assert_eq!(set.len(), ENTRY_COUNT);
    assert!(!set.offer(SlotId(17), 0), "no higher than the lowest");
    assert!(set.offer(SlotId(17), 2));
    assert_eq!((set.len(), set.max_level()), (16, Some(2)));
    assert!(set.contains(SlotId(17)) && !set.contains(SlotId(1)));
    assert!(!set.offer(SlotId(17), 2), "known already");
    assert!(
        set.offer(SlotId(17), 1),
        "its slot was used again at another level"
    );
    assert_eq!(set.max_level(), Some(1));
    assert!(set.remove(SlotId(17)) && !set.remove(SlotId(17)));
    assert_eq!((set.len(), set.max_level()), (15, Some(0)));
    for (id, level) in [(SlotId::NONE, 0), (SlotId(0), 0), (SlotId(99), MAX_LEVEL + 1)] {
        assert!(!set.offer(id, level));
    }
    assert!(set.offer(SlotId(18), 0), "into the free place");
}

#[test]
fn options_have_their_ranges() {
    assert_eq!((check_m(2), check_m(100)), (Ok(2), Ok(100)));
    for value in [i64::MIN, -1, 0, 1, 101, 65_538, i64::MAX] {
        assert_eq!(check_m(value), Err(OptionError::M { value }));
    }
    assert_eq!(check_ef_construction(4, 2), Ok(4));
    assert_eq!(check_ef_construction(1000, 100), Ok(1000));
    for value in [i64::MIN, 0, 3, 1001, 65_540] {
        assert_eq!(
            check_ef_construction(value, 2),
            Err(OptionError::EfConstruction { value })
        );
    }
    let below = OptionError::EfConstructionBelowM { value: 31, least: 32 };
    assert_eq!(check_ef_construction(31, 16), Err(below));
    assert_eq!(
        below.to_string(),
        "ef_construction must be at least twice m, here 32, not 31"
    );
    assert_eq!(
        OptionError::M { value: 1 }.to_string(),
        "m must be between 2 and 100, not 1"
    );
}

proptest! {
    #[test]
    fn the_meta_page_comes_back_as_written(
        (metric, element, eight, dims) in (1_u8..=4, 1_u8..=2, any::<bool>(), 1..=MAX_DIMS),
        (m, extra, kinds, centered) in (M_MIN..=M_MAX, 0_u16..800, proptest::collection::vec(1_u8..=4, 0..=MAX_KEYS), any::<bool>()),
        (seed, build_id) in any::<(u64, u64)>(),
        offers in proptest::collection::vec((any::<u32>(), any::<u8>()), 0..40),
    ) {
        let mut entries = EntrySet::default();
        for (id, level) in offers {
            let before = entries;
            prop_assert_eq!(entries.offer(SlotId(id), level), entries != before);
        }
        let meta = Meta {
            metric: Metric::from_u8(metric).unwrap(),
            element: ElementKind::from_u8(element).unwrap(),
            bits: if eight { 8 } else { 4 },
            dims,
            m,
            ef_construction: (2 * m).max(EF_CONSTRUCTION_MIN) + extra,
            keys: KeyKinds::new(&kinds.iter().map(|code| KeyKind::from_u8(*code).unwrap()).collect::<Vec<_>>()).unwrap(),
            seed,
            build_id,
            center_blocks: if centered { center_blocks(dims) } else { 0 },
            entries,
        };
        let mut page = page_of(PageKind::Meta);
        meta.write(&mut page).unwrap();
        prop_assert_eq!(Meta::parse(&page), Ok(meta));
        prop_assert_eq!(&page[..HEADER_BYTES], &[0xEE; HEADER_BYTES]);
    }
}

#[test]
fn key_columns_stand_behind_the_room() {
    let mut page = page_of(PageKind::Meta);
    let keys = KeyKinds::new(&[KeyKind::Ordered, KeyKind::Signature]).unwrap();
    Meta { keys, ..usual_meta() }.write(&mut page).unwrap();
    let body = &page[HEADER_BYTES..];
    assert_eq!(body[12..14], [20, 0]);
    assert_eq!(body[424..432], [1, 4, 0, 0, 0, 0, 0, 0]);
    for (at, byte) in [(12, 12), (424, 5), (424, 0), (427, 1), (431, 1)] {
        let mut damaged = page.clone();
        damaged[HEADER_BYTES + at] = byte;
        assert!(Meta::parse(&damaged).is_err(), "{at}");
    }
    // What stood there belongs to no index any more.
    usual_meta().write(&mut page).unwrap();
    assert_eq!(Meta::parse(&page), Ok(usual_meta()));
}
