//! Whether the words around a value demand it.

use std::ops::Range;

use super::super::is_negation;
use super::super::lexicon::comparison_at;
use super::lexicon::{
    DEMANDS, DEMANDS_BEHIND, EXCLUSIONS, EXCLUSIONS_BEHIND, WANTING, is_filler, is_joiner, is_link,
    is_loose_link,
};
use super::mentions::{Break, Group, Token, names};
use super::{KnownValues, Relation};
use crate::chat::courtesy::{longest, opening};

/// How many words a demand reaches at most.
const REACH: usize = 7;
/// A clause with more words says more than a value, and costs more to read than it is worth.
const MAX_WORDS_OF_FRAGMENT: usize = 24;

/// What the words demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demand {
    pub negated: bool,
    /// The tokens that say so, the value among them.
    pub words: Range<usize>,
    pub relation: Relation,
}

/// The demand on a group, if there is one.
pub(super) fn of(
    index: usize,
    groups: &[Group],
    tokens: &[Token],
    continues: bool,
    known: &[KnownValues],
) -> Option<Demand> {
    let group = &groups[index];
    let column = known.get(group.column)?;
    let view = View {
        group,
        groups,
        tokens,
        column,
    };
    match view.before() {
        Reading::Found { negated, start } => Some(view.demand(negated, start..group.end, true)),
        Reading::Denied => None,
        Reading::Nothing => view
            .behind()
            .map(|(negated, end)| view.demand(negated, view.linked()..end, true))
            .or_else(|| {
                (continues && view.is_all_that_is_said())
                    .then(|| view.demand(false, view.linked()..group.end, false))
            }),
    }
}

enum Reading {
    /// A word that demands or excludes, at this token.
    Found {
        negated: bool,
        start: usize,
    },
    /// A word that says that nothing is demanded: "not only in Pune".
    Denied,
    Nothing,
}

struct View<'a> {
    group: &'a Group,
    groups: &'a [Group],
    tokens: &'a [Token],
    column: &'a KnownValues,
}

