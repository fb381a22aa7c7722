//! JSON to an untyped tree of conditions, within the limits on depth and size.
//!
//! The limits are checked before the recursion starts, so that a hostile value built in memory (jsonb's own parser
//! stops earlier) cannot exhaust the stack.

use serde_json::{Map, Value};

use super::error::{FilterError, json_kind};
use super::suggest::closest;

/// How deep `and`, `or` and `not` may be nested.
pub const MAX_DEPTH: usize = 32;
/// How many conditions a filter may have, each operator of each column counting one.
pub const MAX_CONDITIONS: usize = 1_000;
/// How many values one list may have.
pub const MAX_LIST_VALUES: usize = 10_000;

/// An operator of the filter language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `= ANY`
    In,
    /// `<> ALL`
    NotIn,
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `@>`; on text, a substring
    Contains,
    /// `&&`
    Overlaps,
    /// `LIKE`
    Like,
    /// `ILIKE`
    Ilike,
    /// `IS NULL`, or with `false` `IS NOT NULL`
    IsNull,
}

impl Operator {
    /// All operators, in the order in which messages list them.
    pub const ALL: [Self; 13] = [
        Self::Eq,
        Self::Ne,
        Self::In,
        Self::NotIn,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::Contains,
        Self::Overlaps,
        Self::Like,
        Self::Ilike,
        Self::IsNull,
    ];

    /// The name as filters write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Contains => "contains",
            Self::Overlaps => "overlaps",
            Self::Like => "like",
            Self::Ilike => "ilike",
            Self::IsNull => "is_null",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.name() == name)
    }
}

/// One test of one column, or of a path inside one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition<'a> {
    /// The key as the filter has it, which may be a path.
    pub key: &'a str,
    /// The column that the key names, if it is not a path.
    pub column: String,
    pub operator: Operator,
    pub value: &'a Value,
}

/// The filter as a tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression<'a> {
    All(Vec<Expression<'a>>),
    Any(Vec<Expression<'a>>),
    Not(Box<Expression<'a>>),
    Test(Condition<'a>),
}

/// Parses a filter.
///
/// # Errors
/// Everything that can be said without knowing the columns: shape, operators, nulls, limits.
pub(super) fn parse(filter: &Value) -> Result<Expression<'_>, FilterError> {
    check_limits(filter)?;
    parse_filter(filter, "filter")
}

fn parse_filter<'a>(filter: &'a Value, place: &str) -> Result<Expression<'a>, FilterError> {
    let Value::Object(entries) = filter else {
        return Err(FilterError::NotAnObject {
            place: place.to_owned(),
            found: json_kind(filter),
        });
    };
    let mut parts = Vec::new();
    for (key, value) in entries {
        match key.as_str() {
            "and" => parts.push(Expression::All(parse_list(value, "and")?)),
            "or" => parts.push(Expression::Any(parse_list(value, "or")?)),
            "not" => {
                let inner = parse_filter(value, "\"not\" in the filter")?;
                parts.push(Expression::Not(Box::new(inner)));
            }
            _ => parse_column(key, value, &mut parts)?,
        }
    }
    Ok(one_or_all(parts))
}

fn one_or_all(mut parts: Vec<Expression<'_>>) -> Expression<'_> {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            Expression::All(parts)
        }
        (None, _) => Expression::All(parts),
    }
}

fn parse_list<'a>(value: &'a Value, combinator: &'static str) -> Result<Vec<Expression<'a>>, FilterError> {
    let Value::Array(filters) = value else {
        return Err(FilterError::NotAListOfFilters {
            combinator,
            found: json_kind(value),
        });
    };
    let place = format!("each element of \"{combinator}\" in the filter");
    filters
        .iter()
        .map(|filter| parse_filter(filter, &place))
        .collect()
}

fn parse_column<'a>(
    key: &'a str,
    value: &'a Value,
    parts: &mut Vec<Expression<'a>>,
) -> Result<(), FilterError> {
    let column = column_name(key);
    match value {
        Value::Array(_) => return Err(FilterError::BareArray { column }),
        Value::Object(operators) if operators.is_empty() => return Err(FilterError::NoOperator { column }),
        Value::Object(operators) => parse_operators(key, &column, operators, parts)?,
        Value::Null => return Err(FilterError::NullValue { column }),
        _ => parts.push(Expression::Test(Condition {
            key,
            column,
            operator: Operator::Eq,
            value,
        })),
    }
    Ok(())
}

fn parse_operators<'a>(
    key: &'a str,
    column: &str,
    operators: &'a Map<String, Value>,
    parts: &mut Vec<Expression<'a>>,
) -> Result<(), FilterError> {
    for (name, value) in operators {
        let Some(operator) = Operator::from_name(name) else {
            let closest = closest(name, Operator::ALL.into_iter().map(Operator::name))
                .and_then(Operator::from_name)
                .map(Operator::name);
            return Err(FilterError::UnknownOperator {
                column: column.to_owned(),
                operator: name.clone(),
                closest,
                holds_object: value.is_object(),
            });
        };
        if value.is_null() {
            return Err(FilterError::NullValue {
                column: column.to_owned(),
            });
        }
        parts.push(Expression::Test(Condition {
            key,
            column: column.to_owned(),
            operator,
            value,
        }));
    }
    Ok(())
}

/// The column that a key names: the key itself, or what a key in double quotes encloses.
pub(super) fn column_name(key: &str) -> String {
    match key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => key.to_owned(),
    }
}

/// Walks the combinators with an explicit stack and compares depth and size with the limits.
fn check_limits(filter: &Value) -> Result<(), FilterError> {
    let mut depth = 0;
    let mut count: usize = 0;
    let mut open: Vec<(&Value, usize)> = vec![(filter, 1)];
    while let Some((value, level)) = open.pop() {
        depth = depth.max(level);
        let Value::Object(entries) = value else { continue };
        let (count_before, open_before) = (count, open.len());
        for (key, inner) in entries {
            match (key.as_str(), inner) {
                ("not", _) => open.push((inner, level + 1)),
                ("and" | "or", Value::Array(filters)) => {
                    open.extend(filters.iter().map(|inner| (inner, level + 1)));
                }
                (_, Value::Object(operators)) => count = count.saturating_add(operators.len().max(1)),
                _ => count = count.saturating_add(1),
            }
        }
        // A filter without a test costs as much as a test; a million empty ones must be refused too.
        if level > 1 && count == count_before && open.len() == open_before {
            count = count.saturating_add(1);
        }
    }
    if depth > MAX_DEPTH {
        return Err(FilterError::TooDeep {
            depth,
            limit: MAX_DEPTH,
        });
    }
    if count > MAX_CONDITIONS {
        return Err(FilterError::TooManyConditions {
            count,
            limit: MAX_CONDITIONS,
        });
    }
    Ok(())
}
