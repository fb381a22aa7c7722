//! Whether a message continues an earlier request, and the query to search with if it does.
//!
//! "And in Pune?" finds nothing by itself. A message with a cue is searched together with the request that it
//! continues and the refinements in between. A false cue costs little (the older request adds its meaning to the
//! query), a missed one loses the request, so short messages count as continuations.

use super::line::fold;
use super::refine::{Degree, known_comparison};
use super::words::{head, is_antecedent, is_content, words};

/// What shows that a message leans on what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cue {
    /// It opens like a continuation: "and", "what about", "in Pune?".
    Opening,
    /// A pronoun without an antecedent in the message: "does she sing?".
    Pronoun,
    /// A comparison that names no standard: "someone younger".
    Comparative,
    /// It refers to results as such: "another one", "more like this".
    Reference,
    /// It has one content word, or none.
    Short,
}

/// Above this many content words a message with a mere comparative or reference says enough by itself.
const MAX_CONTENT_WORDS_OF_FRAGMENT: usize = 5;
/// A message that opens with a preposition continues another only if it says no more than this.
const MAX_CONTENT_WORDS_AFTER_PREPOSITION: usize = 3;
/// How many earlier messages are searched for the request that a message continues.
const MAX_LOOK_BACK: usize = 20;

const OPENINGS: &[&[&str]] = &[
    &["and"],
    &["also"],
    &["but"],
    &["or"],
    &["plus"],
    &["instead"],
    &["except"],
    &["without"],
    &["ok", "but"],
    &["okay", "but"],
    &["yes", "but"],
    &["no", "i"],
    &["what", "about"],
    &["how", "about"],
    &["what", "if"],
    &["any", "other"],
    &["any", "others"],
    &["anyone", "else"],
    &["anybody", "else"],
    &["someone", "else"],
    &["who", "else"],
    &["what", "else"],
    &["same"],
    &["the", "same"],
];

const PREPOSITIONS: &[&str] = &[
    "above", "around", "at", "below", "between", "from", "in", "just", "near", "not", "only", "over",
    "under", "with", "within",
];

const PRONOUNS: &[&str] = &[
    "he", "her", "hers", "him", "his", "it", "its", "one", "ones", "she", "their", "theirs", "them", "these",
    "they", "those",
];

/// Words that refer to the results shown or to the request as such.
const REFERENCES: &[&str] = &[
    "again", "another", "else", "former", "instead", "latter", "more", "other", "others", "previous", "rest",
];

/// The cue in a message, `None` if it stands for itself. Only the head of a long message is read.
pub fn cue(message: &str) -> Option<Cue> {
    let words = words(message);
    let content = words.iter().filter(|word| is_content(word)).count();
    if opens_as_continuation(&words, content) {
        return Some(Cue::Opening);
    }
    if (0..words.len()).any(|position| is_free_pronoun(&words, position)) {
        return Some(Cue::Pronoun);
    }
    if content <= MAX_CONTENT_WORDS_OF_FRAGMENT {
        if (0..words.len()).any(|position| is_open_comparison(&words, position, content)) {
            return Some(Cue::Comparative);
        }
        if refers_to_results(&words) {
            return Some(Cue::Reference);
        }
    }
    (content <= 1).then_some(Cue::Short)
}

fn opens_as_continuation(words: &[String], content: usize) -> bool {
    let starts_with = |opening: &&[&str]| {
        words.len() >= opening.len()
            && words
                .iter()
                .zip(opening.iter())
                .all(|(word, wanted)| word == wanted)
    };
    let is_prepositional = words
        .first()
        .is_some_and(|word| PREPOSITIONS.contains(&word.as_str()));
    OPENINGS.iter().any(starts_with) || (is_prepositional && content <= MAX_CONTENT_WORDS_AFTER_PREPOSITION)
}

