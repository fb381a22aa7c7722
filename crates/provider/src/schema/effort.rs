//! Bounds what a schema may cost before it is used. A validator recurses through references, so a few lines of JSON could
//! take all of a backend's stack or keep it busy for years, and it can be neither measured nor cancelled from outside.
//! The walk here visits each pair of a schema and a value that a validator may have to compare, and stops at a bound.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// JSON values in a schema.
const MAX_VALUES: usize = 2000;

/// Schemas within each other, counted along references, that a value is compared with; also the nesting of a schema as it is
/// written. Some hundred bytes of stack each.
const MAX_DEPTH: usize = 512;

/// Pairs of a schema and a value. Well below a second.
const MAX_STEPS: usize = 1_000_000;

/// Keywords with a schema for the value itself.
const IN_PLACE: [&str; 4] = ["not", "if", "then", "else"];

/// Keywords with schemas for the value itself, in a list or by names.
const LISTS_IN_PLACE: [&str; 5] = ["allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies"];

/// Keywords with schemas for members or elements, one for all of them or several of which each may apply.
const BELOW: [&str; 9] = [
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "unevaluatedItems",
    "propertyNames",
];

/// Keywords that refer to what cannot be found by its place alone, or change what places mean.
const BY_NAME: [&str; 5] = ["$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor", "id"];

/// Whether a schema is small, and refers to nothing but places in itself.
///
/// # Errors
/// What it has too much of, or which reference cannot be used.
pub(super) fn check_form(schema: &Value) -> Result<(), String> {
    let mut left = MAX_VALUES;
    check_value(schema, 0, &mut left)
}

fn check_value(value: &Value, depth: usize, left: &mut usize) -> Result<(), String> {
    *left = left
        .checked_sub(1)
        .ok_or_else(|| format!("the schema has more than {MAX_VALUES} values"))?;
    if depth > MAX_DEPTH {
        return Err(format!("the schema is nested more than {MAX_DEPTH} deep"));
    }
    match value {
        Value::Array(elements) => elements
            .iter()
            .try_for_each(|element| check_value(element, depth + 1, left)),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            check_keyword(name, member, depth)?;
            check_value(member, depth + 1, left)
        }),
        _ => Ok(()),
    }
}

/// A member whose value is a text is a keyword; properties of these names have schemas.
fn check_keyword(name: &str, member: &Value, depth: usize) -> Result<(), String> {
    let Some(text) = member.as_str() else {
        return Ok(());
    };
    let is_place = text == "#" || text.starts_with("#/");
    if name == "$ref" && !is_place {
        return Err("the schema refers to something outside itself: references begin with #/".to_owned());
    }
    if BY_NAME.contains(&name) || (name == "$id" && depth > 0) {
        return Err(format!("the schema has \"{name}\", which is not supported"));
    }
    Ok(())
}

/// Whether comparing a value with a schema is bounded.
///
/// # Errors
/// The schema refers to itself without end, or there is too much to compare.
pub(super) fn check_comparison(schema: &Value, value: &Value) -> Result<(), String> {
    let mut walk = Walk {
        root: schema,
        steps_left: MAX_STEPS,
    };
    walk.compare(schema, value, 0)
}

/// Whether a schema is bounded in itself: its references in place, whatever the value, do not go round.
///
/// # Errors
/// As [`check_comparison`].
pub(super) fn check_schema_alone(schema: &Value) -> Result<(), String> {
    let mut walk = Walk {
        root: schema,
        steps_left: MAX_STEPS,
    };
    // Only references lead out of what is written in one place, so they are followed, each target once.
    let mut seen = HashSet::new();
    let mut places = vec![schema];
    while let Some(place) = places.pop() {
        match place {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str)
                    && seen.insert(reference)
                {
                    walk.compare(place, &Value::Null, 0)?;
                }
                places.extend(members.values());
            }
            Value::Array(elements) => places.extend(elements),
            _ => {}
        }
    }
    Ok(())
}

struct Walk<'a> {
    root: &'a Value,
    steps_left: usize,
}

impl Walk<'_> {
    fn compare(&mut self, schema: &Value, value: &Value, depth: usize) -> Result<(), String> {
        self.steps_left = self
            .steps_left
            .checked_sub(1)
            .ok_or_else(|| format!("the schema takes more than {MAX_STEPS} comparisons"))?;
        if depth > MAX_DEPTH {
            return Err(format!("the schema refers to itself more than {MAX_DEPTH} deep"));
        }
        let Some(keywords) = schema.as_object() else {
            return Ok(());
        };
        let depth = depth + 1;
        for _ in 0..repeats(keywords, value) {
            self.compare_in_place(keywords, value, depth)?;
        }
        self.compare_below(keywords, value, depth)
    }

    fn compare_in_place(
        &mut self,
        keywords: &Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Result<(), String> {
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str)
            && let Some(target) = self.root.pointer(reference.trim_start_matches('#'))
        {
            self.compare(target, value, depth)?;
        }
        for schema in IN_PLACE.iter().filter_map(|name| keywords.get(*name)) {
            self.compare(schema, value, depth)?;
        }
        for schemas in LISTS_IN_PLACE.iter().filter_map(|name| keywords.get(*name)) {
            for schema in children(schemas) {
                self.compare(schema, value, depth)?;
            }
        }
        Ok(())
    }

    fn compare_below(
        &mut self,
        keywords: &Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Result<(), String> {
        if let (Some(Value::Object(properties)), Value::Object(members)) = (keywords.get("properties"), value)
        {
            for (name, member) in members {
                if let Some(schema) = properties.get(name) {
                    self.compare(schema, member, depth)?;
                }
            }
        }
        for name in BELOW {
            let Some(schema) = keywords.get(name) else {
                continue;
            };
            for below in children(value) {
                // A list or patterns: each may apply.
                if name == "patternProperties" || schema.is_array() {
                    for schema in children(schema) {
                        self.compare(schema, below, depth)?;
                    }
                } else {
                    self.compare(schema, below, depth)?;
                }
            }
        }
        Ok(())
    }
}

/// How often a validator may compare a value with the schemas in place: to know which members no other schema has looked at,
/// once more for each of them.
fn repeats(keywords: &Map<String, Value>, value: &Value) -> usize {
    let looks_again =
        keywords.contains_key("unevaluatedProperties") || keywords.contains_key("unevaluatedItems");
    if looks_again {
        1 + children(value).count()
    } else {
        1
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(elements) => Box::new(elements.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => Box::new(std::iter::empty()),
    }
}
