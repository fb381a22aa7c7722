//! JSON to preferences, checked against the columns.

use serde_json::{Map, Value};

use super::{PreferError, Preference, Rule};
use crate::filter::{Column, MAX_LIST_VALUES, Reference, TypeCategory, closest_column, json_kind, resolve};

/// How many preferences a search may have.
pub const MAX_PREFERENCES: usize = 100;

const RULES: [&str; 7] = [
    "at_least", "at_most", "higher", "lower", "equals", "any_of", "near",
];

/// Sums like 0.1 + 0.2 + 0.7 miss 1 by rounding.
const SUM_TOLERANCE: f64 = 1e-9;

/// Parses `prefer` for a table with the given columns. An empty array is no preference.
///
/// # Errors
/// Any [`PreferError`]: shape, unknown key or column, weight, rule, a rule that does not suit the column's type.
pub fn parse(prefer: &Value, columns: &[Column]) -> Result<Vec<Preference>, PreferError> {
    let Value::Array(elements) = prefer else {
        return Err(PreferError::NotAnArray {
            found: json_kind(prefer),
        });
    };
    if elements.len() > MAX_PREFERENCES {
        return Err(PreferError::TooMany {
            count: elements.len(),
            limit: MAX_PREFERENCES,
        });
    }
    let mut preferences = Vec::with_capacity(elements.len());
    for (index, element) in elements.iter().enumerate() {
        let position = index + 1;
        let Value::Object(entries) = element else {
            return Err(PreferError::NotAnObject {
                position,
                found: json_kind(element),
            });
        };
        preferences.push(parse_one(position, entries, columns)?);
    }
    let sum: f64 = preferences.iter().map(|preference| preference.weight).sum();
    if sum > 1.0 + SUM_TOLERANCE {
        return Err(PreferError::WeightsExceedOne { sum });
    }
    Ok(preferences)
}

fn parse_one(
    position: usize,
    entries: &Map<String, Value>,
    columns: &[Column],
) -> Result<Preference, PreferError> {
    let is_known = |key: &str| matches!(key, "column" | "weight" | "scale") || RULES.contains(&key);
    if let Some(key) = entries.keys().find(|key| !is_known(key)) {
        return Err(PreferError::UnknownKey {
            position,
            key: key.clone(),
        });
    }
    let Some(name) = entries.get("column").and_then(Value::as_str) else {
        return Err(PreferError::NoColumn { position });
    };
    let (column, path) = find(position, name, columns)?;
    let weight = entries
        .get("weight")
        .and_then(Value::as_f64)
        .filter(|weight| *weight > 0.0 && *weight <= 1.0);
    let Some(weight) = weight else {
        return Err(PreferError::InvalidWeight {
            position,
            column: name.to_owned(),
        });
    };
    let reference = Reference {
        column: column.name.clone(),
        path,
    };
    let context = Context {
        position,
        column,
        name: reference.to_string(),
        is_path: !reference.path.is_empty(),
    };
    let rule = context.rule(entries)?;
    Ok(Preference {
        column: reference.column,
        path: reference.path,
        weight,
        rule,
    })
}

/// The column of that name, or the column and the path that the name leads to.
fn find<'c>(
    position: usize,
    name: &str,
    columns: &'c [Column],
) -> Result<(&'c Column, Vec<String>), PreferError> {
    if let Some(column) = columns.iter().find(|column| column.name == name) {
        return Ok((column, Vec::new()));
    }
    resolve(name, columns)?.ok_or_else(|| PreferError::UnknownColumn {
        position,
        column: name.to_owned(),
        closest: closest_column(name, columns).map(str::to_owned),
    })
}

/// What every error about a rule has to name.
struct Context<'a> {
    position: usize,
    column: &'a Column,
    /// The column's name, or the path's.
    name: String,
    /// Whether it is a path: what kind of value it leads to is known only in each row.
    is_path: bool,
}

