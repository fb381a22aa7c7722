//! The sentence of a text that fits a query best.

use unicode_segmentation::UnicodeSegmentation;

use super::line::fold;
use super::words::{same_stem, words};

/// How much of a text is searched, in bytes, and how long a sentence is shown, in characters.
const MAX_SEARCHED_BYTES: usize = 64 * 1024;
const MAX_SENTENCE_CHARS: usize = 200;

/// The sentence with the most of the terms, as one line of at most 200 characters.
///
/// A term counts once, in any form that shares its stem ("dance", "dancing"). Of equal sentences the first wins, so
/// without terms the text's first sentence is returned. `None` if the text has no words. Only the first 64 KiB are
/// searched.
pub fn best_sentence(content: &str, terms: &[String]) -> Option<String> {
    let searched = &content[..content.floor_char_boundary(MAX_SEARCHED_BYTES)];
    let terms: Vec<String> = terms.iter().map(|term| term.to_lowercase()).collect();
    let mut best: Option<(usize, &str)> = None;
    // A line break ends a sentence: rows often hold headings and lists without full stops.
    for sentence in searched.lines().flat_map(UnicodeSegmentation::unicode_sentences) {
        let found = words(sentence);
        if found.is_empty() {
            continue;
        }
        let overlap = terms
            .iter()
            .filter(|term| found.iter().any(|word| same_stem(word, term)))
            .count();
        if best.is_none_or(|(most, _)| overlap > most) {
            best = Some((overlap, sentence));
        }
    }
    best.map(|(_, sentence)| fold(sentence, MAX_SENTENCE_CHARS))
        .filter(|sentence| !sentence.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::best_sentence;

    #[test]
    fn picks_the_sentence_with_most_terms() {
        let bio = "Asha was born in Pune. She dances Kathak and speaks Hindi. She likes tea.";
        for (content, terms, expected) in [
            (
                bio,
                vec!["dance", "hindi"],
                Some("She dances Kathak and speaks Hindi."),
            ),
            (bio, vec!["Pune"], Some("Asha was born in Pune.")),
            (bio, vec![], Some("Asha was born in Pune.")),
            (bio, vec!["astronaut"], Some("Asha was born in Pune.")),
            ("", vec!["a"], None),
            ("🙂🙂 …", vec!["a"], None),
            (
                "# Skills\n- Kathak\n- Fire **breathing**\n",
                vec!["fire"],
                Some("Fire breathing"),
            ),
            ("היא רוקדת. היא שרה.", vec!["שרה"], Some("היא שרה.")),
            ("她会跳舞。她住在孟买。", vec!["孟"], Some("她住在孟买。")),
        ] {
            let terms: Vec<String> = terms.into_iter().map(str::to_owned).collect();
            assert_eq!(best_sentence(content, &terms).as_deref(), expected, "{content}");
        }
    }

    #[test]
    fn a_huge_text_costs_its_head_and_gives_a_short_sentence() {
        let huge = "dance ".repeat(200_000);
        let sentence = best_sentence(&huge, &["dance".to_owned()]).unwrap();
        assert!(sentence.chars().count() <= 200);
        assert!(sentence.ends_with("..."));
    }
}
