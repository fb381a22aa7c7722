//! The few connections of the HTTP front. A request waits for one for a bounded time. A connection goes back only when its
//! transaction has ended; one whose request was given up is dropped, and the server, told by `statement_timeout` and the
//! closed socket, stops working on it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::body::Statement;
use super::tokens::Holder;
use crate::session::{CallError, Limits, Session};

const APPLICATION: &str = "castmatch-companion api";

/// A connection without work for so long is closed when the next request comes.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// Why a call has no result.
#[derive(Debug)]
pub enum PoolError {
    /// No connection became free in time.
    Exhausted,
    /// The call failed.
    Call(CallError),
}

/// The connections.
pub struct Pool {
    options: PgConnectOptions,
    connect_timeout: Duration,
    queue_timeout: Duration,
    permits: Semaphore,
    /// The one used last is at the end. Never locked across an await.
    idle: Mutex<Vec<(Session, Instant)>>,
}

impl Pool {
    /// Connects when the first request comes.
    #[must_use]
    pub fn new(
        options: PgConnectOptions,
        connections: u32,
        connect_timeout: Duration,
        queue_timeout: Duration,
    ) -> Self {
        Self {
            options,
            connect_timeout,
            queue_timeout,
            permits: Semaphore::new(connections as usize),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Runs a statement as the role of that holder, at most until the deadline: the server gives up a little earlier than we do.
    ///
    /// # Errors
    /// When no connection is free or the call fails.
    pub async fn call(
        &self,
        holder: &Holder,
        read_only: bool,
        statement: &Statement,
        deadline: Instant,
    ) -> Result<Option<String>, PoolError> {
        let allowed = deadline.saturating_duration_since(Instant::now());
        let work = async {
            let permits = self.permits(holder, allowed).await?;
            let result = self.run(&holder.role, read_only, statement, deadline).await;
            drop(permits);
            result.map_err(PoolError::Call)
        };
        let past = CallError::Deadline {
            limit_ms: allowed.as_millis(),
        };
        timeout(allowed, work).await.unwrap_or(Err(PoolError::Call(past)))
    }

    /// One of the holder's own connections first: who has them all in use keeps nobody else waiting.
    async fn permits<'a>(
        &'a self,
        holder: &'a Holder,
        allowed: Duration,
    ) -> Result<(SemaphorePermit<'a>, SemaphorePermit<'a>), PoolError> {
        let both = async { Ok((holder.connections.acquire().await?, self.permits.acquire().await?)) };
        match timeout(self.queue_timeout.min(allowed), both).await {
            Ok(Ok(permits)) => Ok(permits),
            // The semaphores are never closed.
            Ok(Err(AcquireError { .. })) | Err(_) => Err(PoolError::Exhausted),
        }
    }

    async fn run(
        &self,
        role: &str,
        read_only: bool,
        statement: &Statement,
        deadline: Instant,
    ) -> Result<Option<String>, CallError> {
        let limits = || {
            let left = deadline.saturating_duration_since(Instant::now());
            Limits {
                statement: left * 9 / 10,
                lock: left * 9 / 10,
                read_only,
                role: Some(role),
            }
        };
        let mut session = match self.take_idle() {
            // It may have died since: the server was restarted, the pooler recycled it. Nothing has happened yet.
            Some(mut session) => match session.begin(&limits()).await {
                Ok(()) => session,
                Err(CallError::Unreachable(_)) => self.opened(&limits()).await?,
                Err(error) => return self.give_back_after(session, Err(error)),
            },
            None => self.opened(&limits()).await?,
        };
        let result = session.finish(&statement.sql, &statement.binds).await;
        self.give_back_after(session, result)
    }

    /// A new connection with its transaction begun.
    async fn opened(&self, limits: &Limits<'_>) -> Result<Session, CallError> {
        let mut session = Session::open(&self.options, APPLICATION, self.connect_timeout).await?;
        match session.begin(limits).await {
            Ok(()) => Ok(session),
            Err(error) => {
                session.close().await;
                Err(error)
            }
        }
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE_LIMIT);
        idle.pop().map(|(session, _)| session)
    }

    fn give_back_after<T>(&self, session: Session, result: Result<T, CallError>) -> Result<T, CallError> {
        if result.as_ref().err().is_none_or(CallError::keeps_session) {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((session, Instant::now()));
        }
        result
    }
}
