//! `castmatch.verify_index`, `castmatch.prewarm` and `castmatch.index_info`.

use super::keys::Keys;
use super::storage::RelationStorage;
use super::{hnsw, index_error, ivf, opclass};
use crate::error::{Result, error, unsupported};
use crate::pg::array::ReportError;
use crate::pg::buffer;
use crate::pg::index::{Part, Snapshot, TableRow, Unusable, scan_table, with_index};
use crate::pg::memory::RowMemory;
use crate::pg::relation::Relation;
use crate::pg::role::{Restriction, act_as};
use crate::pg::setting::without_lasting_settings;
use castmatch_engine::index::HeapTid;
use castmatch_engine::index::hnsw::statistics::Statistics;
use castmatch_engine::index::hnsw::verify::{self, Check};
use castmatch_engine::index::ivf::statistics::Statistics as ListStatistics;
use castmatch_engine::index::storage::PageRead;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::json;
use std::rc::Rc;

/// The access method of an index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Hnsw,
    Ivf,
}

/// Does `work` on an index of castmatch that the caller may look at.
fn with_our_index<R>(
    oid: pg_sys::Oid,
    work: impl FnOnce(Relation, Relation, Method) -> Result<R>,
) -> Result<R> {
    let work =
        |table, index, method| work(table, index, if method == 0 { Method::Hnsw } else { Method::Ivf });
    match with_index(oid, &[c"castmatch_hnsw", c"castmatch_ivf"], work) {
        Ok(result) => result,
        Err(why) => Err(refusal(oid, why)),
    }
}

fn refusal(oid: pg_sys::Oid, why: Unusable) -> pgrx::pg_sys::panic::ErrorReport {
    let name = crate::pg::catalog::relation_name(oid).unwrap_or_else(|| oid.to_string());
    match why {
        Unusable::OtherMethod => error(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("\"{name}\" is not a castmatch index"),
        ),
        Unusable::NotAllowed => error(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of index \"{name}\""),
        )
        .set_hint("Members of pg_monitor may look at every index."),
        Unusable::OtherSession => unsupported(format!(
            "index \"{name}\" belongs to a temporary table of another session"
        )),
        Unusable::Partitioned => error(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("index \"{name}\" is partitioned and has no pages of its own"),
        )
        .set_hint("Name an index of one of the partitions."),
    }
}

#[pg_extern(sql = false)]
fn verify_index(
    index: pg_sys::Oid,
) -> Result<
    TableIterator<
        'static,
        (
            name!(check_name, String),
            name!(ok, bool),
            name!(detail, Option<String>),
        ),
    >,
> {
    let checks = with_our_index(index, verify_open)?;
    Ok(TableIterator::new(checks.into_iter().map(|check| {
        let detail = (!check.detail.is_empty()).then_some(check.detail);
        (check.name.to_owned(), check.ok, detail)
    })))
}

/// The filter columns and the pages of an index.
fn open(index: Relation, method: Method) -> Result<(Rc<Keys>, RelationStorage)> {
    let (keys, hints) = match method {
        Method::Hnsw => {
            let opened = hnsw::open(index)?;
            (opened.keys, opened.hints)
        }
        Method::Ivf => {
            let opened = ivf::open(index)?;
            (opened.keys, opened.hints)
        }
    };
    Ok((keys, RelationStorage::new(index, hints)))
}

/// Checks the pages, the graph or the lists, and that every row of the table that a new snapshot sees is in the index exactly once.
fn verify_open(table: Relation, index: Relation, method: Method) -> Result<Vec<Check>> {
    let failed = |failure| index_error(index, failure);
    let (keys, mut storage) = open(index, method)?;
    // What is visible now must be in the index when it is read afterwards; what is added meanwhile is of no interest.
    let snapshot = Snapshot::take();
    let verified = match method {
        Method::Hnsw => verify::verify(&mut storage),
        Method::Ivf => castmatch_engine::index::ivf::verify::verify(&mut storage),
    };
    let mut verification = verified.map_err(failed)?;
    let memory = RowMemory::new();
    let mut expect = |row: TableRow<'_>| {
        if row.columns.get(0).is_none() {
            return;
        }
        let tid = HeapTid {
            block: row.block,
            offset: row.offset,
        };
        match memory.with(|| keys.encode(row.columns)) {
            Ok(keys) => verification.rows.expect(tid, keys.as_bytes()),
            Err(report) => report.report_error(),
        };
    };
    // Expressions and the predicate of the index run as its owner, as when the server builds it: they may be anybody's functions.
    act_as(table.owner(), Restriction::Restricted, || {
        without_lasting_settings(|| {
            scan_table(
                table,
                index,
                core::ptr::null_mut(),
                Part::Visible(snapshot),
                &mut expect,
            );
        });
    });
    snapshot.give_back();
    memory.delete();
    let mut checks = verification.checks;
    checks.push(verification.rows.check());
    checks.extend(verification.rows.key_check());
    Ok(checks)
}

