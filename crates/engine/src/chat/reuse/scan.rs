//! A message as the words and signs that a comparison may not overlook.

use unicode_normalization::UnicodeNormalization;

use super::{numbers, tables};

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word in lower case that may be inflected.
    Plain,
    /// A word that has to be repeated as it is: in quotes, a name, with digits in it; or a sign such as `+`.
    Exact,
    /// A number in digits, without separators.
    Number,
    /// A number that names a place in an order: "3rd".
    Ordinal,
    /// Numbers that a name is for: "40s".
    Decade,
    /// Where a clause ends.
    Pause,
}

/// What stands before a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Break {
    None,
    Clause,
    Sentence,
}

/// A word or sign, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    pub kind: Kind,
    pub break_before: Break,
}

impl Word {
    fn new(text: impl Into<String>, kind: Kind) -> Self {
        Self {
            text: text.into(),
            kind,
            break_before: Break::None,
        }
    }

    pub(super) fn pause() -> Self {
        Self::new("", Kind::Pause)
    }

    pub(super) fn is_plain(&self) -> bool {
        self.kind == Kind::Plain
    }
}

/// The words and signs of a message.
///
/// Punctuation only breaks clauses and sentences; every other character that is no space counts, so that what this
/// scanner does not know cannot be overlooked.
pub(super) fn words(message: &str) -> Vec<Word> {
    // Not compatibility normalisation, which would make a 2 of a superscript.
    let text: Vec<char> = message.nfc().collect();
    let mut scanner = Scanner {
        tells_names: tells_names(&text),
        quotes_left: text.iter().filter(|c| **c == '"').count(),
        text,
        at: 0,
        words: Vec::new(),
        break_before: Break::Sentence,
        in_quotes: false,
    };
    while scanner.at < scanner.text.len() {
        scanner.step();
    }
    scanner.words
}

/// Whether capitals tell names: not where all words have them, or none but the first.
fn tells_names(text: &[char]) -> bool {
    text.iter().enumerate().any(|(index, c)| {
        c.is_lowercase()
            && !index
                .checked_sub(1)
                .and_then(|before| text.get(before))
                .is_some_and(|before| is_inner(*before))
    })
}

/// Whether a character continues a word.
fn is_inner(c: char) -> bool {
    c.is_alphanumeric() || c == '\'' || c == '’'
}

struct Scanner {
    text: Vec<char>,
    at: usize,
    words: Vec<Word>,
    break_before: Break,
    tells_names: bool,
    /// How many straight quotes have not been read: the last of an odd number opens nothing.
    quotes_left: usize,
    in_quotes: bool,
}

impl Scanner {
    fn peek(&self, offset: usize) -> Option<char> {
        self.text.get(self.at + offset).copied()
    }

    fn push(&mut self, text: impl Into<String>, kind: Kind) {
        let mut word = Word::new(text, kind);
        word.break_before = self.break_before;
        self.break_before = Break::None;
        self.words.push(word);
    }

    fn break_at_least(&mut self, kind: Break) {
        self.break_before = self.break_before.max(kind);
    }

    fn step(&mut self) {
        let Some(c) = self.peek(0) else { return };
        if c.is_alphanumeric() {
            self.run();
            return;
        }
        self.at += 1;
        let next = self.peek(0);
        let before = self.at.checked_sub(2).and_then(|at| self.text.get(at)).copied();
        let after_digit = before.is_some_and(|c| c.is_ascii_digit());
        let before_digit = next.is_some_and(|c| c.is_ascii_digit());
        match c {
            '.' if before_digit && before.is_none_or(|c| !is_inner(c)) => self.number("0."),
            '\n' | '.' | '!' | '?' | '。' | '؟' | '।' | '…' => self.break_at_least(Break::Sentence),
            _ if c.is_whitespace() || c.is_control() => {}
            '-' | '–' | '−'
                if before_digit && before.is_none_or(|c| !is_inner(c)) && !self.follows_number() =>
            {
                self.number("-");
            }
            '-' | '–' | '—' | '−' if self.follows_number() && self.number_follows() => {
                self.push("to", Kind::Plain)
            }
            '-' | '‐' | '‑' => {}
            '"' => {
                self.quotes_left = self.quotes_left.saturating_sub(1);
                if self.in_quotes {
                    self.in_quotes = false;
                } else if self.quotes_left > 0 {
                    self.in_quotes = true;
                } else if after_digit {
                    self.push("\"", Kind::Exact);
                }
            }
            '“' | '«' | '„' => self.in_quotes = true,
            '”' | '»' => self.in_quotes = false,
            '\'' | '’' | '′' | '″' if after_digit => self.push(c, Kind::Exact),
            ',' | ';' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '–' | '—' | '،' | '、' | '，' => {
                self.break_at_least(Break::Clause);
            }
            '\'' | '’' | '‘' | '`' | '·' | '•' | '¿' | '¡' => {}
            '&' => self.push("and", Kind::Plain),
            sign => self.push(sign, Kind::Exact),
        }
    }

