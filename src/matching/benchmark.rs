//! `castmatch.benchmark()`: how fast searches of a table are and how much its index finds, measured in place.
//!
//! It runs the functions that a user calls, as the user that calls it, with words of the table's own rows as queries. What is measured
//! counts in the metrics as every other call does.

use crate::cache::Usage;
use crate::embed::{Embedder, embed_query, model_of_table};
use crate::error::{Result, error, invalid_argument, not_in_state, null_argument};
use crate::matching::attachment::{Attachment, relation_name};
use crate::matching::queue::other_version;
use crate::matching::target::{Target, require_select};
use crate::matching::vector_index::Definition;
use crate::pg::catalog;
use crate::pg::spi::{Access, Session, session};
use crate::pg::value::{Value, to_text};
use crate::pg::vector::vector_datum;
use crate::stats::{Operation, timed};
use castmatch_engine::measure::quantile::{mean, of_values};
use castmatch_engine::measure::{excerpt, recall};
use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::{check_for_interrupts, pg_sys};
use serde_json::{Map, Value as Json, json};
use std::rc::Rc;
use std::time::{Duration, Instant};

const MAX_QUERIES: i32 = 10_000;
const MAX_K: i32 = 1_000;
/// Searches that are compared with an exact one, which reads the whole table, and searches that are repeated to meet the caches: more
/// would tell nothing new.
const COMPARED: usize = 100;
/// Which rows and which of their words are taken.
const SEED: u64 = 7;
/// Rows that are fetched at once.
const PORTION: usize = 200;

/// Durations of calls.
#[derive(Default)]
struct Durations(Vec<f64>);

impl Durations {
    fn add(&mut self, duration: Duration) {
        self.0.push(duration.as_secs_f64() * 1e3);
    }

    /// What they come to, in milliseconds, and calls per second of one session.
    fn report(&self) -> Map<String, Json> {
        let rounded = |value: Option<f64>| value.map(|value| (value * 1e3).round() / 1e3);
        let average = mean(&self.0);
        let quantile = |quantile| rounded(of_values(&self.0, quantile));
        let mut report = Map::new();
        report.insert("queries".to_owned(), self.0.len().into());
        report.insert("average_ms".to_owned(), rounded(average).into());
        report.insert("p50_ms".to_owned(), quantile(0.5).into());
        report.insert("p95_ms".to_owned(), quantile(0.95).into());
        report.insert("p99_ms".to_owned(), quantile(0.99).into());
        let speed = average
            .filter(|&average| average > 0.0)
            .map(|average| 1e3 / average);
        report.insert("per_second".to_owned(), rounded(speed).into());
        report
    }
}

/// A table that is measured, and with what.
struct Benchmark {
    attachment: Rc<Attachment>,
    embedder: Embedder,
    k: i32,
    texts: Vec<String>,
}

fn in_range(value: Option<i32>, name: &str, most: i32) -> Result<i32> {
    let value = value.ok_or_else(|| null_argument(name))?;
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    Err(invalid_argument(format!(
        "{name} must be between 1 and {most}, not {value}"
    )))
}

