#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::compose::{ReplyInput, compose};
use super::follow_up::{cue, retrieval_query};
use super::prompt::{PromptInput, build};
use super::refine::{apply, detect};
use super::window::{estimate_tokens, select};
use super::{Message, Role, Source, best_sentence, label};
use crate::filter::{Column, TypeCategory, compile};

/// Sentences of words that mean something to the analysis, between arbitrary text.
fn message() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "and",
        "not",
        "isn’t",
        "younger",
        "older",
        "than",
        "the",
        "them",
        "her",
        "someone",
        "cheaper",
        "more",
        "experienced",
        "less",
        "expensive",
        "rating",
        "higher",
        "what",
        "about",
        "one",
        "...",
        "?",
        ",",
        "but",
    ]);
    let part = prop_oneof![3 => known.prop_map(str::to_owned), 1 => any::<String>(), 1 => "\\PC{0,8}"];
    proptest::collection::vec(part, 0..14).prop_map(|parts| parts.join(" "))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<String>().prop_map(|s| json!(s)),
        proptest::collection::vec(any::<String>(), 0..6).prop_map(|v| json!(v)),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    let column = prop_oneof![
        Just("age".to_owned()),
        Just("name".to_owned()),
        Just("rating".to_owned()),
        any::<String>()
    ];
    let row = proptest::collection::vec((column, value()), 0..6);
    (any::<String>(), row, any::<String>()).prop_map(|(key, row, snippet)| {
        let row: Map<String, Value> = row.into_iter().collect();
        Source {
            label: label(&row, &key),
            key,
            row,
            snippet,
            ..Source::default()
        }
    })
}

fn columns() -> Vec<Column> {
    ["age", "day_rate", "rating", "years_experience"]
        .into_iter()
        .map(|name| Column {
            name: name.to_owned(),
            type_oid: 23,
            type_name: "integer".to_owned(),
            array_type_oid: 1007,
            element_type_oid: 0,
            element_type_name: String::new(),
            category: TypeCategory::Number,
        })
        .collect()
}

proptest! {
    #[test]
    fn retrieval_queries_are_bounded_lines(
        earlier in proptest::collection::vec(message(), 0..6),
        new in message(),
        max_chars in 0_usize..200,
    ) {
        let _ = cue(&new);
        let earlier: Vec<&str> = earlier.iter().map(String::as_str).collect();
        let query = retrieval_query(&earlier, &new, max_chars);
        prop_assert!(query.text.chars().count() <= max_chars);
        prop_assert!(!query.text.chars().any(char::is_control));
        prop_assert!(query.continues.is_none_or(|index| index < earlier.len()));
    }

    #[test]
    fn every_refinement_compiles(new in message(), rows in proptest::collection::vec(source(), 0..4)) {
        let rows: Vec<Map<String, Value>> = rows.into_iter().map(|source| source.row).collect();
        let found = detect(&new, &columns());
        for refinement in &found {
            if let Some(condition) = apply(refinement, &rows) {
                if condition.to_string().contains("\\u0000") {
                    continue;
                }
                let compiled = compile(&condition, &columns(), "t", 1);
                prop_assert!(compiled.is_ok(), "{}: {:?}", condition, compiled);
            }
        }
        let mut names: Vec<&str> = found.iter().map(|refinement| refinement.column.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), found.len());
    }

    #[test]
    fn replies_keep_their_layout(new in message(), sources in proptest::collection::vec(source(), 0..5), limit in 0_usize..6) {
        let reply = compose(&ReplyInput { message: &new, sources: &sources, limit, ..ReplyInput::default() });
        let listed = sources.len().min(limit);
        prop_assert_eq!(reply.split('\n').count(), listed + 2);
        prop_assert!(!reply.chars().any(|c| c.is_control() && c != '\n'));
        for (number, line) in (1..).zip(reply.split('\n').skip(1).take(listed)) {
            let prefix = format!("{}. ", number);
            prop_assert!(line.starts_with(&prefix));
        }
    }

    #[test]
    fn prompts_hold_one_fence(sources in proptest::collection::vec(source(), 0..5)) {
        let messages = build(&PromptInput {
            system: "system",
            sources: &sources,
            message: "question",
            max_tokens: 100_000,
            ..PromptInput::default()
        });
        let content = &messages[1].content;
        prop_assert!(content.starts_with("<rows>\n") && content.ends_with("\n</rows>\n\nquestion"));
        prop_assert_eq!(content.matches('<').count(), 2);
    }

    #[test]
    fn sentences_are_short_lines(content in any::<String>(), terms in proptest::collection::vec(any::<String>(), 0..4)) {
        if let Some(sentence) = best_sentence(&content, &terms) {
            prop_assert!(!sentence.is_empty() && sentence.chars().count() <= 200);
            prop_assert!(!sentence.chars().any(char::is_control));
        }
    }

    #[test]
    fn windows_hold_their_limits(
        messages in proptest::collection::vec((0_u8..3, 0_usize..50), 0..30),
        max_messages in 0_usize..12,
        max_tokens in 0_usize..300,
    ) {
        let messages: Vec<Message> = messages.into_iter().map(|(role, tokens)| Message {
            role: [Role::User, Role::Assistant, Role::System][usize::from(role)],
            content: String::new(),
            tokens,
        }).collect();
        let range = select(&messages, max_messages, max_tokens);
        let chosen = &messages[range.clone()];
        prop_assert_eq!(range.end, messages.len());
        prop_assert!(chosen.len() <= max_messages);
        prop_assert!(chosen.iter().map(|message| message.tokens).sum::<usize>() <= max_tokens);
        prop_assert!(chosen.first().is_none_or(|first| first.role == Role::User));
        // One turn more would not have fitted.
        if let Some(previous) = messages[..range.start].iter().rposition(|message| message.role == Role::User) {
            let longer = &messages[previous..];
            let tokens: usize = longer.iter().map(|message| message.tokens).sum();
            prop_assert!(longer.len() > max_messages || tokens > max_tokens);
        }
    }

    #[test]
    fn estimates_grow_with_the_text(a in any::<String>(), b in any::<String>()) {
        let both = estimate_tokens(&format!("{a}{b}"));
        prop_assert!(both >= estimate_tokens(&a).max(estimate_tokens(&b)));
        prop_assert!(both <= estimate_tokens(&a) + estimate_tokens(&b));
    }
}
