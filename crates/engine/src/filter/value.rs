//! Checks a JSON value against its column's type and turns it into a parameter.
//!
//! Numbers go to number columns, booleans to boolean columns, strings to any type: what a string must look like is
//! for the type's own input function to say. Nothing is converted silently between JSON types, so that
//! `{"zip": 1234}` on a text column is an error and not a comparison with a text that the user never wrote.

use serde_json::{Number, Value};

use super::array_literal;
use super::column::{Column, Kind, oid, range_subtype};
use super::error::{FilterError, json_kind};
use super::parse::{MAX_LIST_VALUES, Operator};
use super::sql::Parameter;

/// A column and the operator applied to it: what every error here has to name.
#[derive(Clone, Copy)]
pub(super) struct Use<'a> {
    pub column: &'a Column,
    pub operator: Operator,
}

impl Use<'_> {
    pub fn wrong_value(&self, expected: &'static str, found: &'static str) -> FilterError {
        FilterError::WrongValue {
            column: self.column.name.clone(),
            type_name: self.column.type_name.clone(),
            operator: self.operator.name(),
            expected,
            found,
        }
    }

    fn text<'v>(&self, text: &'v str) -> Result<&'v str, FilterError> {
        if text.contains('\0') {
            return Err(FilterError::NulCharacter {
                column: self.column.name.clone(),
            });
        }
        Ok(text)
    }

    /// The list under `in`, `not_in`, or an array operator.
    pub fn list<'v>(&self, value: &'v Value) -> Result<&'v [Value], FilterError> {
        let Value::Array(values) = value else {
            return Err(self.wrong_value("an array", json_kind(value)));
        };
        self.check_length(values)?;
        Ok(values)
    }

    fn check_length(&self, values: &[Value]) -> Result<(), FilterError> {
        if values.len() > MAX_LIST_VALUES {
            return Err(FilterError::TooManyValues {
                column: self.column.name.clone(),
                operator: self.operator.name(),
                count: values.len(),
                limit: MAX_LIST_VALUES,
            });
        }
        Ok(())
    }

    /// The value of a pattern or substring operator, always bound as text.
    pub fn pattern(&self, value: &Value) -> Result<Parameter, FilterError> {
        match value {
            Value::String(text) => Ok(Parameter {
                type_oid: oid::TEXT,
                text: self.text(text)?.to_owned(),
            }),
            _ => Err(self.wrong_value("a string", json_kind(value))),
        }
    }

    /// One value to compare the column with.
    pub fn scalar(&self, value: &Value) -> Result<Parameter, FilterError> {
        let own = |text: String| Parameter {
            type_oid: self.column.type_oid,
            text,
        };
        match (self.column.kind(), value) {
            (Kind::Jsonb, _) => Ok(own(self.json(value)?)),
            (_, Value::Null) => Err(FilterError::NullValue {
                column: self.column.name.clone(),
            }),
            // An array's own text format starts with a brace (or bounds in brackets); a bare word is one element.
            (Kind::Array, Value::String(text)) if !text.trim_start().starts_with(['{', '[']) => {
                Err(self.wrong_value(expected_scalar(Kind::Array), json_kind(value)))
            }
            (_, Value::String(text)) => Ok(own(self.text(text)?.to_owned())),
            (Kind::Array, Value::Array(_)) => self.array(value),
            (Kind::Boolean, Value::Bool(truth)) => Ok(own(truth.to_string())),
            (Kind::Number, Value::Number(number)) => Ok(bind_number(self.column.type_oid, number)),
            (kind, _) => Err(self.wrong_value(expected_scalar(kind), json_kind(value))),
        }
    }

    /// The values of `in` and `not_in`, all of one type, with that type's array type (0 where there is none).
    pub fn scalars(&self, values: &[Value]) -> Result<(u32, Vec<Parameter>), FilterError> {
        let mut parameters = Vec::with_capacity(values.len());
        for value in values {
            parameters.push(self.scalar(value)?);
        }
        // 30 and 30.5 in one list: all are bound as the widest type that any of them needs. Not so for real: 0.1 as
        // double precision would no longer equal a stored 0.1, so such a list has no array type.
        let widest = parameters
            .iter()
            .map(|p| p.type_oid)
            .max_by_key(|&type_oid| width(type_oid));
        let array_type_oid = match widest {
            Some(type_oid) if type_oid != self.column.type_oid => array_type_of_number(type_oid),
            _ => self.column.array_type_oid,
        };
        Ok((array_type_oid, parameters))
    }

    /// An array, or a scalar taken as an array of one, for a column that is an array.
    pub fn array(&self, value: &Value) -> Result<Parameter, FilterError> {
        let elements = match value {
            Value::Array(values) => {
                self.check_length(values)?;
                values
                    .iter()
                    .map(|value| self.element(value))
                    .collect::<Result<Vec<String>, _>>()?
            }
            _ => vec![self.element(value)?],
        };
        Ok(Parameter {
            type_oid: self.column.type_oid,
            text: array_literal::write(&elements),
        })
    }

    fn element(&self, value: &Value) -> Result<String, FilterError> {
        let kind = self.column.element_kind();
        match (kind, value) {
            (Kind::Jsonb, _) => self.json(value),
            (_, Value::Null) => Err(FilterError::NullValue {
                column: self.column.name.clone(),
            }),
            (_, Value::String(text)) => Ok(self.text(text)?.to_owned()),
            (Kind::Boolean, Value::Bool(truth)) => Ok(truth.to_string()),
            (Kind::Number, Value::Number(number)) => {
                let is_whole = whole_number(number).is_some();
                let takes_fractions =
                    !matches!(self.column.element_type_oid, oid::INT2 | oid::INT4 | oid::INT8);
                match (is_whole, takes_fractions) {
                    (true, _) => Ok(integer_text(number)),
                    (false, true) => Ok(number.to_string()),
                    (false, false) => Err(self.wrong_value("whole numbers", "a fraction")),
                }
            }
            (_, Value::Array(_) | Value::Object(_)) => {
                Err(self.wrong_value("an array of one dimension", "nested values"))
            }
            (kind, _) => Err(self.wrong_value(expected_elements(kind), json_kind(value))),
        }
    }

    /// A JSON document for jsonb, which cannot hold U+0000 either.
    pub fn json(&self, value: &Value) -> Result<String, FilterError> {
        let text = value.to_string();
        if contains_nul(value) {
            return Err(FilterError::NulCharacter {
                column: self.column.name.clone(),
            });
        }
        Ok(text)
    }

    /// What a range contains: another range if the text is written as one, else a single value of the subtype.
    pub fn range_member(&self, value: &Value) -> Result<Parameter, FilterError> {
        let range = self.column.type_oid;
        match (value, range_subtype(range)) {
            (Value::String(text), Some(subtype)) if !looks_like_range(text) => Ok(Parameter {
                type_oid: subtype,
                text: self.text(text)?.to_owned(),
            }),
            (Value::Number(number), Some(subtype @ (oid::INT4 | oid::INT8 | oid::NUMERIC))) => {
                if subtype != oid::NUMERIC && whole_number(number).is_none() {
                    return Err(self.wrong_value("a whole number", "a fraction"));
                }
                Ok(Parameter {
                    type_oid: subtype,
                    text: integer_text(number),
                })
            }
            (Value::String(text), _) => Ok(Parameter {
                type_oid: range,
                text: self.text(text)?.to_owned(),
            }),
            _ => Err(self.wrong_value("a string", json_kind(value))),
        }
    }
}

