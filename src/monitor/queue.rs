//! The rows of this database that wait for their embedding.
//!
//! A queue may hold a million rows, and whoever watches asks again and again. So of a long one the beginning is looked at only; the rest
//! is not counted: rows of blocks that are the same each time are, and stand for the others. Failed ones, of which each matters, have an
//! index.

use super::sample::Sample;
use crate::error::Result;
use crate::pg::setting::with_settings;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use core::ffi::CStr;
use serde_json::{Value as Json, json};

/// Rows up to which the queue is counted, in a few milliseconds.
const COUNTED_ROWS: i64 = 10_000;
/// Blocks of a longer one that are counted.
const COUNTED_BLOCKS: f64 = 384.0;
/// Failed rows of a longer one up to which they are counted.
const COUNTED_FAILURES: i64 = 20_000;

/// Without statistics, as after a bulk load, the planner would take a scan of the table for cheap.
const BY_INDEX: [(&CStr, &CStr); 2] = [(c"enable_seqscan", c"off"), (c"enable_bitmapscan", c"off")];

const BEGINNING_SQL: &str = "
    SELECT pg_catalog.count(*),
           pg_catalog.count(*) FILTER (WHERE w.failed_at IS NULL),
           pg_catalog.count(*) FILTER (WHERE w.failed_at IS NULL AND w.for_next),
           pg_catalog.count(*) FILTER (WHERE w.failed_at IS NOT NULL),
           EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
               pg_catalog.min(w.queued_at) FILTER (WHERE w.failed_at IS NULL))::pg_catalog.float8
    FROM (SELECT q.queued_at, q.failed_at, q.for_next FROM castmatch.queue q ORDER BY q.id LIMIT $1) w";

const SIZE_SQL: &str = "
    SELECT pg_catalog.pg_relation_size('castmatch.queue'::pg_catalog.regclass)::pg_catalog.float8
        OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.float8";

const SAMPLE_SQL: &str = "
    SELECT pg_catalog.count(*) FILTER (WHERE q.failed_at IS NULL),
           pg_catalog.count(*) FILTER (WHERE q.failed_at IS NULL AND q.for_next),
           pg_catalog.count(*) FILTER (WHERE q.failed_at IS NOT NULL),
           EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
               pg_catalog.min(q.queued_at) FILTER (WHERE q.failed_at IS NULL))::pg_catalog.float8
    FROM castmatch.queue q TABLESAMPLE SYSTEM ($1) REPEATABLE (1)";

const FAILED_SQL: &str = "
    SELECT pg_catalog.count(*) FROM (SELECT FROM castmatch.queue q WHERE q.failed_at IS NOT NULL LIMIT $1) f";

const PROGRESS_SQL: &str = "
    SELECT pg_catalog.sum(p.rows_per_second) FILTER (
               WHERE p.measured_at OPERATOR(pg_catalog.>) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '1 minute'::pg_catalog.interval)),
           EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.max(p.measured_at))::pg_catalog.float8
    FROM castmatch.progress p";

