#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use crate::chat::refine::{Degree, Direction};

fn source(key: &str, row: Value, snippet: &str) -> Source {
    let row = row.as_object().unwrap().clone();
    Source {
        key: key.to_owned(),
        label: crate::chat::label(&row, key),
        row,
        snippet: snippet.to_owned(),
        similarity: Some(0.6),
        matched_terms: vec![],
    }
}

fn asha() -> Source {
    source(
        "17",
        json!({"name": "Asha", "age": 41, "city": "Mumbai", "languages": ["Hindi", "English"], "id": 17, "bio": "long"}),
        "Born in Pune. She dances Kathak and speaks Hindi.",
    )
}

fn younger() -> RefinementNote {
    RefinementNote::Applied {
        word: "younger".to_owned(),
        column: "age".to_owned(),
        direction: Direction::Less,
        degree: Degree::Comparative,
        reference_label: "Asha".to_owned(),
        reference_value: "41".to_owned(),
    }
}

#[test]
fn tells_what_was_looked_for_and_quotes_the_rows() {
    let filters = ["city = Mumbai".to_owned(), "38 <= age < 50".to_owned()];
    let highlighted = ["city".to_owned(), "age".to_owned()];
    let content = ["bio".to_owned()];
    let reply = compose(&ReplyInput {
        message: "a warm mother who speaks Hindi",
        filters: &filters,
        sources: &[
            asha(),
            source("18", json!({"name": "Neha", "age": 44, "city": null}), ""),
        ],
        limit: 2,
        highlighted: &highlighted,
        content: &content,
        ..ReplyInput::default()
    });
    assert_eq!(
        reply,
        "For \"a warm mother who speaks Hindi\", where city = Mumbai and 38 <= age < 50:\n\
         1. Asha: city Mumbai, age 41, languages Hindi and English. \"She dances Kathak and speaks Hindi.\"\n\
         2. Neha: age 44.\n\
         Add or change a condition to narrow this down."
    );
}

#[test]
fn a_follow_up_names_its_reference_and_the_request_it_continues() {
    let reply = compose(&ReplyInput {
        message: "someone younger",
        continues: Some("a warm mother"),
        refinements: &[younger()],
        sources: &[source("18", json!({"name": "Neha", "age": 36}), "")],
        limit: 5,
        ..ReplyInput::default()
    });
    assert_eq!(
        reply,
        "Younger than Asha (41), continuing from \"a warm mother\":\n\
         1. Neha: age 36.\n\
         Only 1 row was found; loosening \"younger\" may find more."
    );
    let superlative = RefinementNote::Applied {
        word: "cheapest".to_owned(),
        column: "day_rate".to_owned(),
        direction: Direction::Less,
        degree: Degree::Superlative,
        reference_label: "Asha".to_owned(),
        reference_value: "900".to_owned(),
    };
    let reply = compose(&ReplyInput {
        message: "the cheapest",
        refinements: &[superlative],
        sources: &[asha()],
        limit: 1,
        ..ReplyInput::default()
    });
    assert!(reply.starts_with("Cheapest (day rate at most 900):\n"), "{reply}");
}

#[test]
fn nothing_found_says_what_was_searched_and_what_to_loosen() {
    let filters = ["age > 90".to_owned(), "city = Pune".to_owned()];
    let input = ReplyInput {
        message: "a  \"loud\"\nsinger.",
        limit: 3,
        ..ReplyInput::default()
    };
    assert_eq!(
        compose(&input),
        "Nothing found for \"a 'loud' singer\".\nOther words may find some."
    );
    let reply = compose(&ReplyInput {
        filters: &filters,
        ..input.clone()
    });
    assert_eq!(
        reply,
        "Nothing found for \"a 'loud' singer\", where age > 90 and city = Pune.\n\
         Loosening \"age > 90\" may find some."
    );
    let reply = compose(&ReplyInput {
        filters: &filters,
        refinements: &[younger()],
        ..input.clone()
    });
    assert!(
        reply.contains("city = Pune and younger than Asha (41).\nLoosening \"younger\""),
        "{reply}"
    );
    assert!(compose(&ReplyInput::default()).starts_with("Nothing found for an empty request."));
}

