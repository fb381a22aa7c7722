//! What the rows of a search have, fetched by key in one statement: columns, similarity, embedding, words. Only what is wanted.

use crate::error::Result;
use crate::matching::attachment::Attachment;
use crate::matching::legs::Word;
use crate::matching::text::index::terms_expression;
use crate::pg::json;
use crate::pg::spi::{Session, quote_identifier};
use crate::pg::value::Value;
use serde_json::{Map, Value as Json};
use std::collections::{HashMap, HashSet};

/// What is to be fetched.
#[derive(Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Values of columns.
    pub columns: &'a [String],
    /// The similarity to the query.
    pub similarity: bool,
    /// The embedding.
    pub embedding: bool,
    /// Which of the query's words stand in which content column.
    pub words: bool,
}

impl Wanted<'_> {
    fn is_nothing(self) -> bool {
        self.columns.is_empty() && !(self.similarity || self.embedding || self.words)
    }
}

/// What a row has, as far as it was fetched.
#[derive(Default)]
pub struct RowValues {
    /// Values by column.
    pub columns: Map<String, Json>,
    /// Cosine similarity to the query, unless one of the vectors is missing or has no direction.
    pub similarity: Option<f64>,
    /// The embedding.
    pub embedding: Option<Vec<f32>>,
    /// For each content column the query's words that stand in it, as they were written.
    pub words: Vec<Vec<String>>,
}

/// Where and what is looked up.
pub struct Source<'a> {
    /// The table.
    pub attachment: &'a Attachment,
    /// The query's vector, if there is one.
    pub vector: Option<&'a [f32]>,
    /// The query's words.
    pub words: &'a [Word],
}

/// The statement as it grows: what it selects, and the values of its parameters.
#[derive(Default)]
struct Statement {
    selected: Vec<String>,
    values: Vec<Value>,
}

impl Statement {
    /// Adds a parameter and returns its number.
    fn bind(&mut self, value: Value) -> usize {
        self.values.push(value);
        self.values.len()
    }
}

impl Source<'_> {
    /// Fetches what is wanted of the rows with these keys into `rows`. A row that is not there stays out.
    ///
    /// # Errors
    /// As the statement raises them.
    pub fn fetch(
        &self,
        session: &Session,
        keys: &[String],
        wanted: Wanted,
        rows: &mut HashMap<String, RowValues>,
    ) -> Result<()> {
        let wanted = Wanted {
            similarity: wanted.similarity && self.vector.is_some(),
            words: wanted.words && !self.words.is_empty(),
            ..wanted
        };
        if keys.is_empty() || wanted.is_nothing() {
            return Ok(());
        }
        let mut statement = self.statement(wanted)?;
        let key = &self.attachment.key;
        let sql = format!(
            "SELECT k.place, {selected} FROM {keys} JOIN {table} t ON {joined}",
            selected = statement.selected.join(", "),
            keys = key.unnest(statement.values.len() + 1),
            table = self.attachment.table,
            joined = key.joined("t"),
        );
        statement.values.extend(key.arrays(keys)?);
        let fetched = session.run(&sql, &statement.values)?;
        for row in 0..fetched.len() {
            let place: i64 = fetched.require(row, 1)?;
            let Some(key) = usize::try_from(place - 1).ok().and_then(|place| keys.get(place)) else {
                continue;
            };
            let values = rows.entry(key.clone()).or_default();
            let mut column = 1;
            let mut next = || {
                column += 1;
                column
            };
            if !wanted.columns.is_empty()
                && let Json::Object(columns) = json::cell(&fetched, row, next())?
            {
                values.columns.extend(columns);
            }
            if wanted.similarity {
                values.similarity = fetched.get::<f64>(row, next())?.filter(|value| !value.is_nan());
            }
            if wanted.embedding {
                values.embedding = self.attachment.vectors()?.cell(&fetched, row, next())?;
            }
            if wanted.words {
                values.words = self
                    .attachment
                    .content
                    .iter()
                    .map(|_| Ok(self.as_written(fetched.require(row, next())?)))
                    .collect::<Result<_>>()?;
            }
        }
        Ok(())
    }

    fn statement(&self, wanted: Wanted) -> Result<Statement> {
        let mut statement = Statement::default();
        let attachment = self.attachment;
        if !wanted.columns.is_empty() {
            statement.selected.push(columns_expression(wanted.columns));
        }
        if let (true, Some(vector)) = (wanted.similarity, self.vector) {
            let number = statement.bind(attachment.vectors()?.value(vector)?);
            statement
                .selected
                .push(similarity_expression(attachment, number)?);
        }
        if wanted.embedding {
            statement.selected.push(
                attachment
                    .vectors()?
                    .expression(&format!("t.{}", attachment.embedding)),
            );
        }
        if wanted.words {
            for column in &attachment.content {
                // The level of a key does not matter here, and so neither does the average length.
                let column = std::slice::from_ref(column);
                let terms = terms_expression(&attachment.text_config, 1.0, column, "t.");
                statement.selected.push(terms);
            }
        }
        Ok(statement)
    }

    /// The query's words among the keys of a text, in the order of the query.
    fn as_written(&self, keys: Vec<i64>) -> Vec<String> {
        let found: HashSet<i64> = keys.into_iter().map(|key| key >> LEVEL_BITS).collect();
        let words = self.words.iter().filter(|word| found.contains(&term(word)));
        words.map(|word| word.written.clone()).collect()
    }
}

/// Bits of a key of the text index that say how much its word weighs in the row.
const LEVEL_BITS: i32 = 4;

/// What the keys of a word have in common.
fn term(word: &Word) -> i64 {
    word.term.first_key() >> LEVEL_BITS
}

fn columns_expression(columns: &[String]) -> String {
    let pairs: Vec<String> = columns
        .iter()
        .map(|column| {
            format!(
                "{}, t.{}",
                pgrx::spi::quote_literal(column),
                quote_identifier(column)
            )
        })
        .collect();
    // A function takes a hundred arguments at most.
    let objects: Vec<String> = pairs
        .chunks(MAX_PAIRS)
        .map(|pairs| format!("pg_catalog.jsonb_build_object({})", pairs.join(", ")))
        .collect();
    objects.join(" OPERATOR(pg_catalog.||) ")
}

/// Columns in one call of `jsonb_build_object`: half of `FUNC_MAX_ARGS`.
const MAX_PAIRS: usize = 50;

/// The similarity of a row of `t` to the vector that is bound as parameter `number`: that of the semantic leg, to the last digit.
///
/// # Errors
/// 42804 if the embedding column is not of a type that can be searched.
pub fn similarity_expression(attachment: &Attachment, number: usize) -> Result<String> {
    Ok(format!(
        "1 OPERATOR(pg_catalog.-) ({embedding} {operator} ${number})",
        embedding = attachment.operand()?,
        operator = attachment.vectors()?.cosine,
    ))
}
