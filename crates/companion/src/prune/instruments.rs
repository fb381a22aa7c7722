//! The companion's own metrics of pruning. What went is counted in the database, whoever prunes.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

use super::pass::{Outcome, Pass};

/// Seconds: from a pass that finds nothing to one over millions of messages.
const BUCKETS: [f64; 10] = [0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// Handles into the registry.
#[derive(Debug, Clone)]
pub struct Instruments {
    runs: IntCounterVec,
    duration: Histogram,
    last_success: Gauge,
}

impl Instruments {
    /// Registers them.
    ///
    /// # Errors
    /// When a name is used already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let runs = IntCounterVec::new(
            Opts::new(
                "castmatch_companion_prune_runs_total",
                "Passes of pruning, by outcome: done, busy (another session prunes), stopped or failed.",
            ),
            &["outcome"],
        )?;
        for outcome in Outcome::ALL {
            runs.with_label_values(&[outcome.name()]);
        }
        let duration = Histogram::with_opts(
            HistogramOpts::new(
                "castmatch_companion_prune_duration_seconds",
                "Duration of passes of pruning that were done, pauses included.",
            )
            .buckets(BUCKETS.to_vec()),
        )?;
        let last_success = Gauge::new(
            "castmatch_companion_prune_last_success_timestamp_seconds",
            "Unix time at which this companion last finished a pass of pruning; 0 if never.",
        )?;
        registry.register(Box::new(runs.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(last_success.clone()))?;
        Ok(Self {
            runs,
            duration,
            last_success,
        })
    }

    /// Counts a pass that has ended.
    pub fn observe(&self, pass: &Pass) {
        self.runs.with_label_values(&[pass.outcome.name()]).inc();
        if pass.outcome == Outcome::Done {
            self.duration.observe(pass.duration.as_secs_f64());
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            self.last_success.set(now.map_or(0.0, |now| now.as_secs_f64()));
        }
    }
}
