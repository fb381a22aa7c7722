//! The tree to SQL: a boolean expression over the target's alias and the parameters that it refers to.

use serde_json::Value;

use super::array_literal;
use super::column::{Column, Kind};
use super::error::{FilterError, json_kind};
use super::parse::{Condition, Expression, Operator, parse};
use super::path::{self, Reference};
use super::suggest::closest_column;
use super::value::Use;

/// How many existing columns an error about an unknown one lists.
const LISTED_COLUMNS: usize = 10;

/// A value to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The type to bind it as, which is the column's or one that PostgreSQL compares with it.
    pub type_oid: u32,
    /// The value in the type's text input format; arrays as array literals.
    pub text: String,
}

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// A boolean SQL expression, complete in itself (parenthesised); `true` for the empty filter.
    pub sql: String,
    /// The parameters, the first belonging to `$first_parameter`, each referred to at least once.
    pub parameters: Vec<Parameter>,
    /// The columns used, those of paths included, each once, in order of first use.
    pub columns: Vec<String>,
    /// The paths used, each once, in order of first use. [`Reference::value_in`] finds a row's value at one in the value
    /// of its column, and its text is the path's name.
    pub paths: Vec<Reference>,
}

/// Compiles a filter for a table with the given columns.
///
/// `alias` is the name by which the statement calls the table; `first_parameter` is the number of the first free
/// parameter, as 3 in `$3`. An unqualified operator is written only for a type outside `pg_catalog` whose operators
/// come with its extension (citext for example); it is found by the caller's `search_path`, as in SQL that the
/// caller writes.
///
/// # Errors
/// Any [`FilterError`]: the filter's shape, an unknown column or operator, a value that does not suit, a limit.
///
/// Numbers keep the precision that `serde_json` gives them: integers of 64 bits, fractions as f64. An exact
/// numeric beyond that can be written as a string.
pub fn compile(
    filter: &Value,
    columns: &[Column],
    alias: &str,
    first_parameter: usize,
) -> Result<Compiled, FilterError> {
    let expression = parse(filter)?;
    let mut writer = Writer {
        columns,
        alias: quote_alias(alias),
        first_parameter,
        compiled: Compiled {
            sql: String::new(),
            parameters: Vec::new(),
            columns: Vec::new(),
            paths: Vec::new(),
        },
    };
    writer.expression(&expression)?;
    Ok(writer.compiled)
}

/// The expression while it is written.
pub(super) struct Writer<'a> {
    columns: &'a [Column],
    alias: String,
    first_parameter: usize,
    pub(super) compiled: Compiled,
}

