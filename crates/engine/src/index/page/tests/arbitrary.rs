//! Any bytes at all: every reader and every writer returns, none panics.

use proptest::prelude::*;

use super::*;
use crate::index::HeapTid;

/// Something that changes a page.
type Writer<'a> = &'a dyn Fn(&mut [u8]) -> Result<(), PageError>;

/// How the body of a page is filled.
#[derive(Debug, Clone, Copy)]
enum Fill {
    Random,
    /// Mostly small numbers: states, levels and ids that nearly are legal.
    Small,
    Ones,
}

fn filled(seed: u64, fill: Fill, kind: Option<u8>, length: usize) -> Vec<u8> {
    // SplitMix64 (Steele, Lea, Flood 2014), cheaper to shrink than a vector of 8192 bytes.
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).to_le_bytes()[3]
    };
    let mut bytes: Vec<u8> = (0..length)
        .map(|_| match fill {
            Fill::Random => next(),
            Fill::Small => next() & next() & next() & 7,
            Fill::Ones => u8::MAX,
        })
        .collect();
    if let (Some(kind), Some(special)) = (kind, bytes.get_mut(SPECIAL_OFFSET..PAGE_BYTES)) {
        special.copy_from_slice(&[b'c', b'm', b'h', b'n', kind, FORMAT, 0, 0]);
    }
    bytes
}

fn any_page() -> impl Strategy<Value = Vec<u8>> {
    let fill = prop_oneof![Just(Fill::Random), Just(Fill::Small), Just(Fill::Ones)];
    let kind = prop_oneof![8 => (1_u8..=4).prop_map(Some), 1 => any::<u8>().prop_map(Some), 1 => Just(None)];
    let length = prop_oneof![9 => Just(PAGE_BYTES), 1 => 0..2 * PAGE_BYTES];
    (any::<u64>(), fill, kind, length).prop_map(|(seed, fill, kind, length)| filled(seed, fill, kind, length))
}

fn any_layout() -> impl Strategy<Value = Layout> {
    (0_usize..8200, 0..=M_MAX, 0_usize..50)
        .prop_filter_map("too large", |(code, m, keys)| Layout::new(code, m, keys).ok())
}

fn read_everything(page: &[u8], layout: &Layout) {
    let _ = (page_kind(page), Meta::parse(page), EntrySet::parse(page));
    let _ = read_center(page, &mut [0.0; 2040]);
    if let Ok(node) = NodePage::open(page, layout) {
        let counts = node.counts();
        let total = counts.free + counts.live + counts.dead + counts.unranked + counts.unknown;
        assert_eq!(total, layout.slots_per_page());
        assert_eq!(node.first_free().is_some(), counts.free > 0);
        let readable = node.slots().filter_map(|(_, slot)| slot.ok());
        assert_eq!(readable.count(), usize::from(total - counts.unknown));
    }
    if let Ok(upper) = UpperPage::open(page, layout) {
        let run = upper.longest_free_run();
        assert!(run <= upper.free_count());
        assert_eq!(upper.find_free(run).is_some(), run > 0);
        assert_eq!(upper.find_free(run + 1), None);
        let readable = upper.records().filter_map(|(_, record)| record.ok());
        assert!(
            readable
                .map(|record| record.neighbours.len())
                .all(|length| length <= layout.max_neighbours(1))
        );
    }
}

