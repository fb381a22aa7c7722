//! One batch of queued rows: read their text, embed it, write the vectors.
//!
//! Reading and writing are two short transactions; while the model works there is neither a snapshot nor a row lock. A
//! row that another transaction has locked is postponed, not waited for. A row that cannot be written is tried again
//! at growing intervals, alone, and after [`MAX_TRIES`] shown in `castmatch.failures`.

use crate::embed::client::{self, EmbedFailure, Request};
use crate::embed::{ModelName, model_of_table};
use crate::error::Result;
use crate::matching::attachment::{Attachment, EmbedMode};
use crate::matching::blocked::Blocked;
use crate::pg::array;
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, Session, session};
use crate::pg::value::Value;
use crate::pg::vector::vector_datum;
use crate::pg::xact::in_subtransaction;
use crate::stats::{self, Operation, timed};
use castmatch_engine::shared::embedder::Urgency;
use core::sync::atomic::Ordering;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// Queue entries of one batch.
const BATCH_ENTRIES: i64 = 256;
/// Tries before a row is given up.
const MAX_TRIES: i32 = 5;

/// What came of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Entries were dealt with; there may be more.
    Worked,
    /// Nothing is due; the next entry is after that time, if there is one.
    Idle(Option<Duration>),
    /// The extension is not in this database (any more).
    NoExtension,
}

/// A queued row with its text.
struct Row {
    key: String,
    /// Entries of the queue that this row settles.
    entries: Vec<i64>,
    text: Option<String>,
}

/// Queued rows of one table.
struct Work {
    attachment: Rc<Attachment>,
    rows: Vec<Row>,
}

/// Takes a batch from the queue through all its steps. Rows whose model cannot be used stay queued, and their tables blocked.
///
/// # Errors
/// XX000 for what must not happen; errors of the user's tables are noted with the row.
pub fn run(blocked: &mut Blocked) -> Result<Outcome> {
    let collected = in_transaction(|session| collect(session, blocked))?;
    let works = match collected {
        Collected::Works(works) => works,
        Collected::Nothing(outcome) => return Ok(outcome),
    };
    let mut under_way: Option<Job> = None;
    for work in works.into_iter().map(Some).chain([None]) {
        // The model works on one table's rows while those of the table before are written.
        let next = match work {
            Some(work) => Job::submit(work, blocked)?,
            None => None,
        };
        if let Some(job) = std::mem::replace(&mut under_way, next) {
            job.finish(blocked)?;
        }
    }
    Ok(Outcome::Worked)
}

/// Rows whose texts the model has.
struct Job {
    work: Work,
    model: ModelName,
    request: Request,
}

impl Job {
    fn submit(work: Work, blocked: &mut Blocked) -> Result<Option<Self>> {
        let model = model_of_table(&work.attachment.model)?;
        let texts: Vec<&str> = work.rows.iter().filter_map(|row| row.text.as_deref()).collect();
        match client::submit(&model, &texts, Urgency::Background) {
            Ok(request) => Ok(Some(Self { work, model, request })),
            Err(failure) => {
                note_unusable(&work, model, Unusable::new(failure), blocked);
                Ok(None)
            }
        }
    }

    fn finish(self, blocked: &mut Blocked) -> Result<()> {
        let Self { work, model, request } = self;
        match vectors(&model, &work, request.wait()) {
            Ok(vectors) => {
                blocked.clear(work.attachment.target);
                timed(Operation::Sync, || {
                    in_transaction(|session| write(session, &work, &vectors))
                })
            }
            Err(unusable) => {
                note_unusable(&work, model, unusable, blocked);
                Ok(())
            }
        }
    }
}

fn note_unusable(work: &Work, model: ModelName, unusable: Unusable, blocked: &mut Blocked) {
    pgrx::log!("castmatch: rows wait for their embedding: {}", unusable.message);
    blocked.note(work.attachment.target, model, unusable.retry_after);
}

fn in_transaction<R>(f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    BackgroundWorker::transaction(std::panic::AssertUnwindSafe(|| session(Access::ReadWrite, f)))
}

