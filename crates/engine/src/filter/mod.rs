//! The hard filter of `match` and `chat`: jsonb in, a SQL condition with bound parameters out.
//!
//! `parse` turns JSON into an untyped tree and enforces the limits, `value` checks each value against the type of
//! its column, `sql` writes the condition. Invariants: a value never becomes SQL text, every identifier is quoted,
//! every built-in operator and function is qualified with `pg_catalog`, so neither the filter nor the caller's
//! `search_path` can change what runs. The glue calls [`compile`] once per search and [`describe`] for chat replies.
//!
//! The grammar:
//!
//! ```text
//! filter    := { entry, … }                         all entries must hold; {} holds for every row
//! entry     := "and": [filter, …]                   all; [] holds for every row
//!            | "or":  [filter, …]                   at least one; [] holds for no row
//!            | "not": filter
//!            | column: scalar                       short for {"eq": scalar}
//!            | column: { operator: value, … }       all operators must hold; at least one
//! column    := the exact name of a column, or that name in double quotes with inner quotes doubled, as in SQL:
//!              "\"or\"" reaches a column that is really called or
//! operator  := eq ne in not_in gt gte lt lte contains overlaps like ilike is_null
//! ```
//!
//! Semantics are SQL's: a row passes where the condition is true. NULL satisfies neither `ne` nor a `not_in` with
//! values, and `not` of an unknown condition stays unknown. JSON `null` is refused: `is_null` says it clearly.

mod array_literal;
mod column;
mod conjuncts;
mod describe;
mod error;
mod parse;
#[cfg(test)]
mod property_tests;
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
pub use sql::{Compiled, Parameter, compile};

pub(crate) use error::{display_name, json_kind};
pub(crate) use suggest::closest;
