//! The one connection to PostgreSQL and the three questions asked over it. Every step has a deadline; a future
//! that is dropped takes the connection with it, so a hung server never blocks the next attempt.
//!
//! Only the simple query protocol is used (`raw_sql`): sqlx sends Parse and Bind in separate round trips,
//! which PgBouncer's transaction mode may route to two servers. Each message sets its limits with SET LOCAL,
//! in the same implicit transaction, because a pooled session keeps no settings. Called by [`crate::monitor`]
//! alone.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};
use tokio::time::timeout;

use crate::config::Timing;
use crate::exposition::{MAX_SAMPLES, MAX_TEXT_CHARS, Sample};

/// `castmatch.health()` is far smaller; a longer answer is cut, does not parse and counts as malformed.
const MAX_HEALTH_CHARS: usize = 65_536;

/// The same for `castmatch.performance()`, which lists at most 50 models and 50 indexes.
const MAX_PERFORMANCE_CHARS: usize = 262_144;

/// How long to wait for the farewell to the server at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Why the database gave no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No connection, or it broke.
    #[error("no connection to the database: {0}")]
    Unreachable(sqlx::Error),
    /// The server did not answer in time.
    #[error("the database did not answer within {limit_ms} ms")]
    Deadline {
        /// The limit that passed, in milliseconds.
        limit_ms: u128,
    },
    /// The function is not there.
    #[error("the extension castmatch is not installed in this database")]
    NotInstalled,
    /// The server answered with an error.
    #[error("{question} failed with SQLSTATE {sqlstate}: {message}")]
    Rejected {
        /// The function that was called.
        question: &'static str,
        /// Five characters.
        sqlstate: String,
        /// The server's primary message, for the log only.
        message: String,
    },
    /// The answer does not have the agreed shape.
    #[error("{question} gave an unexpected answer: {problem}")]
    Malformed {
        /// The function that was called.
        question: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl ReadError {
    /// Whether the database itself is away, rather than unwilling to answer this question.
    #[must_use]
    pub fn database_is_down(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Deadline { .. })
    }
}

/// What the monitor asks. A trait, so that tests can answer in the database's place.
///
/// An implementation must end each call in bounded time, and a dropped future must leave it usable.
pub trait Source: Send + 'static {
    /// The answer of `castmatch.health()`.
    fn health(&mut self) -> impl Future<Output = Result<serde_json::Value, ReadError>> + Send;
    /// The rows of `castmatch.metrics()`, at most [`MAX_SAMPLES`] + 1 of them.
    fn metrics(&mut self) -> impl Future<Output = Result<Vec<Sample>, ReadError>> + Send;
    /// The answer of `castmatch.performance()`; [`ReadError::NotInstalled`] when there is no such function.
    fn performance(&mut self) -> impl Future<Output = Result<serde_json::Value, ReadError>> + Send;
    /// Says good-bye.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// What every connection of the companion has in common, so that PgBouncer's transaction mode works: it refuses start-up
/// parameters that it does not know, extra_float_digits among them, and a prepared statement may be on another server.
#[must_use]
pub fn pooler_options(options: PgConnectOptions) -> PgConnectOptions {
    options
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging()
}

/// The lazily opened connection.
pub struct Database {
    options: PgConnectOptions,
    connect_timeout: Duration,
    query_timeout: Duration,
    /// Taken out for each query and put back only when the server has answered: a query that times out or is
    /// cancelled drops the connection, whose protocol state nobody knows any more.
    connection: Option<PgConnection>,
    /// Whether the last question for the performance found no such function.
    without_performance: bool,
}

impl Database {
    /// Does not connect yet.
    #[must_use]
    pub fn new(options: PgConnectOptions, timing: &Timing) -> Self {
        Self {
            options: pooler_options(options).application_name("castmatch-companion"),
            connect_timeout: timing.connect_timeout,
            query_timeout: timing.query_timeout,
            connection: None,
            without_performance: false,
        }
    }

    /// Runs one SELECT with limits. The old connection may have died since the last question (server
    /// restarted, pooler recycled it), so a broken one is replaced once, within the time of the query.
    async fn ask(&mut self, question: &'static str, select: &str) -> Result<Vec<PgRow>, ReadError> {
        // The server gives up a little earlier than we do: its error keeps the connection, our deadline costs
        // it.
        let server_limit_ms = (self.query_timeout.as_millis() * 9 / 10).max(1);
        let sql = format!(
            "SET LOCAL transaction_read_only = on; SET LOCAL statement_timeout = {server_limit_ms}; \
             SET LOCAL lock_timeout = {server_limit_ms}; SET LOCAL extra_float_digits = 1; {select}"
        );
        let limit = self.query_timeout;
        if let Some(connection) = self.connection.take() {
            let attempt = async {
                match self.query(connection, question, sql.clone()).await {
                    Err(ReadError::Unreachable(_)) => {
                        let connection = self.options.connect().await.map_err(ReadError::Unreachable)?;
                        self.query(connection, question, sql).await
                    }
                    answer => answer,
                }
            };
            return within(limit, attempt).await;
        }
        let connect = async { self.options.connect().await.map_err(ReadError::Unreachable) };
        let connection = within(self.connect_timeout, connect).await?;
        within(limit, self.query(connection, question, sql)).await
    }

