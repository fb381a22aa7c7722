//! JSON Schema of replies and arguments. Nothing is fetched: a schema that refers to another document is an error, and so
//! is one that would take more stack or time than a backend can give.

mod effort;

use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::failure::quote;

/// The most characters of an error's text: it quotes parts of the value.
const MAX_ERROR_CHARS: usize = 300;

/// The most characters of the place in it.
const MAX_PLACE_CHARS: usize = 80;

/// Whether `schema` is one that [`conforms`] can use: a JSON Schema of at most 2,000 values, whose references are places in
/// itself (`#/$defs/…`) and do not go round.
///
/// # Errors
/// What is wrong with it, and where, in at most 300 characters.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    validator(schema).map(drop)
}

/// Whether `value` is as `schema` has it.
///
/// # Errors
/// What is wrong with the schema, that value and schema are too much to compare, or where the value first differs; in at
/// most 300 characters.
pub fn conforms(schema: &Value, value: &Value) -> Result<(), String> {
    let validator = validator(schema)?;
    effort::check_comparison(schema, value)?;
    validator.validate(value).map_err(|error| describe(&error))
}

fn validator(schema: &Value) -> Result<Validator, String> {
    effort::check_form(schema)?;
    effort::check_schema_alone(schema)?;
    jsonschema::validator_for(schema).map_err(|error| describe(&error))
}

fn describe(error: &ValidationError<'_>) -> String {
    let text = quote(&error.to_string(), None);
    let place = error.instance_path().as_str();
    if place.is_empty() {
        return text;
    }
    let place: String = place.chars().take(MAX_PLACE_CHARS).collect();
    format!("at \"{place}\": {text}")
        .chars()
        .take(MAX_ERROR_CHARS)
        .collect()
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
