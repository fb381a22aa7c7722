//! Texts before they are reduced to lexemes: long ones in pieces, queries in the words as they are written.

use std::collections::HashSet;

/// Parts of a query that are looked at; nobody reads more.
const MAX_PARTS: usize = 4096;
/// Longest part in bytes: longer than any lexeme.
const MAX_PART_BYTES: usize = 2046;

/// Longest piece of a text in bytes: what is reduced at once, in some 30 ms and 10 MB of memory.
const MAX_PIECE_BYTES: usize = 1 << 18;

/// A text in pieces that end at blanks, where there are any.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(piece_end(rest));
        rest = after;
        Some(piece)
    })
}

fn piece_end(text: &str) -> usize {
    if text.len() <= MAX_PIECE_BYTES {
        return text.len();
    }
    let end = text.floor_char_boundary(MAX_PIECE_BYTES);
    let blank = text.get(..end).and_then(|text| text.rfind(char::is_whitespace));
    blank.filter(|&blank| blank > MAX_PIECE_BYTES / 2).unwrap_or(end)
}

/// The distinct words of a text in their order, each a run of letters, digits and marks; after them what stands between blanks, where
/// that is more than a word: a text search configuration may take "stand-up" or an address for one.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !is_word(c));
    let chunks = text
        .split_whitespace()
        .map(|chunk| chunk.trim_matches(|c: char| !is_word(c)))
        .filter(|chunk| chunk.contains(|c: char| !is_word(c)));
    let mut seen = HashSet::new();
    words
        .chain(chunks)
        .filter(|part| !part.is_empty() && part.len() <= MAX_PART_BYTES)
        .filter(move |part| seen.insert(*part))
        .take(MAX_PARTS)
}

/// Marks belong to the letter before them.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || unicode_normalization::char::is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::{MAX_PARTS, MAX_PIECE_BYTES, parts, pieces};

    #[test]
    fn pieces_are_the_text_cut_at_blanks() {
        let text = "mother ".repeat(100_000);
        let cut: Vec<&str> = pieces(&text).collect();
        assert!(cut.len() > 2);
        assert!(cut.iter().all(|piece| piece.len() <= MAX_PIECE_BYTES));
        assert!(cut.iter().skip(1).all(|piece| piece.starts_with(' ')));
        assert_eq!(cut.concat(), text);
        let unbroken = "ü".repeat(MAX_PIECE_BYTES);
        assert_eq!(pieces(&unbroken).collect::<String>(), unbroken);
        assert_eq!(pieces("").count(), 0);
    }

    #[test]
    fn words_come_before_what_is_made_of_them() {
        let found: Vec<&str> = parts("Stand-up comedian, \"warm\" (don't) comedian! हिन्दी").collect();
        let expected = [
            "Stand",
            "up",
            "comedian",
            "warm",
            "don",
            "t",
            "हिन्दी",
            "Stand-up",
            "don't",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_but_signs_has_no_words() {
        assert_eq!(parts(" -- ' & | ! () <-> \u{0}").count(), 0);
    }

    #[test]
    fn long_texts_are_cut() {
        let text: String = (0..100_000).map(|number| format!("{number} ")).collect();
        assert_eq!(parts(&text).count(), MAX_PARTS);
        assert_eq!(parts(&"x".repeat(100_000)).count(), 0);
    }
}
