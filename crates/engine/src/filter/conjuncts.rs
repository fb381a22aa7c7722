//! A filter in its parts: the conditions that must all hold, each as a filter of its own.
//!
//! Split at the level of JSON, so that each part is compiled and described by what does so with the whole.

use serde_json::{Map, Value};

use super::Operator;
use super::parse::{column_name, parse};

/// A condition that every row of the result meets.
#[derive(Debug, Clone, PartialEq)]
pub struct Conjunct {
    /// The condition as a filter.
    pub filter: Value,
    /// What it tests, unless it is a combination of conditions.
    pub test: Option<Test>,
}

/// A test of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// The column, as the filter names it, without quotes.
    pub column: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: Value,
}

/// The conditions of a filter, in its order; none for a filter that does not parse, since [`super::compile`] reports that.
pub fn conjuncts(filter: &Value) -> Vec<Conjunct> {
    let mut parts = Vec::new();
    // Also checks the limits, so that the recursion ends.
    if parse(filter).is_ok() {
        split(filter, &mut parts);
    }
    parts
}

fn split(filter: &Value, parts: &mut Vec<Conjunct>) {
    for (key, value) in filter.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("and", Value::Array(filters)) => filters.iter().for_each(|filter| split(filter, parts)),
            ("or" | "not", _) => parts.push(Conjunct {
                filter: object(key, value.clone()),
                test: None,
            }),
            (_, Value::Object(operators)) => {
                for (name, value) in operators {
                    let whole = object(key, object(name, value.clone()));
                    parts.push(test(key, Operator::from_name(name), value, whole));
                }
            }
            _ => parts.push(test(key, Some(Operator::Eq), value, object(key, value.clone()))),
        }
    }
}

fn test(key: &str, operator: Option<Operator>, value: &Value, filter: Value) -> Conjunct {
    Conjunct {
        filter,
        test: operator.map(|operator| Test {
            column: column_name(key),
            operator,
            value: value.clone(),
        }),
    }
}

fn object(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_filter_is_the_conjunction_of_its_parts() {
        let filter = json!({
            "age": {"gte": 38, "lt": 50}, "and": [{"city": "Pune"}, {"and": [{"not": {"age": 45}}]}, {}],
            "or": [{"age": 1}, {"age": 2}], "\"or\"": {"in": [1, 2]},
        });
        let parts: Vec<String> = conjuncts(&filter)
            .iter()
            .map(|part| {
                let test = part.test.as_ref();
                let tested = test.map_or("combined".to_owned(), |test| {
                    format!("{} {} {}", test.column, test.operator.name(), test.value)
                });
                format!("{} = {tested}", part.filter)
            })
            .collect();
        assert_eq!(
            parts,
            [
                r#"{"\"or\"":{"in":[1,2]}} = or in [1,2]"#,
                r#"{"age":{"gte":38}} = age gte 38"#,
                r#"{"age":{"lt":50}} = age lt 50"#,
                r#"{"city":"Pune"} = city eq "Pune""#,
                r#"{"not":{"age":45}} = combined"#,
                r#"{"or":[{"age":1},{"age":2}]} = combined"#,
            ]
        );
        assert_eq!(conjuncts(&json!({})), []);
        assert_eq!(conjuncts(&json!({"age": {"is": 1}})), []);
        assert_eq!(conjuncts(&json!([1])), []);
    }
}