fn is_free_pronoun(words: &[String], position: usize) -> bool {
    let word = words[position].as_str();
    let before = &words[..position];
    let previous = before.last().map(String::as_str);
    let next = words.get(position + 1).map(String::as_str);
    if matches!(word, "this" | "that") {
        // "someone that sings" is no reference; "like that", "is that one free" and "why this?" are.
        return next.is_none_or(|next| next == "one") || matches!(previous, Some("like" | "about" | "than"));
    }
    if !PRONOUNS.contains(&word) {
        return false;
    }
    let is_possessive = matches!(word, "her" | "his" | "its" | "their");
    let points_back = match previous {
        Some("like" | "than" | "about") => true,
        Some("of") => matches!(word, "them" | "these" | "those"),
        _ => false,
    };
    // "one who sings" and "the cheaper one" refer, "one room" counts.
    let counts = word == "one" && next.is_some_and(is_content);
    // "someone in her 40s": the pronoun stands for a word of the message itself.
    let is_bound = before.iter().any(|earlier| is_antecedent(earlier));
    !counts && (!is_bound || (points_back && !(is_possessive && next.is_some_and(is_content))))
}

/// A comparative without "than", or with "than" and a pronoun (which [`is_free_pronoun`] has seen already). A
/// superlative only where it is all that is said: "the cheapest dancer in Pune" is a request of its own.
fn is_open_comparison(words: &[String], position: usize, content: usize) -> bool {
    let rest = &words[position..];
    let Some((length, degree)) = known_comparison(rest) else {
        return false;
    };
    let own_content = rest[..length].iter().filter(|word| is_content(word)).count();
    match degree {
        Degree::Comparative => rest.get(length).is_none_or(|next| next != "than"),
        Degree::Superlative => content <= own_content,
    }
}

fn refers_to_results(words: &[String]) -> bool {
    let mentions = words.iter().enumerate().any(|(position, word)| {
        REFERENCES.contains(&word.as_str()) && words.get(position + 1).is_none_or(|next| next != "than")
    });
    mentions
        || words
            .last()
            .is_some_and(|last| matches!(last.as_str(), "too" | "though"))
}

/// The query for a message, given what the user said before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrievalQuery {
    /// The text to search with, one line.
    pub text: String,
    /// Why the message counts as a continuation; `None` if it stands for itself.
    pub cue: Option<Cue>,
    /// The index in `earlier` of the request that it continues.
    pub continues: Option<usize>,
}

/// Builds the query: the most recent request that stands for itself, the refinements after it, then the message.
///
/// `earlier` holds the user's earlier messages, oldest first, without the assistant's. The text has at most
/// `max_chars` characters; the message has the first claim on them, then the request, then the newest refinements.
/// If no earlier message stands for itself, the oldest one within reach takes the request's place.
pub fn retrieval_query(earlier: &[&str], message: &str, max_chars: usize) -> RetrievalQuery {
    let message_text = fold(head(message), max_chars);
    let cue = if earlier.is_empty() { None } else { cue(message) };
    if cue.is_none() {
        return RetrievalQuery {
            text: message_text,
            cue,
            continues: None,
        };
    }
    let oldest = earlier.len().saturating_sub(MAX_LOOK_BACK);
    let base = (oldest..earlier.len())
        .rev()
        .find(|&index| self::cue(earlier[index]).is_none())
        .unwrap_or(oldest);

    let mut left = max_chars.saturating_sub(message_text.chars().count());
    let mut take = |text: &str| -> Option<String> {
        // Two characters join it to the next part.
        let part = fold(head(text), left.saturating_sub(2));
        left = left.saturating_sub(part.chars().count() + 2);
        (!words(&part).is_empty()).then_some(part)
    };
    let request = take(earlier[base]);
    let mut refinements: Vec<String> = earlier[base + 1..]
        .iter()
        .rev()
        .filter_map(|text| take(text))
        .collect();
    refinements.reverse();
    let parts: Vec<String> = request
        .into_iter()
        .chain(refinements)
        .chain(std::iter::once(message_text))
        .collect();
    RetrievalQuery {
        text: joined(&parts),
        cue,
        continues: Some(base),
    }
}

fn joined(parts: &[String]) -> String {
    let mut text = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if !text.is_empty() {
            text.push_str(
                if text.ends_with(['.', '!', '?', ';', ',', '…', '。', '؟', '।']) {
                    " "
                } else {
                    ". "
                },
            );
        }
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests;
