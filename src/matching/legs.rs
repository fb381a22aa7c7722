//! The two legs of a search as SQL: rows by vector distance, rows by full text; both under the filter.
//!
//! The semantic leg orders by the bare distance operator, ascending, which is the one form that a vector index can serve.

use crate::error::{Result, filter_error};
use crate::matching::attachment::{Attachment, cosine_operator};
use crate::pg::catalog;
use crate::pg::setting::with_settings;
use crate::pg::spi::Session;
use crate::pg::value::{Value, to_portable_text};
use crate::pg::vector::vector_datum;
use castmatch_engine::cache::key::Key;
use castmatch_engine::filter::{self, Compiled};
use castmatch_engine::fusion::{SemanticHit, TextHit, or_tsquery};
use pgrx::pg_sys;

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
    let types = catalog::extension_types()?;
    let sql = format!(
        "SELECT {key}, t.{embedding} {operator} $1 FROM {table} t
         WHERE t.{embedding} IS NOT NULL AND {filter}
         ORDER BY t.{embedding} {operator} $1 LIMIT {limit}",
        key = attachment.key.text("t"),
        embedding = attachment.embedding,
        operator = cosine_operator()?,
        table = attachment.table,
        filter = filter.compiled.sql,
    );
    let query = Value::datum(types.vector, Some(vector_datum(query)?));
    let rows = session.run(&sql, &filter.with_query(query))?;
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

/// Rows that one word is looked up in at most; a word of more rows says next to nothing.
const MAX_ROWS_PER_WORD: usize = 20_000;

/// The rows that share words with the query, best first.
///
/// A row's rank is the sum of its words' inverse document frequencies as in BM25 (Robertson and Zaragoza, "The Probabilistic
/// Relevance Framework: BM25 and Beyond", 2009, eq. 3.3), so that a rare word counts more than a common one. How often a
/// word stands in a row does not count: that would need the row's text, while each word's rows come out of the index alone.
///
/// # Errors
/// As the statement raises them.
pub fn text(
    session: &Session,
    attachment: &Attachment,
    filter: &BoundFilter,
    words: &[Word],
    limit: usize,
) -> Result<Vec<TextHit>> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let subqueries: Vec<String> = (0..words.len())
        .map(|word| word_rows(attachment, filter, word))
        .collect();
    let sql = format!(
        "WITH hits AS MATERIALIZED ({hits}),
         words AS (
             SELECT h.word, CASE WHEN pg_catalog.count(*) >= {MAX_ROWS_PER_WORD} THEN 0 ELSE
                 pg_catalog.ln(1 + (GREATEST($1[{rows}]::float8, pg_catalog.count(*)) - pg_catalog.count(*) + 0.5)
                                   / (pg_catalog.count(*) + 0.5)) END AS weight
             FROM hits h GROUP BY h.word)
         SELECT h.key, pg_catalog.sum(w.weight) AS rank
         FROM hits h JOIN words w ON w.word OPERATOR(pg_catalog.=) h.word
         GROUP BY h.key ORDER BY rank DESC, h.key LIMIT {limit}",
        hits = subqueries.join(" UNION ALL "),
        rows = words.len() + 1,
    );
    let queries: Vec<String> = words
        .iter()
        .map(|word| or_tsquery(std::slice::from_ref(&word.lexeme)))
        .collect();
    let parameters: Vec<String> = queries
        .into_iter()
        .chain(std::iter::once(attachment.estimated_rows.to_string()))
        .collect();
    // Reducing a row's text to words costs far more than the planner thinks: a scan of the table, which it would choose for
    // common words, must not happen while the index holds them (docs/design/matching.md).
    let rows = with_settings(&[(c"enable_seqscan", c"off")], || {
        session.run(&sql, &filter.with_query(Value::of(parameters)))
    })?;
    (0..rows.len())
        .map(|row| {
            Ok(TextHit {
                key: rows.require(row, 1)?,
                rank: rows.require(row, 2)?,
            })
        })
        .collect()
}

/// The rows with one word, as a subquery; `$1` is an array of the words' queries.
fn word_rows(attachment: &Attachment, filter: &BoundFilter, word: usize) -> String {
    format!(
        "(SELECT {key} AS key, {word} AS word FROM {table} t
          WHERE {tsvector} OPERATOR(pg_catalog.@@) $1[{place}]::pg_catalog.tsquery AND {filter}
          LIMIT {MAX_ROWS_PER_WORD})",
        key = attachment.key.text("t"),
        table = attachment.table,
        tsvector = attachment.tsvector_expression("t."),
        place = word + 1,
        filter = filter.compiled.sql,
    )
}

/// The query's words: as the table's text search configuration reduces them, and as they were written.
///
/// # Errors
/// As the statement raises them.
pub fn words(session: &Session, attachment: &Attachment, query: &str) -> Result<Vec<Word>> {
    let config = pgrx::spi::quote_literal(&attachment.text_config);
    let sql = format!(
        "SELECT q.lexeme, pg_catalog.min(p.token) FILTER (WHERE w.lexeme IS NOT NULL)
         FROM pg_catalog.unnest(pg_catalog.to_tsvector({config}::pg_catalog.regconfig, $1)) q
         LEFT JOIN (pg_catalog.ts_parse((SELECT c.cfgparser FROM pg_catalog.pg_ts_config c
                        WHERE c.oid OPERATOR(pg_catalog.=) {config}::pg_catalog.regconfig), $1) p
                    CROSS JOIN LATERAL pg_catalog.unnest(
                        pg_catalog.to_tsvector({config}::pg_catalog.regconfig, p.token)) w)
             ON w.lexeme OPERATOR(pg_catalog.=) q.lexeme
         GROUP BY q.lexeme ORDER BY q.lexeme"
    );
    let rows = session.run(&sql, &[Value::of(query.to_owned())])?;
    (0..rows.len())
        .map(|row| {
            let lexeme: String = rows.require(row, 1)?;
            let written = rows.get::<String>(row, 2)?.unwrap_or_else(|| lexeme.clone());
            Ok(Word { lexeme, written })
        })
        .collect()
}

/// A word of the query.
pub struct Word {
    /// As the text search configuration reduces it: what the index holds.
    pub lexeme: String,
    /// As it stands in the query.
    pub written: String,
}
