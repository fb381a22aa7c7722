//! Words of a message, and which of them carry content.

use unicode_segmentation::UnicodeSegmentation;

/// How much of a message is analysed, in bytes: a request is stated at its start, and a pasted document of a
/// megabyte must not cost more than its head.
const MAX_ANALYSED_BYTES: usize = 4_000;

/// The head of a text that analysis looks at, cut at a character boundary.
pub(super) fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ANALYSED_BYTES)]
}

/// The words of the text's head in lower case, by Unicode's word boundaries (UAX 29); a typographic apostrophe
/// counts as a plain one.
pub(super) fn words(text: &str) -> Vec<String> {
    head(text)
        .unicode_words()
        .map(|word| word.to_lowercase().replace('’', "'"))
        .collect()
}

/// Words that hold a sentence together or ask for something, but do not say for what.
const FUNCTION_WORDS: &[&str] = &[
    "a",
    "about",
    "again",
    "all",
    "also",
    "am",
    "an",
    "and",
    "another",
    "any",
    "anybody",
    "anyone",
    "are",
    "as",
    "at",
    "be",
    "been",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "else",
    "find",
    "for",
    "from",
    "get",
    "give",
    "had",
    "has",
    "have",
    "he",
    "hello",
    "her",
    "hers",
    "hey",
    "hi",
    "him",
    "his",
    "how",
    "i",
    "i'd",
    "i'm",
    "if",
    "in",
    "instead",
    "is",
    "it",
    "its",
    "just",
    "kindly",
    "let",
    "like",
    "list",
    "look",
    "looking",
    "may",
    "me",
    "might",
    "more",
    "much",
    "must",
    "my",
    "need",
    "next",
    "no",
    "not",
    "now",
    "of",
    "ok",
    "okay",
    "on",
    "one",
    "ones",
    "only",
    "or",
    "other",
    "others",
    "our",
    "please",
    "same",
    "search",
    "see",
    "she",
    "should",
    "show",
    "so",
    "some",
    "somebody",
    "someone",
    "something",
    "tell",
    "than",
    "thank",
    "thanks",
    "that",
    "that's",
    "the",
    "their",
    "theirs",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "too",
    "under",
    "us",
    "very",
    "want",
    "was",
    "we",
    "were",
    "what",
    "what's",
    "when",
    "where",
    "which",
    "who",
    "whom",
    "whose",
    "why",
    "will",
    "with",
    "without",
    "would",
    "yes",
    "you",
    "your",
];

/// Whether a word (in lower case) says something about what is wanted.
pub(super) fn is_content(word: &str) -> bool {
    FUNCTION_WORDS.binary_search(&word).is_err()
}

/// Words that a pronoun later in the sentence can stand for, though they have no content of their own.
pub(super) fn is_antecedent(word: &str) -> bool {
    is_content(word) || matches!(word, "someone" | "somebody" | "anyone" | "anybody" | "something")
}

/// English endings, of which the first that fits is cut off.
const ENDINGS: &[&str] = &[
    "ings", "ing", "ers", "er", "ors", "or", "ies", "ied", "ed", "es", "s", "e", "y",
];

/// Whether two words in lower case are forms of one word: equal once an English ending is cut off.
///
/// Rougher than the stemmer of full-text search, and enough to choose a sentence to quote: dance, dancer and dancing
/// agree, common and comment do not.
pub(super) fn same_stem(a: &str, b: &str) -> bool {
    a == b || stem(a) == stem(b)
}

/// The word without its ending, if at least three letters remain.
fn stem(word: &str) -> &str {
    if word.ends_with("ss") {
        return word;
    }
    ENDINGS
        .iter()
        .filter_map(|ending| word.strip_suffix(ending))
        .find(|stem| stem.len() >= 3)
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_binary_search() {
        assert!(FUNCTION_WORDS.is_sorted());
    }

    #[test]
    fn words_are_those_of_unicode() {
        assert_eq!(
            words("She isn’t in Mumbai, right?"),
            ["she", "isn't", "in", "mumbai", "right"]
        );
        assert!(words("🙂 … !!").is_empty());
        assert_eq!(words("ÉCOLE straße"), ["école", "straße"]);
        assert_eq!(words(&"é".repeat(500_000))[0].chars().count(), 2_000);
    }

    #[test]
    fn stems_join_forms_and_keep_words_apart() {
        for (a, b, same) in [
            ("dance", "dancing", true),
            ("dancer", "dancing", true),
            ("speaks", "speaker", true),
            ("actors", "acting", true),
            ("cat", "cats", true),
            ("class", "classes", true),
            ("stories", "story", true),
            ("common", "comment", false),
            ("sing", "ring", false),
            ("her", "hers", true),
            ("हिन्दी", "हिन्दी", true),
            ("", "s", false),
        ] {
            assert_eq!(same_stem(a, b), same, "{a} {b}");
        }
    }
}
