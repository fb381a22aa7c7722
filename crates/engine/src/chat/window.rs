//! The part of a conversation that a model gets to see.

use std::ops::Range;

use super::{Message, Role};

/// The newest messages that fit, as a range of `messages` (oldest first).
///
/// Works by turns: a user's message with all that follows up to the next one. A turn is taken whole or not at all,
/// so that no reply is shown without its question; messages before the first user's message are never taken. Both
/// limits hold always: if even the newest turn exceeds one, the range is empty (and stands at the end). Looks at no
/// more messages than the window can hold plus one, whatever the length of the history.
pub fn select(messages: &[Message], max_messages: usize, max_tokens: usize) -> Range<usize> {
    let end = messages.len();
    let mut start = end;
    let mut tokens: usize = 0;
    for (index, message) in messages.iter().enumerate().rev() {
        tokens = tokens.saturating_add(message.tokens);
        if end - index > max_messages || tokens > max_tokens {
            break;
        }
        if message.role == Role::User {
            start = index;
        }
    }
    start..end
}

/// Estimates how many tokens a text is for a model whose tokenizer is not at hand.
///
/// Counts quarters of a token per character and rounds up: 1 for ASCII letters, digits and white space (English has
/// about four characters to a token), 2 for ASCII punctuation and for Latin, Greek and Cyrillic letters beyond
/// ASCII, 4 for Han, kana, hangul and every other script, 8 beyond the basic multilingual plane (emoji). Byte-pair
/// tokenizers trained on much English behave so; the estimate errs on the high side, so that a window chosen by it
/// fits. Empty text is 0.
pub fn estimate_tokens(text: &str) -> usize {
    let quarters = text.chars().fold(0_usize, |sum, character| {
        sum.saturating_add(quarter_tokens(character))
    });
    quarters.div_ceil(4)
}

fn quarter_tokens(character: char) -> usize {
    match character {
        c if c.is_ascii_punctuation() => 2,
        '\u{0}'..='\u{7F}' => 1,
        '\u{80}'..='\u{52F}' => 2,
        '\u{530}'..='\u{FFFF}' => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// u, a and s with one token each.
    fn conversation(roles: &str) -> Vec<Message> {
        roles
            .chars()
            .map(|role| Message {
                role: match role {
                    'u' => Role::User,
                    'a' => Role::Assistant,
                    _ => Role::System,
                },
                content: String::new(),
                tokens: 1,
            })
            .collect()
    }

    #[test]
    fn takes_whole_turns_from_the_end() {
        for (roles, max_messages, max_tokens, expected) in [
            ("", 10, 10, 0..0),
            ("ua", 10, 10, 0..2),
            ("uauaua", 4, 100, 2..6),
            ("uauaua", 3, 100, 4..6),
            ("uauaua", 5, 100, 2..6),
            ("uauaua", 100, 3, 4..6),
            ("uauau", 2, 100, 4..5),
            ("uauau", 3, 100, 2..5),
            ("uaaua", 4, 100, 3..5),
            ("aaua", 10, 100, 2..4),
            ("sua", 10, 100, 1..3),
            ("aaa", 10, 100, 3..3),
            ("ua", 1, 100, 2..2),
            ("ua", 0, 100, 2..2),
            ("ua", 10, 0, 2..2),
        ] {
            assert_eq!(
                select(&conversation(roles), max_messages, max_tokens),
                expected,
                "{roles} {max_messages} {max_tokens}"
            );
        }
    }

    #[test]
    fn a_huge_token_count_does_not_overflow() {
        let mut messages = conversation("uaua");
        messages[0].tokens = usize::MAX;
        messages[1].tokens = usize::MAX;
        assert_eq!(select(&messages, 10, usize::MAX - 1), 2..4);
    }

    #[test]
    fn estimates_by_script() {
        for (text, tokens) in [
            ("", 0),
            ("a", 1),
            ("The quick brown fox jumps", 7),
            ("Привет, мир", 6),
            ("こんにちは", 5),
            ("हिन्दी", 6),
            ("🙂", 2),
        ] {
            assert_eq!(estimate_tokens(text), tokens, "{text}");
        }
        assert_eq!(estimate_tokens(&"a".repeat(1 << 20)), 1 << 18);
    }
}
