//! `castmatch.text_statistics`: how many rows have each frequent term, so that no query has to count them.

use crate::error::{Result, internal};
use crate::matching::attachment::Attachment;
use crate::matching::text::index::{self, Leaf};
use crate::pg::catalog;
use crate::pg::gin::{OpenGin, Visit};
use crate::pg::invalidation;
use crate::pg::relation::OpenTables;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::Session;
use crate::pg::value::Value;
use castmatch_engine::text::document::Term;
use castmatch_engine::text::gin::{Damage, Postings, count};
use castmatch_engine::text::statistics::{Statistics, measured_from};
use lru::LruCache;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// Tables whose statistics a session keeps, each some tens of kilobytes.
const KEPT: usize = 16;

type Kept = (TimestampWithTimeZone, Rc<Statistics>);

thread_local! {
    static STATISTICS: RefCell<LruCache<pg_sys::Oid, Kept>> =
        RefCell::new(LruCache::new(NonZeroUsize::MIN.saturating_add(KEPT - 1)));
}

/// What was measured of an attached table last, as the calling query sees it. Read as the extension: who may see the scores of
/// some rows need not know how many there are.
///
/// # Errors
/// As the statements raise them.
pub fn load(session: &Session, attachment: &Attachment) -> Result<Rc<Statistics>> {
    let owner = catalog::extension_types()?.owner;
    let target = attachment.target;
    act_as(owner, Restriction::LocalChange, || {
        let rows = session.run(
            "SELECT s.measured_at FROM castmatch.text_statistics s
             WHERE s.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
            &[Value::oid(target)],
        )?;
        if rows.is_empty() {
            return Ok(Rc::default());
        }
        let measured_at: TimestampWithTimeZone = rows.require(0, 1)?;
        let kept = STATISTICS.with_borrow_mut(|kept| kept.get(&target).cloned());
        if let Some((known, statistics)) = kept
            && known == measured_at
        {
            return Ok(statistics);
        }
        let rows = session.run(
            "SELECT s.rows, s.terms, s.frequencies FROM castmatch.text_statistics s
             WHERE s.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
            &[Value::oid(target)],
        )?;
        if rows.is_empty() {
            return Err(internal("the statistics of a text index are gone"));
        }
        let terms: Vec<i64> = rows.require(0, 2)?;
        let frequencies: Vec<i64> = rows.require(0, 3)?;
        let statistics = Rc::new(Statistics::new(rows.require(0, 1)?, &terms, &frequencies));
        STATISTICS.with_borrow_mut(|kept| kept.push(target, (measured_at, Rc::clone(&statistics))));
        Ok(statistics)
    })
}

/// Measures the frequent terms of an attached table anew, by reading its text indexes from one end to the other. Nothing is written
/// if nothing has changed. `session` may write; any role that may open the table will do.
///
/// # Errors
/// 55000 without a text index, XX002 for a damaged one.
pub fn refresh(session: &Session, attachment: &Attachment) -> Result<()> {
    let _open = OpenTables::lock(attachment.target, attachment.is_partitioned);
    let leaves = index::leaves(attachment)?;
    let rows: f64 = leaves.iter().map(|leaf| leaf.rows).sum();
    let frequent = measured_from(rows as u64);
    let mut counts: HashMap<Term, u64> = HashMap::new();
    for Leaf { index, .. } in leaves.iter() {
        // A term that is frequent in all is so in one of the partitions: of the others, few are forgotten.
        let mut counter = Counter {
            frequent: (frequent / leaves.len().max(1) as u64).max(1),
            current: None,
            page: Vec::new(),
            found: &mut counts,
        };
        OpenGin::open(*index)?.visit(i64::MIN, i64::MAX, &mut counter)?;
        counter.finish_term();
    }
    let mut counts: Vec<(i64, i64)> = counts
        .into_iter()
        .filter(|&(_, count)| count >= frequent)
        .map(|(term, count)| (term.first_key(), i64::try_from(count).unwrap_or(i64::MAX)))
        .collect();
    counts.sort_unstable();
    let (terms, frequencies): (Vec<i64>, Vec<i64>) = counts.into_iter().unzip();
    let owner = catalog::extension_types()?.owner;
    // Results depend on them.
    invalidation::send(attachment.target);
    act_as(owner, Restriction::LocalChange, || {
        session.run(
            "INSERT INTO castmatch.text_statistics AS s (target, rows, terms, frequencies)
             VALUES ($1::pg_catalog.oid::pg_catalog.regclass, $2, $3, $4)
             ON CONFLICT (target) DO UPDATE SET rows = EXCLUDED.rows, terms = EXCLUDED.terms,
                 frequencies = EXCLUDED.frequencies, measured_at = pg_catalog.clock_timestamp()
             WHERE s.rows OPERATOR(pg_catalog.<>) EXCLUDED.rows OR s.terms OPERATOR(pg_catalog.<>) EXCLUDED.terms
                 OR s.frequencies OPERATOR(pg_catalog.<>) EXCLUDED.frequencies",
            &[
                Value::oid(attachment.target),
                Value::of(rows),
                Value::of(terms),
                Value::of(frequencies),
            ],
        )
    })
    .map(drop)
}

/// Adds up the levels of each term.
struct Counter<'a> {
    /// Rows below which a term is forgotten.
    frequent: u64,
    /// The term that is being counted, and its rows so far.
    current: Option<(Term, u64)>,
    /// What stands on this page: rows, or the root of their tree.
    page: Vec<(Term, core::result::Result<usize, u32>)>,
    found: &'a mut HashMap<Term, u64>,
}

impl Counter<'_> {
    fn add(&mut self, term: Term, rows: u64) {
        match &mut self.current {
            Some((current, sum)) if *current == term => *sum += rows,
            _ => {
                self.finish_term();
                self.current = Some((term, rows));
            }
        }
    }

    fn finish_term(&mut self) {
        if let Some((term, rows)) = self.current.take()
            && rows >= self.frequent
        {
            *self.found.entry(term).or_default() += rows;
        }
    }
}

impl Visit for Counter<'_> {
    fn entry(&mut self, key: i64, postings: Postings<'_>) -> Result<(), Damage> {
        let rows = match postings {
            Postings::List { count, .. } => Ok(count),
            Postings::Tree(root) => Err(root),
        };
        self.page.push((Term::of_key(key), rows));
        Ok(())
    }

    fn page_done(&mut self, index: &OpenGin) -> Result<()> {
        for (term, rows) in core::mem::take(&mut self.page) {
            let rows = match rows {
                Ok(rows) => rows as u64,
                Err(root) => rows_in_tree(index, root)?,
            };
            self.add(term, rows);
        }
        Ok(())
    }
}

/// Rows in a posting tree.
///
/// # Errors
/// XX002 for a damaged index.
pub(super) fn rows_in_tree(index: &OpenGin, root: u32) -> Result<u64> {
    let mut rows = 0;
    index.read_tree(root, |lists| {
        rows += count(lists)? as u64;
        Ok(true)
    })?;
    Ok(rows)
}
