#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn requests_that_stand_for_themselves_have_no_cue() {
    for message in [
        "warm, funny mother in her 40s who speaks Hindi and can dance, Mumbai, available in March",
        "I need someone in their 40s who plays the sitar",
        "actor older than 40 with a beard",
        "find me a dancer who loves her work",
        "two bedroom flat near the station with one balcony",
        "one bedroom flat near the station",
        "someone that sings ghazals at weddings",
        "more than ten years of experience in theatre",
        "Looking for a more experienced stage director for a large musical production in Delhi next spring",
        "with a budget of 20000 we want experienced Kathak dancers from Pune",
        "Hindi speaking singers",
        "the cheapest dancer in Pune",
        "most experienced stage director",
        "cherche une danseuse expérimentée",
        "ممثلة تتحدث العربية",
    ] {
        assert_eq!(cue(message), None, "{message}");
    }
}

#[test]
fn continuations_show_their_cue() {
    for (message, expected) in [
        ("and in Pune?", Cue::Opening),
        (
            "But she must speak Marathi fluently and live in Mumbai",
            Cue::Opening,
        ),
        ("What about dancers?", Cue::Opening),
        ("How about someone from Delhi instead", Cue::Opening),
        ("in Pune", Cue::Opening),
        ("only women over 30", Cue::Opening),
        ("anyone else?", Cue::Opening),
        ("Does she speak Hindi fluently?", Cue::Pronoun),
        ("which of them can dance", Cue::Pronoun),
        ("tell me more about her", Cue::Pronoun),
        ("someone like her", Cue::Pronoun),
        ("older than him", Cue::Pronoun),
        ("is there one in Pune", Cue::Pronoun),
        ("those with a driving licence", Cue::Pronoun),
        ("show me something like this", Cue::Pronoun),
        ("someone younger", Cue::Comparative),
        ("a LESS EXPENSIVE option please", Cue::Comparative),
        ("who is the cheapest?", Cue::Comparative),
        ("the most experienced please", Cue::Comparative),
        ("show me another dancer", Cue::Reference),
        ("more results please", Cue::Reference),
        ("must play guitar too", Cue::Reference),
        ("Marathi?", Cue::Short),
        ("thanks", Cue::Short),
        ("", Cue::Short),
        ("🙂🙂", Cue::Short),
        ("...", Cue::Short),
    ] {
        assert_eq!(cue(message), Some(expected), "{message}");
    }
}

#[test]
fn the_query_joins_request_refinements_and_message() {
    let earlier = [
        "a tall swordfighter for a period film",
        "funny mother, speaks Hindi",
        "and in Pune?",
        "younger",
    ];
    for (count, message, text, continues) in [
        (0, "and in Pune?", "and in Pune?", None),
        (
            2,
            "warm grandfather with a deep voice",
            "warm grandfather with a deep voice",
            None,
        ),
        (2, "in Pune?", "funny mother, speaks Hindi. in Pune?", Some(1)),
        (
            4,
            "who dances?",
            "funny mother, speaks Hindi. and in Pune? younger. who dances?",
            Some(1),
        ),
    ] {
        let query = retrieval_query(&earlier[..count], message, 500);
        assert_eq!(
            (query.text.as_str(), query.continues),
            (text, continues),
            "{message}"
        );
        assert_eq!(query.cue.is_some(), query.continues.is_some());
    }
}

#[test]
fn without_a_request_the_oldest_message_stands_in() {
    let query = retrieval_query(&["dancers?", "and Pune?"], "younger?", 500);
    assert_eq!(
        (query.text.as_str(), query.continues),
        ("dancers? and Pune? younger?", Some(0))
    );
    // The history is searched for a bounded number of messages only.
    let mut long = vec!["a tall swordfighter for a period film"];
    long.extend(["and in Pune?"; 30]);
    assert_eq!(retrieval_query(&long, "younger?", 5_000).continues, Some(11));
}

#[test]
fn the_query_is_bounded_and_the_message_comes_first() {
    let request = "funny mother who speaks Hindi and dances ".repeat(30_000);
    let refinements = ["and in Pune?", "and with a driving licence?"];
    let earlier = [request.as_str(), refinements[0], refinements[1]];
    for max_chars in [0, 1, 5, 20, 60, 100, 1_000] {
        let query = retrieval_query(&earlier, "someone younger", max_chars);
        assert!(
            query.text.chars().count() <= max_chars,
            "{max_chars}: {}",
            query.text
        );
        if max_chars >= 20 {
            assert!(query.text.ends_with("someone younger"), "{}", query.text);
        }
    }
    let huge = "é".repeat(1 << 20);
    assert!(retrieval_query(&[], &huge, 300).text.chars().count() <= 300);
    assert_eq!(
        retrieval_query(&["line\none\u{0}", "and\ttwo"], "or three", 99).text,
        "line one. and two. or three"
    );
}
