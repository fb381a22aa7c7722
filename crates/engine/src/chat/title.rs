//! The title of a conversation.

use unicode_segmentation::UnicodeSegmentation;

use super::courtesy::content_of;
use super::line::{capitalised, fold};
use super::words::head;

/// The longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 60;
/// How much of a sentence is looked at, in characters: more than a title holds after any courtesy.
const MAX_SENTENCE_CHARS: usize = 400;

/// The title for a conversation that starts with `message`: its first sentence that says something.
///
/// One line of at most 60 characters, cut at a word boundary, without courtesy ("please find me", "thanks"), its
/// first letter in upper case. A message without words gives "Conversation", or its symbols.
pub fn title(message: &str) -> String {
    let head = head(message);
    let sentence = head
        .lines()
        .flat_map(UnicodeSegmentation::unicode_sentences)
        .map(without_courtesy)
        .find(|sentence| !sentence.is_empty());
    let text = fold(&sentence.unwrap_or_else(|| head.to_owned()), MAX_SENTENCE_CHARS);
    let text = text.trim_end_matches(['.', ',', ';', ':', ' ']);
    let title = fold(&capitalised(text), MAX_TITLE_CHARS);
    if title.is_empty() {
        "Conversation".to_owned()
    } else {
        title
    }
}

/// A sentence without what opens and closes it politely, as one line; empty if nothing else is in it.
pub(super) fn without_courtesy(sentence: &str) -> String {
    let line = fold(sentence, MAX_SENTENCE_CHARS);
    let places: Vec<(usize, &str)> = line.unicode_word_indices().collect();
    let lower: Vec<String> = places
        .iter()
        .map(|(_, word)| word.to_lowercase().replace('’', "'"))
        .collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    let after = |index: usize| {
        let (start, word) = places[index];
        &line[start + word.len()..]
    };
    let content = content_of(&words, |index| {
        after(index).starts_with([',', '!', ';', ':', '-', '.'])
    });
    if content.is_empty() {
        return String::new();
    }
    let from = if content.start == 0 {
        0
    } else {
        places[content.start].0
    };
    // What closes the sentence stays if courtesy does not: a question mark, a bracket.
    let to = if content.end == words.len() {
        line.len()
    } else {
        line.len() - after(content.end - 1).len()
    };
    line[from..to].trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_what_was_asked_first() {
        for (message, expected) in [
            ("a dancer from Mumbai. She must sing.", "A dancer from Mumbai"),
            ("Hi! Could you please find me a warm mother?", "A warm mother?"),
            ("hello, i need someone younger, thanks", "Someone younger"),
            ("Hello dolly musical cast", "Hello dolly musical cast"),
            ("«Sholay» fans\nsecond line", "«Sholay» fans"),
            ("éclair chef", "Éclair chef"),
            ("", "Conversation"),
            (" \n\t ", "Conversation"),
            ("🙂", "🙂"),
            ("hello", "Hello"),
            ("# Heading\u{0}\u{202E}x", "Heading x"),
            (
                "a tall swordfighter for a period film about the wars of the Deccan in which",
                "A tall swordfighter for a period film about the wars of...",
            ),
        ] {
            assert_eq!(title(message), expected, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn titles_are_short_lines(message in any::<String>()) {
            let title = title(&message);
            prop_assert!(!title.is_empty() && title.chars().count() <= MAX_TITLE_CHARS);
            prop_assert!(!title.chars().any(char::is_control));
        }
    }
}