enum Collected {
    Works(Vec<Work>),
    Nothing(Outcome),
}

fn collect(session: &Session, blocked: &Blocked) -> Result<Collected> {
    let present = session.run(
        "SELECT pg_catalog.to_regclass('castmatch.queue') IS NOT NULL",
        &[],
    )?;
    if !present.require::<bool>(0, 1)? {
        return Ok(Collected::Nothing(Outcome::NoExtension));
    }
    let due = session.run(
        "SELECT id, target::oid, key FROM castmatch.queue
         WHERE failed_at IS NULL AND not_before <= pg_catalog.clock_timestamp()
           AND target::oid OPERATOR(pg_catalog.<>) ALL ($2) ORDER BY id LIMIT $1",
        &[Value::of(BATCH_ENTRIES), Value::of(blocked.tables())],
    )?;
    if due.is_empty() {
        let next = session.run(
            "SELECT pg_catalog.date_part('epoch', pg_catalog.min(not_before) - pg_catalog.clock_timestamp())
             FROM castmatch.queue WHERE failed_at IS NULL AND target::oid OPERATOR(pg_catalog.<>) ALL ($1)",
            &[Value::of(blocked.tables())],
        )?;
        let seconds = next.get::<f64>(0, 1)?;
        let wait = seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)));
        let wait = wait.into_iter().chain(blocked.soonest()).min();
        return Ok(Collected::Nothing(Outcome::Idle(wait)));
    }
    let mut tables: BTreeMap<u32, BTreeMap<String, Vec<i64>>> = BTreeMap::new();
    for row in 0..due.len() {
        let target: pg_sys::Oid = due.require(row, 2)?;
        let keys = tables.entry(target.to_u32()).or_default();
        keys.entry(due.require(row, 3)?)
            .or_default()
            .push(due.require(row, 1)?);
    }
    let mut works = Vec::new();
    for (target, keys) in tables {
        if let Some(work) = read_table(session, pg_sys::Oid::from(target), keys)? {
            works.push(work);
        }
    }
    Ok(Collected::Works(works))
}

/// Reads the texts of the keys; settles the entries of rows that are gone and of tables that are not attached.
fn read_table(
    session: &Session,
    target: pg_sys::Oid,
    keys: BTreeMap<String, Vec<i64>>,
) -> Result<Option<Work>> {
    let embedded_here = |attachment: &Rc<Attachment>| attachment.embed_mode != EmbedMode::Off;
    let Some(attachment) = Attachment::find(target)?.filter(embedded_here) else {
        settle(session, keys.into_values().flatten())?;
        return Ok(None);
    };
    let (names, entries): (Vec<String>, Vec<Vec<i64>>) = keys.into_iter().unzip();
    // Rows are told apart by the place of their key in the array: the text of a key may depend on settings.
    let sql = format!(
        "SELECT k.place, {content} FROM {keys} JOIN {table} t ON {joined}",
        keys = attachment.key.unnest(1),
        joined = attachment.key.joined("t"),
        content = attachment.content_expression(),
        table = attachment.table,
    );
    let read = act_as_owner(&attachment, || {
        let rows = session.run(&sql, &attachment.key.arrays(&names)?)?;
        (0..rows.len())
            .map(|row| Ok((rows.require(row, 1)?, rows.get(row, 2)?)))
            .collect::<Result<BTreeMap<i64, Option<String>>>>()
    });
    let mut texts = match read {
        Ok(texts) => texts,
        Err(message) => {
            for entries in entries {
                note_failure(session, &entries, &message)?;
            }
            return Ok(None);
        }
    };
    let mut rows = Vec::new();
    let mut gone = Vec::new();
    for (place, (key, entries)) in (1..).zip(names.into_iter().zip(entries)) {
        match texts.remove(&place) {
            Some(text) => {
                let text = text.filter(|text| !text.trim().is_empty());
                rows.push(Row { key, entries, text });
            }
            None => gone.extend(entries),
        }
    }
    settle(session, gone.into_iter())?;
    Ok((!rows.is_empty()).then_some(Work { attachment, rows }))
}

