//! One transaction at a time over a connection of the pruner, the HTTP front or a subcommand: BEGIN with its limits, one
//! statement with bound values, COMMIT. [`crate::database`] is the monitor's.
//!
//! The transaction is explicit, so PgBouncer's transaction mode keeps to one server from the limits to the end, and a
//! client that goes away midway leaves nothing: without COMMIT the server rolls back. Nothing is kept in the session.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow, PgSeverity};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tokio::time::timeout;

use crate::database::pooler_options;

/// How long to wait for the farewell to the server.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How soon the server notices that nobody waits for its answer any more.
const ABANDONED_CHECK: &str = "1s";

/// What SET ROLE answers where the role does not exist (22023), or may not be taken.
const ROLE_CODES: [&str; 3] = ["22023", "42501", "42704"];

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke.
    #[error("no connection to the database: {0}")]
    Unreachable(sqlx::Error),
    /// No answer in time.
    #[error("the database did not answer within {limit_ms} ms")]
    Deadline {
        /// The limit that passed, in milliseconds.
        limit_ms: u128,
    },
    /// The statement failed.
    #[error("{message} (SQLSTATE {code})")]
    Server {
        /// SQLSTATE.
        code: String,
        /// The primary message.
        message: String,
        /// DETAIL, if there is one.
        detail: Option<String>,
        /// HINT, if there is one.
        hint: Option<String>,
    },
    /// The role of a token cannot be taken, or it or the login is a superuser.
    #[error("cannot act as role \"{role}\": {problem}")]
    Role {
        /// Its name.
        role: String,
        /// Why.
        problem: String,
    },
    /// The answer has another shape than agreed.
    #[error("unexpected answer: {0}")]
    Malformed(String),
}

impl CallError {
    /// What the server or the driver said.
    #[must_use]
    pub fn classify(error: sqlx::Error) -> Self {
        let Some(report) = error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        else {
            return Self::Unreachable(error);
        };
        // Class 57P: shutting down, starting up, session ended. A pooler without a server reports FATAL.
        let is_end = matches!(report.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        if is_end || report.code().starts_with("57P") {
            return Self::Unreachable(error);
        }
        Self::Server {
            code: report.code().to_owned(),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
            hint: report.hint().map(str::to_owned),
        }
    }

    /// Whether the session may be used again.
    #[must_use]
    pub fn keeps_session(&self) -> bool {
        matches!(self, Self::Server { .. } | Self::Role { .. })
    }

    /// The SQLSTATE, where the statement failed.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// A bound value.
#[derive(Debug, Clone)]
pub enum Bind {
    /// Of type text.
    Text(String),
    /// Of type integer.
    Integer(i32),
}

/// Limits of a transaction.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// For the statement.
    pub statement: Duration,
    /// For each lock.
    pub lock: Duration,
    /// Whether it may write.
    pub read_only: bool,
    /// Whom to run as; a superuser is refused, and so is a superuser's login. `None`: as the login, whoever it is.
    pub role: Option<&'a str>,
}

/// A connection.
pub struct Session {
    connection: PgConnection,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// When there is none within `limit`.
    pub async fn open(
        options: &PgConnectOptions,
        application: &str,
        limit: Duration,
    ) -> Result<Self, CallError> {
        let options = pooler_options(options.clone()).application_name(application);
        let connect = async { options.connect().await.map_err(CallError::classify) };
        let connection = within(limit, connect).await?;
        Ok(Self { connection })
    }

    /// Runs one statement in a transaction; gives the first column of its first row, a text. [`CallError::keeps_session`]
    /// says whether the session may be used after an error; after a dropped future it may not.
    ///
    /// # Errors
    /// As the server answers; there is no limit here beyond that of the server.
    pub async fn call(
        &mut self,
        limits: &Limits<'_>,
        sql: &str,
        binds: &[Bind],
    ) -> Result<Option<String>, CallError> {
        self.begin(limits).await?;
        self.finish(sql, binds).await
    }

