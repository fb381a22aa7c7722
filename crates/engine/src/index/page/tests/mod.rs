#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

mod arbitrary;
mod check;
mod layout;
mod meta;
mod node;
mod upper;

use super::*;
use crate::index::SlotId;

/// The layout of 384 dimensions at 4 bits with m = 16.
fn usual_layout() -> Layout {
    Layout::new(192, 16, 0).unwrap()
}

/// A page of this kind with a recognisable header, which nothing may change.
fn page_of(kind: PageKind) -> Vec<u8> {
    let mut page = vec![0xEE; PAGE_BYTES];
    init_page(&mut page, kind).unwrap();
    page
}

fn ids(numbers: &[u32]) -> Vec<SlotId> {
    numbers.iter().copied().map(SlotId).collect()
}

#[test]
fn a_page_keeps_its_header_and_tells_its_kind() {
    for kind in (1..=10).filter_map(PageKind::from_u8) {
        let page = page_of(kind);
        assert_eq!(page[..HEADER_BYTES], [0xEE; HEADER_BYTES]);
        assert!(page[HEADER_BYTES..SPECIAL_OFFSET].iter().all(|byte| *byte == 0));
        assert_eq!(
            &page[SPECIAL_OFFSET..],
            [b'c', b'm', b'h', b'n', kind.to_u8(), FORMAT, 0, 0]
        );
        assert_eq!(page_kind(&page), Ok(Some(kind)));
        assert_eq!(check_page(&page, kind), Ok(PageState::Ok));
        assert_eq!(PageKind::from_u8(kind.to_u8()), Some(kind));
    }
    assert_eq!(PageKind::from_u8(0), None);
    assert_eq!(PageKind::from_u8(11), None);
}

#[test]
fn a_page_that_was_never_written_is_new_and_of_no_kind() {
    let page = vec![0; PAGE_BYTES];
    assert_eq!(page_kind(&page), Ok(None));
    assert_eq!(check_page(&page, PageKind::Node), Ok(PageState::New));
    let layout = usual_layout();
    assert_eq!(NodePage::open(&page, &layout).err(), Some(NOT_WRITTEN));
    assert_eq!(UpperPage::open(&page, &layout).err(), Some(NOT_WRITTEN));
    assert_eq!(Meta::parse(&page), Err(NOT_WRITTEN));
}

#[test]
fn foreign_pages_are_refused() {
    let page = page_of(PageKind::Node);
    let changed = |at: usize, byte: u8| {
        let mut page = page.clone();
        page[at] = byte;
        page_kind(&page)
    };
    assert_eq!(
        changed(FORMAT_OFFSET, 2),
        Err(PageError::Version {
            found: 2,
            expected: FORMAT
        })
    );
    assert_eq!(
        changed(KIND_OFFSET, 11),
        Err(PageError::content("page is of an unknown kind"))
    );
    assert!(matches!(
        changed(SPECIAL_OFFSET, 0),
        Err(PageError::Content { .. })
    ));
    assert!(check_page(&page, PageKind::Upper).is_err());
    for length in [0, 1, SPECIAL_BYTES, PAGE_BYTES - 1, PAGE_BYTES + 1] {
        assert_eq!(page_kind(&vec![0; length]), Err(WRONG_LENGTH));
        assert_eq!(init_page(&mut vec![0; length], PageKind::Node), Err(WRONG_LENGTH));
    }
}

#[test]
fn errors_name_the_block() {
    let error = PageError::content("x").at(7);
    assert_eq!(error, IndexError::Corrupt { block: 7, what: "x" });
    let version = PageError::Version {
        found: 3,
        expected: 1,
    };
    assert_eq!(
        version.at(0),
        IndexError::Version {
            found: 3,
            expected: 1
        }
    );
}
