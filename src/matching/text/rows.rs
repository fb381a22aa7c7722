//! From candidates to rows: their visible versions, as far as the caller may read them and the filter holds.
//!
//! An index knows nothing of visibility and rights. So the candidates, best first, become places of visible rows, and an ordinary
//! statement of the caller asks for these: row security, grants and the filter hold in it as anywhere. It reads the columns that are
//! searched, so that without the right to read them there is an error, whatever is searched for.

use crate::error::{Result, internal};
use crate::matching::attachment::Attachment;
use crate::matching::legs::BoundFilter;
use crate::matching::text::index::Leaf;
use crate::pg::relation::{OpenTables, Relation};
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
        let scores = visible(tables, best);
        statement.run(session, filter, &scores, &mut hits)?;
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

fn visible(tables: &mut Tables, candidates: &[(Row, f64)]) -> HashMap<Place, f64> {
    let mut scores = HashMap::with_capacity(candidates.len());
    for (number, &(row, score)) in candidates.iter().enumerate() {
        if number % CHECKED_EVERY == 0 {
            check_for_interrupts();
        }
        let Some(table) = tables.tables.get_mut((row >> PLACE_BITS) as usize) else {
            continue;
        };
        let (block, offset) = block_and_offset(row & ((1 << PLACE_BITS) - 1));
        if let Some(place) = table.versions.visible(block, offset) {
            scores.insert((table.oid, place), score);
        }
    }
    scores
}

/// The statement that asks for rows by their places: `$1` are the places, then come the filter's values, and for a partitioned table the
/// partitions that the places are in.
struct Statement {
    sql: String,
    target: pg_sys::Oid,
    partitioned: bool,
}

impl Statement {
    fn new(attachment: &Attachment, filter: &BoundFilter) -> Self {
        let partitioned = attachment.is_partitioned;
        // True for every row, and folded away, but the right to read the columns is asked for.
        let readable: Vec<String> = attachment
            .content
            .iter()
            .map(|column| format!("(t.{column} IS NULL OR TRUE)"))
            .collect();
        let pairs = if partitioned {
            format!(
                " AND (t.tableoid, t.ctid) OPERATOR(pg_catalog.=) ANY (SELECT u.table_oid, u.place
                    FROM ROWS FROM (pg_catalog.unnest(${}), pg_catalog.unnest($1)) AS u (table_oid, place))",
                filter.parameters() + 2
            )
        } else {
            String::new()
        };
        Self {
            sql: format!(
                "SELECT {key}, t.ctid, t.tableoid FROM {table} t
                 WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1) AND {filter} AND {readable}{pairs}",
                key = attachment.key.text("t"),
                table = attachment.table,
                filter = filter.sql(),
                readable = readable.join(" AND "),
            ),
            target: attachment.target,
            partitioned,
        }
    }

    fn run(
        &self,
        session: &Session,
        filter: &BoundFilter,
        scores: &HashMap<Place, f64>,
        hits: &mut Vec<TextHit>,
    ) -> Result<()> {
        let places = tid::array(scores.keys().map(|&(_, place)| place))?;
        let mut parameters = filter.with_query(places);
        if self.partitioned {
            let tables: Vec<pg_sys::Oid> = scores.keys().map(|&(table, _)| table).collect();
            parameters.push(Value::of(tables));
        }
        let rows = session.run(&self.sql, &parameters)?;
        for row in 0..rows.len() {
            let table = if self.partitioned {
                rows.require(row, 3)?
            } else {
                self.target
            };
            if let Some(&rank) = scores.get(&(table, tid::cell(&rows, row, 2)?)) {
                let key = rows.require(row, 1)?;
                hits.push(TextHit { key, rank });
            }
        }
        Ok(())
    }
}
