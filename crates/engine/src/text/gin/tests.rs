//! Pages written here as the server writes them, and read back; that the server's own are read is shown by the tests in a server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{
    COMPRESSED, DATA, Damage, HEADER_BYTES, LEAF, META, NONE, Page, PostingPage, Postings, Row, Step,
    block_and_offset, count, decode, decode_entry,
};
use proptest::prelude::*;

const PAGE_BYTES: usize = 8192;

fn place(block: u32, offset: u16) -> Row {
    (u64::from(block) << 11) | u64::from(offset)
}

fn block_bytes(block: u32) -> [u8; 4] {
    let [a, b] = ((block >> 16) as u16).to_le_bytes();
    let [c, d] = ((block & 0xffff) as u16).to_le_bytes();
    [a, b, c, d]
}

/// One posting list with its padding.
fn encode(rows: &[Row]) -> Vec<u8> {
    let mut deltas = Vec::new();
    for pair in rows.windows(2) {
        let mut delta = pair[1] - pair[0];
        while delta > 0x7f {
            deltas.push((delta & 0x7f) as u8 | 0x80);
            delta >>= 7;
        }
        deltas.push(delta as u8);
    }
    let (block, offset) = block_and_offset(rows[0]);
    let mut list = block_bytes(block).to_vec();
    list.extend(offset.to_le_bytes());
    list.extend((deltas.len() as u16).to_le_bytes());
    list.extend(&deltas);
    if list.len() % 2 == 1 {
        list.push(0);
    }
    list
}

fn finish(mut page: Vec<u8>, lower: usize, right: u32, count: u16, flags: u16) -> Vec<u8> {
    page[12..14].copy_from_slice(&(lower as u16).to_le_bytes());
    let special = PAGE_BYTES - 8;
    page[16..18].copy_from_slice(&(special as u16).to_le_bytes());
    page[special..special + 4].copy_from_slice(&right.to_le_bytes());
    page[special + 4..special + 6].copy_from_slice(&count.to_le_bytes());
    page[special + 6..].copy_from_slice(&flags.to_le_bytes());
    page
}

fn entry_page(tuples: &[Vec<u8>], right: u32, flags: u16) -> Vec<u8> {
    let mut page = vec![0; PAGE_BYTES];
    let mut end = PAGE_BYTES - 8;
    for (number, tuple) in tuples.iter().enumerate() {
        end -= tuple.len().next_multiple_of(8);
        page[end..end + tuple.len()].copy_from_slice(tuple);
        let pointer = (end as u32) | (1 << 15) | ((tuple.len() as u32) << 17);
        let at = HEADER_BYTES + 4 * number;
        page[at..at + 4].copy_from_slice(&pointer.to_le_bytes());
    }
    finish(page, HEADER_BYTES + 4 * tuples.len(), right, 0, flags)
}

fn tuple(block: u32, offset: u16, key: Option<i64>, list: &[u8]) -> Vec<u8> {
    let mut tuple = block_bytes(block).to_vec();
    tuple.extend(offset.to_le_bytes());
    tuple.extend(if key.is_none() { 0x8000_u16 } else { 0 }.to_le_bytes());
    tuple.extend(key.unwrap_or(0).to_le_bytes());
    tuple.extend(list);
    tuple
}

fn listed(key: i64, rows: &[Row]) -> Vec<u8> {
    tuple(16 | 1 << 31, rows.len() as u16, Some(key), &encode(rows))
}

fn shown(page: &[u8], first: i64, last: i64) -> (Vec<(i64, Vec<Row>)>, bool) {
    let mut found = Vec::new();
    let more = Page::new(page)
        .unwrap()
        .entries::<Damage>(first, last, |key, postings| {
            let mut rows = Vec::new();
            match postings {
                Postings::List { count, bytes } => decode_entry(bytes, count, 0, &mut rows)?,
                Postings::Tree(root) => rows.push(u64::from(root)),
            }
            found.push((key, rows));
            Ok(())
        })
        .unwrap();
    (found, more)
}

#[test]
fn a_leaf_of_the_entry_tree_is_read() {
    let rows = [place(0, 1), place(0, 2), place(70_000, 291)];
    let tuples = [
        listed(-5, &rows[..1]),
        listed(3, &rows),
        tuple(77, u16::MAX, Some(4), &[]),
        tuple(16 | 1 << 31, 0, Some(5), &[]),
        listed(9, &rows[1..]),
        tuple(0, 1, None, &[]),
    ];
    let page = entry_page(&tuples, NONE, LEAF);
    let (found, more) = shown(&page, 3, 8);
    assert_eq!(found, [(3, rows.to_vec()), (4, vec![77]), (5, vec![])]);
    assert!(!more);
    assert_eq!(shown(&page, 10, 20), (vec![], false));
    // To the end of a page with another to its right.
    let page = entry_page(&tuples[..3], 42, LEAF);
    assert_eq!(shown(&page, 4, 8), (vec![(4, vec![77])], true));
    assert_eq!(Page::new(&page).unwrap().entry_step(4), Ok(Step::Here));
    assert_eq!(Page::new(&page).unwrap().entry_step(5), Ok(Step::Right(42)));
}

