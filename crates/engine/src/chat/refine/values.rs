//! Conditions that name a value which the table knows: "only in Pune", "must speak Hindi", "nobody from Delhi".
//!
//! Words are hard conditions only where they demand it; "someone from Mumbai who dances" is a description, and what it
//! says of Mumbai is left to the ranking. In a continuation a bare "in Pune?" or "what about Mumbai" demands too, for
//! it says what to change. Where the words are in doubt nothing is found: a missed condition costs some order, a false
//! one hides rows.

mod demand;
mod lexicon;
mod mentions;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::filter_key;
use crate::chat::line::fold;
use crate::chat::words::head;

/// The most conditions that one message gives, and the most values that one condition has.
const MAX_CONDITIONS: usize = 8;
const MAX_VALUES: usize = 20;
/// The most conditions that [`merge`] keeps, the newest.
const MAX_MERGED: usize = 32;
const MAX_PHRASE_CHARS: usize = 80;

/// The values that a column is known to have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownValues {
    /// The column.
    pub column: String,
    /// Whether its rows hold lists of such values.
    pub is_array: bool,
    /// The values as the table has them. Empty ones and those that are a mere function word ("no") are never found.
    pub values: Vec<String>,
}

/// What a condition does to an earlier one on the same column, by the words around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// It takes its place: "what about Pune?".
    #[default]
    Replaces,
    /// It lets more rows pass: "or Mumbai?", "also in Mumbai".
    Widens,
    /// It holds besides, as a list can: "and must speak Marathi".
    Adds,
}

/// A condition found in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueCondition {
    /// The column.
    pub column: String,
    /// Whether its rows hold lists.
    pub is_array: bool,
    /// The values as the table has them.
    pub values: Vec<String>,
    /// Whether rows with one of the values are those not wanted.
    pub negated: bool,
    /// The words of the message: "only in Pune". One line.
    pub phrase: String,
    /// Whether a list must have all of the values ("Hindi and Marathi"), not just one.
    #[serde(default)]
    pub every: bool,
    /// What it does to an earlier one.
    #[serde(default)]
    pub relation: Relation,
}

impl ValueCondition {
    /// The condition in the filter language: `{"city": "Pune"}`, `{"languages": {"contains": ["Hindi"]}}`.
    pub fn condition(&self) -> Value {
        let key = filter_key(&self.column);
        let operator = match (self.is_array, self.values.as_slice(), self.negated) {
            (false, [only], false) => return json!({ key: only }),
            (false, [only], true) => return json!({ key: { "ne": only } }),
            (false, _, false) => "in",
            (false, _, true) => "not_in",
            (true, [_], _) => "contains",
            (true, _, false) if self.every => "contains",
            (true, ..) => "overlaps",
        };
        let test = json!({ key: { operator: self.values } });
        if self.is_array && self.negated {
            json!({ "not": test })
        } else {
            test
        }
    }

    fn shares_a_value(&self, other: &Self) -> bool {
        self.values.iter().any(|value| other.values.contains(value))
    }

    fn has_all_of(&self, other: &Self) -> bool {
        other.values.iter().all(|value| self.values.contains(value))
    }
}

