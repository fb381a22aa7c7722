//! The rows that a reply rests on.

use crate::error::{Result, invalid_argument};
use crate::matching::attachment::Attachment;
use crate::matching::rank::Match;
use crate::pg::json;
use crate::pg::spi::{Access, quote_identifier, session};
use crate::pg::value::Value;
use castmatch_engine::chat::refine::values::KnownValues;
use castmatch_engine::chat::{Source, label};
use pgrx::pg_sys;
use serde_json::{Map, Value as Json};

/// The table to search: the given one, else that of the conversation's last turn, else the only one attached.
///
/// # Errors
/// 22023 if that leaves none or several.
pub fn choose_target(given: Option<pg_sys::Oid>, earlier: Option<pg_sys::Oid>) -> Result<pg_sys::Oid> {
    if let Some(target) = given.or(earlier) {
        return Ok(target);
    }
    let attached: Vec<pg_sys::Oid> = session(Access::ReadOnly, |session| {
        session
            .run(
                "SELECT a.target::oid FROM castmatch.attachments a ORDER BY a.target LIMIT 2",
                &[],
            )?
            .column_values(1)
    })?;
    match attached.as_slice() {
        [target] => Ok(*target),
        [] => Err(invalid_argument("there is no attached table to talk about")
            .set_hint("Attach one first: SELECT castmatch.attach('table', content => '{text_column}');")),
        _ => Err(invalid_argument(
            "several tables are attached: target must say which one to talk about",
        )),
    }
}

/// The rows of these keys that the caller may see, in the order of the keys.
///
/// # Errors
/// As the statement raises them.
pub fn load(attachment: &Attachment, keys: &[String]) -> Result<Vec<Source>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    // Without embeddings, whose thousands of digits nobody reads.
    let is_embedding = |name: &str| {
        let next = attachment.next.as_ref();
        name == attachment.embedding_name || next.is_some_and(|next| name == next.embedding_name)
    };
    let columns: Vec<String> = attachment
        .columns
        .iter()
        .filter(|column| !is_embedding(&column.name))
        .map(|column| format!("t.{}", quote_identifier(&column.name)))
        .collect();
    let sql = format!(
        "SELECT k.place, pg_catalog.to_jsonb(r), {content}
         FROM {keys} JOIN {table} t ON {joined} CROSS JOIN LATERAL (SELECT {columns}) r ORDER BY k.place",
        content = attachment.content_expression(),
        table = attachment.table,
        keys = attachment.key.unnest(1),
        joined = attachment.key.joined("t"),
        columns = columns.join(", "),
    );
    session(Access::ReadOnly, |session| {
        let rows = session.run(&sql, &attachment.key.arrays(keys)?)?;
        let mut sources = Vec::new();
        for row in 0..rows.len() {
            let place: i64 = rows.require(row, 1)?;
            let Some(key) = usize::try_from(place - 1).ok().and_then(|place| keys.get(place)) else {
                continue;
            };
            let values = match json::cell(&rows, row, 2)? {
                Json::Object(values) => values,
                _ => Map::new(),
            };
            sources.push(Source {
                key: key.clone(),
                label: label(&values, key),
                row: values,
                snippet: rows.get(row, 3)?.unwrap_or_default(),
                similarity: None,
                matched_terms: Vec::new(),
            });
        }
        Ok(sources)
    })
}

/// The rows of a search, with what the search knows of them.
///
/// # Errors
/// As for [`load`].
pub fn of_matches(attachment: &Attachment, matches: &[Match]) -> Result<Vec<Source>> {
    let keys: Vec<String> = matches.iter().map(|found| found.key.clone()).collect();
    let mut rows = load(attachment, &keys)?;
    for row in &mut rows {
        if let Some(found) = matches.iter().find(|found| found.key == row.key) {
            row.similarity = found.similarity;
            row.matched_terms = found.matched_terms();
        }
    }
    Ok(rows)
}

/// Values that the planner's statistics know of the table's filter columns, as far as the caller may read those: of a column with few
/// values all of them, and no row has to be looked at.
///
/// # Errors
/// As the statement raises them.
pub fn known_values(attachment: &Attachment) -> Result<Vec<KnownValues>> {
    if attachment.filters.is_empty() {
        return Ok(Vec::new());
    }
    session(Access::ReadOnly, |session| {
        let rows = session.run(
            "SELECT s.attname::pg_catalog.text, y.typcategory OPERATOR(pg_catalog.=) 'A',
                    CASE WHEN y.typcategory OPERATOR(pg_catalog.=) 'A' THEN s.most_common_elems ELSE s.most_common_vals END::pg_catalog.text::pg_catalog.text[]
             FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
             JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
             JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) a.atttypid
             LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) y.typelem
             JOIN pg_catalog.pg_stats s ON s.schemaname OPERATOR(pg_catalog.=) n.nspname
                 AND s.tablename OPERATOR(pg_catalog.=) c.relname AND s.attname OPERATOR(pg_catalog.=) a.attname
             WHERE c.oid OPERATOR(pg_catalog.=) $1 AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($2)
               AND s.inherited OPERATOR(pg_catalog.=) (c.relkind OPERATOR(pg_catalog.=) 'p')
               AND (y.typcategory IN ('S', 'E') OR e.typcategory IN ('S', 'E'))",
            &[Value::oid(attachment.target), Value::of(attachment.filters.clone())],
        )?;
        let mut known = Vec::new();
        for row in 0..rows.len() {
            let values: Option<Vec<Option<String>>> = rows.get(row, 3)?;
            known.push(KnownValues {
                column: rows.require(row, 1)?,
                is_array: rows.require(row, 2)?,
                values: values.into_iter().flatten().flatten().collect(),
            });
        }
        Ok(known)
    })
}
