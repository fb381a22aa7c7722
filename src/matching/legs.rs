//! The two legs of a search: rows by vector distance, rows by full text (`text`); both under the filter.
//!
//! The semantic leg orders by the bare distance operator, ascending, which is the one form that a vector index can serve.

use crate::error::{Result, filter_error};
use crate::guc;
use crate::matching::attachment::Attachment;
use crate::pg::setting::with_settings;
use crate::pg::spi::Session;
use crate::pg::value::{Value, to_portable_text};
use castmatch_engine::cache::key::Key;
use castmatch_engine::filter::{self, Compiled};
use castmatch_engine::fusion::SemanticHit;
use pgrx::pg_sys;
use std::ffi::CString;

pub use crate::matching::text::search::text;
pub use crate::matching::text::words::{Word, words};

/// Parameters of a leg before those of the filter: the query.
const FILTER_FIRST: usize = 2;

/// A filter ready to run.
pub struct BoundFilter {
    compiled: Compiled,
    values: Vec<Value>,
}

impl BoundFilter {
    /// Compiles a filter against the table's columns and reads its values by their types' input functions.
    ///
    /// # Errors
    /// 42703 and 22023 for a wrong filter; a value that its type refuses raises the type's own error.
    pub fn new(filter: Option<&serde_json::Value>, columns: &[filter::Column]) -> Result<Self> {
        let empty = serde_json::Value::Object(serde_json::Map::new());
        Self::from_parameter(filter.unwrap_or(&empty), columns, FILTER_FIRST)
    }

    /// As [`Self::new`], for a statement in which the filter's parameters have numbers from `first` on.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn from_parameter(
        filter: &serde_json::Value,
        columns: &[filter::Column],
        first: usize,
    ) -> Result<Self> {
        let compiled = filter::compile(filter, columns, "t", first).map_err(filter_error)?;
        let values = compiled
            .parameters
            .iter()
            .map(|parameter| Value::parse(pg_sys::Oid::from(parameter.type_oid), &parameter.text))
            .collect::<Result<_>>()?;
        Ok(Self { compiled, values })
    }

    /// Columns that the filter looks at.
    pub fn columns(&self) -> &[String] {
        &self.compiled.columns
    }

    /// The value that the filter calls by that name, a column's or that at a path, out of a row's columns.
    pub fn value_in<'v>(
        &self,
        columns: &'v serde_json::Map<String, serde_json::Value>,
        name: &str,
    ) -> &'v serde_json::Value {
        let path = || self.compiled.paths.iter().find(|path| path.to_string() == name);
        columns
            .get(name)
            .or_else(|| path().and_then(|path| Some(path.value_in(columns.get(&path.column)?))))
            .unwrap_or(&serde_json::Value::Null)
    }

    /// Adds the filter to a key: its conditions, and their values as they were read, for "today" is another one tomorrow.
    pub fn identify(&self, key: Key) -> Key {
        let values = self
            .values
            .iter()
            .map(|value| value.datum.map(|datum| to_portable_text(value.type_oid, datum)));
        values.fold(key.with(self.compiled.sql.as_bytes()), |key, value| {
            key.with_text(value.as_deref())
        })
    }

    /// The condition on a row of `t`.
    pub fn sql(&self) -> &str {
        &self.compiled.sql
    }

    /// Its parameters.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// How many parameters it has.
    pub fn parameters(&self) -> usize {
        self.values.len()
    }

    /// The parameters of a statement whose first is the query.
    pub fn with_query(&self, query: Value) -> Vec<Value> {
        std::iter::once(query)
            .chain(self.values.iter().copied())
            .collect()
    }
}

/// The nearest rows, nearest first.
///
/// # Errors
/// As the statement raises them; 22000 if the query's dimensions are not the column's.
pub fn semantic(
    session: &Session,
    attachment: &Attachment,
    filter: &BoundFilter,
    query: &[f32],
    limit: usize,
) -> Result<Vec<SemanticHit>> {
    let vectors = attachment.vectors()?;
    let sql = format!(
        "SELECT {key}, {embedding} {operator} $1 FROM {table} t
         WHERE t.{column} IS NOT NULL AND {filter}
         ORDER BY {embedding} {operator} $1 LIMIT {limit}",
        key = attachment.key.text("t"),
        embedding = attachment.operand()?,
        column = attachment.embedding,
        operator = vectors.cosine,
        table = attachment.table,
        filter = filter.compiled.sql,
    );
    let query = vectors.value(query)?;
    // A graph index that keeps fewer candidates than rows are wanted finds them in several rounds, which cost more. An inverted file goes on
    // to further lists by itself.
    let kept = limit.min(guc::MAX_EF_SEARCH);
    let rows = if kept > guc::ef_search() {
        let kept = CString::new(kept.to_string()).unwrap_or_default();
        with_settings(&[(c"castmatch.ef_search", &kept)], || {
            session.run(&sql, &filter.with_query(query))
        })?
    } else {
        session.run(&sql, &filter.with_query(query))?
    };
    let mut hits = Vec::new();
    for row in 0..rows.len() {
        let distance: f64 = rows.require(row, 2)?;
        // A vector of zeros has no direction, hence no similarity to anything.
        if !distance.is_nan() {
            hits.push(SemanticHit {
                key: rows.require(row, 1)?,
                similarity: 1.0 - distance,
            });
        }
    }
    Ok(hits)
}
