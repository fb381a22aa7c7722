//! Why a call of a model failed, as SQLSTATE + message + HINT.

use crate::error::error;
use castmatch_provider::{Failure, FailureKind};
use core::time::Duration;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Why a model gave no answer.
#[derive(Clone, Debug)]
pub enum ModelFailure {
    /// The server failed, or could not be reached.
    Server(Failure),
    /// It failed before, and is left alone for a while.
    LeftAlone {
        /// For how long yet.
        wait: Duration,
    },
    /// It was not called: its key or certificate cannot be read.
    Unusable(String),
    /// It answered with something else than what was asked for.
    Unfit(String),
}

impl From<Failure> for ModelFailure {
    fn from(failure: Failure) -> Self {
        Self::Server(failure)
    }
}

impl ModelFailure {
    /// One word for `degraded` and the metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Server(failure) => match failure.kind {
                FailureKind::Refused => "refused",
                FailureKind::RateLimited => "rate_limited",
                FailureKind::Unavailable => "unavailable",
                FailureKind::TimedOut => "timed_out",
                FailureKind::Unreachable => "unreachable",
                FailureKind::BadAnswer => "bad_answer",
            },
            Self::LeftAlone { .. } => "left_alone",
            Self::Unusable(_) => "unusable",
            Self::Unfit(_) => "bad_answer",
        }
    }

    /// What happened, in lower case, without the model's name.
    pub fn message(&self) -> String {
        match self {
            Self::Server(failure) => failure.message.clone(),
            Self::LeftAlone { wait } => format!(
                "it failed several times and is left alone for another {:.1} s",
                wait.as_secs_f64()
            ),
            Self::Unusable(message) | Self::Unfit(message) => message.clone(),
        }
    }

    /// When the model is to be asked again, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server(failure) => failure.retry_after,
            Self::LeftAlone { wait } => Some(*wait),
            Self::Unusable(_) | Self::Unfit(_) => None,
        }
    }

    /// Whether the texts that were sent are to blame, not the model or the way to it.
    pub fn is_about_input(&self) -> bool {
        matches!(
            self,
            Self::Server(Failure {
                status: Some(400 | 413 | 422),
                ..
            })
        )
    }

    /// The error of a call of that model.
    pub fn report(&self, model: &str) -> ErrorReport {
        let code = match self {
            Self::Server(failure) => match failure.kind {
                FailureKind::Refused => {
                    PgSqlErrorCode::ERRCODE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION
                }
                FailureKind::RateLimited => PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                FailureKind::Unavailable => PgSqlErrorCode::ERRCODE_SYSTEM_ERROR,
                FailureKind::TimedOut => PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
                FailureKind::Unreachable => {
                    PgSqlErrorCode::ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION
                }
                FailureKind::BadAnswer => PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION,
            },
            Self::LeftAlone { .. } => PgSqlErrorCode::ERRCODE_CANNOT_CONNECT_NOW,
            Self::Unusable(_) => PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            Self::Unfit(_) => PgSqlErrorCode::ERRCODE_PROTOCOL_VIOLATION,
        };
        let report = error(
            code,
            format!("model \"{model}\" did not answer: {}", self.message()),
        );
        match self.hint() {
            Some(hint) => report.set_hint(hint),
            None => report,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Server(failure) => match failure.kind {
                FailureKind::Refused => {
                    Some("The model's key, its name at the server or its options may be wrong: see castmatch.models.".to_owned())
                }
                FailureKind::RateLimited => failure
                    .retry_after
                    .map(|wait| format!("The server asks to wait for {:.0} s.", wait.as_secs_f64().ceil())),
                FailureKind::TimedOut => {
                    Some("The option \"timeout_ms\" of the model says how long an attempt may take.".to_owned())
                }
                FailureKind::Unreachable | FailureKind::Unavailable | FailureKind::BadAnswer => None,
            },
            Self::LeftAlone { .. } => {
                Some("castmatch.breaker_failures and castmatch.breaker_seconds say when and for how long.".to_owned())
            }
            Self::Unusable(_) | Self::Unfit(_) => None,
        }
    }
}
