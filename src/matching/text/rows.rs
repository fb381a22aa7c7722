//! From candidates to rows: their visible versions, as far as the caller may read them and the filter holds.
//!
//! An index knows nothing of visibility and rights. So the candidates, best first, become places of visible rows, and an ordinary
//! statement of the caller asks for these: row security, grants and the filter hold in it as anywhere. It names the columns that are
//! searched, so that without the right to read them there is an error, whatever is searched for.

use crate::error::{Result, internal};
use crate::matching::attachment::Attachment;
use crate::matching::key::from_parts;
use crate::matching::legs::BoundFilter;
use crate::matching::text::index::Leaf;
use crate::pg::relation::{OpenTables, Relation};
use crate::pg::role::may_select_all;
use crate::pg::signals::check_for_interrupts;
use crate::pg::spi::Session;
use crate::pg::tid;
use crate::pg::value::Value;
use crate::pg::version::Versions;
use castmatch_engine::fusion::{TextHit, compare_keys};
use castmatch_engine::text::accumulate::Row;
use castmatch_engine::text::gin::{PLACE_BITS, block_and_offset};
use castmatch_engine::text::search::BestFirst;
use pgrx::pg_sys;
use std::collections::HashMap;

/// Rows between two checks for interrupts.
const CHECKED_EVERY: usize = 1000;

/// A table that candidates are in.
struct Table {
    oid: pg_sys::Oid,
    versions: Versions,
}

/// Tables of candidates, by their numbers.
pub(super) struct Tables {
    // Before what keeps them open: they go first.
    tables: Vec<Table>,
    _open: OpenTables,
}

impl Tables {
    /// Those of the leaves, in their order, which are among the open ones.
    pub(super) fn new(open: OpenTables, leaves: &[Leaf]) -> Result<Self> {
        let relations: HashMap<u32, Relation> = open
            .relations()
            .map(|table| (table.oid().to_u32(), table))
            .collect();
        let tables = leaves
            .iter()
            .map(|leaf| {
                let table = relations.get(&leaf.table.to_u32());
                let table = table.ok_or_else(|| internal("a partition is not open"))?;
                Ok(Table {
                    oid: leaf.table,
                    versions: Versions::of(*table),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { tables, _open: open })
    }
}

/// Where a visible row is: its table and its place there.
type Place = (pg_sys::Oid, (u32, u16));

/// A candidate that is visible.
struct Found {
    place: Place,
    /// Where rows are asked for by their keys.
    key: Option<String>,
    score: f64,
}

/// The best `limit` candidates that qualify, best first, ties by key.
pub(super) fn qualifying(
    session: &Session,
    attachment: &Attachment,
    filter: &BoundFilter,
    tables: &mut Tables,
    candidates: Vec<(Row, f64)>,
    limit: usize,
) -> Result<Vec<TextHit>> {
    let statement = Statement::new(attachment, filter);
    let mut candidates = BestFirst::new(candidates);
    let mut hits = Vec::new();
    let mut portion = limit;
    loop {
        let best = candidates.take(portion);
        let ended = best.len() < portion;
        let found = tables.visible(best, statement.keys())?;
        statement.run(session, filter, &found, &mut hits)?;
        if ended || hits.len() >= limit {
            break;
        }
        portion = portion.saturating_mul(2);
    }
    hits.sort_by(|a, b| {
        b.rank
            .total_cmp(&a.rank)
            .then_with(|| compare_keys(&a.key, &b.key))
    });
    hits.truncate(limit);
    Ok(hits)
}

impl Tables {
    /// The visible ones among candidates; with their keys, if the key's columns are given.
    fn visible(&mut self, candidates: &[(Row, f64)], key: Option<&[String]>) -> Result<Vec<Found>> {
        let mut numbers = Vec::new();
        if let Some(names) = key {
            // A partition may have its columns in another order.
            for table in &self.tables {
                let of_table = table.versions.column_numbers(names);
                numbers.push(of_table.ok_or_else(|| internal("a column of the key does not exist"))?);
            }
        }
        let mut found = Vec::with_capacity(candidates.len());
        for (number, &(row, score)) in candidates.iter().enumerate() {
            if number % CHECKED_EVERY == 0 {
                check_for_interrupts();
            }
            let table_number = (row >> PLACE_BITS) as usize;
            let Some(table) = self.tables.get_mut(table_number) else {
                continue;
            };
            let (block, offset) = block_and_offset(row & ((1 << PLACE_BITS) - 1));
            let Some(place) = table.versions.visible(block, offset) else {
                continue;
            };
            let key = match numbers.get(table_number) {
                Some(columns) => table.versions.texts(columns).map(from_parts),
                None => None,
            };
            found.push(Found {
                place: (table.oid, place),
                key,
                score,
            });
        }
        Ok(found)
    }
}

/// The statement that asks for rows: by their places, `$1`, which the filter's values follow, and for a partitioned table the partitions
/// that these are in. Places are for whoever may read the whole table; who has rights on some of its columns asks by keys instead.
struct Statement<'a> {
    sql: String,
    attachment: &'a Attachment,
    by_place: bool,
}

impl<'a> Statement<'a> {
    fn new(attachment: &'a Attachment, filter: &BoundFilter) -> Self {
        let by_place = may_select_all(attachment.target);
        // True for every row, and folded away, but the right to read the columns is asked for.
        let readable: Vec<String> = attachment
            .content
            .iter()
            .map(|column| format!("(t.{column} IS NULL OR TRUE)"))
            .collect();
        let conditions = format!("{} AND {}", filter.sql(), readable.join(" AND "));
        let (key, table, next) = (&attachment.key, &attachment.table, filter.parameters() + 2);
        let sql = if by_place {
            let pairs = format!(
                " AND (t.tableoid, t.ctid) OPERATOR(pg_catalog.=) ANY (SELECT u.table_oid, u.place
                    FROM ROWS FROM (pg_catalog.unnest(${next}), pg_catalog.unnest($1)) AS u (table_oid, place))"
            );
            format!(
                "SELECT {}, t.ctid, t.tableoid FROM {table} t
                 WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1) AND {conditions}{}",
                key.text("t"),
                if attachment.is_partitioned { &pairs } else { "" }
            )
        } else {
            format!(
                "SELECT {}, k.place FROM {} JOIN {table} t ON {} WHERE {conditions}",
                key.text("t"),
                key.unnest(next),
                key.joined("t")
            )
        };
        Self {
            sql,
            attachment,
            by_place,
        }
    }