/// One statement on a user's table, as its owner, its errors turned into a message.
fn act_as_owner<R>(attachment: &Attachment, f: impl FnOnce() -> Result<R>) -> Result<R, String> {
    in_subtransaction(|| act_as(attachment.owner, Restriction::Restricted, f))
}

/// A vector for each row that has text, by its place in the batch; `Err` where the model fails on that row's text.
type Vectors = Vec<Result<Option<Vec<f32>>, String>>;

/// Why a model cannot be used at all, and when to try again; the rows stay queued.
struct Unusable {
    message: String,
    retry_after: Option<Duration>,
}

impl Unusable {
    fn new(failure: EmbedFailure) -> Self {
        let retry_after = match &failure {
            EmbedFailure::Unavailable { retry_after, .. } => *retry_after,
            EmbedFailure::Texts(_) => None,
        };
        Self {
            message: ErrorReport::from(failure).message().to_owned(),
            retry_after,
        }
    }
}

/// What the model gave for the texts, by row.
///
/// # Errors
/// If the model cannot be used at all.
fn vectors(
    model: &ModelName,
    work: &Work,
    given: Result<Vec<Vec<f32>>, EmbedFailure>,
) -> Result<Vectors, Unusable> {
    match given {
        Ok(vectors) => {
            let mut vectors = vectors.into_iter();
            Ok(work
                .rows
                .iter()
                .map(|row| Ok(row.text.as_ref().and_then(|_| vectors.next())))
                .collect())
        }
        // One text is to blame: find out which.
        Err(EmbedFailure::Texts(_)) => work.rows.iter().map(|row| embed_row(model, row)).collect(),
        Err(failure) => Err(Unusable::new(failure)),
    }
}

fn embed_row(model: &ModelName, row: &Row) -> Result<Result<Option<Vec<f32>>, String>, Unusable> {
    let Some(text) = row.text.as_deref() else {
        return Ok(Ok(None));
    };
    match client::embed(model, &[text], Urgency::Background) {
        Ok(mut vectors) => Ok(Ok(vectors.pop())),
        Err(EmbedFailure::Texts(report)) => {
            let detail = report
                .detail()
                .map(|detail| format!(": {detail}"))
                .unwrap_or_default();
            Ok(Err(format!("{}{detail}", report.message())))
        }
        Err(failure) => Err(Unusable::new(failure)),
    }
}

fn write(session: &Session, work: &Work, vectors: &Vectors) -> Result<()> {
    let mut chosen = Vec::new();
    for (index, (row, vector)) in work.rows.iter().zip(vectors).enumerate() {
        match vector {
            Ok(_) => chosen.push(index),
            Err(message) => note_failure(session, &row.entries, message)?,
        }
    }
    if let Ok(written) = write_rows(session, work, vectors, &chosen) {
        return note_written(session, work, vectors, &chosen, &written);
    }
    // One of the rows does not take its vector: find out which.
    for index in chosen {
        match write_rows(session, work, vectors, &[index]) {
            Ok(written) => note_written(session, work, vectors, &[index], &written)?,
            Err(message) => {
                if let Some(row) = work.rows.get(index) {
                    note_failure(session, &row.entries, &message)?;
                }
            }
        }
    }
    Ok(())
}