    async fn query(
        &mut self,
        mut connection: PgConnection,
        question: &'static str,
        sql: String,
    ) -> Result<Vec<PgRow>, ReadError> {
        // The text is put together from constants and one number.
        let answer = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        match answer.map_err(|error| classify(error, question)) {
            Err(error) if error.database_is_down() => Err(error),
            answer => {
                self.connection = Some(connection);
                answer
            }
        }
    }

    /// The JSON that the function `question` returns.
    async fn document(
        &mut self,
        question: &'static str,
        max_chars: usize,
    ) -> Result<serde_json::Value, ReadError> {
        let select = format!("SELECT pg_catalog.left({question}::pg_catalog.text, {max_chars})");
        let rows = match self.ask(question, &select).await {
            Ok(rows) => rows,
            Err(error) => return Err(self.explain(error, question).await),
        };
        let malformed = |problem| ReadError::Malformed { question, problem };
        let text: Option<String> = rows
            .first()
            .ok_or_else(|| malformed("no row".to_owned()))?
            .try_get(0)
            .map_err(|error| malformed(error.to_string()))?;
        let text = text.ok_or_else(|| malformed("null".to_owned()))?;
        serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))
    }

    /// 3F000 and 42883 also come from inside the function's body, so the catalog decides whether it is
    /// missing.
    async fn explain(&mut self, error: ReadError, signature: &'static str) -> ReadError {
        let ReadError::Rejected { sqlstate, .. } = &error else {
            return error;
        };
        if sqlstate != "3F000" && sqlstate != "42883" {
            return error;
        }
        match self.is_absent(signature).await {
            Ok(true) => ReadError::NotInstalled,
            Err(second) if second.database_is_down() => second,
            Ok(false) | Err(_) => error,
        }
    }

    /// Whether there is no such function.
    async fn is_absent(&mut self, signature: &'static str) -> Result<bool, ReadError> {
        let select = format!("SELECT pg_catalog.to_regprocedure('{signature}') IS NULL");
        let rows = self.ask(signature, &select).await?;
        Ok(rows
            .first()
            .is_some_and(|row| row.try_get::<bool, _>(0).unwrap_or(false)))
    }
}

impl Source for Database {
    async fn health(&mut self) -> Result<serde_json::Value, ReadError> {
        self.document("castmatch.health()", MAX_HEALTH_CHARS).await
    }

    async fn performance(&mut self) -> Result<serde_json::Value, ReadError> {
        const QUESTION: &str = "castmatch.performance()";
        // An older castmatch would have an error in the server's log for each question.
        if self.without_performance && self.is_absent(QUESTION).await? {
            return Err(ReadError::NotInstalled);
        }
        let answer = self.document(QUESTION, MAX_PERFORMANCE_CHARS).await;
        self.without_performance = matches!(answer, Err(ReadError::NotInstalled));
        answer
    }

    async fn metrics(&mut self) -> Result<Vec<Sample>, ReadError> {
        const QUESTION: &str = "castmatch.metrics()";
        // One row and one character more than allowed, so that too much is seen as such.
        let select = format!(
            "SELECT pg_catalog.left(name::pg_catalog.text, {chars}), pg_catalog.left(kind::pg_catalog.text, {chars}), \
             pg_catalog.left(help::pg_catalog.text, {chars}), pg_catalog.left(labels::pg_catalog.text, {chars}), \
             value::pg_catalog.float8 FROM castmatch.metrics() LIMIT {rows}",
            chars = MAX_TEXT_CHARS + 1,
            rows = MAX_SAMPLES + 1,
        );
        let rows = match self.ask(QUESTION, &select).await {
            Ok(rows) => rows,
            Err(error) => return Err(self.explain(error, QUESTION).await),
        };
        rows.iter()
            .map(sample)
            .collect::<Result<_, _>>()
            .map_err(|error| ReadError::Malformed {
                question: QUESTION,
                problem: error.to_string(),
            })
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The server frees the session anyway when the socket closes; this only spares it a log line.
            let _ = timeout(CLOSE_TIMEOUT, connection.close()).await;
        }
    }
}

fn sample(row: &PgRow) -> Result<Sample, sqlx::Error> {
    Ok(Sample {
        name: row.try_get(0)?,
        kind: row.try_get(1)?,
        help: row.try_get(2)?,
        labels: row.try_get(3)?,
        value: row.try_get(4)?,
    })
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ReadError>>,
) -> Result<T, ReadError> {
    timeout(limit, work).await.unwrap_or(Err(ReadError::Deadline {
        limit_ms: limit.as_millis(),
    }))
}

/// An error answer is the database speaking, except class 57P (shutting down, starting up, session killed)
/// and 08 (a pooler without a server), which mean that it is not there.
fn classify(error: sqlx::Error, question: &'static str) -> ReadError {
    let Some(answer) = error.as_database_error() else {
        return ReadError::Unreachable(error);
    };
    let sqlstate = answer.code().unwrap_or_default().into_owned();
    if sqlstate.starts_with("57P") || sqlstate.starts_with("08") {
        return ReadError::Unreachable(error);
    }
    let message = answer.message().to_owned();
    ReadError::Rejected {
        question,
        sqlstate,
        message,
    }
}
