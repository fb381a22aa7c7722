//! `castmatch.match_explain`: where one row stands in a search and why, or why it is not in the result. The ranking is that of
//! `match` itself (`ranking`), with every candidate kept.

mod absent;

use crate::error::{Result, null_argument};
use crate::matching::legs::{self, BoundFilter, Word};
use crate::matching::match_rows::parse_conditions;
use crate::matching::own_row::{self, State};
use crate::matching::rank::{Checked, Meaning, Query, Search};
use crate::matching::ranking::{Extent, Ranking, Scored, value_of};
use crate::matching::reasons::Because;
use crate::matching::row_values::{RowValues, Wanted, similarity_expression};
use crate::pg::json::JsonArg;
use crate::pg::spi::{Access, Session, session};
use crate::pg::value::Value;
use crate::stats::{Operation, timed};
use castmatch_engine::filter::describe;
use castmatch_engine::fusion::Mode;
use castmatch_engine::options::{MAX_CANDIDATES, Verb};
use castmatch_engine::reasons::{Reason, WhyNot, why_not};
use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// Rows asked for where the options do not say.
const DEFAULT_K: usize = 10;
/// Most words whose shares are computed: each is a run of the text leg.
const MAX_TERMS: usize = 32;

#[pg_extern(sql = false)]
fn match_explain(
    target: Option<pg_sys::Oid>,
    query: Option<&str>,
    key: Option<&str>,
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    options: Option<JsonArg>,
) -> Result<JsonB> {
    let conditions = parse_conditions(filter, prefer, options, Verb::MatchExplain)?;
    let search = Search {
        target: target.ok_or_else(|| null_argument("target"))?,
        query: Query::Text(query.ok_or_else(|| null_argument("query"))?),
        k: conditions.options.k.unwrap_or(DEFAULT_K),
        filter: conditions.filter.as_ref(),
        prefer: conditions.prefer.as_ref(),
        mode: conditions.options.mode.unwrap_or_default(),
        options: &conditions.options,
    };
    let key = key.ok_or_else(|| null_argument("key"))?;
    timed(Operation::Match, || explain(&search, key)).map(JsonB)
}

fn explain(search: &Search, key: &str) -> Result<Json> {
    let checked = Checked::new(search)?;
    let meaning = checked.meaning()?;
    session(Access::ReadOnly, |session| {
        let Some(row) = Row::find(session, &checked, key)? else {
            // Not a word more about a row that the caller may not see.
            return Ok(json!({
                "key": key, "visible": false, "found": false, "position": null,
                "why_not": [why_not(&WhyNot::NotVisible).to_json()],
            }));
        };
        let ranking = checked.ranking(session, &meaning, Extent::All)?;
        Explained::new(session, &checked, &meaning, row, ranking)?.to_json(session)
    })
}

/// The row asked about, as the caller sees it.
struct Row {
    /// Its key as the table writes it.
    key: String,
    is_embedded: bool,
    /// Whether each condition of the filter holds.
    holds: Vec<bool>,
}

impl Row {
    /// `None` if there is no such row or the caller does not see it.
    fn find(session: &Session, checked: &Checked, key: &str) -> Result<Option<Self>> {
        let attachment = &checked.attachment;
        let mut values: Vec<Value> = Vec::new();
        let mut conditions = Vec::new();
        for conjunct in &checked.conjuncts {
            let bound = BoundFilter::from_parameter(&conjunct.filter, &attachment.columns, values.len() + 1)?;
            conditions.push(format!("{} IS TRUE", bound.sql()));
            values.extend(bound.values());
        }
        let sql = format!(
            "SELECT {key}, t.{embedding} IS NOT NULL, ARRAY[{conditions}]::pg_catalog.bool[]
             FROM {keys} JOIN {table} t ON {joined}",
            key = attachment.key.text("t"),
            embedding = attachment.embedding,
            conditions = conditions.join(", "),
            keys = attachment.key.unnest(values.len() + 1),
            table = attachment.table,
            joined = attachment.key.joined("t"),
        );
        values.extend(attachment.key.arrays(&[key.to_owned()])?);
        let rows = session.run(&sql, &values)?;
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            key: rows.require(0, 1)?,
            is_embedded: rows.require(0, 2)?,
            holds: rows.require(0, 3)?,
        }))
    }
}

