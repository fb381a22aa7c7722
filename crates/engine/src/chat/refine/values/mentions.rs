//! Where a message mentions values of the table.

use std::collections::{HashMap, HashSet};

use unicode_segmentation::UnicodeSegmentation;

use super::super::columns::name_words;
use super::super::is_negation;
use super::KnownValues;
use super::lexicon::{is_joiner, is_link};
use crate::chat::words::{is_content, same_stem};

/// A value with more characters or words is a text, which nobody repeats word by word.
const MAX_VALUE_BYTES: usize = 200;
const MAX_VALUE_WORDS: usize = 8;

/// What separates a word from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Break {
    None,
    Comma,
    Stop,
}

/// A word or symbol of a text, in lower case, with its place in bytes.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub text: String,
    pub start: usize,
    pub end: usize,
    pub break_before: Break,
    /// Whether it stands right beside the one before, as the signs of "C++" do.
    pub is_glued: bool,
}

/// Values of one column mentioned together.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The tokens from and to.
    pub start: usize,
    pub end: usize,
    /// The index of the column, one beyond the last if several know the value.
    pub column: usize,
    pub values: Vec<String>,
    /// Whether they are joined by "or".
    pub is_choice: bool,
}

/// The words and symbols of a text. Hyphens, underscores and quotes separate words without breaking a clause.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut break_before = Break::None;
    for (start, segment) in text.split_word_bound_indices() {
        if segment.chars().any(char::is_alphanumeric) {
            let mut place = start;
            for part in segment.split_inclusive('_') {
                let word = part.trim_end_matches('_');
                if !word.is_empty() {
                    tokens.push(Token {
                        text: word.to_lowercase().replace('’', "'"),
                        start: place,
                        end: place + word.len(),
                        break_before,
                        is_glued: tokens.last().is_some_and(|last| last.end == place),
                    });
                    break_before = Break::None;
                }
                place += part.len();
            }
            continue;
        }
        match segment {
            "," => break_before = break_before.max(Break::Comma),
            "." | ";" | ":" | "!" | "?" | "(" | ")" | "–" | "—" | "…" => break_before = Break::Stop,
            _ if segment.contains('\n') => break_before = Break::Stop,
            "-" | "_" | "\"" | "'" | "“" | "”" | "‘" | "’" => {}
            _ if segment.chars().all(|c| c.is_whitespace() || c.is_control()) => {}
            symbol => {
                tokens.push(Token {
                    text: symbol.to_owned(),
                    start,
                    end: start + symbol.len(),
                    break_before,
                    is_glued: tokens.last().is_some_and(|last| last.end == start),
                });
                break_before = Break::None;
            }
        }
    }
    tokens
}

/// A value's words, and where it comes from.
struct Candidate<'a> {
    words: Vec<Token>,
    column: usize,
    value: &'a str,
}

/// The groups of values mentioned, in the message's order.
pub(super) fn groups(tokens: &[Token], known: &[KnownValues]) -> Vec<Group> {
    let candidates = candidates(tokens, known);
    let mut groups: Vec<Group> = Vec::new();
    let mut position = 0;
    while position < tokens.len() {
        let Some(mention) = mention_at(position, tokens, &candidates, known) else {
            position += 1;
            continue;
        };
        position = mention.end;
        let joined = groups.last_mut().and_then(|last| {
            let is_choice = joins(last, &mention, tokens)?;
            Some((last, is_choice))
        });
        match joined {
            Some((last, is_choice)) => {
                last.end = mention.end;
                last.is_choice |= is_choice;
                for value in mention.values {
                    if !last.values.contains(&value) {
                        last.values.push(value);
                    }
                }
            }
            None => groups.push(mention),
        }
    }
    groups
}

/// The values that could occur, by their first word.
fn candidates<'a>(tokens: &[Token], known: &'a [KnownValues]) -> HashMap<String, Vec<Candidate<'a>>> {
    let said: HashSet<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let mut candidates: HashMap<String, Vec<Candidate>> = HashMap::new();
    for (column, values) in known.iter().enumerate() {
        for value in values
            .values
            .iter()
            .filter(|value| value.len() <= MAX_VALUE_BYTES)
        {
            let words = self::tokens(value);
            let Some(first) = words.first() else { continue };
            let is_mere_function_word = words.len() == 1 && !is_content(&first.text);
            let may_occur = words.len() <= MAX_VALUE_WORDS && said.contains(first.text.as_str());
            if !is_mere_function_word && may_occur {
                candidates
                    .entry(first.text.clone())
                    .or_default()
                    .push(Candidate { words, column, value });
            }
        }
    }
    candidates
}

