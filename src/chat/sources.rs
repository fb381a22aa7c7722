//! The rows that a reply rests on.

use crate::error::{Result, invalid_argument};
use crate::matching::attachment::Attachment;
use crate::pg::json;
use crate::pg::spi::{Access, session};
use crate::pg::value::Value;
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
    let sql = format!(
        "SELECT k.place, pg_catalog.to_jsonb(t) OPERATOR(pg_catalog.-) $1, {content}
         FROM {keys} JOIN {table} t ON {joined} ORDER BY k.place",
        content = attachment.content_expression(),
        table = attachment.table,
        keys = attachment.key.unnest(2),
        joined = attachment.key.joined("t"),
    );
    session(Access::ReadOnly, |session| {
        let embedding = Value::of(attachment.embedding_name.as_str());
        let mut values = vec![embedding];
        values.extend(attachment.key.arrays(keys)?);
        let rows = session.run(&sql, &values)?;
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
