//! Fences around data in a prompt, and text made unable to close them.

use serde::Serialize;

use crate::chat::window::estimate_tokens;
use crate::chat::{Message, Role};

/// The names of the fences that prompts use.
const NAMES: [&str; 3] = ["rows", "summary", "conversation"];

/// A stored message as a line of a fence.
#[derive(Serialize)]
pub(in crate::chat) struct MessageLine<'a> {
    role: Role,
    content: &'a str,
}

impl<'a> MessageLine<'a> {
    pub(in crate::chat) fn of(message: &'a Message) -> Self {
        Self {
            role: message.role,
            content: &message.content,
        }
    }
}

/// A value as a line of JSON in which nothing can open or close a fence, or pass for a marker that models use between
/// messages: `<` and the bracket of `[INST]` are written as escapes, and JSON has no line breaks inside strings.
pub(in crate::chat) fn line(value: &impl Serialize) -> String {
    // Serialising maps with string keys cannot fail; an empty line is what could be told if it did.
    let json = serde_json::to_string(value).unwrap_or_default();
    format!("{}\n", escaped(&json))
}

/// Text of several lines inside a fence, without JSON around it: `<` is written as in JSON.
pub(in crate::chat) fn text(text: &str) -> String {
    escaped(text.trim())
}

fn escaped(text: &str) -> String {
    text.replace('<', "\\u003c")
        .replace("[INST", "\\u005bINST")
        .replace("[/INST", "\\u005b/INST")
}

/// The fence of that name around lines.
pub(in crate::chat) fn block(name: &str, lines: &str) -> String {
    let separator = if lines.is_empty() || lines.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("<{name}>\n{lines}{separator}</{name}>")
}

/// The longest head of a text that is no more than `max_tokens` tokens.
pub(in crate::chat) fn cut_to(text: &str, max_tokens: usize) -> &str {
    if estimate_tokens(text) <= max_tokens {
        return text;
    }
    let (mut fits, mut over) = (0, text.len());
    while over - fits > 1 {
        let middle = text.floor_char_boundary(fits + (over - fits) / 2);
        if middle <= fits {
            break;
        }
        if estimate_tokens(&text[..middle]) <= max_tokens {
            fits = middle;
        } else {
            over = middle;
        }
    }
    &text[..fits]
}

/// A message's own text, which is told as it is but for what would read as a fence or as a marker between messages:
/// there `<` becomes `‹`, and the bracket of `[INST]` a round one.
pub(in crate::chat) fn disarmed(text: &str) -> String {
    if !text.contains(['<', '[']) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for (position, character) in text.char_indices() {
        let rest = &text[position + character.len_utf8()..];
        safe.push(match character {
            '<' if is_marker(rest) => '‹',
            '[' if starts_with(rest.trim_start_matches('/'), "inst") => '(',
            other => other,
        });
    }
    safe
}

/// Whether what follows a `<` makes it a fence (`</ rows>`) or a marker of a chat template (`<|im_start|>`, `<<SYS>>`,
/// `<start_of_turn>`, `<s>`).
fn is_marker(rest: &str) -> bool {
    let name = rest.trim_start_matches(|c: char| c == '/' || c.is_whitespace());
    rest.starts_with('|')
        || rest.starts_with('｜')
        || NAMES.iter().any(|fence| starts_with(name, fence))
        || ["<sys", "sys>", "start_of_turn", "end_of_turn", "s>"]
            .iter()
            .any(|marker| starts_with(name, marker))
}

fn starts_with(text: &str, wanted: &str) -> bool {
    text.get(..wanted.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(wanted))
}
