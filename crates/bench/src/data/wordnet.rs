//! WordNet's data files: one line per synset, its lemmas and its gloss. Format: wndb(5WN).
//!
//! `offset lex_filenum ss_type w_cnt word lex_id [word lex_id…] p_cnt pointers… | gloss`, where `w_cnt` is hexadecimal,
//! words have underscores for blanks and adjectives may end in a marker of their position, `(a)`, `(p)` or `(ip)`.

use std::path::Path;

use crate::Error;

/// The data files, in the order in which they are read.
pub(crate) const FILES: [&str; 4] = ["data.noun", "data.verb", "data.adj", "data.adv"];

/// The files that WordNet is written in, by their number: part of speech and subject (lexnames(5WN)).
pub(crate) const CATEGORIES: [&str; 45] = [
    "adj.all",
    "adj.pert",
    "adv.all",
    "noun.Tops",
    "noun.act",
    "noun.animal",
    "noun.artifact",
    "noun.attribute",
    "noun.body",
    "noun.cognition",
    "noun.communication",
    "noun.event",
    "noun.feeling",
    "noun.food",
    "noun.group",
    "noun.location",
    "noun.motive",
    "noun.object",
    "noun.person",
    "noun.phenomenon",
    "noun.plant",
    "noun.possession",
    "noun.process",
    "noun.quantity",
    "noun.relation",
    "noun.shape",
    "noun.state",
    "noun.substance",
    "noun.time",
    "verb.body",
    "verb.change",
    "verb.cognition",
    "verb.communication",
    "verb.competition",
    "verb.consumption",
    "verb.contact",
    "verb.creation",
    "verb.emotion",
    "verb.motion",
    "verb.perception",
    "verb.possession",
    "verb.social",
    "verb.stative",
    "verb.weather",
    "adj.ppl",
];

/// A meaning and the words that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synset {
    /// Its words, joined by ", ".
    pub(crate) lemmas: String,
    /// Definition and examples.
    pub(crate) gloss: String,
    /// One of [`CATEGORIES`].
    pub(crate) category: &'static str,
}

impl Synset {
    /// "lemma, lemma: gloss".
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.lemmas, self.gloss)
    }
}

/// All synsets of the files in `folder`.
pub(crate) fn read(folder: &Path) -> Result<Vec<Synset>, Error> {
    let mut synsets = Vec::new();
    for name in FILES {
        let file = folder.join(name);
        let content = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error} (Debian package wordnet-base)", file.display()))?;
        for (number, line) in content.lines().enumerate() {
            // The licence at the head is indented.
            if line.starts_with("  ") || line.is_empty() {
                continue;
            }
            let synset =
                parse(line).ok_or_else(|| format!("{}:{}: not a synset", file.display(), number + 1))?;
            synsets.push(synset);
        }
    }
    Ok(synsets)
}

fn parse(line: &str) -> Option<Synset> {
    let (head, gloss) = line.split_once(" | ")?;
    let mut fields = head.split(' ').skip(1);
    let category = CATEGORIES.get(fields.next()?.parse::<usize>().ok()?)?;
    let mut fields = fields.skip(1);
    let count = usize::from_str_radix(fields.next()?, 16).ok()?;
    let mut lemmas = String::new();
    for position in 0..count {
        let word = fields.next()?;
        let _lexical_id = fields.next()?;
        if position > 0 {
            lemmas.push_str(", ");
        }
        lemmas.push_str(&without_marker(word).replace('_', " "));
    }
    (count > 0).then(|| Synset {
        lemmas,
        gloss: gloss.trim().to_owned(),
        category,
    })
}

fn without_marker(word: &str) -> &str {
    ["(a)", "(p)", "(ip)"]
        .iter()
        .find_map(|marker| word.strip_suffix(marker))
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{FILES, parse, read};
    use crate::scratch::Folder;

    const NOUN: &str = "00001930 03 n 01 physical_entity 0 007 @ 00001740 n 0000 ~ 00002452 n 0000 | an entity that has \
        physical existence  ";
    const ADJECTIVE: &str = "00003939 00 a 03 ready_to_hand(p) 0 A_(b) 2 afloat(ip) 1 001 & 00003553 a 0000 | at hand; \
        \"kept | within reach\"";

    #[test]
    fn a_line_gives_its_words_and_its_gloss() {
        let synset = parse(NOUN).unwrap();
        assert_eq!(
            synset.text(),
            "physical entity: an entity that has physical existence"
        );
        assert_eq!(synset.category, "noun.Tops");
        let synset = parse(ADJECTIVE).unwrap();
        assert_eq!(synset.lemmas, "ready to hand, A (b), afloat");
        assert_eq!(synset.gloss, "at hand; \"kept | within reach\"");
    }

    #[test]
    fn the_number_of_words_is_hexadecimal() {
        let words: Vec<String> = (0..17).map(|index| format!("w{index} 0")).collect();
        let synset = parse(&format!("1 00 n 11 {} 000 | gloss", words.join(" "))).unwrap();
        assert_eq!(synset.lemmas.split(", ").count(), 17);
    }

    #[test]
    fn a_line_that_is_cut_is_no_synset() {
        for line in [
            "",
            "00001930 03 n 01",
            "1 00 n 02 one 0 | gloss",
            "1 00 n xx w 0 | g",
            "1 00 n 00 | g",
            "1 45 n 01 one 0 | g",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn files_are_read_without_their_licence() {
        let folder = Folder::new("wordnet");
        for name in FILES {
            std::fs::write(
                folder.path().join(name),
                format!("  1 licence | of it  \n{NOUN}\n{ADJECTIVE}\n"),
            )
            .unwrap();
        }
        assert_eq!(read(folder.path()).unwrap().len(), 8);
        std::fs::write(folder.path().join("data.adv"), "oops\n").unwrap();
        assert!(
            read(folder.path())
                .unwrap_err()
                .to_string()
                .contains("data.adv:1")
        );
    }
}