fn looks_like_range(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(['[', '(', '{']) || text.trim_end().eq_ignore_ascii_case("empty")
}

pub(super) fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(contains_nul),
        Value::Object(entries) => entries
            .iter()
            .any(|(key, value)| key.contains('\0') || contains_nul(value)),
        _ => false,
    }
}

fn expected_scalar(kind: Kind) -> &'static str {
    match kind {
        Kind::Array => "an array",
        Kind::Boolean => "true or false",
        Kind::Number => "a number",
        _ => "a string",
    }
}

fn expected_elements(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "booleans",
        Kind::Number => "numbers",
        _ => "strings",
    }
}

/// Binds a number so that the comparison is exact: as the column's own type where the value fits it, else as the
/// next wider type that PostgreSQL compares with it. Thus `{"age": {"gt": 30.5}}` and `{"age": {"lt": 3000000000}}`
/// work on an integer column, where the input function of integer would refuse both.
fn bind_number(type_oid: u32, number: &Number) -> Parameter {
    let bound = match type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 => match whole_number(number) {
            Some(value) if fits(type_oid, value) => type_oid,
            Some(_) => oid::INT8,
            None => oid::NUMERIC,
        },
        oid::FLOAT4 if number.as_f64().is_some_and(|value| !is_f32(value)) => oid::FLOAT8,
        _ => type_oid,
    };
    let text = match bound {
        oid::INT2 | oid::INT4 | oid::INT8 => integer_text(number),
        _ => number.to_string(),
    };
    Parameter {
        type_oid: bound,
        text,
    }
}

fn fits(type_oid: u32, value: i64) -> bool {
    match type_oid {
        oid::INT2 => i16::try_from(value).is_ok(),
        oid::INT4 => i32::try_from(value).is_ok(),
        _ => true,
    }
}

/// Whether a value lies in real's range: neither overflows nor, being non-zero, underflows to zero.
fn is_f32(value: f64) -> bool {
    let magnitude = value.abs();
    magnitude == 0.0 || (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&magnitude)
}

/// The number as a 64-bit integer, if it is one; 38.0 is.
fn whole_number(number: &Number) -> Option<i64> {
    if let Some(value) = number.as_i64() {
        return Some(value);
    }
    let value = number.as_f64().filter(|_| number.is_f64())?;
    // 2^53: above it a float no longer says which integer was meant.
    let is_exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the line above keeps it within 2^53"
    )]
    is_exact.then_some(value as i64)
}

fn integer_text(number: &Number) -> String {
    whole_number(number).map_or_else(|| number.to_string(), |value| value.to_string())
}

fn width(type_oid: u32) -> u32 {
    match type_oid {
        oid::NUMERIC => 3,
        oid::FLOAT8 => 2,
        oid::INT8 => 1,
        _ => 0,
    }
}

fn array_type_of_number(type_oid: u32) -> u32 {
    match type_oid {
        oid::INT8 => oid::INT8_ARRAY,
        oid::NUMERIC => oid::NUMERIC_ARRAY,
        _ => 0,
    }
}
