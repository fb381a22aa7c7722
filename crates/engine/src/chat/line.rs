//! Text from rows and messages made safe to show: one line, bounded, no markup that a client would act on.

pub(super) const MAX_LABEL_CHARS: usize = 80;

/// Folds text to one line of at most `max_chars` characters, marking a cut with `...`.
///
/// White space and control characters become single spaces. Direction overrides, which could make the rest of a
/// reply read backwards, are dropped; marks and joiners that right-to-left scripts and emoji need stay. Markdown
/// that starts a block, code or emphasis is dropped and links are taken apart, so that a row can neither shout nor
/// make a client that renders Markdown load an image.
pub(super) fn fold(text: &str, max_chars: usize) -> String {
    let mut folded = String::new();
    let mut length = 0;
    let mut pending_space = false;
    for character in without_block_marker(text).chars() {
        if character.is_whitespace() || character.is_control() {
            pending_space = length > 0;
            continue;
        }
        if is_direction_override(character) || character == '`' {
            continue;
        }
        if character == '*' && folded.ends_with('*') && !pending_space {
            folded.pop();
            length -= 1;
            continue;
        }
        // "](" is what makes a link or an image of two brackets.
        let splits_link = character == '(' && folded.ends_with(']') && !pending_space;
        if (pending_space || splits_link) && length > 0 {
            folded.push(' ');
            length += 1;
        }
        pending_space = false;
        if length >= max_chars {
            return cut(&folded, max_chars);
        }
        folded.push(character);
        length += 1;
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Drops `#`, `>`, `-` and the like where white space follows: `# Title` is markup, `#1` and `-5` are values.
fn without_block_marker(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let after = rest.trim_start_matches(['#', '>', '*', '+', '-']);
        if after.len() == rest.len() || !after.starts_with(char::is_whitespace) {
            return rest;
        }
        rest = after.trim_start();
    }
}

/// Shortens at a word boundary where there is one in the last third.
fn cut(text: &str, max_chars: usize) -> String {
    if max_chars < 4 {
        return text.chars().take(max_chars).collect();
    }
    let kept: String = text.chars().take(max_chars.saturating_sub(3)).collect();
    let head = match kept.rfind(' ') {
        Some(space) if space * 3 > kept.len() * 2 => &kept[..space],
        _ => kept.as_str(),
    };
    format!("{}...", head.trim_end_matches([' ', ',', ';', ':']))
}

fn is_direction_override(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A list in words: `a`, `a and b`, `a, b and c`.
pub(super) fn listed(texts: &[String], conjunction: &str) -> String {
    match texts {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} {conjunction} {last}", head.join(", ")),
    }
}

/// Text with its first letter in upper case.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_to_one_bounded_line() {
        for (text, max_chars, expected) in [
            ("", 10, ""),
            ("  two\r\n\tlines\u{0}\u{7} ", 20, "two lines"),
            ("# Title\n\n* item", 40, "Title * item"),
            ("> > - quoted", 40, "quoted"),
            ("-5 degrees", 40, "-5 degrees"),
            ("#1 dancer", 40, "#1 dancer"),
            ("abc", 2, "ab"),
            ("**bold** and `code`", 40, "bold and code"),
            ("![x](http://evil/?q)", 40, "![x] (http://evil/?q)"),
            ("safe\u{202E}gnp.exe", 40, "safegnp.exe"),
            ("שלום עולם", 40, "שלום עולם"),
            ("👩‍👩‍👧 family", 40, "👩‍👩‍👧 family"),
            ("one two three four five", 17, "one two three..."),
            ("abcdefghijklmnop", 10, "abcdefg..."),
            ("exactly10!", 10, "exactly10!"),
        ] {
            assert_eq!(fold(text, max_chars), expected, "{text:?}");
        }
        let huge = "word ".repeat(200_000);
        assert!(fold(&huge, 100).chars().count() <= 100);
    }

    #[test]
    fn lists_read_as_english() {
        let texts = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(listed(&texts(0), "and"), "");
        assert_eq!(listed(&texts(1), "and"), "0");
        assert_eq!(listed(&texts(3), "or"), "0, 1 or 2");
        assert_eq!(capitalised("éa"), "Éa");
    }
}