impl Context<'_> {
    fn rule(&self, entries: &Map<String, Value>) -> Result<Rule, PreferError> {
        let mut given = RULES
            .into_iter()
            .filter_map(|rule| Some((rule, entries.get(rule)?)));
        let (Some((name, value)), None) = (given.next(), given.next()) else {
            let count = RULES
                .into_iter()
                .filter(|rule| entries.contains_key(*rule))
                .count();
            return Err(PreferError::NotOneRule {
                position: self.position,
                column: self.name.clone(),
                count,
            });
        };
        if name != "near" && entries.contains_key("scale") {
            return Err(PreferError::UnknownKey {
                position: self.position,
                key: "scale".to_owned(),
            });
        }
        match name {
            "equals" => self.equals(value),
            "any_of" => self.any_of(value),
            _ => self.numeric(name, value, entries.get("scale")),
        }
    }

    fn numeric(&self, name: &'static str, value: &Value, scale: Option<&Value>) -> Result<Rule, PreferError> {
        if !self.is_path && self.column.category != TypeCategory::Number {
            return Err(self.unsuitable(name, "a column of a numeric type"));
        }
        match name {
            "higher" => self.only_true(name, value).map(|()| Rule::Higher),
            "lower" => self.only_true(name, value).map(|()| Rule::Lower),
            "at_least" => Ok(Rule::AtLeast(self.number(name, value)?)),
            "at_most" => Ok(Rule::AtMost(self.number(name, value)?)),
            _ => {
                let value = self.number(name, value)?;
                let positive = "a number greater than 0";
                let scale = scale.unwrap_or(&Value::Null);
                match scale.as_f64() {
                    Some(scale) if scale > 0.0 => Ok(Rule::Near { value, scale }),
                    Some(_) => Err(self.wrong_value("scale", positive, scale.to_string())),
                    None => Err(self.wrong_value("scale", positive, json_kind(scale).to_owned())),
                }
            }
        }
    }

    fn number(&self, rule: &'static str, value: &Value) -> Result<f64, PreferError> {
        value
            .as_f64()
            .ok_or_else(|| self.wrong_value(rule, "a number", json_kind(value).to_owned()))
    }

    /// `"higher": false` could mean nothing or the opposite; only true is clear.
    fn only_true(&self, rule: &'static str, value: &Value) -> Result<(), PreferError> {
        match value {
            Value::Bool(true) => Ok(()),
            Value::Bool(false) => Err(self.wrong_value(rule, "true", "false".to_owned())),
            _ => Err(self.wrong_value(rule, "true", json_kind(value).to_owned())),
        }
    }

    fn equals(&self, value: &Value) -> Result<Rule, PreferError> {
        if self.column.category == TypeCategory::Array {
            return Err(self.unsuitable("equals", "a column that is not an array"));
        }
        self.comparable("equals", value, self.column.category)?;
        Ok(Rule::Equals(value.clone()))
    }

    fn any_of(&self, value: &Value) -> Result<Rule, PreferError> {
        let Value::Array(values) = value else {
            return Err(self.wrong_value("any_of", "an array", json_kind(value).to_owned()));
        };
        if values.is_empty() {
            return Err(self.wrong_value("any_of", "at least one value", "an empty array".to_owned()));
        }
        if values.len() > MAX_LIST_VALUES {
            return Err(PreferError::TooManyValues {
                position: self.position,
                count: values.len(),
                limit: MAX_LIST_VALUES,
            });
        }
        for value in values {
            self.comparable("any_of", value, self.column.category)?;
        }
        Ok(Rule::AnyOf(values.clone()))
    }

    /// A row reaches the scorer as JSON, so a value can only ever equal one of the same JSON kind.
    fn comparable(
        &self,
        rule: &'static str,
        value: &Value,
        category: TypeCategory,
    ) -> Result<(), PreferError> {
        let (suits, expected) = match (category, value) {
            (_, Value::Null | Value::Array(_) | Value::Object(_)) => (false, "a string, number or boolean"),
            (TypeCategory::Number, _) => (value.is_number(), "a number"),
            (TypeCategory::Boolean, _) => (value.is_boolean(), "true or false"),
            (TypeCategory::Array | TypeCategory::Other, _) => (true, ""),
            _ => (value.is_string(), "a string"),
        };
        if suits {
            Ok(())
        } else {
            Err(self.wrong_value(rule, expected, json_kind(value).to_owned()))
        }
    }

    fn wrong_value(&self, rule: &'static str, expected: &'static str, found: String) -> PreferError {
        PreferError::WrongValue {
            position: self.position,
            column: self.name.clone(),
            rule,
            expected,
            found,
        }
    }

    fn unsuitable(&self, rule: &'static str, expected: &'static str) -> PreferError {
        PreferError::UnsuitableColumn {
            position: self.position,
            column: self.name.clone(),
            type_name: self.column.type_name.clone(),
            rule,
            expected,
        }
    }
}