impl Benchmark {
    fn new(target: pg_sys::Oid, queries: i32, k: i32) -> Result<Self> {
        if catalog::relation_name(target).is_none() {
            return Err(error(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("relation with OID {} does not exist", target.to_u32()),
            ));
        }
        catalog::lock_for_reading(target);
        let attachment = Attachment::load(target)?;
        require_select(target)?;
        // Each search would say so.
        if attachment.is_of_other_version()? {
            return Err(other_version(&attachment, &attachment.model));
        }
        let embedder = model_of_table(&attachment.model)?;
        let texts = texts(&attachment, queries)?;
        if texts.is_empty() {
            let table = relation_name(target);
            return Err(not_in_state(format!(
                "no row of table {table} that you see has an embedding and a text"
            ))
            .set_hint("castmatch.sync('table') waits until all rows have their embeddings."));
        }
        Ok(Self {
            attachment,
            embedder,
            k,
            texts,
        })
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>> {
        timed(Operation::Embed, || {
            embed_query(&self.embedder, text, Usage::Bypass)
        })
    }

    /// `castmatch.match`, and how long it took.
    fn search_text(&self, text: &str, options: &Json) -> Result<Duration> {
        let started = Instant::now();
        session(Access::ReadOnly, |session| {
            session.run(
                "SELECT m.key FROM castmatch.match($1::pg_catalog.oid::pg_catalog.regclass, $2, $3, options => $4) m",
                &[
                    Value::oid(self.attachment.target),
                    Value::of(text),
                    Value::of(self.k),
                    Value::of(JsonB(options.clone())),
                ],
            )
            .map(drop)
        })?;
        Ok(started.elapsed())
    }

    /// `castmatch.match_vector`: the distances of the rows, and how long it took.
    fn search_vector(&self, vector: &[f32]) -> Result<(Vec<f64>, Duration)> {
        let started = Instant::now();
        let types = catalog::extension_types()?;
        session(Access::ReadOnly, |session| {
            let rows = session.run(
                "SELECT 1::pg_catalog.float8 OPERATOR(pg_catalog.-) m.similarity
                 FROM castmatch.match_vector($1::pg_catalog.oid::pg_catalog.regclass, $2, $3, options => $4) m
                 WHERE m.similarity IS NOT NULL",
                &[
                    Value::oid(self.attachment.target),
                    Value::datum(types.vector, Some(vector_datum(vector)?)),
                    Value::of(self.k),
                    Value::of(JsonB(uncached())),
                ],
            )?;
            Ok((rows.column_values(1)?, started.elapsed()))
        })
    }

    /// The distances of the nearest rows, by a scan of the whole table.
    fn exact(&self, vector: &[f32]) -> Result<Vec<f64>> {
        let vectors = self.attachment.vectors()?;
        let sql = format!(
            "SELECT {embedding} {operator} $1 FROM {table} t
             WHERE t.{column} IS NOT NULL AND ({embedding} {operator} $1) OPERATOR(pg_catalog.<>) 'NaN'::pg_catalog.float8
             -- No index is in the order of a sum.
             ORDER BY ({embedding} {operator} $1) OPERATOR(pg_catalog.+) 0::pg_catalog.float8 LIMIT $2",
            embedding = self.attachment.operand()?,
            column = self.attachment.embedding,
            table = self.attachment.table,
            operator = vectors.cosine,
        );
        session(Access::ReadOnly, |session| {
            session
                .run(&sql, &[vectors.value(vector)?, Value::of(i64::from(self.k))])?
                .column_values(1)
        })
    }

    fn run(&self, queries: usize) -> Result<Json> {
        // What is done once in a session is done before: the model is loaded, plans are made.
        if let Some(first) = self.texts.first() {
            self.search_vector(&self.embed(first)?)?;
            self.search_text(first, &uncached())?;
        }
        let mut embed = Durations::default();
        let mut matching = Durations::default();
        let mut vectors = Durations::default();
        let mut cached = Durations::default();
        let mut recalls = Vec::new();
        for (number, text) in self.texts.iter().cycle().take(queries).enumerate() {
            check_for_interrupts!();
            let started = Instant::now();
            let vector = self.embed(text)?;
            embed.add(started.elapsed());
            matching.add(self.search_text(text, &uncached())?);
            let (found, took) = self.search_vector(&vector)?;
            vectors.add(took);
            if number < COMPARED {
                recalls.push(recall::by_distance(&self.exact(&vector)?, &found));
                self.search_text(text, &json!({}))?;
                cached.add(self.search_text(text, &json!({}))?);
            }
        }
        let (rows, index) = session(Access::ReadOnly, |session| {
            Ok((self.rows(session)?, self.index(session)?))
        })?;
        let mut vector = vectors.report();
        vector.insert(
            "recall".to_owned(),
            mean(&recalls).map(|recall| (recall * 1e4).round() / 1e4).into(),
        );
        vector.insert("recall_queries".to_owned(), recalls.len().into());
        vector.insert("index".to_owned(), index.into());
        let target = self.attachment.target.into_datum();
        Ok(json!({
            "target": target.map(|target| to_text(pg_sys::REGCLASSOID, target)),
            "queries": queries,
            "k": self.k,
            "rows": rows,
            "match": matching.report(),
            "vector": vector,
            "cached": cached.report(),
            "embed": embed.report(),
        }))
    }

    /// Rows that have an embedding, as far as the caller sees them.
    fn rows(&self, session: &Session) -> Result<i64> {
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM {} t WHERE t.{} IS NOT NULL",
            self.attachment.table, self.attachment.embedding
        );
        session.run(&sql, &[])?.require(0, 1)
    }

    /// The vector index, if there is one.
    fn index(&self, session: &Session) -> Result<Option<String>> {
        let definition = Definition {
            target: &Target::load(session, self.attachment.target)?,
            embedding: &self.attachment.embedding_name,
            filters: &[],
            method: &self.attachment.index_method,
        };
        definition.name(session)
    }
}

/// Options of a search that is to be computed.
fn uncached() -> Json {
    json!({"cache": "bypass"})
}

/// Queries out of rows that have an embedding: the same rows and words each time, wherever the rows lie.
fn texts(attachment: &Attachment, queries: i32) -> Result<Vec<String>> {
    let key = attachment.key.text("t");
    // The texts of the chosen rows only: a sort of the table would carry all of them along.
    let sql = format!(
        "SELECT c.content FROM (
             SELECT t.tableoid AS part, t.ctid AS place, pg_catalog.hashtextextended({key}, {SEED}) AS hash, {key} AS key
             FROM {table} t WHERE t.{embedding} IS NOT NULL ORDER BY 3, 4 LIMIT {queries}) p
         CROSS JOIN LATERAL (
             SELECT {content} AS content FROM {table} t
             WHERE t.ctid OPERATOR(pg_catalog.=) p.place AND t.tableoid OPERATOR(pg_catalog.=) p.part) c
         ORDER BY p.hash, p.key",
        content = attachment.content_expression(),
        table = attachment.table,
        embedding = attachment.embedding,
    );
    let mut texts = Vec::new();
    session(Access::ReadOnly, |session| {
        session.run_in_portions(&sql, PORTION, |rows| {
            for row in 0..rows.len() {
                let text: String = rows.require(row, 1)?;
                texts.extend(excerpt::of_text(&text, SEED));
            }
            Ok(())
        })
    })?;
    Ok(texts)
}

#[pg_extern(sql = false)]
fn benchmark(target: Option<pg_sys::Oid>, queries: Option<i32>, k: Option<i32>) -> Result<JsonB> {
    let target = target.ok_or_else(|| null_argument("target"))?;
    let queries = in_range(queries, "queries", MAX_QUERIES)?;
    let k = in_range(k, "k", MAX_K)?;
    let benchmark = Benchmark::new(target, queries, k)?;
    benchmark.run(usize::try_from(queries).unwrap_or(0)).map(JsonB)
}