/// Writes the vectors of those rows that nobody else has locked; returns their places in the batch.
fn write_rows(
    session: &Session,
    work: &Work,
    vectors: &Vectors,
    chosen: &[usize],
) -> Result<BTreeSet<usize>, String> {
    let attachment = &work.attachment;
    let types = catalog::extension_types().map_err(|report| report.message().to_owned())?;
    let lock = format!(
        "SELECT k.place FROM {keys} JOIN {table} t ON {joined}
         ORDER BY {columns} FOR NO KEY UPDATE OF t SKIP LOCKED",
        keys = attachment.key.unnest(1),
        table = attachment.table,
        joined = attachment.key.joined("t"),
        columns = attachment.key.columns("t"),
    );
    let update = format!(
        "UPDATE {table} t SET {embedding} = k.value FROM {keys} WHERE {joined}",
        table = attachment.table,
        embedding = attachment.embedding,
        keys = attachment.key.unnest_with_value(1),
        joined = attachment.key.joined("t"),
    );
    act_as_owner(attachment, || {
        let rows: Vec<(usize, &Row)> = chosen
            .iter()
            .filter_map(|&index| work.rows.get(index).map(|row| (index, row)))
            .collect();
        let keys: Vec<String> = rows.iter().map(|(_, row)| row.key.clone()).collect();
        let locked = session.run(&lock, &attachment.key.arrays(&keys)?)?;
        let mut written = BTreeSet::new();
        let mut taken = Vec::new();
        let mut datums = Vec::new();
        for place in locked.column_values::<i64>(1)? {
            let Some(&(index, row)) = usize::try_from(place - 1).ok().and_then(|place| rows.get(place))
            else {
                continue;
            };
            written.insert(index);
            taken.push(row.key.clone());
            let vector = vectors
                .get(index)
                .and_then(|vector| vector.as_ref().ok())
                .and_then(Option::as_deref);
            datums.push(vector.map(vector_datum).transpose()?);
        }
        let vectors = Value::datum(types.vector_array, Some(array::build(types.vector, &datums)?));
        let mut values = attachment.key.arrays(&taken)?;
        values.push(vectors);
        session.run(&update, &values)?;
        Ok(written)
    })
}

/// Settles the rows that were written and postpones those that were locked.
fn note_written(
    session: &Session,
    work: &Work,
    vectors: &Vectors,
    chosen: &[usize],
    written: &BTreeSet<usize>,
) -> Result<()> {
    let (done, locked): (Vec<usize>, Vec<usize>) = chosen.iter().partition(|index| written.contains(index));
    let entries = |indices: &[usize]| -> Vec<i64> {
        let rows = indices.iter().filter_map(|&index| work.rows.get(index));
        rows.flat_map(|row| row.entries.iter().copied()).collect()
    };
    settle(session, entries(&done).into_iter())?;
    let postponed = entries(&locked);
    if !postponed.is_empty() {
        session.run(
            "UPDATE castmatch.queue SET not_before = pg_catalog.clock_timestamp() + '1 second'::interval
             WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
            &[Value::of(postponed)],
        )?;
    }
    let embedded = done
        .iter()
        .filter(|&&index| matches!(vectors.get(index), Some(Ok(Some(_)))))
        .count();
    session.run(
        "UPDATE castmatch.registrations SET embedded_rows = embedded_rows + $2
         WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
        &[Value::oid(work.attachment.target), Value::of(embedded as i64)],
    )?;
    if let Some(counters) = stats::counters() {
        counters
            .rows_embedded
            .fetch_add(done.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn settle(session: &Session, entries: impl Iterator<Item = i64>) -> Result<()> {
    let entries: Vec<i64> = entries.collect();
    if !entries.is_empty() {
        session.run(
            "DELETE FROM castmatch.queue WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
            &[Value::of(entries)],
        )?;
    }
    Ok(())
}

/// Counts a failed try: the next one comes after 2, 4, 8… seconds (with jitter), none after [`MAX_TRIES`].
fn note_failure(session: &Session, entries: &[i64], message: &str) -> Result<()> {
    let failed = session.run(
        "UPDATE castmatch.queue SET tries = tries + 1, error = $2,
             not_before = pg_catalog.clock_timestamp()
                 + pg_catalog.power(2, tries + 1) * (0.75 + pg_catalog.random() / 2) * '1 second'::interval,
             failed_at = CASE WHEN tries + 1 >= $3 THEN pg_catalog.clock_timestamp() END
         WHERE id OPERATOR(pg_catalog.=) ANY ($1) RETURNING failed_at IS NOT NULL",
        &[
            Value::of(entries.to_vec()),
            Value::of(message.to_owned()),
            Value::of(MAX_TRIES),
        ],
    )?;
    if !failed.is_empty()
        && failed.require::<bool>(0, 1)?
        && let Some(counters) = stats::counters()
    {
        counters.rows_failed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