/// The queue now.
pub(super) struct Queue {
    /// Changes of rows that wait.
    pub(super) pending: u64,
    /// Those of them that wait for the model that a table is being switched to.
    pub(super) for_next: u64,
    /// Rows that were given up.
    pub(super) failed: u64,
    /// How long the first one has been waiting.
    pub(super) oldest_seconds: Option<f64>,
    /// Rows embedded in a second, if any were lately.
    pub(super) rows_per_second: Option<f64>,
    /// Time since rows were last embedded.
    pub(super) idle_seconds: Option<f64>,
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// How many rows there are.
struct Counts {
    pending: u64,
    for_next: u64,
    failed: u64,
    /// How long the first row that waits has done so.
    oldest_seconds: Option<f64>,
}

/// The counts of a queue that is longer than its beginning, which holds these.
fn estimate(session: &Session, beginning: &Counts) -> Result<Counts> {
    let blocks: f64 = session.run(SIZE_SQL, &[])?.require(0, 1)?;
    let share = (COUNTED_BLOCKS / blocks.max(1.0)).min(1.0);
    let sample = session.run(SAMPLE_SQL, &[Value::of((share * 100.0) as f32)])?;
    let estimate = |column| -> Result<u64> {
        let counted: i64 = sample.require(0, column)?;
        Ok((number(counted) as f64 / share).round() as u64)
    };
    let failed = with_settings(&BY_INDEX, || {
        session.run(FAILED_SQL, &[Value::of(COUNTED_FAILURES + 1)])
    })?;
    let failed: i64 = failed.require(0, 1)?;
    Ok(Counts {
        pending: estimate(1)?.max(beginning.pending),
        for_next: estimate(2)?.max(beginning.for_next),
        failed: if failed > COUNTED_FAILURES {
            estimate(3)?.max(number(failed))
        } else {
            number(failed)
        },
        // Where the beginning holds failed rows only, the first that waits is some way behind it.
        oldest_seconds: match beginning.oldest_seconds {
            None => sample.get(0, 4)?,
            oldest => oldest,
        },
    })
}

impl Queue {
    /// Reads it, as the owner of the tables.
    pub(super) fn read(session: &Session) -> Result<Self> {
        let beginning = with_settings(&BY_INDEX, || {
            session.run(BEGINNING_SQL, &[Value::of(COUNTED_ROWS + 1)])
        })?;
        let count = |column| beginning.require::<i64>(0, column).map(number);
        let mut counts = Counts {
            pending: count(2)?,
            for_next: count(3)?,
            failed: count(4)?,
            oldest_seconds: beginning.get(0, 5)?,
        };
        if count(1)? > number(COUNTED_ROWS) {
            counts = estimate(session, &counts)?;
        }
        let progress = session.run(PROGRESS_SQL, &[])?;
        Ok(Self {
            pending: counts.pending,
            for_next: counts.for_next,
            failed: counts.failed,
            oldest_seconds: counts.oldest_seconds.map(|seconds| seconds.max(0.0)),
            rows_per_second: progress.get(0, 1)?,
            idle_seconds: progress.get(0, 2)?,
        })
    }

    /// Time until nothing waits, at the speed of now.
    pub(super) fn eta_seconds(&self) -> Option<f64> {
        let speed = self.rows_per_second.filter(|&speed| speed > 0.0);
        if self.pending == 0 {
            return Some(0.0);
        }
        speed.map(|speed| self.pending as f64 / speed)
    }

    pub(super) fn samples(&self, samples: &mut Vec<Sample>) {
        samples.extend([
            Sample::gauge(
                "castmatch_queue_pending",
                "Changes of rows in this database that wait for their embedding; estimated from a part of the queue where it is longer than 10,000.",
                self.pending as f64,
            ),
            Sample::gauge(
                "castmatch_queue_dead",
                "Rows in this database that could not be embedded after all tries; castmatch.retry_failed queues them again.",
                self.failed as f64,
            ),
            Sample::gauge(
                "castmatch_queue_oldest_age_seconds",
                "Time in seconds that the first row of this database's queue has been waiting for its embedding; 0 if none waits.",
                self.oldest_seconds.unwrap_or(0.0),
            ),
            Sample::gauge(
                "castmatch_mixed_model_rows",
                "Rows of attached tables of this database that still wait for the vector of the model which castmatch.reembed is switching to; estimated as castmatch_queue_pending is.",
                self.for_next as f64,
            ),
        ]);
    }

    pub(super) fn report(&self) -> Json {
        json!({
            "pending": self.pending,
            "failed": self.failed,
            "oldest_seconds": self.oldest_seconds,
            "rows_per_second": self.rows_per_second,
            "eta_seconds": self.eta_seconds(),
        })
    }
}