/// The longest value that starts at a token.
fn mention_at(
    position: usize,
    tokens: &[Token],
    candidates: &HashMap<String, Vec<Candidate>>,
    known: &[KnownValues],
) -> Option<Group> {
    let rest = &tokens[position..];
    let matching: Vec<&Candidate> = candidates
        .get(&rest.first()?.text)?
        .iter()
        .filter(|candidate| starts_with(rest, &candidate.words))
        .collect();
    let length = matching.iter().map(|candidate| candidate.words.len()).max()?;
    let longest: Vec<&&Candidate> = matching
        .iter()
        .filter(|candidate| candidate.words.len() == length)
        .collect();
    let end = position + length;
    let mut columns: Vec<usize> = longest.iter().map(|candidate| candidate.column).collect();
    columns.dedup();
    if columns.len() > 1 {
        let others = || tokens[..position].iter().chain(&tokens[end..]);
        columns.retain(|&column| others().any(|token| points_at(&token.text, &known[column].column)));
    }
    let column = match columns.as_slice() {
        [only] => *only,
        _ => known.len(),
    };
    // Spellings that differ in case alone are all meant.
    let values: Vec<String> = longest
        .iter()
        .filter(|candidate| candidate.column == column)
        .map(|candidate| candidate.value.to_owned())
        .collect();
    Some(Group {
        start: position,
        end,
        column,
        is_choice: values.len() > 1,
        values,
    })
}

fn starts_with(tokens: &[Token], words: &[Token]) -> bool {
    let agrees = |(token, word): (&Token, &Token)| {
        token.text == word.text && (token.break_before == word.break_before || word.start == 0)
    };
    let is_symbol = |token: &Token| !token.text.chars().any(char::is_alphanumeric);
    tokens.len() >= words.len()
        && tokens.iter().zip(words).all(agrees)
        // "C" is not mentioned in "C++".
        && tokens.get(words.len()).is_none_or(|next| !next.is_glued || !is_symbol(next) || next.text == "/")
}

/// Whether a word of the message names the column. The "in" of `shot_in` does not.
pub(super) fn names(word: &str, column: &str) -> bool {
    is_content(word) && name_words(column).iter().any(|name| same_stem(name, word))
}

/// Whether a word of the message points at the column: it names it, or is a verb for what it holds.
fn points_at(word: &str, column: &str) -> bool {
    let speaks = matches!(word, "speak" | "speaks" | "speaking" | "spoken" | "fluent");
    names(word, column) || (speaks && names("language", column))
}

/// Whether a mention belongs to the group before it, and if so whether as an alternative.
fn joins(last: &Group, mention: &Group, tokens: &[Token]) -> Option<bool> {
    let between = &tokens[last.end..mention.start];
    let until = &tokens[last.end..=mention.start];
    if last.column != mention.column || until.iter().any(|token| token.break_before == Break::Stop) {
        return None;
    }
    let (joiner, links) = match between {
        [joiner, links @ ..] if is_joiner(&joiner.text) => (Some(joiner), links),
        links => (None, links),
    };
    let has_comma = until.iter().any(|token| token.break_before == Break::Comma);
    // "Not Pune, Mumbai" may mean either; "not Pune, Mumbai or Delhi" excludes all.
    let goes_on = || {
        tokens
            .get(mention.end)
            .is_some_and(|next| is_joiner(&next.text) || next.break_before == Break::Comma)
    };
    let is_in_doubt = joiner.is_none() && is_negated(last.start, tokens) && !goes_on();
    let joined = (joiner.is_some() || has_comma)
        && !is_in_doubt
        && links.len() <= 2
        && links.iter().all(|token| is_link(&token.text));
    joined.then(|| joiner.is_some_and(|joiner| matches!(joiner.text.as_str(), "or" | "/")))
}

/// Whether a negation stands right before, but for words that link.
fn is_negated(start: usize, tokens: &[Token]) -> bool {
    let joined = tokens[..start]
        .iter()
        .zip(&tokens[1..=start])
        .rev()
        .take_while(|(_, next)| next.break_before == Break::None);
    joined
        .map(|(token, _)| token.text.as_str())
        .find(|word| !is_link(word))
        .is_some_and(is_negation)
}