/// Everything that is known of the row.
struct Explained<'a> {
    checked: &'a Checked<'a>,
    meaning: &'a Meaning,
    row: Row,
    state: Option<State>,
    values: RowValues,
    ranking: Ranking,
    /// Where it stands among the candidates, from 0.
    place: Option<usize>,
}

impl<'a> Explained<'a> {
    fn new(
        session: &Session,
        checked: &'a Checked<'a>,
        meaning: &'a Meaning,
        row: Row,
        ranking: Ranking,
    ) -> Result<Self> {
        let mut fetched = HashMap::new();
        let mut columns = checked.shown_columns();
        columns.extend(checked.preferred_columns());
        let wanted = Wanted {
            columns: &columns,
            similarity: true,
            embedding: false,
            words: true,
        };
        checked.source(meaning, &ranking.words).fetch(
            session,
            std::slice::from_ref(&row.key),
            wanted,
            &mut fetched,
        )?;
        let state = if row.is_embedded {
            None
        } else {
            Some(own_row::state(session, &checked.attachment, &row.key)?)
        };
        let place = ranking.order.iter().position(|scored| scored.row.key == row.key);
        Ok(Self {
            values: fetched.remove(&row.key).unwrap_or_default(),
            checked,
            meaning,
            row,
            state,
            ranking,
            place,
        })
    }

    fn to_json(&self, session: &Session) -> Result<Json> {
        let search = self.checked.search;
        let semantic = self.semantic(session)?;
        let exact_rank = semantic.get("rank").and_then(Json::as_i64);
        let scored = self.scored();
        let because = Because::new(self.checked, &self.ranking);
        let why_not: Vec<Json> = self.why_not(exact_rank).iter().map(Reason::to_json).collect();
        Ok(json!({
            "key": self.row.key,
            "visible": true,
            "found": self.is_returned(),
            "position": self.place.map(|place| place + 1),
            "position_by_score": self.place_by_score().map(|place| place + 1),
            "score": scored.map(|scored| scored.score),
            "mode": search.mode.name(),
            "k": search.k,
            "offset": search.options.offset,
            "candidates": self.ranking.legs.candidates,
            "embedding": self.state.map_or("present", State::name),
            "filter": self.conditions(),
            "semantic": semantic,
            "text": self.text(session)?,
            "fusion": self.fusion(),
            "preferences": self.preferences(),
            "reasons": scored.map(|scored| because.of(scored, Some(&self.values))),
            "why_not": why_not,
        }))
    }

    fn scored(&self) -> Option<&Scored> {
        self.ranking.order.get(self.place?)
    }

    /// Where it stood before diversity counted.
    fn place_by_score(&self) -> Option<usize> {
        let place = self.place?;
        match &self.ranking.by_score {
            Some(places) => places.get(place).copied(),
            None => Some(place),
        }
    }

    /// Positions from 0 that are returned.
    fn returned(&self) -> std::ops::Range<usize> {
        let offset = self.checked.search.options.offset;
        offset..offset.saturating_add(self.checked.search.k)
    }

    fn is_returned(&self) -> bool {
        self.place.is_some_and(|place| self.returned().contains(&place))
    }

    fn value_of(&self, column: &str) -> &Json {
        self.checked.filter.value_in(&self.values.columns, column)
    }

    fn conditions(&self) -> Vec<Json> {
        let conditions = self.checked.conjuncts.iter().zip(&self.row.holds);
        conditions
            .map(|(conjunct, holds)| {
                let column = conjunct.test.as_ref().map(|test| test.column.as_str());
                json!({
                    "condition": describe(&conjunct.filter).join(" and "),
                    "column": column,
                    "value": column.map(|column| self.value_of(column)),
                    "holds": holds,
                })
            })
            .collect()
    }