#[test]
fn the_way_down_leads_to_the_first_bound_that_is_not_below() {
    let tuples = [
        tuple(10, 0, Some(-100), &[]),
        tuple(11, 0, Some(0), &[]),
        tuple(12, 0, Some(50), &[]),
    ];
    let step = |page: &[u8], key| Page::new(page).unwrap().entry_step(key).unwrap();
    let rightmost = entry_page(&tuples, NONE, 0);
    let inner = entry_page(&tuples, 13, 0);
    for (key, block) in [(i64::MIN, 10), (-100, 10), (-99, 11), (0, 11), (1, 12), (50, 12)] {
        assert_eq!(step(&rightmost, key), Step::Down(block));
        assert_eq!(step(&inner, key), Step::Down(block));
    }
    // The last bound of the rightmost page is infinite.
    assert_eq!(step(&rightmost, 51), Step::Down(12));
    assert_eq!(step(&inner, 51), Step::Right(13));
    // Whatever its key says.
    let tuples = [
        tuple(10, 0, Some(0), &[]),
        tuple(11, 0, Some(50), &[]),
        tuple(12, 0, Some(-100), &[]),
    ];
    let rightmost = entry_page(&tuples, NONE, 0);
    for (key, block) in [(-200, 10), (-100, 10), (0, 10), (1, 11), (50, 11), (51, 12)] {
        assert_eq!(step(&rightmost, key), Step::Down(block));
    }
    let only = entry_page(&tuples[2..], NONE, 0);
    assert_eq!(step(&only, 7), Step::Down(12));
}

#[test]
fn a_posting_tree_is_read() {
    let (first, second) = ([place(1, 1), place(1, 4)], [place(9, 7)]);
    let lists = [encode(&first), encode(&second)].concat();
    let mut page = vec![0; PAGE_BYTES];
    page[32..32 + lists.len()].copy_from_slice(&lists);
    let page = finish(page, 32 + lists.len(), NONE, 0, DATA | LEAF | COMPRESSED);
    let found = match Page::new(&page).unwrap().postings().unwrap() {
        PostingPage::Leaf(lists) => lists,
        PostingPage::Inner(_) => &[],
    };
    let mut rows = Vec::new();
    decode(found, 5 << 43, &mut rows).unwrap();
    let expected: Vec<Row> = first.iter().chain(&second).map(|row| row | 5 << 43).collect();
    assert_eq!(rows, expected);
    assert_eq!(count(found), Ok(3));
    let mut page = vec![0; PAGE_BYTES];
    page[32..36].copy_from_slice(&block_bytes(70_001));
    let page = finish(page, 42, NONE, 1, DATA);
    assert!(matches!(
        Page::new(&page).unwrap().postings(),
        Ok(PostingPage::Inner(70_001))
    ));
}

#[test]
fn the_meta_page_tells_of_pending_rows() {
    for (head, pending) in [(NONE, false), (7, true)] {
        let mut page = vec![0; PAGE_BYTES];
        page[24..28].copy_from_slice(&head.to_le_bytes());
        let page = finish(page, 80, NONE, 0, META);
        assert_eq!(Page::new(&page).unwrap().has_pending(), Ok(pending));
    }
}

proptest! {
    #[test]
    fn lists_come_back(rows in prop::collection::btree_set((0_u32..=u32::MAX - 1, 1_u16..2048), 1..300), table in 0_u64..1000) {
        let rows: Vec<Row> = rows.iter().map(|&(block, offset)| place(block, offset)).collect();
        let table = table << 43;
        let list = encode(&rows);
        let mut found = Vec::new();
        decode_entry(&list, rows.len(), table, &mut found).unwrap();
        prop_assert_eq!(count(&list), Ok(rows.len()));
        let expected: Vec<Row> = rows.iter().map(|row| row | table).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn damaged_pages_are_errors_at_worst(
        bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..8192, flags in any::<u16>(), key in any::<i64>()
    ) {
        let mut page = entry_page(&[listed(1, &[place(1, 1)]), listed(9, &[place(1, 1)])], NONE, LEAF);
        let end = (at + bytes.len()).min(PAGE_BYTES);
        page[at..end].copy_from_slice(&bytes[..end - at]);
        page[PAGE_BYTES - 2..].copy_from_slice(&flags.to_le_bytes());
        if let Ok(page) = Page::new(&page) {
            let mut rows = Vec::new();
            let _ = page.has_pending();
            let _ = page.entry_step(key);
            let _ = page.entries::<Damage>(i64::MIN, i64::MAX, |_, postings| match postings {
                Postings::List { count, bytes } => decode_entry(bytes, count, 0, &mut rows),
                Postings::Tree(_) => Ok(()),
            });
            if let Ok(PostingPage::Leaf(lists)) = page.postings() {
                let _ = count(lists);
                let _ = decode(lists, 0, &mut rows);
            }
        }
    }
}
