//! Pruning: calls `castmatch.prune()`, which deletes one bounded portion a call, until nothing is left to do; once, or
//! again and again. The connection is opened for a pass and closed after it. What to delete, which conversations are left
//! alone and that one session prunes at a time are the database's business.

pub mod batch;
pub mod command;
pub mod instruments;
pub mod pass;
pub mod policy;
pub mod schedule;
pub mod stop;

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;

use batch::DatabasePruner;
use pass::{Outcome, Pass};
use stop::Stop;

/// Longest default delay of a pass.
const MAX_DEFAULT_JITTER: Duration = Duration::from_secs(300);

/// How to prune. Has no `Debug`: the options hold the password.
#[derive(Clone)]
pub struct Settings {
    /// Where the database is.
    pub database: PgConnectOptions,
    /// Limit for opening the connection.
    pub connect_timeout: Duration,
    /// What to prune; `None`: what the server's `castmatch.prune_policy` says.
    pub policy: Option<Value>,
    /// From the end of a pass to the next; `None`: once.
    pub schedule: Option<Duration>,
    /// Longest random delay of a pass, so that several companions do not all come at once.
    pub jitter: Duration,
    /// Between two batches; `None`: as long as the batch took.
    pub batch_pause: Option<Duration>,
    /// `statement_timeout` of a batch.
    pub batch_timeout: Duration,
    /// `lock_timeout` of a batch.
    pub lock_timeout: Duration,
    /// `statement_timeout` of a dry run, which counts everything at once.
    pub dry_run_timeout: Duration,
    /// How long a batch in flight may go on after a stop.
    pub stop_timeout: Duration,
}

impl Settings {
    /// Whether anybody means to prune with these: a schedule or a policy is set.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.schedule.is_some() || self.policy.is_some()
    }
}

/// A tenth of the schedule, but no more than five minutes.
#[must_use]
pub fn default_jitter(schedule: Option<Duration>) -> Duration {
    schedule.map_or(Duration::ZERO, |schedule| (schedule / 10).min(MAX_DEFAULT_JITTER))
}

/// Connects, runs a pass, logs it.
pub async fn run_pass(settings: &Settings, dry_run: bool, stop: &mut Stop) -> Pass {
    let pass = match DatabasePruner::open(settings).await {
        Ok(mut pruner) => {
            let pass = pass::run(&mut pruner, settings, dry_run, stop).await;
            if matches!(pass.outcome, Outcome::Done | Outcome::Busy) {
                pruner.close().await;
            }
            pass
        }
        Err(error) => Pass {
            outcome: Outcome::Failed,
            error: Some(error),
            ..Pass::new(dry_run)
        },
    };
    log(&pass);
    pass
}

fn log(pass: &Pass) {
    let Pass {
        batches,
        conversations,
        messages,
        requests,
        skipped,
        dry_run,
        ..
    } = *pass;
    let seconds = pass.duration.as_secs_f64();
    match (pass.outcome, &pass.error) {
        (Outcome::Busy, _) => tracing::info!("another session prunes; nothing done"),
        (Outcome::Failed, Some(error)) => {
            tracing::warn!(
                batches,
                conversations,
                messages,
                requests,
                "pruning failed: {error}"
            );
        }
        (outcome, _) => tracing::info!(
            batches,
            conversations,
            messages,
            requests,
            skipped,
            dry_run,
            seconds,
            "pruning {}",
            outcome.name()
        ),
    }
}
