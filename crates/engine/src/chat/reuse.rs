//! The second gate of a semantic cache of replies: may the reply to one message answer another whose embedding is near?
//!
//! Embeddings put a request and its opposite side by side: "with a car" and "without a car", "from Delhi to Mumbai" and
//! the way back, forty and fifty are nearer to each other than two ways to say the same. So nearness only proposes, and
//! this gate decides by the words. It knows no list of opposites, which could not be complete, but the reverse: what is
//! known to be harmless may differ (case, punctuation, articles, courtesy, plurals, how a number is written, a few
//! synonyms), everything else has to be the same, word by word and in the same order. That refuses many a paraphrase,
//! which costs one search or one call of a model; a wrong reply costs more.
//!
//! Symmetric and reflexive, but not transitive. The tables are English; in other languages only case and punctuation may
//! differ.

mod numbers;
mod scan;
mod tables;
#[cfg(test)]
mod tests;

use super::courtesy::content_of;
use scan::{Break, Kind, Word};

/// Counts up whenever a pair of messages would be judged otherwise.
pub const GATE_VERSION: u32 = 1;

/// Longer messages, in bytes, are reused only for themselves.
const MAX_MESSAGE_BYTES: usize = 8 << 10;

/// Whether a reply to `cached` may be reused for `asked`, as far as their words tell.
///
/// Equal messages always agree. Others agree if they say the same in the same order, but for what is harmless; messages
/// without content, or of more than 8 KiB, do not. Takes time linear in the messages.
pub fn agree(asked: &str, cached: &str) -> bool {
    if asked == cached {
        return true;
    }
    if asked.len().max(cached.len()) > MAX_MESSAGE_BYTES {
        return false;
    }
    let (asked, cached) = (said(asked), said(cached));
    asked.len() == cached.len()
        && asked.iter().any(|word| word.kind != Kind::Pause)
        && asked.iter().zip(&cached).all(|(a, b)| same(a, b))
}

/// What a message says: its words without courtesy and without those that carry nothing.
///
/// Where it negates, pauses count: "no, dancers" is not "no dancers".
fn said(message: &str) -> Vec<Word> {
    let words = scan::words(message);
    let negates = words.iter().any(|word| tables::is_negation(&word.text));
    let mut said: Vec<Word> = Vec::new();
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        let length = 1 + rest
            .iter()
            .skip(1)
            .take_while(|word| word.break_before != Break::Sentence)
            .count();
        let (sentence, after) = rest.split_at(length);
        rest = after;
        let kept = content(sentence);
        if kept.is_empty() {
            continue;
        }
        if negates && !said.is_empty() {
            said.push(Word::pause());
        }
        let mut follows_gap = false;
        for (index, word) in kept.iter().enumerate() {
            if negates && index > 0 && word.break_before != Break::None {
                said.push(Word::pause());
            }
            if is_empty_word(kept, index) {
                follows_gap = true;
                continue;
            }
            let mut word = word.clone();
            if follows_gap {
                // Numbers are not joined across what was left out.
                word.break_before = Break::Clause;
            }
            if index == 0 && word.is_plain() && tables::is_anyone(&word.text) {
                word.text = "someone".to_owned();
            }
            follows_gap = false;
            said.push(word);
        }
    }
    numbers::joined(said)
}

/// A sentence without courtesy. Names and quotes are none: "Please Find Me" may be a title.
fn content(sentence: &[Word]) -> &[Word] {
    let words: Vec<&str> = sentence
        .iter()
        .map(|word| if word.is_plain() { word.text.as_str() } else { "" })
        .collect();
    let pause_after = |index: usize| {
        sentence
            .get(index + 1)
            .is_none_or(|next| next.break_before != Break::None)
    };
    sentence.get(content_of(&words, pause_after)).unwrap_or_default()
}

/// Whether the word carries nothing where it stands.
fn is_empty_word(sentence: &[Word], index: usize) -> bool {
    let Some(word) = sentence.get(index).filter(|word| word.is_plain()) else {
        return false;
    };
    let previous = index.checked_sub(1).and_then(|index| sentence.get(index));
    let next = sentence.get(index + 1);
    match word.text.as_str() {
        // Nothing follows the "a" of "vitamin a".
        text if tables::is_empty(text) => next.is_some_and(|next| next.break_before == Break::None),
        // "10 am" is a time.
        "am" => previous.is_some_and(|word| word.text == "i"),
        // "someone who can dance" dances; "a trash can" is one.
        "can" => previous.is_some_and(|word| matches!(word.text.as_str(), "who" | "that" | "which")),
        // "someone that dances", not "someone like that" or "that one".
        "who" | "that" | "which" => {
            previous.is_some_and(|word| !tables::points(&word.text))
                && next.is_some_and(|word| word.text != "one" && word.break_before == Break::None)
        }
        _ => false,
    }
}

/// Whether two words say the same: spelled alike, or both plain words of which one is the other's plural or synonym.
fn same(a: &Word, b: &Word) -> bool {
    let is_word = |word: &Word| matches!(word.kind, Kind::Plain | Kind::Exact);
    let is_inflected = || {
        tables::canonical(&a.text) == tables::canonical(&b.text) || tables::is_plural_in_ies(&a.text, &b.text)
    };
    // Whoever writes no capitals means the name all the same.
    let is_alike = a.text == b.text && (a.kind == b.kind || (is_word(a) && is_word(b)));
    is_alike || (a.is_plain() && b.is_plain() && is_inflected())
}
