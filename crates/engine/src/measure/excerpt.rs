//! Queries for a benchmark out of the texts that it searches.

/// Words of a query.
const WORDS: usize = 8;
/// Bytes of a text that are looked at.
const TEXT_BYTES: usize = 1 << 14;

/// Some words of a text that follow each other, the same ones each time for the same `seed`; `None` if it has none.
#[must_use]
pub fn of_text(text: &str, seed: u64) -> Option<String> {
    let text = text.get(..text.floor_char_boundary(TEXT_BYTES)).unwrap_or(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let starts = words.len().saturating_sub(WORDS).saturating_add(1) as u64;
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), seed);
    let start = usize::try_from(hash % starts).unwrap_or(0);
    let query: Vec<&str> = words.into_iter().skip(start).take(WORDS).collect();
    (!query.is_empty()).then(|| query.join(" "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const BIO: &str =
        "A stern police inspector who rides horses, speaks Marathi and\tcooks\nfor the whole station";

    #[test]
    fn words_follow_each_other_and_stay_the_same() {
        let query = of_text(BIO, 1).unwrap();
        assert_eq!(query.split(' ').count(), WORDS);
        let words = BIO.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&query), "{query}");
        assert_eq!(of_text(BIO, 1).as_ref(), Some(&query));
    }

    #[test]
    fn another_seed_takes_other_words() {
        let queries: std::collections::BTreeSet<_> = (0..50).filter_map(|seed| of_text(BIO, seed)).collect();
        assert!(queries.len() > 3, "{queries:?}");
    }

    #[test]
    fn a_short_text_is_taken_whole_and_an_empty_one_not() {
        assert_eq!(of_text(" two  words ", 3).as_deref(), Some("two words"));
        assert_eq!(of_text(" \n", 3), None);
    }
}
