use super::meta::usual_meta;
use super::*;
use crate::index::HeapTid;

const BLOCKS: u32 = 10;

/// What the checker finds on `page` as block 5 of an index of 10 blocks with one center page.
fn problems(page: &[u8]) -> Vec<(Problem, Option<u16>)> {
    problems_at(5, page)
}

fn problems_at(block: u32, page: &[u8]) -> Vec<(Problem, Option<u16>)> {
    let checker = PageChecker::new(&usual_layout(), 1, BLOCKS).unwrap();
    let mut findings = Vec::new();
    checker.check(block, page, &mut findings);
    findings
        .iter()
        .map(|finding| (finding.problem, finding.index))
        .collect()
}

/// A node page whose slot 3 was written and then edited.
fn edited(state: SlotState, edit: impl FnOnce(&mut NewSlot<'_>)) -> Vec<u8> {
    let layout = usual_layout();
    let list = ids(&[46, 47, 229]);
    let mut new = NewSlot {
        state,
        level: 0,
        tid: HeapTid { block: 1, offset: 1 },
        upper: UpperId::NONE,
        factors: &[0; FACTORS_BYTES],
        code: &[0; 192],
        keys: &[],
        neighbours: &list,
    };
    edit(&mut new);
    let mut page = page_of(PageKind::Node);
    NodePageMut::open(&mut page, &layout)
        .unwrap()
        .write_slot(3, &new)
        .unwrap();
    page
}

fn live(edit: impl FnOnce(&mut NewSlot<'_>)) -> Vec<(Problem, Option<u16>)> {
    problems(&edited(SlotState::Live, edit))
}

fn at_slot(problem: Problem) -> Vec<(Problem, Option<u16>)> {
    vec![(problem, Some(3))]
}

#[test]
fn sound_pages_have_no_findings() {
    assert_eq!(live(|_| {}), []);
    assert_eq!(
        live(|new| (new.level, new.upper) = (7, UpperId(2 * 113 + 106))),
        []
    );
    assert_eq!(
        problems(&edited(SlotState::Dead, |new| new.tid = HeapTid::NONE)),
        []
    );
    assert_eq!(
        problems(&edited(SlotState::Unranked, |new| new.neighbours = &[])),
        []
    );
    assert_eq!(problems(&page_of(PageKind::Node)), []);
    assert_eq!(problems(&page_of(PageKind::Upper)), []);
    assert_eq!(problems(&vec![0; PAGE_BYTES]), []);
    let mut meta = page_of(PageKind::Meta);
    usual_meta().write(&mut meta).unwrap();
    assert_eq!(problems_at(0, &meta), []);
    assert_eq!(problems_at(1, &page_of(PageKind::Center)), []);
}

#[test]
fn whole_pages_are_judged() {
    let whole = |problem| vec![(problem, None)];
    let mut page = page_of(PageKind::Node);
    assert_eq!(problems(&page[1..]), whole(Problem::NotOurs));
    assert_eq!(problems_at(0, &page), whole(Problem::Kind));
    assert_eq!(problems_at(1, &page), whole(Problem::Kind));
    assert_eq!(problems(&page_of(PageKind::Meta)), whole(Problem::Kind));
    assert_eq!(problems(&page_of(PageKind::Center)), whole(Problem::Kind));
    assert_eq!(problems_at(0, &page_of(PageKind::Meta)), whole(Problem::Value));
    assert_eq!(problems_at(0, &vec![0; PAGE_BYTES]), whole(Problem::Kind));
    page[FORMAT_OFFSET] = 2;
    assert_eq!(problems(&page), whole(Problem::Format));
    page[SPECIAL_OFFSET] = 0;
    assert_eq!(problems(&page), whole(Problem::NotOurs));
    page[SPECIAL_OFFSET..].fill(0);
    page[SPECIAL_OFFSET - 1] = 1;
    assert_eq!(problems(&page), whole(Problem::SpecialMissing));
    let mut center = page_of(PageKind::Center);
    center[SPECIAL_OFFSET - 4..SPECIAL_OFFSET].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(problems_at(1, &center), whole(Problem::Value));
}

#[test]
fn slots_are_judged() {
    let tid = |offset| HeapTid { block: 9, offset };
    assert_eq!(live(|new| new.tid = HeapTid::NONE), at_slot(Problem::TidMissing));
    assert_eq!(live(|new| new.tid = tid(MAX_TID_OFFSET)), []);
    assert_eq!(
        live(|new| new.tid = tid(MAX_TID_OFFSET + 1)),
        at_slot(Problem::TidOffset)
    );
    assert_eq!(
        problems(&edited(SlotState::Dead, |_| {})),
        at_slot(Problem::DeadWithTid)
    );
    assert_eq!(
        problems(&edited(SlotState::Unranked, |_| {})),
        at_slot(Problem::UnrankedLinked)
    );
    let mut page = edited(SlotState::Live, |_| {});
    let slot = HEADER_BYTES + 3 * usual_layout().slot_bytes();
    page[slot + 1] = MAX_LEVEL + 1;
    assert_eq!(problems(&page), at_slot(Problem::Level));
    page[slot] = 4;
    assert_eq!(problems(&page), at_slot(Problem::State));
    page[slot] = 0;
    assert_eq!(problems(&page), [], "what a free slot still holds is nobody's");
}

#[test]
fn upper_ids_are_judged() {
    let at_level = |level, id| live(|new| (new.level, new.upper) = (level, UpperId(id)));
    assert_eq!(at_level(0, 500), at_slot(Problem::Upper));
    assert_eq!(at_level(1, u32::MAX), at_slot(Problem::Upper));
    assert_eq!(at_level(1, 10 * 113 - 1), []);
    assert_eq!(at_level(1, 10 * 113), at_slot(Problem::Upper));
    assert_eq!(
        at_level(2, 3 * 113 - 1),
        at_slot(Problem::Upper),
        "crosses a page"
    );
    assert_eq!(
        at_level(1, 2 * 113 - 1),
        at_slot(Problem::Upper),
        "on the center page"
    );
}

#[test]
fn lists_are_judged() {
    let layout = usual_layout();
    let own = layout.id(5, 3).unwrap().0;
    let listed = |numbers: &[u32]| {
        let list = ids(numbers);
        let mut page = edited(SlotState::Live, |_| {});
        NodePageMut::open(&mut page, &layout)
            .unwrap()
            .set_neighbours(3, &list)
            .unwrap();
        problems(&page)
    };
    assert_eq!(listed(&[46, 229]), []);
    assert_eq!(listed(&[46, 230]), at_slot(Problem::IdRange));
    assert_eq!(listed(&[45]), at_slot(Problem::IdRange), "on the center page");
    assert_eq!(listed(&[46, own]), at_slot(Problem::SelfLink));
    assert_eq!(listed(&[46, 47, 46]), at_slot(Problem::Duplicate));
    assert_eq!(
        listed(&[own, 999, own]),
        [Problem::IdRange, Problem::SelfLink, Problem::Duplicate].map(|problem| (problem, Some(3)))
    );
    let mut page = edited(SlotState::Live, |_| {});
    let list = HEADER_BYTES + 3 * layout.slot_bytes() + layout.neighbours_offset();
    page[list + 4 * 31] = 0;
    assert_eq!(problems(&page), at_slot(Problem::Hole));
}

#[test]
fn upper_records_are_judged() {
    let layout = usual_layout();
    let written = |owner, list: &[u32], edit: &dyn Fn(&mut [u8])| {
        let mut page = page_of(PageKind::Upper);
        UpperPageMut::open(&mut page, &layout)
            .unwrap()
            .write(3, SlotId(owner), 2, &ids(list))
            .unwrap();
        edit(&mut page[HEADER_BYTES + 3 * layout.upper_bytes()..]);
        problems(&page)
    };
    assert_eq!(written(50, &[51, 52], &|_| {}), []);
    assert_eq!(written(5000, &[51], &|_| {}), at_slot(Problem::IdRange));
    assert_eq!(written(50, &[50], &|_| {}), at_slot(Problem::SelfLink));
    assert_eq!(written(50, &[51, 51], &|_| {}), at_slot(Problem::Duplicate));
    assert_eq!(
        written(50, &[51], &|record| record[4] = 0),
        at_slot(Problem::Level)
    );
    assert_eq!(
        written(50, &[51], &|record| record[4] = 8),
        at_slot(Problem::Level)
    );
    assert_eq!(
        written(50, &[51], &|record| record[5] = 2),
        at_slot(Problem::State)
    );
    assert_eq!(
        written(50, &[51], &|record| record[8 + 4 * 15] = 1),
        at_slot(Problem::Hole)
    );
    assert_eq!(
        written(50, &[51, 51], &|record| record[5] = 0),
        [],
        "a free record"
    );
}

#[test]
fn an_index_of_too_many_blocks_has_no_checker() {
    let layout = usual_layout();
    assert!(PageChecker::new(&layout, 0, layout.max_blocks()).is_ok());
    assert!(PageChecker::new(&layout, 0, layout.max_blocks() + 1).is_err());
    assert!(PageChecker::new(&layout, u32::MAX, 1).is_ok());
}

#[test]
fn keys_are_judged() {
    let layout = Layout::new(192, 16, 20).unwrap();
    let problems_of = |state, keys: &[u8]| {
        let new = NewSlot {
            state,
            level: 0,
            tid: HeapTid { block: 1, offset: 1 },
            upper: UpperId::NONE,
            factors: &[0; FACTORS_BYTES],
            code: &[0; 192],
            keys,
            neighbours: &[],
        };
        let mut page = page_of(PageKind::Node);
        let mut node = NodePageMut::open(&mut page, &layout).unwrap();
        node.write_slot(3, &new).unwrap();
        let mut findings = Vec::new();
        let checker = PageChecker::new(&layout, 1, BLOCKS).unwrap();
        checker.check(5, &page, &mut findings);
        findings
            .iter()
            .map(|finding| (finding.problem, finding.index))
            .collect::<Vec<_>>()
    };
    let good = [0b10, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(problems_of(SlotState::Live, &good), []);
    for (at, byte) in [(0, 0b100), (1, 1), (3, 9), (15, 1)] {
        let mut bad = good;
        bad[at] ^= byte;
        assert_eq!(problems_of(SlotState::Live, &bad), at_slot(Problem::Keys), "{at}");
        assert_eq!(
            problems_of(SlotState::Free, &bad),
            [],
            "what is free holds nothing"
        );
    }
}