/// The conditions in a message, in its order.
///
/// `continues` says that the message continues an earlier request. Values are found as whole words in any case, the
/// longest first ("New Delhi" before "Delhi"). A value that several columns know belongs to none, unless the message
/// names one of them. Values joined by "or" or "and" are one condition. What a message both demands and excludes is
/// left out. Only the head of a long message is read.
pub fn detect(message: &str, continues: bool, known: &[KnownValues]) -> Vec<ValueCondition> {
    let text = head(message);
    let tokens = mentions::tokens(text);
    let groups = mentions::groups(&tokens, known);
    let mut found: Vec<ValueCondition> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let Some(demand) = demand::of(index, &groups, &tokens, continues, known) else {
            continue;
        };
        let Some(column) = known.get(group.column) else {
            continue;
        };
        let mut values = group.values.clone();
        values.truncate(MAX_VALUES);
        let words = tokens.get(demand.words.clone()).unwrap_or_default();
        let phrase = match (words.first(), words.last()) {
            (Some(first), Some(last)) => text.get(first.start..last.end).unwrap_or_default(),
            _ => "",
        };
        let condition = ValueCondition {
            column: column.column.clone(),
            is_array: column.is_array,
            every: column.is_array && !demand.negated && values.len() > 1 && !group.is_choice,
            values,
            negated: demand.negated,
            phrase: fold(phrase, MAX_PHRASE_CHARS),
            relation: demand.relation,
        };
        // Two demands on a column that holds one value can only mean either.
        let alike = found.iter_mut().find(|earlier| {
            earlier.column == condition.column && earlier.negated == condition.negated && !earlier.is_array
        });
        match alike {
            Some(earlier) => *earlier = united(earlier, &condition),
            None => found.push(condition),
        }
    }
    let contradicts = |one: &ValueCondition, all: &[ValueCondition]| {
        all.iter().any(|other| {
            other.column == one.column && other.negated != one.negated && other.shares_a_value(one)
        })
    };
    let all = found.clone();
    found.retain(|condition| !contradicts(condition, &all));
    found.truncate(MAX_CONDITIONS);
    found
}

/// Whether a later condition takes an earlier one's place.
///
/// Both on one column: a demand takes the place of another unless its words widen it or add to it; a demand takes the
/// place of an exclusion of what it demands; an exclusion that of what it leaves nothing of.
pub fn replaces(new: &ValueCondition, earlier: &ValueCondition) -> bool {
    if new.column != earlier.column {
        return false;
    }
    match (new.negated, earlier.negated) {
        (false, false) => {
            new.relation == Relation::Replaces || (new.has_all_of(earlier) && earlier.has_all_of(new))
        }
        (false, true) => new.shares_a_value(earlier),
        (true, false) if earlier.every => new.shares_a_value(earlier),
        (true, _) => new.has_all_of(earlier),
    }
}

/// The condition that takes the place of `earlier` where `new` widens it ("or Mumbai?" after "only in Pune"), with the
/// values of both; `None` if it does not.
pub fn widened(new: &ValueCondition, earlier: &ValueCondition) -> Option<ValueCondition> {
    let widens = new.relation == Relation::Widens
        && new.column == earlier.column
        && new.is_array == earlier.is_array
        && !new.negated
        && !earlier.negated;
    widens.then(|| united(earlier, new))
}

fn united(earlier: &ValueCondition, new: &ValueCondition) -> ValueCondition {
    let mut both = earlier.clone();
    for value in &new.values {
        if !both.values.contains(value) && both.values.len() < MAX_VALUES {
            both.values.push(value.clone());
        }
    }
    both.every = false;
    let conjunction = if both.negated { "and" } else { "or" };
    both.phrase = fold(
        &format!("{} {conjunction} {}", earlier.phrase, new.phrase),
        MAX_PHRASE_CHARS,
    );
    both
}

/// The conditions that hold after a message: the earlier ones with those of the message applied in order, by
/// [`widened`] and [`replaces`].
///
/// A condition that widens has no effect where there is none to widen: "or Mumbai?" after "dancers from Pune", which
/// demanded nothing, must not leave only Mumbai.
pub fn merge(earlier: &[ValueCondition], new: &[ValueCondition]) -> Vec<ValueCondition> {
    let mut merged = earlier.to_vec();
    for condition in new {
        let wider = merged.iter().rposition(|held| widened(condition, held).is_some());
        if let Some(held) = wider.and_then(|index| merged.get_mut(index)) {
            *held = united(held, condition);
            // What was excluded before and is asked for now is no longer excluded.
            merged.retain(|held| !held.negated || !replaces(condition, held));
        } else {
            merged.retain(|held| !replaces(condition, held));
            if condition.relation != Relation::Widens || condition.negated {
                merged.push(condition.clone());
            }
        }
    }
    merged.split_off(merged.len().saturating_sub(MAX_MERGED))
}