#[pg_extern(sql = false)]
fn prewarm(index: pg_sys::Oid) -> Result<i64> {
    with_our_index(index, |_, index, method| {
        let (_, mut storage) = open(index, method)?;
        let failed = |failure| index_error(index, failure);
        let blocks = storage.blocks().map_err(failed)?;
        storage.read_in_order(0..blocks);
        for block in 0..blocks {
            storage.check_interrupts().map_err(failed)?;
            storage.read(block, |_| ()).map_err(failed)?;
        }
        Ok(i64::from(blocks))
    })
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn index_info(
    index: pg_sys::Oid,
) -> Result<
    TableIterator<
        'static,
        (
            name!(rows, i64),
            name!(bytes, i64),
            name!(bytes_per_row, Option<f64>),
            name!(mean_degree, Option<f64>),
            name!(level_rows, Vec<i64>),
            name!(dead_share, f64),
            name!(free_share, f64),
            name!(settings, pgrx::JsonB),
        ),
    >,
> {
    with_our_index(index, |_, index, method| {
        let facts = match method {
            Method::Hnsw => graph_facts(index)?,
            Method::Ivf => list_facts(index)?,
        };
        let bytes = i64::from(index.blocks()).saturating_mul(buffer::PAGE_BYTES as i64);
        Ok(TableIterator::once((
            i64::try_from(facts.rows).unwrap_or(i64::MAX),
            bytes,
            (facts.rows > 0).then(|| bytes as f64 / facts.rows as f64),
            facts.mean_degree,
            facts.level_rows,
            facts.dead_share,
            facts.free_share,
            pgrx::JsonB(facts.settings),
        )))
    })
}

/// What `index_info` says of an index.
struct Facts {
    rows: u64,
    mean_degree: Option<f64>,
    level_rows: Vec<i64>,
    dead_share: f64,
    free_share: f64,
    settings: serde_json::Value,
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn graph_facts(index: Relation) -> Result<Facts> {
    let opened = hnsw::open(index)?;
    let mut storage = RelationStorage::new(index, opened.hints.clone());
    let found =
        Statistics::take(&opened.index, &mut storage).map_err(|failure| index_error(index, failure))?;
    let rows = found.live.saturating_add(found.unranked);
    let slots = rows + found.dead + found.free;
    Ok(Facts {
        rows,
        mean_degree: (found.live > 0).then(|| found.mean_degree()),
        level_rows: found
            .levels
            .iter()
            .map(|&count| i64::try_from(count).unwrap_or(i64::MAX))
            .collect(),
        dead_share: share(found.dead, slots),
        free_share: share(found.free, slots),
        settings: json!({
            "metric": opclass::of(index)?.metric.name(),
            "dimensions": opened.index.dims,
            "m": opened.index.m,
            "ef_construction": opened.index.ef_construction,
            "code_bits": opened.index.quantizer.bits().to_u8(),
            "entries": opened.entries.len(),
            "filter_columns": opened.keys.describe(index),
        }),
    })
}

/// Of lists there is no degree, and there are no levels; nothing in them is dead, since vacuum takes it out.
fn list_facts(index: Relation) -> Result<Facts> {
    let opened = ivf::open(index)?;
    let mut storage = RelationStorage::new(index, opened.hints.clone());
    let found =
        ListStatistics::take(&opened.index, &mut storage).map_err(|failure| index_error(index, failure))?;
    let options = &opened.index.options;
    Ok(Facts {
        rows: found.rows.saturating_add(found.unranked),
        mean_degree: None,
        level_rows: Vec::new(),
        dead_share: 0.0,
        free_share: share(found.room.saturating_sub(found.rows), found.room),
        settings: json!({
            "metric": options.metric.name(),
            "dimensions": options.dims,
            "lists": found.lists,
            "lists_wanted": (options.lists > 0).then_some(options.lists),
            "longest_list": found.longest,
            "refine_bits": if options.refine { 3 } else { 0 },
            "posting_pages": found.posting_pages,
            "retired_pages": found.retired_pages,
            "unused_pages": found.unused_pages,
            "filter_columns": opened.keys.describe(index),
        }),
    })
}