    /// The columns of the key, if rows are asked for by it.
    fn keys(&self) -> Option<&'a [String]> {
        (!self.by_place).then_some(&self.attachment.key_names)
    }

    fn run(
        &self,
        session: &Session,
        filter: &BoundFilter,
        found: &[Found],
        hits: &mut Vec<TextHit>,
    ) -> Result<()> {
        if self.by_place {
            self.run_by_place(session, filter, found, hits)
        } else {
            self.run_by_key(session, filter, found, hits)
        }
    }

    fn run_by_place(
        &self,
        session: &Session,
        filter: &BoundFilter,
        found: &[Found],
        hits: &mut Vec<TextHit>,
    ) -> Result<()> {
        let places = tid::array(found.iter().map(|found| found.place.1))?;
        let mut parameters = filter.with_query(places);
        if self.attachment.is_partitioned {
            let tables: Vec<pg_sys::Oid> = found.iter().map(|found| found.place.0).collect();
            parameters.push(Value::of(tables));
        }
        let scores: HashMap<Place, f64> = found.iter().map(|found| (found.place, found.score)).collect();
        let rows = session.run(&self.sql, &parameters)?;
        for row in 0..rows.len() {
            let place = (rows.require(row, 3)?, tid::cell(&rows, row, 2)?);
            if let Some(&rank) = scores.get(&place) {
                let key = rows.require(row, 1)?;
                hits.push(TextHit { key, rank });
            }
        }
        Ok(())
    }

    fn run_by_key(
        &self,
        session: &Session,
        filter: &BoundFilter,
        found: &[Found],
        hits: &mut Vec<TextHit>,
    ) -> Result<()> {
        let mut parameters = filter.with_query(tid::array(std::iter::empty())?);
        let (keys, scores): (Vec<String>, Vec<f64>) = found
            .iter()
            .filter_map(|found| Some((found.key.clone()?, found.score)))
            .unzip();
        parameters.extend(self.attachment.key.arrays(&keys)?);
        let rows = session.run(&self.sql, &parameters)?;
        for row in 0..rows.len() {
            let place: i64 = rows.require(row, 2)?;
            let rank = usize::try_from(place - 1)
                .ok()
                .and_then(|place| scores.get(place));
            if let Some(&rank) = rank {
                let key = rows.require(row, 1)?;
                hits.push(TextHit { key, rank });
            }
        }
        Ok(())
    }
}