impl Writer<'_> {
    fn expression(&mut self, expression: &Expression<'_>) -> Result<(), FilterError> {
        match expression {
            Expression::All(parts) => self.joined(parts, " AND ", "true"),
            Expression::Any(parts) => self.joined(parts, " OR ", "false"),
            Expression::Not(inner) => {
                self.compiled.sql.push_str("(NOT ");
                self.expression(inner)?;
                self.compiled.sql.push(')');
                Ok(())
            }
            Expression::Test(condition) => {
                let sql = self.test(condition)?;
                self.compiled.sql.push_str(&sql);
                Ok(())
            }
        }
    }

    fn joined(
        &mut self,
        parts: &[Expression<'_>],
        separator: &str,
        when_empty: &str,
    ) -> Result<(), FilterError> {
        match parts {
            [] => self.compiled.sql.push_str(when_empty),
            [only] => self.expression(only)?,
            _ => {
                for (position, part) in parts.iter().enumerate() {
                    self.compiled
                        .sql
                        .push_str(if position == 0 { "(" } else { separator });
                    self.expression(part)?;
                }
                self.compiled.sql.push(')');
            }
        }
        Ok(())
    }

    fn test(&mut self, condition: &Condition<'_>) -> Result<String, FilterError> {
        let (column, path) = find(self.columns, condition)?;
        let operator = condition.operator;
        if !path.is_empty() {
            self.note_column(column);
            return self.path_condition(column, path, operator, condition.value);
        }
        let supported = supported_operators(column);
        if !supported.contains(&operator) {
            return Err(FilterError::UnsupportedOperator {
                column: column.name.clone(),
                type_name: column.type_name.clone(),
                operator: operator.name(),
                supported: supported.iter().map(|operator| operator.name()).collect(),
            });
        }
        self.note_column(column);
        let context = Use { column, operator };
        let reference = self.column_reference(column);
        self.condition(context, &reference, condition.value)
    }

    fn note_column(&mut self, column: &Column) {
        if !self.compiled.columns.contains(&column.name) {
            self.compiled.columns.push(column.name.clone());
        }
    }

    pub(super) fn column_reference(&self, column: &Column) -> String {
        format!("{}.{}", self.alias, quote_identifier(&column.name))
    }

    fn condition(&mut self, context: Use<'_>, reference: &str, value: &Value) -> Result<String, FilterError> {
        let column = context.column;
        Ok(match context.operator {
            Operator::IsNull => match value {
                Value::Bool(true) => format!("({reference} IS NULL)"),
                Value::Bool(false) => format!("({reference} IS NOT NULL)"),
                _ => return Err(context.wrong_value("true or false", json_kind(value))),
            },
            Operator::In | Operator::NotIn => self.one_of(context, reference, value)?,
            Operator::Like | Operator::Ilike => {
                let symbol = if context.operator == Operator::Like {
                    "~~"
                } else {
                    "~~*"
                };
                let number = self.bind(context.pattern(value)?);
                format!("({reference} {} ${number})", operator_sql(column, symbol))
            }
            Operator::Contains => self.contains(context, reference, value)?,
            Operator::Overlaps => {
                let parameter = match column.kind() {
                    Kind::Array => context.array(value)?,
                    _ => context.scalar(value)?,
                };
                format!("({reference} OPERATOR(pg_catalog.&&) ${})", self.bind(parameter))
            }
            comparison => {
                let number = self.bind(context.scalar(value)?);
                format!(
                    "({reference} {} ${number})",
                    operator_sql(column, comparison_symbol(comparison))
                )
            }
        })
    }

    fn contains(&mut self, context: Use<'_>, reference: &str, value: &Value) -> Result<String, FilterError> {
        Ok(match context.column.kind() {
            Kind::Text => {
                let number = self.bind(context.pattern(value)?);
                format!("(pg_catalog.strpos({reference}, ${number}) OPERATOR(pg_catalog.>) 0)")
            }
            Kind::Jsonb => {
                let text = context.json(value)?;
                let number = self.bind(Parameter {
                    type_oid: context.column.type_oid,
                    text,
                });
                format!("({reference} OPERATOR(pg_catalog.@>) ${number})")
            }
            Kind::Range => {
                let number = self.bind(context.range_member(value)?);
                format!("({reference} OPERATOR(pg_catalog.@>) ${number})")
            }
            _ => {
                let number = self.bind(context.array(value)?);
                format!("({reference} OPERATOR(pg_catalog.@>) ${number})")
            }
        })
    }

    fn one_of(&mut self, context: Use<'_>, reference: &str, value: &Value) -> Result<String, FilterError> {
        let (symbol, quantifier, separator, when_empty) = match context.operator {
            Operator::NotIn => ("<>", "ALL", " AND ", "true"),
            _ => ("=", "ANY", " OR ", "false"),
        };
        let values = context.list(value)?;
        if values.is_empty() {
            return Ok(when_empty.to_owned());
        }
        let (array_type_oid, parameters) = context.scalars(values)?;
        let operator = operator_sql(context.column, symbol);
        if array_type_oid != 0 && context.column.kind() != Kind::Array {
            let texts: Vec<String> = parameters.into_iter().map(|parameter| parameter.text).collect();
            let number = self.bind(Parameter {
                type_oid: array_type_oid,
                text: array_literal::write(&texts),
            });
            return Ok(format!("({reference} {operator} {quantifier} (${number}))"));
        }
        // ANY over an array of arrays compares elements, and a type without an array type has no ANY at all.
        let tests: Vec<String> = parameters
            .into_iter()
            .map(|parameter| format!("{reference} {operator} ${}", self.bind(parameter)))
            .collect();
        Ok(format!("({})", tests.join(separator)))
    }

    /// Adds a parameter and returns its number.
    pub(super) fn bind(&mut self, parameter: Parameter) -> usize {
        let number = self
            .first_parameter
            .saturating_add(self.compiled.parameters.len());
        self.compiled.parameters.push(parameter);
        number
    }
}

/// The column of a condition, with the path inside it; the path of a plain column is empty.
fn find<'a>(
    columns: &'a [Column],
    condition: &Condition<'_>,
) -> Result<(&'a Column, Vec<String>), FilterError> {
    let name = condition.column.as_str();
    if let Some(column) = columns.iter().find(|column| column.name == name) {
        return Ok((column, Vec::new()));
    }
    path::resolve(condition.key, columns)?.ok_or_else(|| FilterError::UnknownColumn {
        column: name.to_owned(),
        closest: closest_column(name, columns).map(str::to_owned),
        existing: columns
            .iter()
            .take(LISTED_COLUMNS)
            .map(|column| column.name.clone())
            .collect(),
        existing_count: columns.len(),
    })
}

/// The operators that a column's type supports, in the order of [`Operator::ALL`].
fn supported_operators(column: &Column) -> &'static [Operator] {
    use Operator::{Contains, Eq, Gt, Gte, Ilike, In, IsNull, Like, Lt, Lte, Ne, NotIn, Overlaps};
    match column.kind() {
        Kind::Array => &[Eq, Ne, In, NotIn, Contains, Overlaps, IsNull],
        Kind::Boolean => &[Eq, Ne, In, NotIn, IsNull],
        // json has no comparison at all; jsonb has one, but its order means nothing to a user.
        Kind::Json => &[IsNull],
        Kind::Jsonb => &[Eq, Ne, In, NotIn, Contains, IsNull],
        Kind::Number | Kind::Written => &[Eq, Ne, In, NotIn, Gt, Gte, Lt, Lte, IsNull],
        Kind::Range => &[Eq, Ne, In, NotIn, Contains, Overlaps, IsNull],
        Kind::Text => &[Eq, Ne, In, NotIn, Gt, Gte, Lt, Lte, Contains, Like, Ilike, IsNull],
    }
}

pub(super) fn comparison_symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Ne => "<>",
        Operator::Gt => ">",
        Operator::Gte => ">=",
        Operator::Lt => "<",
        Operator::Lte => "<=",
        _ => "=",
    }
}

fn operator_sql(column: &Column, symbol: &str) -> String {
    if column.has_builtin_operators() {
        format!("OPERATOR(pg_catalog.{symbol})")
    } else {
        symbol.to_owned()
    }
}

pub(super) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The alias as it is where no quoting is needed, so that the statement stays readable.
fn quote_alias(alias: &str) -> String {
    let is_plain = alias.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && alias
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain {
        alias.to_owned()
    } else {
        quote_identifier(alias)
    }
}