    /// The first half of [`Self::call`]: nothing has happened yet when it fails.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn begin(&mut self, limits: &Limits<'_>) -> Result<(), CallError> {
        let result = self.simple(&opening(limits)).await;
        let Some(role) = limits.role else {
            return self.roll_back_after(result.map(drop)).await;
        };
        let result = match result {
            // No such role, or the login may not act as it: nothing that the caller could mend.
            Err(CallError::Server { code, message, .. }) if ROLE_CODES.contains(&code.as_str()) => {
                Err(CallError::Role {
                    role: role.to_owned(),
                    problem: message,
                })
            }
            Err(error) => Err(error),
            Ok(rows) => match rows.first().map(|row| row.try_get::<String, _>(0)) {
                None => Ok(()),
                Some(name) => Err(CallError::Role {
                    role: name.unwrap_or_default(),
                    problem: "it is a superuser, whom no right holds back".to_owned(),
                }),
            },
        };
        self.roll_back_after(result).await
    }

    /// The second half: the statement and COMMIT.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn finish(&mut self, sql: &str, binds: &[Bind]) -> Result<Option<String>, CallError> {
        let result = self.statement(sql, binds).await;
        let result = self.roll_back_after(result).await?;
        // A COMMIT without an answer may have happened or not; it is an error either way.
        self.simple("COMMIT").await?;
        Ok(result)
    }

    async fn statement(&mut self, sql: &str, binds: &[Bind]) -> Result<Option<String>, CallError> {
        // Callers put the text together from constants; values are bound.
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false);
        for bind in binds {
            query = match bind {
                Bind::Text(text) => query.bind(text.as_str()),
                Bind::Integer(number) => query.bind(*number),
            };
        }
        let row = query
            .fetch_one(&mut self.connection)
            .await
            .map_err(CallError::classify)?;
        row.try_get(0)
            .map_err(|error| CallError::Malformed(error.to_string()))
    }

    async fn simple(&mut self, sql: &str) -> Result<Vec<PgRow>, CallError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut self.connection)
            .await
            .map_err(CallError::classify)
    }

    async fn roll_back_after<T>(&mut self, result: Result<T, CallError>) -> Result<T, CallError> {
        if result.as_ref().is_err_and(CallError::keeps_session) {
            self.simple("ROLLBACK").await?;
        }
        result
    }

    /// Says good-bye. The server frees the session anyway when the socket closes; this only spares it a log line.
    pub async fn close(self) {
        let _ = timeout(CLOSE_TIMEOUT, self.connection.close()).await;
    }
}

/// BEGIN and the limits, in one message. Gives a row for each superuser among login and role.
fn opening(limits: &Limits) -> String {
    let statement_ms = limits.statement.as_millis().max(1);
    let lock_ms = limits.lock.as_millis().max(1);
    // Should this process stop between two messages, its locks go as soon as they would under a slow statement.
    let mut sql = format!(
        "BEGIN; SET LOCAL statement_timeout = {statement_ms}; SET LOCAL lock_timeout = {lock_ms}; \
         SET LOCAL idle_in_transaction_session_timeout = {statement_ms}; \
         SET LOCAL client_connection_check_interval = '{ABANDONED_CHECK}'; SET LOCAL extra_float_digits = 1;"
    );
    if limits.read_only {
        sql.push_str(" SET LOCAL transaction_read_only = on;");
    }
    if let Some(role) = limits.role {
        sql.push_str(&format!(
            " SET LOCAL ROLE {}; SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles r \
             WHERE r.rolsuper AND r.rolname OPERATOR(pg_catalog.=) ANY (ARRAY[SESSION_USER, CURRENT_USER]::pg_catalog.name[])",
            quote_identifier(role)
        ));
    }
    sql
}

fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `work`, for at most that long.
///
/// # Errors
/// Those of `work`, and [`CallError::Deadline`].
pub async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    timeout(limit, work).await.unwrap_or(Err(CallError::Deadline {
        limit_ms: limit.as_millis(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_names_cannot_leave_their_quotes() {
        assert_eq!(quote_identifier("app"), "\"app\"");
        assert_eq!(
            quote_identifier("a\"; RESET ROLE; --"),
            "\"a\"\"; RESET ROLE; --\""
        );
    }
}