    /// Null where meaning does not count.
    fn semantic(&self, session: &Session) -> Result<Json> {
        let Some(vector) = &self.meaning.vector else {
            return Ok(Json::Null);
        };
        let rank = match self.values.similarity {
            Some(similarity) => Some(exact_rank(session, self.checked, vector, similarity)?),
            None => None,
        };
        let leg_rank = self.scored().and_then(|scored| scored.row.semantic_rank);
        Ok(json!({
            "similarity": self.values.similarity,
            "rank": rank,
            "leg_rank": leg_rank,
            "is_candidate": self.ranking.legs.semantic.iter().any(|hit| hit.key == self.row.key),
        }))
    }

    /// Null where words do not count.
    fn text(&self, session: &Session) -> Result<Json> {
        if self.checked.search.mode == Mode::Semantic {
            return Ok(Json::Null);
        }
        let hit = self.ranking.legs.text.iter().find(|hit| hit.key == self.row.key);
        let leg_rank = self.scored().and_then(|scored| scored.row.text_rank);
        Ok(json!({
            "score": hit.map(|hit| hit.rank),
            "leg_rank": leg_rank,
            "is_candidate": hit.is_some(),
            "terms": self.terms(session)?,
        }))
    }

    /// The query's words that stand in the row, and what each gives to its score: what the leg gives it for that word alone.
    fn terms(&self, session: &Session) -> Result<Vec<Json>> {
        let content = &self.checked.attachment.content_names;
        let columns_of = |word: &Word| -> Vec<&String> {
            let with = |(_, words): &(&String, &Vec<String>)| words.contains(&word.written);
            let columns = content.iter().zip(&self.values.words).filter(with);
            columns.map(|(column, _)| column).collect()
        };
        let found = self.ranking.words.iter().map(|word| (word, columns_of(word)));
        let mut scores = Vec::new();
        for (word, columns) in found.filter(|(_, columns)| !columns.is_empty()).take(MAX_TERMS) {
            scores.push((word, columns, self.score_of(session, word)?));
        }
        let total: f64 = scores.iter().filter_map(|(.., score)| *score).sum();
        let share = |score: f64| if total > 0.0 { score / total } else { 0.0 };
        let as_json = scores.iter().map(|(word, columns, score)| {
            json!({"term": word.written, "columns": columns, "score": score, "share": score.map(share)})
        });
        Ok(as_json.collect())
    }

    fn score_of(&self, session: &Session, word: &Word) -> Result<Option<f64>> {
        let (attachment, filter) = (&self.checked.attachment, &self.checked.filter);
        let alone = std::slice::from_ref(word);
        let hits = legs::text(session, attachment, filter, alone, MAX_CANDIDATES)?;
        Ok(hits
            .into_iter()
            .find(|hit| hit.key == self.row.key)
            .map(|hit| hit.rank))
    }

    fn fusion(&self) -> Json {
        let (rank_constant, semantic, text) = self.checked.search.options.fusion.settings();
        json!({
            "score": self.scored().map(|scored| scored.row.score),
            "rrf_k": rank_constant, "semantic_weight": semantic, "text_weight": text,
        })
    }

    fn preferences(&self) -> Vec<Json> {
        let parts = self
            .checked
            .parts(Some(&self.values.columns), &self.ranking.ranges);
        let preferences = self.checked.preferences.iter().zip(parts);
        preferences
            .map(|(preference, part)| {
                json!({
                    "column": preference.name(), "rule": preference.rule.name(), "weight": preference.weight,
                    "score": part, "value": value_of(&self.values.columns, preference),
                })
            })
            .collect()
    }
}

/// The rank of a row of that similarity by meaning, among all rows that pass the filter.
fn exact_rank(session: &Session, checked: &Checked, vector: &[f32], similarity: f64) -> Result<i64> {
    let attachment = &checked.attachment;
    let query = attachment.vectors()?.value(vector)?;
    let mut values = checked.filter.with_query(query);
    values.push(Value::of(similarity));
    let sql = format!(
        "SELECT 1 + pg_catalog.count(*) FROM {table} t
         WHERE {filter} AND t.{embedding} IS NOT NULL
           AND NULLIF({nearness}, 'NaN'::pg_catalog.float8) OPERATOR(pg_catalog.>) ${last}",
        table = attachment.table,
        filter = checked.filter.sql(),
        embedding = attachment.embedding,
        nearness = similarity_expression(attachment, 1)?,
        last = values.len(),
    );
    session.run(&sql, &values)?.require(0, 1)
}