proptest! {
    #[test]
    fn readers_return(page in any_page(), layout in any_layout()) {
        read_everything(&page, &layout);
    }

    #[test]
    fn the_checker_returns(
        page in any_page(),
        layout in any_layout(),
        (block, blocks, center) in (any::<u32>(), any::<u32>(), 0_u32..9),
    ) {
        let checker = PageChecker::new(&layout, center, blocks % (layout.max_blocks() + 1)).unwrap();
        let mut findings = Vec::new();
        for block in [block, 0, 1, 20] {
            findings.clear();
            checker.check(block, &page, &mut findings);
            let most = usize::from(layout.slots_per_page().max(layout.uppers_per_page())) * 9;
            prop_assert!(findings.len() <= most.max(1));
        }
    }

    /// A sound page as seen by the checker is one that all readers read.
    #[test]
    fn no_findings_means_readable(page in any_page(), layout in any_layout()) {
        let mut findings = Vec::new();
        PageChecker::new(&layout, 0, 100).unwrap().check(50, &page, &mut findings);
        if findings.is_empty() {
            let kind = page_kind(&page).unwrap();
            prop_assert!(matches!(kind, None | Some(PageKind::Node | PageKind::Upper)));
            if kind == Some(PageKind::Node) {
                prop_assert!(NodePage::open(&page, &layout).unwrap().slots().all(|(_, slot)| slot.is_ok()));
            }
        }
    }

    #[test]
    fn peeked_bytes_are_read_or_passed_by(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        layout in any_layout(),
        bound in any::<u32>(),
    ) {
        prop_assert_eq!(SlotHead::parse(&bytes, &layout).is_some(), bytes.len() >= layout.head_bytes());
        prop_assert_eq!(UpperRecord::parse(&bytes, &layout).is_some(), bytes.len() >= layout.upper_bytes());
        prop_assert_eq!(parse_row(&bytes).is_some(), bytes.len() >= ROW_BYTES);
        prop_assert_eq!(parse_tid(&bytes).is_some(), bytes.len() >= 6);
        let mut list = Vec::new();
        parse_neighbours(&bytes, bound, &mut list);
        prop_assert!(list.len() <= bytes.len() / 4 && list.iter().all(|id| id.0 > 0 && id.0 < bound));
        prop_assert!(EntrySet::parse(&bytes).iter().all(|entry| entry.level <= MAX_LEVEL));
    }

    /// Writers touch neither the header nor the special area, and fail without a change.
    #[test]
    fn writers_stay_in_the_body(
        mut page in any_page(),
        layout in any_layout(),
        (index, level, state) in (0_u16..700, any::<u8>(), 0_u8..4),
        numbers in proptest::collection::vec(any::<u32>(), 0..210),
        code_bytes in prop_oneof![Just(None), (0_usize..100).prop_map(Some)],
    ) {
        let list = ids(&numbers);
        let code = vec![1; code_bytes.unwrap_or(layout.code_bytes())];
        let keys = vec![2; layout.key_bytes()];
        let new = NewSlot {
            state: SlotState::from_u8(state).unwrap(),
            level,
            tid: HeapTid { block: 1, offset: 2 },
            upper: UpperId(3),
            factors: &[4; FACTORS_BYTES],
            code: &code,
            keys: &keys,
            neighbours: &list,
        };
        let writers: [Writer<'_>; 10] = [
            &|page| NodePageMut::open(page, &layout)?.write_slot(index, &new),
            &|page| NodePageMut::open(page, &layout)?.set_neighbours(index, &list),
            &|page| NodePageMut::open(page, &layout)?.set_state(index, new.state),
            &|page| NodePageMut::open(page, &layout)?.set_tid(index, new.tid),
            &|page| NodePageMut::open(page, &layout)?.clear_slot(index),
            &|page| UpperPageMut::open(page, &layout)?.write(index, SlotId(9), level, &list),
            &|page| UpperPageMut::open(page, &layout)?.set_neighbours(index, &list),
            &|page| UpperPageMut::open(page, &layout)?.clear(index),
            &|page| write_center(page, &[1.0; 2040]),
            &|page| super::meta::usual_meta().write(page),
        ];
        for write in writers {
            let before = page.clone();
            let done = write(&mut page);
            prop_assert!(done.is_ok() || page == before);
            prop_assert_eq!(page.get(..HEADER_BYTES), before.get(..HEADER_BYTES));
            prop_assert_eq!(page.get(SPECIAL_OFFSET..), before.get(SPECIAL_OFFSET..));
        }
    }
}
