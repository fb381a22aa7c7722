//! Tests of a path inside a JSON column as SQL.
//!
//! The value at the path has a type of its own in every row, so each test first asks for it: `CASE WHEN jsonb_typeof(…)
//! = 'number' THEN … END` is NULL, like SQL's comparisons with NULL, where the value is of another kind or absent. CASE
//! alone keeps the order in which parts of a condition run, and nothing under it is a cast that a row could make fail.

use serde_json::Value;

use super::array_literal;
use super::column::{Column, Kind, oid};
use super::error::{FilterError, json_kind};
use super::parse::{MAX_LIST_VALUES, Operator};
use super::path::Reference;
use super::sql::{Parameter, Writer, comparison_symbol};
use super::value::contains_nul;

/// What a json document may hold that jsonb refuses (PostgreSQL's documentation, 8.14): the escape of U+0000, half a
/// surrogate pair, a number beyond numeric. Found in one pass, and now and then where there is no such thing.
const SUSPECT: &str = r"\\u(0000|[dD][89a-fA-F])|[0-9][eE][-+]?[0-9]{5}|[0-9]{255}";
/// Escapes that must not be taken for half of something else: a backslash, a surrogate pair.
const WHOLE_ESCAPE: &str = r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}";
/// The same as [`SUSPECT`], exact once whole escapes are gone, but for numbers inside strings that look like one of those,
/// and with a wide margin to numeric's limits, which are 131,072 digits before the point and 16,383 after it.
const REFUSED: &str =
    r"\\u(0000|[dD][89a-fA-F])|(^|[:,[])\s*-?[0-9.]+[eE][-+]?0*[1-9][0-9]{4}|([0-9]{200}){10}";

/// A json column as jsonb; NULL where jsonb would refuse the document, for a row must not make a search fail.
fn as_jsonb(name: &str) -> String {
    // E'' reads backslashes alike whatever standard_conforming_strings is.
    let literal = |pattern: &str| format!("E'{}'", pattern.replace('\\', "\\\\"));
    format!(
        "(CASE WHEN {name}::pg_catalog.text OPERATOR(pg_catalog.!~) {suspect} THEN {name}::pg_catalog.jsonb \
         WHEN pg_catalog.regexp_replace({name}::pg_catalog.text, {whole}, '', 'g') OPERATOR(pg_catalog.!~) {refused} \
         THEN {name}::pg_catalog.jsonb END)",
        suspect = literal(SUSPECT),
        whole = literal(WHOLE_ESCAPE),
        refused = literal(REFUSED),
    )
}

/// A path and the operator applied to it: what every error here has to name.
struct Use<'a> {
    path: &'a str,
    operator: Operator,
}

impl Use<'_> {
    fn wrong_value(&self, expected: &'static str, value: &Value) -> FilterError {
        FilterError::WrongPathValue {
            path: self.path.to_owned(),
            operator: self.operator.name(),
            expected,
            found: json_kind(value),
        }
    }

    fn json(&self, value: &Value) -> Result<Parameter, FilterError> {
        Ok(Parameter {
            type_oid: oid::JSONB,
            text: self.json_text(value)?,
        })
    }

    fn json_array<'v>(&self, values: impl IntoIterator<Item = &'v Value>) -> Result<Parameter, FilterError> {
        let texts = values
            .into_iter()
            .map(|value| self.json_text(value))
            .collect::<Result<Vec<String>, _>>()?;
        Ok(Parameter {
            type_oid: oid::JSONB_ARRAY,
            text: array_literal::write(&texts),
        })
    }

    fn json_text(&self, value: &Value) -> Result<String, FilterError> {
        self.without_nul(contains_nul(value))?;
        Ok(value.to_string())
    }

    fn text(&self, text: &str) -> Result<Parameter, FilterError> {
        self.without_nul(text.contains('\0'))?;
        Ok(Parameter {
            type_oid: oid::TEXT,
            text: text.to_owned(),
        })
    }

    fn without_nul(&self, has_nul: bool) -> Result<(), FilterError> {
        if has_nul {
            return Err(FilterError::NulCharacter {
                column: self.path.to_owned(),
            });
        }
        Ok(())
    }

    /// The values to compare with one by one: null among them equals nothing.
    fn listed<'v>(&self, values: &'v [Value]) -> Result<&'v [Value], FilterError> {
        self.check_length(values)?;
        if values.iter().any(Value::is_null) {
            return Err(FilterError::NullValue {
                column: self.path.to_owned(),
            });
        }
        Ok(values)
    }

    fn check_length(&self, values: &[Value]) -> Result<(), FilterError> {
        if values.len() > MAX_LIST_VALUES {
            return Err(FilterError::TooManyValues {
                column: self.path.to_owned(),
                operator: self.operator.name(),
                count: values.len(),
                limit: MAX_LIST_VALUES,
            });
        }
        Ok(())
    }
}