#[test]
fn dropped_comparisons_and_weak_matches_are_said() {
    let dropped = RefinementNote::Dropped {
        word: "taller".to_owned(),
        reason: "no row shown has a height".to_owned(),
    };
    let reply = compose(&ReplyInput {
        message: "taller",
        refinements: &[dropped],
        sources: &[asha()],
        limit: 1,
        weak_below: Some(0.7),
        ..ReplyInput::default()
    });
    assert!(
        reply.contains("\n\"taller\" was not applied, because no row shown has a height.\n"),
        "{reply}"
    );
    assert!(
        reply
            .ends_with("None of these is close in meaning to the request; other words may find better ones.")
    );
    // Too few and too weak are both said.
    for (rows, limit, expected) in [
        (
            1,
            3,
            "Only 1 row was found, and it is not close in meaning to the request; other words may find better ones.",
        ),
        (
            2,
            3,
            "Only 2 rows were found, and none is close in meaning to the request; other words may find better ones.",
        ),
    ] {
        let reply = compose(&ReplyInput {
            message: "taller",
            sources: &vec![asha(); rows],
            limit,
            weak_below: Some(0.7),
            ..ReplyInput::default()
        });
        assert!(reply.ends_with(expected), "{reply}");
    }
}

fn only_in_pune() -> RefinementNote {
    RefinementNote::Named {
        phrase: "only in Pune".to_owned(),
        column: "home_city".to_owned(),
        values: vec!["Pune".to_owned()],
        negated: false,
    }
}

#[test]
fn demanded_values_are_told_and_blamed() {
    let not_hindi = RefinementNote::Named {
        phrase: "nobody who speaks Hindi or Tamil".to_owned(),
        column: "languages".to_owned(),
        values: vec!["Hindi".to_owned(), "Tamil".to_owned()],
        negated: true,
    };
    let both = RefinementNote::Named {
        phrase: "must speak Hindi and Tamil".to_owned(),
        column: "languages".to_owned(),
        values: vec!["Hindi".to_owned(), "Tamil".to_owned()],
        negated: false,
    };
    let row = source(
        "18",
        json!({"name": "Neha", "age": 36, "home_city": "Pune", "x": 1, "y": 2}),
        "",
    );
    let reply = compose(&ReplyInput {
        message: "and only in Pune?",
        continues: Some("a warm mother"),
        refinements: &[younger(), only_in_pune()],
        sources: std::slice::from_ref(&row),
        limit: 5,
        ..ReplyInput::default()
    });
    assert_eq!(
        reply,
        "Younger than Asha (41) and only in Pune (home city = Pune), continuing from \"a warm mother\":\n\
         1. Neha: age 36, home city Pune, x 1.\n\
         Only 1 row was found; loosening \"only in Pune\" may find more."
    );
    let reply = compose(&ReplyInput {
        message: "dancers, only in Pune",
        refinements: &[only_in_pune(), not_hindi, both],
        sources: &[row],
        limit: 1,
        ..ReplyInput::default()
    });
    assert!(
        reply.starts_with(
            "For \"dancers, only in Pune\", where home city = Pune, languages is neither Hindi nor Tamil and \
             languages = Hindi and Tamil:\n"
        ),
        "{reply}"
    );
    let nothing = ReplyInput {
        message: "dancers, only in Pune",
        refinements: &[only_in_pune()],
        limit: 1,
        ..ReplyInput::default()
    };
    assert_eq!(
        compose(&nothing),
        "Nothing found for \"dancers, only in Pune\", where home city = Pune.\n\
         Loosening \"only in Pune\" may find some."
    );
    let reply = compose(&ReplyInput {
        without: Some("only \"in\"\nPune"),
        ..nothing
    });
    assert!(
        reply.ends_with("\nWithout \"only 'in' Pune\" there would be rows."),
        "{reply}"
    );
}

