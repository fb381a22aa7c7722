//! Whether an index is as it must be.
//!
//! [`verify`] looks at every page twice: the form of each page alone, then what pages say about each other. What an unfinished
//! vacuum or a crashed insertion may leave is named in the details and is no failure: dead elements, lists that nobody
//! owns, a few elements that searches cannot come to (the next vacuum mends them). Insertions that are under way can look like
//! these; for an exact answer keep writers out.
//!
//! The rows of the index are handed back as [`IndexedRows`], against which the caller holds the rows of the table.

mod links;
mod pages;
mod rows;

#[cfg(test)]
mod tests;

pub use rows::IndexedRows;

use std::fmt;

use crate::index::IndexError;
use crate::index::page::{EntrySet, SlotState};
use crate::index::storage::PageRead;

use super::Index;
use super::paged::PagedScratch;
use super::reach::Reach;
use links::Links;
use pages::Pages;

/// The smallest share of live elements that a search must be able to come to, in thousandths.
const REACHED_PER_MILLE: u64 = 997;
/// So many elements may be unreachable however few there are.
const FEW_MISSED: u64 = 1;
/// The most findings that a detail spells out.
const SHOWN: usize = 5;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// Numbers, and the first findings with block and slot.
    pub detail: String,
}

/// The results of all checks.
#[derive(Debug, Default)]
pub struct Verification {
    /// One result for each check, in a fixed order; fewer if the meta page cannot be read.
    pub checks: Vec<Check>,
    /// The rows that are in the index.
    pub rows: IndexedRows,
}

impl Verification {
    /// Whether all checks passed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// Counted findings, the first of them in words.
#[derive(Debug, Default)]
pub(in crate::index) struct Findings {
    count: u64,
    first: Vec<String>,
}

impl Findings {
    pub(in crate::index) fn add(&mut self, finding: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(finding());
        }
    }

    /// The check that fails if there are findings.
    pub(in crate::index) fn check(&self, name: &'static str, summary: &str) -> Check {
        Check {
            name,
            ok: self.count == 0,
            detail: format!("{summary}{self}"),
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return Ok(());
        }
        write!(f, "; {} found: {}", self.count, self.first.join("; "))?;
        if self.count > self.first.len() as u64 {
            f.write_str("; ...")?;
        }
        Ok(())
    }
}

/// Checks the whole index. Memory: a few bits for each slot and eight bytes for each row, sixteen with key columns.
///
/// # Errors
/// Those of the storage, [`IndexError::OutOfMemory`]. What is wrong with the index is not an error but a check that failed.
pub fn verify<S: PageRead>(storage: &mut S) -> Result<Verification, IndexError> {
    let (index, entries) = match Index::open(storage) {
        Ok(opened) => opened,
        Err(error @ (IndexError::Corrupt { .. } | IndexError::Version { .. } | IndexError::Limit { .. })) => {
            let check = Check {
                name: "meta page",
                ok: false,
                detail: error.to_string(),
            };
            return Ok(Verification {
                checks: vec![check],
                rows: IndexedRows::default(),
            });
        }
        Err(error) => return Err(error),
    };
    let mut checks = vec![Check {
        name: "meta page",
        ok: true,
        detail: format!(
            "{}, {} dimensions, m {}, ef_construction {}",
            index.metric.name(),
            index.dims,
            index.m,
            index.ef_construction
        ),
    }];
    let mut pages = Pages::look(&index, storage)?;
    checks.push(pages.format_check());
    let mut links = Links::new(&index, &pages);
    links.look(storage)?;
    checks.extend(links.checks());
    checks.push(check_entries(&index, storage, &entries, &pages)?);
    checks.push(check_reach(&index, storage, &entries, &pages)?);
    let (rows, check) = std::mem::take(&mut pages.rows).sorted(|| storage.check_interrupts())?;
    checks.push(check);
    checks.push(pages.content_check());
    Ok(Verification { checks, rows })
}

/// Every entry is a live element of the level that it is said to have, and there is one if there are elements.
fn check_entries<S: PageRead>(
    index: &Index,
    storage: &mut S,
    entries: &EntrySet,
    pages: &Pages,
) -> Result<Check, IndexError> {
    let mut findings = Findings::default();
    let mut dead = 0;
    let mut scratch = PagedScratch::default();
    for entry in entries.iter() {
        let (block, slot) = index.layout.slot(entry.id);
        if pages.dead.contains(entry.id) {
            dead += 1;
            continue;
        }
        let head = scratch
            .peek_heads(storage, &index.layout, &[entry.id])?
            .next()
            .flatten();
        match head.filter(|head| head.state == SlotState::Live && pages.live.contains(entry.id)) {
            None => findings.add(|| format!("block {block} slot {slot} is an entry and not in the graph")),
            Some(head) if head.level != entry.level => findings.add(|| {
                let level = head.level;
                format!(
                    "block {block} slot {slot} is an entry of level {} and has level {level}",
                    entry.level
                )
            }),
            Some(_) => {}
        }
    }
    if dead == entries.len() && !pages.live.is_empty() {
        findings.add(|| "no entry is live although there are elements".to_owned());
    }
    Ok(findings.check(
        "entry set",
        &format!("{} entries, {dead} of them dead", entries.len()),
    ))
}

/// A search can come to almost every element.
fn check_reach<S: PageRead>(
    index: &Index,
    storage: &mut S,
    entries: &EntrySet,
    pages: &Pages,
) -> Result<Check, IndexError> {
    let mut reach = Reach::new(index, storage)?;
    reach.spread_from_entries(storage, entries)?;
    let live = pages.live.len() as u64;
    let mut missed = Findings::default();
    for id in pages.live.difference([reach.met()]) {
        let (block, slot) = index.layout.slot(id);
        missed.add(|| format!("block {block} slot {slot}"));
    }
    let reached = live.saturating_sub(missed.count);
    // Only insertions that change the same lists at the same moment, and what vacuum takes away, cut an element off until the next
    // vacuum. In an index of a few hundred elements a single one is more than the share; scans sweep small ones.
    // Under the inner product short vectors are nobody's neighbours, so after insertions nothing need lead to them; they come last in any
    // order, where a scan sweeps.
    let tolerated = missed.count <= FEW_MISSED || !index.keeps_reachable();
    Ok(Check {
        name: "reachability",
        ok: tolerated || reached.saturating_mul(1000) >= live.saturating_mul(REACHED_PER_MILLE),
        detail: format!("{reached} of {live} elements can be reached{missed}"),
    })
}