/// SQL that yields a path's value as jsonb, as text, and the kind of it; each NULL where the path is absent.
struct Place {
    value: String,
    text: String,
    kind: String,
}

impl Place {
    /// `then` where the value is of the kind, NULL elsewhere.
    fn only(&self, kind: &str, then: &str) -> String {
        format!("(CASE WHEN {} THEN {then} END)", self.is(kind))
    }

    fn is(&self, kind: &str) -> String {
        format!("{} OPERATOR(pg_catalog.=) '{kind}'", self.kind)
    }
}

impl Writer<'_> {
    /// One test of a path.
    pub(super) fn path_condition(
        &mut self,
        column: &Column,
        path: Vec<String>,
        operator: Operator,
        value: &Value,
    ) -> Result<String, FilterError> {
        let reference = Reference {
            column: column.name.clone(),
            path,
        };
        let name = reference.to_string();
        let context = Use {
            path: &name,
            operator,
        };
        if let (Operator::In | Operator::NotIn, Value::Array(values)) = (operator, value)
            && values.is_empty()
        {
            self.note_path(reference);
            return Ok((operator == Operator::NotIn).to_string());
        }
        let place = self.place(column, &reference);
        self.note_path(reference);
        match operator {
            Operator::IsNull => is_null(&context, &place, value),
            Operator::In | Operator::NotIn => self.path_one_of(&context, &place, value),
            Operator::Like | Operator::Ilike => self.path_like(&context, &place, value),
            Operator::Contains => self.path_contains(&context, &place, value),
            Operator::Overlaps => self.path_overlaps(&context, &place, value),
            Operator::Eq | Operator::Ne => self.path_compare(&context, &place, value),
            Operator::Gt | Operator::Gte | Operator::Lt | Operator::Lte => match value {
                Value::Number(_) | Value::String(_) => self.path_compare(&context, &place, value),
                _ => Err(context.wrong_value("a number or a string", value)),
            },
        }
    }

    fn note_path(&mut self, reference: Reference) {
        if !self.compiled.paths.contains(&reference) {
            self.compiled.paths.push(reference);
        }
    }

    fn place(&mut self, column: &Column, reference: &Reference) -> Place {
        let name = self.column_reference(column);
        let document = match column.kind() {
            Kind::Json => as_jsonb(&name),
            _ => name,
        };
        let number = self.bind(Parameter {
            type_oid: oid::TEXT_ARRAY,
            text: array_literal::write(&reference.path),
        });
        let value = format!("({document} OPERATOR(pg_catalog.#>) ${number})");
        Place {
            kind: format!("pg_catalog.jsonb_typeof({value})"),
            text: format!("({document} OPERATOR(pg_catalog.#>>) ${number})"),
            value,
        }
    }

    /// Compares with a value of the same kind. jsonb orders numbers as numeric and strings as text does.
    fn path_compare(
        &mut self,
        context: &Use<'_>,
        place: &Place,
        value: &Value,
    ) -> Result<String, FilterError> {
        let number = self.bind(context.json(value)?);
        let symbol = comparison_symbol(context.operator);
        Ok(place.only(
            kind_name(value),
            &format!("{} OPERATOR(pg_catalog.{symbol}) ${number}", place.value),
        ))
    }

    fn path_one_of(
        &mut self,
        context: &Use<'_>,
        place: &Place,
        value: &Value,
    ) -> Result<String, FilterError> {
        let Value::Array(values) = value else {
            return Err(context.wrong_value("an array", value));
        };
        let mut kinds: Vec<&str> = context.listed(values)?.iter().map(kind_name).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let number = self.bind(context.json_array(values)?);
        let (symbol, quantifier) = match context.operator {
            Operator::NotIn => ("<>", "ALL"),
            _ => ("=", "ANY"),
        };
        let kinds: Vec<String> = kinds.into_iter().map(|kind| place.is(kind)).collect();
        Ok(format!(
            "(CASE WHEN {} THEN {} OPERATOR(pg_catalog.{symbol}) {quantifier} (${number}) END)",
            kinds.join(" OR "),
            place.value
        ))
    }

    fn path_like(&mut self, context: &Use<'_>, place: &Place, value: &Value) -> Result<String, FilterError> {
        let Value::String(pattern) = value else {
            return Err(context.wrong_value("a string", value));
        };
        let symbol = if context.operator == Operator::Like {
            "~~"
        } else {
            "~~*"
        };
        let number = self.bind(context.text(pattern)?);
        Ok(place.only(
            "string",
            &format!("{} OPERATOR(pg_catalog.{symbol}) ${number}", place.text),
        ))
    }

    /// On an array, a value that is not a list is looked for as an element. A string is part of a string besides, an
    /// object part of an object.
    fn path_contains(
        &mut self,
        context: &Use<'_>,
        place: &Place,
        value: &Value,
    ) -> Result<String, FilterError> {
        let elements = match value {
            Value::Array(values) => {
                context.check_length(values)?;
                context.json(value)?
            }
            _ => context.json(&Value::Array(vec![value.clone()]))?,
        };
        let number = self.bind(elements);
        let in_array = format!(
            "CASE WHEN {} THEN {} OPERATOR(pg_catalog.@>) ${number}",
            place.is("array"),
            place.value
        );
        Ok(match value {
            Value::String(text) => {
                let number = self.bind(context.text(text)?);
                format!(
                    "({in_array} WHEN {} THEN pg_catalog.strpos({}, ${number}) OPERATOR(pg_catalog.>) 0 END)",
                    place.is("string"),
                    place.text
                )
            }
            Value::Object(_) => {
                let number = self.bind(context.json(value)?);
                format!(
                    "({in_array} WHEN {} THEN {} OPERATOR(pg_catalog.@>) ${number} END)",
                    place.is("object"),
                    place.value
                )
            }
            _ => format!("({in_array} END)"),
        })
    }

    fn path_overlaps(
        &mut self,
        context: &Use<'_>,
        place: &Place,
        value: &Value,
    ) -> Result<String, FilterError> {
        let values = match value {
            Value::Array(values) => context.listed(values)?,
            _ => std::slice::from_ref(value),
        };
        let number = self.bind(context.json_array(values)?);
        Ok(place.only(
            "array",
            &format!(
                "EXISTS (SELECT FROM pg_catalog.jsonb_array_elements({}) AS e (v) \
                 WHERE e.v OPERATOR(pg_catalog.=) ANY (${number}))",
                place.value
            ),
        ))
    }
}

/// Absent and JSON null are the same to a user, and so to this test.
fn is_null(context: &Use<'_>, place: &Place, value: &Value) -> Result<String, FilterError> {
    let symbol = match value {
        Value::Bool(true) => "=",
        Value::Bool(false) => "<>",
        _ => return Err(context.wrong_value("true or false", value)),
    };
    Ok(format!(
        "(COALESCE({}, 'null') OPERATOR(pg_catalog.{symbol}) 'null')",
        place.kind
    ))
}

/// The kind of a value as `jsonb_typeof` calls it.
fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