impl View<'_> {
    fn word(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| token.text.as_str())
    }

    fn names_column(&self, word: &str) -> bool {
        names(word, &self.column.column)
    }

    fn is_mentioned(&self, index: usize) -> bool {
        self.groups
            .iter()
            .any(|group| group.start <= index && index < group.end)
    }

    /// Looks to the left for a word that demands, through words that link.
    fn before(&self) -> Reading {
        let mut is_tight = true;
        let mut wants = false;
        let mut start = self.group.start;
        while start > 0 && self.group.start - start < REACH && self.tokens[start].break_before == Break::None
        {
            let found = phrase_before(DEMANDS, self.tokens, start).map(|from| (from, false));
            let excluded = || phrase_before(EXCLUSIONS, self.tokens, start).map(|from| (from, true));
            let negated = || is_negation(self.word(start - 1)).then_some((start - 1, true));
            if let Some((from, negated)) = found.or_else(excluded).or_else(negated) {
                return self.judge(from, start, negated, is_tight, wants);
            }
            if self.is_mentioned(start - 1) {
                return Reading::Nothing;
            }
            let word = self.word(start - 1);
            wants |= WANTING.contains(&word);
            let links = is_link(word) || self.names_column(word);
            if !links && self.is_kind_of_row(start) {
                return Reading::Found {
                    negated: true,
                    start: start - 2,
                };
            }
            if !links && !is_loose_link(word) {
                return Reading::Nothing;
            }
            is_tight &= links;
            start -= 1;
        }
        Reading::Nothing
    }

    /// "no dancers from Delhi": what the rows are stands between the negation and the value.
    fn is_kind_of_row(&self, end: usize) -> bool {
        end >= 2
            && self.word(end) == "from"
            && end + 1 == self.group.start
            && self.word(end - 1).ends_with('s')
            && self.word(end - 2) == "no"
            && self.tokens[end - 1].break_before == Break::None
    }

    /// Whether the clause up to a word is about the first person, without wanting anything of the rows.
    fn speaks_of_user(&self, end: usize) -> bool {
        let before = || (self.clause().start..end).map(|index| self.word(index));
        before().any(|word| {
            matches!(
                word,
                "i" | "we" | "you" | "my" | "our" | "i'm" | "we're" | "i've" | "we've"
            )
        }) && !before().any(|word| WANTING.contains(&word))
    }

    /// What a word at `from..to` says, seen with what stands before it.
    fn judge(&self, from: usize, to: usize, negated: bool, is_tight: bool, wants: bool) -> Reading {
        let joined = from > 0 && self.tokens[from].break_before == Break::None;
        let previous = if joined { self.word(from - 1) } else { "" };
        let word = self.word(from);
        // "I only speak Hindi" and "we shoot only in Pune" are about the user, "I only want …" about the rows.
        let is_of_first_person = !wants && self.speaks_of_user(from);
        // "Just someone from Mumbai" is said of anybody.
        let is_idle = word == "just" && !is_tight;
        // "No in Pune" answers, "no Hindi" excludes.
        let is_answer = word == "no" && to == from + 1 && to < self.group.start && is_link(self.word(to));
        let is_open = matches!(previous, "if" | "whether" | "need") && word == "not";
        if word == "not" && previous == "why" {
            return Reading::Nothing;
        }
        if is_of_first_person || is_idle || is_answer || is_open {
            return Reading::Denied;
        }
        // The second negation: "nobody except those in Mumbai", "not only in Pune", "doesn't have to speak Hindi".
        let is_denied = joined
            && (is_negation(previous)
                || matches!(previous, "nobody" | "none")
                || (matches!(previous, "one" | "people") && from > 1 && is_negation(self.word(from - 2))));
        match (negated, is_denied) {
            (false, true) => Reading::Denied,
            (true, true) => Reading::Found {
                negated: false,
                start: if matches!(previous, "one" | "people") {
                    from - 2
                } else {
                    from - 1
                },
            },
            (negated, false) => Reading::Found { negated, start: from },
        }
    }

    /// Looks to the right: "Mumbai only". Gives whether it excludes and the token that it ends before.
    fn behind(&self) -> Option<(bool, usize)> {
        let end = self.group.end;
        let rest: Vec<&str> = self.tokens[end..]
            .iter()
            .take_while(|token| token.break_before == Break::None)
            .take(4)
            .map(|token| token.text.as_str())
            .collect();
        let demand = longest(DEMANDS_BEHIND, &rest).map(|length| (false, length));
        let exclusion = longest(EXCLUSIONS_BEHIND, &rest).map(|length| (true, length));
        let (negated, length) = demand.or(exclusion)?;
        // "Is Pune required?" asks.
        if matches!(self.word(self.linked()), "is" | "are") {
            return None;
        }
        let ends = rest.get(length).is_none_or(|next| {
            matches!(
                *next,
                "and" | "but" | "or" | "please" | "thanks" | "thank" | "this" | "who" | "with"
            )
        });
        ends.then_some((negated, end + length))
    }

    /// The first of the words that link right before the value: "in Pune", "speaking Hindi".
    fn linked(&self) -> usize {
        let mut start = self.group.start;
        while start > 0
            && self.tokens[start].break_before == Break::None
            && !self.is_mentioned(start - 1)
            && is_link(self.word(start - 1))
            && self.word(start - 1) != "also"
        {
            start -= 1;
        }
        start
    }

    /// Whether the clause says nothing but values: "and in Pune?", "what about Mumbai then".
    fn is_all_that_is_said(&self) -> bool {
        let clause = self.clause();
        if clause.len() > MAX_WORDS_OF_FRAGMENT {
            return false;
        }
        let said: Vec<&str> = clause.clone().map(|index| self.word(index)).collect();
        // "Do you have …" asks for rows, "tell me about …" for those shown.
        let asked = opening(&said).filter(|_| said.first() != Some(&"tell"));
        let mut index = clause.start + asked.unwrap_or(0).min(self.group.start - clause.start);
        while index < clause.end {
            if self.is_mentioned(index) {
                index += 1;
                continue;
            }
            let words: Vec<String> = self.tokens[index..clause.end]
                .iter()
                .map(|token| token.text.clone())
                .collect();
            let word = self.word(index);
            if let Some(comparison) = comparison_at(&words) {
                index += comparison.length;
            } else if word == "why" && self.word(index + 1) == "not" {
                index += 2;
            } else if is_filler(word) || is_joiner(word) || self.names_column(word) {
                index += 1;
            } else {
                return false;
            }
        }
        true
    }

    /// The tokens around the group up to the next break.
    fn clause(&self) -> Range<usize> {
        let mut start = self.group.start;
        while start > 0 && self.tokens[start].break_before == Break::None {
            start -= 1;
        }
        let length = self.tokens[self.group.end..]
            .iter()
            .take_while(|token| token.break_before == Break::None)
            .count();
        start..self.group.end + length
    }

    fn demand(&self, negated: bool, words: Range<usize>, is_explicit: bool) -> Demand {
        let clause = self.clause();
        // From the value of another group on, if one stands before in the clause.
        let from = self
            .groups
            .iter()
            .map(|group| group.end)
            .filter(|&end| end <= self.group.start && end > clause.start)
            .max()
            .unwrap_or(clause.start);
        let before: Vec<&str> = (from..self.group.start).map(|index| self.word(index)).collect();
        let behind: Vec<&str> = (self.group.end..clause.end)
            .map(|index| self.word(index))
            .collect();
        let adds = before.iter().any(|word| matches!(*word, "also" | "plus"))
            || behind.first() == Some(&"too")
            || behind.first() == Some(&"also")
            || behind.starts_with(&["as", "well"]);
        let opens_with = |word| before.first() == Some(&word) || before.starts_with(&["ok", word]);
        let is_list = self.column.is_array;
        let says_only = words.clone().any(|index| self.word(index) == "only");
        let relation = if negated {
            Relation::Adds
        } else if opens_with("or") || (adds && !is_list) {
            Relation::Widens
        } else if is_list && (adds || opens_with("and") || (is_explicit && !says_only)) {
            Relation::Adds
        } else {
            Relation::Replaces
        };
        // "not a Hindi speaker" is one phrase.
        let is_completed = words.end == self.group.end
            && words.end < clause.end
            && matches!(self.word(words.end), "speaker" | "speakers" | "speaking");
        Demand {
            negated,
            words: words.start..words.end + usize::from(is_completed),
            relation,
        }
    }
}

/// Where the longest of the phrases that ends right before a token starts.
fn phrase_before(phrases: &[&str], tokens: &[Token], end: usize) -> Option<usize> {
    phrases
        .iter()
        .filter_map(|phrase| {
            let start = end.checked_sub(phrase.split(' ').count())?;
            let words = &tokens[start..end];
            let is_joined = words
                .iter()
                .skip(1)
                .all(|token| token.break_before == Break::None);
            let agrees = phrase
                .split(' ')
                .eq(words.iter().map(|token| token.text.as_str()));
            (is_joined && agrees).then_some(start)
        })
        .min()
}
