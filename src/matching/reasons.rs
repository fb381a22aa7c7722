//! Why each row of a result is where it is: the values and words that it has, its score and the parts of that.

use crate::error::Result;
use crate::matching::attachment::Attachment;
use crate::matching::legs::Word;
use crate::matching::text::index;
use crate::pg::json;
use crate::pg::spi::{Rows, Session, quote_identifier};
use crate::pg::value::Value;
use castmatch_engine::fusion::{Fused, Mode};
use castmatch_engine::prefer::{self, Preference};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Weight of the text in the score, as `reasons` calls it.
pub(super) const TEXT: &str = "text";

/// The values of the columns that reasons or preferences speak of, by key.
pub(super) fn column_values(
    session: &Session,
    attachment: &Attachment,
    columns: &BTreeSet<&String>,
    keys: &[String],
) -> Result<BTreeMap<String, Map<String, Json>>> {
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
    let pairs = pairs.join(", ");
    let rows = by_key(
        session,
        attachment,
        keys,
        &format!("pg_catalog.jsonb_build_object({pairs})"),
        &[],
    )?;
    let mut values = BTreeMap::new();
    for (key, row) in rows.places {
        if let Json::Object(columns) = json::cell(&rows.rows, row, 2)? {
            values.insert(key, columns);
        }
    }
    Ok(values)
}

/// Which of the query's words each row has, by key.
pub(super) fn matched_terms(
    session: &Session,
    attachment: &Attachment,
    words: &[Word],
    keys: &[String],
) -> Result<BTreeMap<String, Vec<String>>> {
    // The level of a key, its last four bits, does not matter here, and so neither does the average length.
    let expression = format!(
        "ARRAY(SELECT k OPERATOR(pg_catalog.>>) 4 FROM pg_catalog.unnest({}) AS k
               WHERE (k OPERATOR(pg_catalog.>>) 4) OPERATOR(pg_catalog.=) ANY ($1))",
        index::terms_expression(&attachment.text_config, 1.0, &attachment.content, "t.")
    );
    let terms: Vec<i64> = words.iter().map(|word| word.term.first_key() >> 4).collect();
    let rows = by_key(session, attachment, keys, &expression, &[Value::of(terms)])?;
    let places: HashMap<i64, usize> = (0..)
        .zip(words)
        .map(|(place, word)| (word.term.first_key() >> 4, place))
        .collect();
    let as_written = |terms: Vec<i64>| -> Vec<String> {
        let mut found: Vec<usize> = terms
            .iter()
            .filter_map(|term| places.get(term).copied())
            .collect();
        found.sort_unstable();
        found
            .into_iter()
            .filter_map(|place| words.get(place))
            .map(|word| word.written.clone())
            .collect()
    };
    rows.places
        .into_iter()
        .map(|(key, row)| Ok((key, as_written(rows.rows.require(row, 2)?))))
        .collect()
}

/// Rows looked up by key, with the number of each key's row.
struct ByKey {
    rows: Rows,
    places: Vec<(String, usize)>,
}

fn by_key(
    session: &Session,
    attachment: &Attachment,
    keys: &[String],
    expression: &str,
    values: &[Value],
) -> Result<ByKey> {
    let sql = format!(
        "SELECT k.place, {expression} FROM {keys} JOIN {table} t ON {joined}",
        keys = attachment.key.unnest(values.len() + 1),
        table = attachment.table,
        joined = attachment.key.joined("t"),
    );
    let mut parameters = values.to_vec();
    parameters.extend(attachment.key.arrays(keys)?);
    let rows = session.run(&sql, &parameters)?;
    let mut places = Vec::new();
    for row in 0..rows.len() {
        let place: i64 = rows.require(row, 1)?;
        if let Some(key) = usize::try_from(place - 1).ok().and_then(|place| keys.get(place)) {
            places.push((key.clone(), row));
        }
    }
    Ok(ByKey { rows, places })
}

/// A candidate with its score and the scores of the preferences.
pub(super) struct Scored {
    pub row: Fused,
    pub score: f64,
    parts: Vec<f64>,
}

/// Scores the candidates and keeps the best, best first.
pub(super) fn score(
    fused: Vec<Fused>,
    preferences: &[Preference],
    values: &BTreeMap<String, Map<String, Json>>,
    k: usize,
) -> Vec<Scored> {
    let ranges: Vec<Option<(f64, f64)>> = preferences
        .iter()
        .map(|preference| {
            prefer::observed_range(values.values().filter_map(|row| row.get(&preference.column)))
        })
        .collect();
    let mut scored: Vec<Scored> = fused
        .into_iter()
        .map(|row| {
            let columns = values.get(&row.key);
            let parts: Vec<f64> = preferences
                .iter()
                .zip(&ranges)
                .map(|(preference, range)| {
                    prefer::score(&preference.rule, value_of(columns, &preference.column), *range)
                })
                .collect();
            Scored {
                score: prefer::combine(row.score, preferences, &parts),
                row,
                parts,
            }
        })
        .collect();
    // Stable: rows of equal score keep the order of the fusion, which breaks ties by key.
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
    scored.truncate(k);
    scored
}

fn value_of<'a>(columns: Option<&'a Map<String, Json>>, column: &str) -> &'a Json {
    columns
        .and_then(|columns| columns.get(column))
        .unwrap_or(&Json::Null)
}

/// Why the row is where it is.
pub(super) fn reasons(
    scored: &Scored,
    mode: Mode,
    preferences: &[Preference],
    shown: &BTreeSet<&String>,
    columns: Option<&Map<String, Json>>,
    matched: &[String],
) -> Json {
    let preferred: Vec<Json> = preferences
        .iter()
        .zip(&scored.parts)
        .map(|(preference, part)| {
            json!({
                "column": preference.column, "rule": preference.rule.name(), "weight": preference.weight,
                "score": part, "value": value_of(columns, &preference.column),
            })
        })
        .collect();
    let shown: Map<String, Json> = shown
        .iter()
        .map(|column| ((*column).clone(), value_of(columns, column).clone()))
        .collect();
    json!({
        TEXT: {
            "weight": prefer::text_weight(preferences), "score": scored.row.score, "mode": mode.name(),
            "matched_terms": matched,
        },
        "preferences": preferred,
        "columns": shown,
    })
}
