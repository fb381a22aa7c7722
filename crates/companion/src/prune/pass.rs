//! One pass: batches with pauses between them until there is no more to do, another session prunes, or a stop is asked
//! for. A batch in flight is waited for within the time that a stop has; past it the connection goes, and the server rolls
//! the batch back.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;

use super::Settings;
use super::batch::{Batch, Pruner};
use super::policy;
use super::stop::Stop;
use crate::session::CallError;

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// Another session prunes.
    Busy,
    /// A stop was asked for; the next pass goes on.
    Stopped,
    /// A batch failed; those before it stay.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Done, Self::Busy, Self::Stopped, Self::Failed];

    /// The value of the label `outcome`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Busy => "busy",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// What a pass did.
#[derive(Debug)]
pub struct Pass {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it only counted.
    pub dry_run: bool,
    /// Calls of `castmatch.prune()` that ended well.
    pub batches: u64,
    /// Conversations that went, or would go.
    pub conversations: u64,
    /// Messages that went, or would go.
    pub messages: u64,
    /// Finished requests that went, or would go.
    pub requests: u64,
    /// Conversations left out because they are in use.
    pub skipped: u64,
    /// How long it took, pauses included.
    pub duration: Duration,
    /// Why it failed.
    pub error: Option<CallError>,
}

impl Pass {
    /// Nothing done so far.
    #[must_use]
    pub fn new(dry_run: bool) -> Self {
        Self {
            outcome: Outcome::Done,
            dry_run,
            batches: 0,
            conversations: 0,
            messages: 0,
            requests: 0,
            skipped: 0,
            duration: Duration::ZERO,
            error: None,
        }
    }

    fn add(&mut self, batch: &Batch) {
        self.batches += 1;
        self.conversations += batch.conversations;
        self.messages += batch.messages;
        self.requests += batch.requests;
        self.skipped += batch.skipped;
    }
}

/// Runs a pass to its end. Never fails: an error is part of what it returns.
pub async fn run(pruner: &mut impl Pruner, settings: &Settings, dry_run: bool, stop: &mut Stop) -> Pass {
    let started = Instant::now();
    let mut pass = Pass::new(dry_run);
    match batches(pruner, settings, &mut pass, stop).await {
        Ok(outcome) => pass.outcome = outcome,
        Err(error) => {
            pass.outcome = Outcome::Failed;
            pass.error = Some(error);
        }
    }
    pass.duration = started.elapsed();
    pass
}

async fn batches(
    pruner: &mut impl Pruner,
    settings: &Settings,
    pass: &mut Pass,
    stop: &mut Stop,
) -> Result<Outcome, CallError> {
    let policy = match &settings.policy {
        Some(policy) => Some(policy.clone()),
        None => match unless_stopped(configured(pruner), Duration::ZERO, stop).await {
            Some(policy) => policy?,
            None => return Ok(Outcome::Stopped),
        },
    };
    let mut next: Option<Value> = None;
    loop {
        let began = Instant::now();
        let resumed = policy
            .as_ref()
            .map(|policy| policy::resumed(policy, next.as_ref()));
        let call = pruner.prune(resumed.as_ref(), pass.dry_run);
        // A dry run leaves nothing half done, so nobody waits for it.
        let grace = if pass.dry_run {
            Duration::ZERO
        } else {
            settings.stop_timeout
        };
        let Some(batch) = unless_stopped(call, grace, stop).await else {
            return Ok(Outcome::Stopped);
        };
        let batch = batch?;
        if batch.busy {
            return Ok(Outcome::Busy);
        }
        pass.add(&batch);
        if !batch.more || pass.dry_run {
            return Ok(Outcome::Done);
        }
        if batch.next.is_none() || (batch.next == next && batch.messages + batch.requests == 0) {
            return Err(CallError::Malformed(
                "castmatch.prune() says that there is more but does not get on".to_owned(),
            ));
        }
        next = batch.next;
        // As long as the batch took: the database has at least half of the time for itself.
        let pause = settings.batch_pause.unwrap_or_else(|| began.elapsed());
        if stop.requested_within(pause).await {
            return Ok(Outcome::Stopped);
        }
    }
}

/// The policy of the server, to which the cursor can be added. Without one castmatch.prune() itself says what is missing.
async fn configured(pruner: &mut impl Pruner) -> Result<Option<Value>, CallError> {
    let Some(text) = pruner.configured_policy().await? else {
        return Ok(None);
    };
    let policy = serde_json::from_str(&text)
        .map_err(|_| CallError::Malformed("the setting castmatch.prune_policy is not JSON".to_owned()))?;
    Ok(Some(policy))
}

/// The result of the call; `None` when a stop came and the call did not end within `grace`.
async fn unless_stopped<T>(call: impl Future<Output = T>, grace: Duration, stop: &mut Stop) -> Option<T> {
    let mut call = std::pin::pin!(call);
    tokio::select! {
        biased;
        () = stop.requested() => {}
        result = &mut call => return Some(result),
    }
    timeout(grace, call).await.ok()
}