    /// Whether a number stands before the sign just read, spaces aside.
    fn follows_number(&self) -> bool {
        self.text[..self.at - 1]
            .iter()
            .rev()
            .find(|c| !c.is_whitespace())
            .is_some_and(char::is_ascii_digit)
            && !self.stands_like_a_sign()
    }

    /// "10 -20": a space before and none after.
    fn stands_like_a_sign(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|at| self.text.get(at));
        before.is_some_and(|c| c.is_whitespace()) && self.peek(0).is_some_and(|c| !c.is_whitespace())
    }

    fn number_follows(&self) -> bool {
        self.text[self.at..]
            .iter()
            .find(|c| !c.is_whitespace())
            .is_some_and(char::is_ascii_digit)
    }

    /// A run of letters and digits.
    fn run(&mut self) {
        if self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.number("");
            return;
        }
        let start = self.at;
        while let Some(c) = self.peek(0) {
            let joins = matches!(c, '\'' | '’') && self.peek(1).is_some_and(char::is_alphabetic);
            if !c.is_alphanumeric() && !joins {
                break;
            }
            self.at += 1;
        }
        let written: String = self.text[start..self.at].iter().collect();
        let word = written.to_lowercase().replace('’', "'");
        if self.in_quotes || word.chars().any(char::is_numeric) {
            self.push(word, Kind::Exact);
        } else if let Some(parts) = tables::expanded(&word) {
            for part in parts {
                self.push(*part, Kind::Plain);
            }
        } else {
            let kind = if self.is_name(&written) {
                Kind::Exact
            } else {
                Kind::Plain
            };
            match word.strip_suffix("'s") {
                Some(owner) => {
                    self.push(owner, kind);
                    self.push("'s", Kind::Exact);
                }
                None => self.push(word, kind),
            }
        }
    }

    /// Whether capitals mark the word as a name: inside a sentence, or all of them.
    fn is_name(&self, written: &str) -> bool {
        let mut letters = written.chars().filter(|c| c.is_alphabetic());
        let is_capital = letters.next().is_some_and(char::is_uppercase);
        let others: Vec<char> = letters.collect();
        let is_upper = !others.is_empty() && others.iter().all(|c| !c.is_lowercase());
        let is_opening = self.break_before == Break::Sentence;
        self.tells_names && is_capital && (is_upper || !is_opening) && written != "I"
    }

    /// A number with what belongs to it: `1,000`, `3rd`, `40s`, `20k`, `170cm`.
    fn number(&mut self, sign: &str) {
        let digits = self.digits();
        let start = self.at;
        while self.peek(0).is_some_and(char::is_alphanumeric) {
            self.at += 1;
        }
        let suffix: String = self.text[start..self.at]
            .iter()
            .flat_map(|c| c.to_lowercase())
            .collect();
        let number = format!("{sign}{digits}");
        match suffix.as_str() {
            "" if self.is_possessive_s() => {
                self.at += 2;
                self.push(number, Kind::Decade);
            }
            "" => self.push(number, Kind::Number),
            "s" => self.push(number, Kind::Decade),
            "st" | "nd" | "rd" | "th" => self.push(number, Kind::Ordinal),
            "k" if !number.contains('.') => self.push(format!("{number}000"), Kind::Number),
            unit if tables::is_unit(unit) => {
                self.push(number, Kind::Number);
                self.push(unit, Kind::Plain);
            }
            // "3d", "2bhk": a name as much as a number.
            _ => self.push(format!("{number}{suffix}"), Kind::Exact),
        }
    }

    /// "the 40's".
    fn is_possessive_s(&self) -> bool {
        matches!(self.peek(0), Some('\'' | '’'))
            && matches!(self.peek(1), Some('s' | 'S'))
            && !self.peek(2).is_some_and(char::is_alphanumeric)
    }

    /// Digits with a fraction, without separators of thousands.
    fn digits(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(|c| {
            c.is_ascii_digit() || (matches!(c, '.' | ',') && self.peek(1).is_some_and(|c| c.is_ascii_digit()))
        }) {
            self.at += 1;
        }
        let written: String = self.text[start..self.at].iter().collect();
        if let Some(plain) = numbers::without_separators(&written) {
            return plain;
        }
        // "3,5" is no number with separators: read what stands before the comma, the rest is the next number.
        let head = written.split(',').next().unwrap_or_default();
        self.at = start + head.chars().count();
        head.to_owned()
    }
}
