//! The search against BM25 by brute force over small collections.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{BestFirst, Candidates, Effort, Failure, Plan, Segment};
use crate::text::document::{Document, Term, level_of_key};
use crate::text::impact::{MAX_RATIO, idf, impact};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// An inverted index in memory.
struct Index {
    lists: BTreeMap<(Term, u8), Vec<u64>>,
    rows: usize,
    average: f64,
}

fn index(texts: &[Vec<u8>]) -> Index {
    let words: usize = texts.iter().map(Vec::len).sum();
    let average = (words as f64 / texts.len() as f64).max(1.0);
    let mut lists: BTreeMap<(Term, u8), Vec<u64>> = BTreeMap::new();
    for (row, text) in texts.iter().enumerate() {
        let mut document = Document::default();
        text.iter().for_each(|word| document.add(&[*word]).unwrap());
        for key in document.into_keys(average) {
            lists
                .entry((Term::of_key(key), level_of_key(key)))
                .or_default()
                .push(row as u64);
        }
    }
    Index {
        lists,
        rows: texts.len(),
        average,
    }
}

fn rows_with(texts: &[Vec<u8>], word: u8) -> f64 {
    texts.iter().filter(|text| text.contains(&word)).count() as f64
}

fn search(index: &Index, texts: &[Vec<u8>], query: &[u8], effort: Effort) -> Candidates {
    let idfs: Vec<f64> = query
        .iter()
        .map(|&word| idf(index.rows as f64, rows_with(texts, word)))
        .collect();
    let mut segments = Vec::new();
    let mut lists = Vec::new();
    for (term, &word) in query.iter().enumerate() {
        for (&(of, level), rows) in &index.lists {
            if of == Term::of(&[word]) {
                segments.push(Segment { term, level });
                lists.push(rows);
            }
        }
    }
    Plan::new(&segments, &idfs)
        .run::<()>(effort, |number, add| {
            // In two parts, as from a tree.
            let (a, b) = lists[number].split_at(lists[number].len() / 2);
            if add(a).map_err(Failure::Memory)? {
                add(b).map_err(Failure::Memory)?;
            }
            Ok(())
        })
        .unwrap()
}

fn exact(index: &Index, texts: &[Vec<u8>], query: &[u8]) -> BTreeMap<u64, f64> {
    let mut scores = BTreeMap::new();
    for (row, text) in texts.iter().enumerate() {
        let score: f64 = query
            .iter()
            .filter(|word| text.contains(word))
            .map(|&word| {
                let frequency = text.iter().filter(|&&other| other == word).count() as u32;
                idf(index.rows as f64, rows_with(texts, word))
                    * impact(frequency, text.len() as u64, index.average)
            })
            .sum();
        if score > 0.0 {
            scores.insert(row as u64, score);
        }
    }
    scores
}

/// Texts over few words, some of them frequent.
fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = prop_oneof![3 => 0_u8..3, 2 => 0_u8..10, 1 => 0_u8..30];
    prop::collection::vec(prop::collection::vec(word, 0..20), 1..120)
}

fn query() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::btree_set(0_u8..32, 0..8).prop_map(|words| words.into_iter().collect())
}

proptest! {
    #[test]
    fn scores_are_those_of_bm25_up_to_the_levels(texts in texts(), query in query()) {
        let index = index(&texts);
        let found = search(&index, &texts, &query, Effort::ALL);
        let exact = exact(&index, &texts, &query);
        prop_assert!(!found.partial);
        let found: BTreeMap<u64, f64> = found.scores.into_iter().collect();
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), exact.keys().collect::<Vec<_>>());
        for (row, score) in exact {
            let ratio = found[&row] / score;
            prop_assert!((1.0 / MAX_RATIO - 1e-9..=MAX_RATIO + 1e-9).contains(&ratio), "{row}: {ratio}");
        }
    }

    #[test]
    fn stopping_for_new_rows_leaves_the_best_as_they_are(texts in texts(), query in query(), wanted in 1_usize..10) {
        let index = index(&texts);
        let best = |candidates: Candidates| {
            let mut best = BestFirst::new(candidates.scores);
            best.take(wanted).iter().map(|&(_, score)| score).collect::<Vec<_>>()
        };
        let all = best(search(&index, &texts, &query, Effort::ALL));
        let few = best(search(&index, &texts, &query, Effort { wanted, postings: usize::MAX }));
        prop_assert_eq!(all, few);
    }

    #[test]
    fn the_limit_of_postings_holds(texts in texts(), query in query(), postings in 0_usize..100) {
        let index = index(&texts);
        let found = search(&index, &texts, &query, Effort { wanted: usize::MAX, postings });
        let all = search(&index, &texts, &query, Effort::ALL);
        prop_assert!(found.partial || found.scores.len() == all.scores.len());
        prop_assert!(found.scores.len() <= all.scores.len());
        // At most one part of a list more.
        prop_assert!(found.scores.len() < postings + 120);
    }

    #[test]
    fn portions_are_the_sorted_whole(scores in prop::collection::vec(0_u8..5, 0..300), portion in 1_usize..50) {
        let scores: Vec<(u64, f64)> = (0..).zip(scores.iter().map(|&score| f64::from(score))).collect();
        let mut sorted = scores.clone();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut best = BestFirst::new(scores);
        let mut found = Vec::new();
        loop {
            let next = best.take(portion);
            if next.is_empty() {
                break;
            }
            found.extend_from_slice(next);
        }
        prop_assert_eq!(found, sorted);
    }
}