#[test]
fn a_value_condition_becomes_a_note() {
    let known = crate::chat::refine::values::KnownValues {
        column: "home_city".to_owned(),
        is_array: false,
        values: vec!["Pune".to_owned()],
    };
    let found = crate::chat::refine::values::detect("only in Pune", false, &[known]);
    let notes: Vec<RefinementNote> = found.iter().map(RefinementNote::from).collect();
    assert_eq!(notes, [only_in_pune()]);
}

#[test]
fn rows_cannot_break_the_layout() {
    let hostile = source(
        "1",
        json!({
            "name": "Eve\n2. Admin: trust me",
            "city": "\u{202E}x\r\ny\u{0}",
            "note": "![p](http://x/?q)",
            "embedding": vec![0.1; 384],
            "nested": {"a": 1},
            "essay": "w ".repeat(1 << 19),
        }),
        &"# Heading\n```\nrm -rf\n``` 🙂 ".repeat(1 << 16),
    );
    let reply = compose(&ReplyInput {
        message: "🙂",
        sources: &[hostile],
        limit: 1,
        ..ReplyInput::default()
    });
    assert_eq!(reply.lines().count(), 3, "{reply}");
    assert!(
        reply.contains("1. Eve 2. Admin: trust me: city x y, note ![p] (http://x/?q)."),
        "{reply}"
    );
    assert!(!reply.contains('`') && reply.len() < 500, "{reply}");
}

#[test]
fn lists_no_more_rows_than_asked_for_and_bounds_huge_input() {
    let rows: Vec<Source> = (0..50).map(|i| source(&i.to_string(), json!({}), "")).collect();
    let huge = "word ".repeat(200_000);
    let filters: Vec<String> = (0..1_000).map(|i| format!("c{i} = {huge}")).collect();
    let reply = compose(&ReplyInput {
        message: &huge,
        continues: Some(&huge),
        filters: &filters,
        sources: &rows,
        limit: 3,
        ..ReplyInput::default()
    });
    assert_eq!(reply.lines().count(), 5);
    assert!(
        reply.contains("and 994 more conditions") && reply.len() < 1_500,
        "{}",
        reply.len()
    );
    assert!(reply.contains("\n1. 0.\n2. 1.\n3. 2.\n"));
}

#[test]
fn values_related_to_the_request_come_first() {
    let row = json!({"aaa": 1, "bbb": 2, "ccc": 3, "skills": ["Kathak", "fire dancing"], "user_id": 4, "created_at": "2026"});
    let reply = compose(&ReplyInput {
        message: "a dancer",
        sources: &[source("k", row, "")],
        limit: 1,
        ..ReplyInput::default()
    });
    assert!(
        reply.contains("1. k: skills Kathak and fire dancing, aaa 1, bbb 2."),
        "{reply}"
    );
}

#[test]
fn right_to_left_text_stays_whole() {
    let reply = compose(&ReplyInput {
        message: "שחקנית",
        sources: &[source(
            "1",
            json!({"name": "נועה", "city": "תל אביב"}),
            "היא רוקדת.",
        )],
        limit: 1,
        ..ReplyInput::default()
    });
    assert!(reply.contains("1. נועה: city תל אביב. \"היא רוקדת.\""), "{reply}");
}

#[test]
fn a_note_says_what_became_of_a_refinement() {
    let refinement = crate::chat::refine::Refinement {
        word: "younger".to_owned(),
        column: "age".to_owned(),
        direction: Direction::Less,
        degree: Degree::Comparative,
    };
    let rows = [json!({"age": null}).as_object().unwrap().clone(), asha().row];
    let labels = ["Neha".to_owned(), "Asha".to_owned()];
    assert_eq!(RefinementNote::new(&refinement, &rows, &labels), younger());
    for (rows, reason) in [
        (&rows[..0], "no rows were shown before"),
        (&rows[..1], "no row shown before has a value for age"),
    ] {
        assert_eq!(
            RefinementNote::new(&refinement, rows, &labels),
            RefinementNote::Dropped {
                word: "younger".to_owned(),
                reason: reason.to_owned()
            }
        );
    }
}
