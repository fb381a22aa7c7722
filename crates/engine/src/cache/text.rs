//! The form of a text that its embedding depends on.

use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The text in Unicode normalisation form C (UAX #15), without outer white space.
///
/// The model sees this form, so that texts that differ in nothing else have one embedding and one entry of the cache.
pub fn normalize(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::normalize;
    use proptest::prelude::*;
    use std::borrow::Cow;

    #[test]
    fn composed_and_decomposed_letters_are_one_text() {
        assert_eq!(normalize("  cafe\u{301}\n"), "café");
        assert_eq!(normalize("café"), "café");
        assert!(matches!(normalize(" plain "), Cow::Borrowed("plain")));
        assert_eq!(normalize("\u{3000}"), "");
        // Inner white space and case are the text's own.
        assert_eq!(normalize("a  B"), "a  B");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = normalize(&text).into_owned();
            prop_assert_eq!(&normalize(&once), &once);
        }
    }
}
