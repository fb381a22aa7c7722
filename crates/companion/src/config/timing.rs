//! Time limits of the monitor and the HTTP server.

use std::time::Duration;

use super::cli::ServeArgs;
use super::parse::duration;
use super::sources::Sources;
use crate::error::StartError;

/// The time limits; see the arguments of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Limit for opening a connection.
    pub connect_timeout: Duration,
    /// Limit for one query.
    pub query_timeout: Duration,
    /// Time between health checks.
    pub probe_interval: Duration,
    /// Time between two questions for the performance.
    pub performance_interval: Duration,
    /// Limit for waiting on fresh values.
    pub scrape_deadline: Duration,
    /// Limit for requests in flight at the end.
    pub shutdown_timeout: Duration,
}

impl Default for Timing {
    /// The defaults of the command line.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            query_timeout: Duration::from_secs(1),
            probe_interval: Duration::from_millis(500),
            performance_interval: Duration::from_secs(5),
            scrape_deadline: Duration::from_millis(45),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

impl Timing {
    pub(super) fn load(sources: &Sources, args: &ServeArgs) -> Result<Self, StartError> {
        let default = Self::default();
        let limit = |key, flag, otherwise| {
            let value = sources.value(key, flag, duration)?;
            Ok::<_, StartError>(value.unwrap_or(otherwise))
        };
        Ok(Self {
            connect_timeout: limit(
                "connect_timeout",
                args.common.connect_timeout,
                default.connect_timeout,
            )?,
            query_timeout: limit("query_timeout", args.query_timeout, default.query_timeout)?,
            probe_interval: limit("probe_interval", args.probe_interval, default.probe_interval)?,
            performance_interval: default.performance_interval,
            scrape_deadline: limit("scrape_deadline", args.scrape_deadline, default.scrape_deadline)?,
            shutdown_timeout: limit(
                "shutdown_timeout",
                args.shutdown_timeout,
                default.shutdown_timeout,
            )?,
        })
    }
}
