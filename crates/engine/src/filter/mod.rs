//! The hard filter of `match` and `chat`: jsonb in, a SQL condition with bound parameters out.
//!
//! `parse` turns JSON into an untyped tree and enforces the limits, `value` checks each value against the type of
//! its column, `sql` writes the condition; `path` and `path_sql` do so for paths into jsonb. Invariants: neither a
//! value nor an element of a path becomes SQL text, every identifier is quoted, every built-in operator and function is
//! qualified with `pg_catalog`, so neither the filter nor the caller's `search_path` can change what runs. The glue
//! calls [`compile`] once per search and [`describe`] for chat replies.
//!
//! The grammar:
//!
//! ```text
//! filter    := { entry, … }                         all entries must hold; {} holds for every row
//! entry     := "and": [filter, …]                   all; [] holds for every row
//!            | "or":  [filter, …]                   at least one; [] holds for no row
//!            | "not": filter
//!            | name: scalar                         short for {"eq": scalar}
//!            | name: { operator: value, … }         all operators must hold; at least one
//! name      := column | path                        an exact column name always wins
//! column    := the exact name of a column, or that name in double quotes with inner quotes doubled, as in SQL:
//!              "\"or\"" reaches a column that is really called or
//! path      := column "." element { "." element }   into a column of type jsonb or json
//! element   := text without dot or quote, or in double quotes with inner quotes doubled: profile."a.b".c;
//!              read as `#>` does: a member of an object or, a whole number, a place in an array
//! operator  := eq ne in not_in gt gte lt lte contains overlaps like ilike is_null
//! ```
//!
//! Semantics are SQL's: a row passes where the condition is true. NULL satisfies neither `ne` nor a `not_in` with
//! values, and `not` of an unknown condition stays unknown. JSON `null` is refused: `is_null` says it clearly.
//!
//! At a path the kind of the filter's value decides, and a row whose value is of another kind, or absent, is to every
//! operator but `is_null` what NULL is, never an error:
//!
//! ```text
//! eq ne            any JSON value           a value of the same kind, equal or not
//! in not_in        [value, …]               a value of one of their kinds, equal to any or to none; as for columns, an
//!                                           empty list holds for no row, or for every row
//! gt gte lt lte    number | string          numbers as numeric, strings as text in the database's collation
//! like ilike       string                   strings
//! contains         [value, …]               arrays: all of the values are elements (jsonb's @>)
//!                  any other value v        arrays: v is an element, as [v] says it;
//!                                           a string besides: strings, of which it is part;
//!                                           an object besides: objects, of which it is part (@>)
//! overlaps         [value, …] | value       arrays: any of the values is an element
//! is_null          true | false             true: absent or JSON null
//! ```

mod array_literal;
mod column;
mod conjuncts;
mod describe;
mod error;
mod parse;
mod path;
mod path_sql;
#[cfg(test)]
mod path_tests;
#[cfg(test)]
pub(crate) mod property_tests;
mod sql;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

pub use array_literal::write as array_literal;
pub use column::{Column, TypeCategory};
pub use conjuncts::{Conjunct, Test, conjuncts};
pub use describe::describe;
pub use error::{ErrorClass, FilterError};
pub use parse::{MAX_CONDITIONS, MAX_DEPTH, MAX_LIST_VALUES, Operator};
pub use path::{MAX_PATH_BYTES, MAX_PATH_ELEMENTS, PathError, Reference, value_at};
pub use sql::{Compiled, Parameter, compile};

pub(crate) use error::{display_name, json_kind};
pub(crate) use path::resolve;
pub(crate) use suggest::{closest, closest_column};
