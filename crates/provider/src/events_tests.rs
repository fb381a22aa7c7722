#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Vec<(String, String)> {
    let events = EventParser::default().push(text.as_bytes()).unwrap();
    events.into_iter().map(|event| (event.name, event.data)).collect()
}

fn data(text: &str) -> Vec<String> {
    parse(text).into_iter().map(|(_, data)| data).collect()
}

#[test]
fn the_examples_of_the_standard_are_read_as_it_says() {
    assert_eq!(data("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
    assert_eq!(
        data(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n"),
        ["first event", "second event"]
    );
    assert_eq!(data("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
    assert_eq!(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
}

#[test]
fn names_belong_to_one_event_and_fields_are_told_apart_exactly() {
    assert_eq!(
        parse("event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\nDATA: d\n data: e\n\n"),
        [("error", "a"), ("", "b"), ("", "c")].map(|(name, data)| (name.to_owned(), data.to_owned()))
    );
}

#[test]
fn lines_end_in_any_of_three_ways_and_a_byte_order_mark_is_left_out() {
    assert_eq!(data("data: a\r\n\r\ndata: b\r\rdata: c\n\r\n"), ["a", "b", "c"]);
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
}

#[test]
fn bytes_that_are_not_utf8_are_an_error() {
    assert_eq!(EventParser::default().push(b"data: \xff\n"), Err(NotUtf8));
    assert_eq!(EventParser::default().push(b": \xc3\n\xa4"), Err(NotUtf8));
}

proptest! {
    #[test]
    fn the_cut_makes_no_difference(
        parts in proptest::collection::vec("(data|event|id|:|da)?(: ?)?[aäé😀 ]{0,3}(\r\n|\r|\n|\n\n|\r\n\r\n)", 0..20),
        cuts in proptest::collection::vec(0_usize..400, 0..20),
    ) {
        let text = parts.concat();
        let whole = EventParser::default().push(text.as_bytes()).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let mut parser = EventParser::default();
        let mut pieced = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieced.extend(parser.push(&text.as_bytes()[from..cut]).unwrap());
            from = cut;
        }
        prop_assert_eq!(pieced, whole);
    }

    #[test]
    fn byte_by_byte_is_as_at_once(bytes: Vec<u8>) {
        let whole = EventParser::default().push(&bytes);
        let mut parser = EventParser::default();
        let pieced: Result<Vec<_>, _> = bytes.iter().map(|byte| parser.push(&[*byte])).collect();
        prop_assert_eq!(pieced.map(|events| events.concat()), whole);
    }
}
