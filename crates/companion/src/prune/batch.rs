//! One call of `castmatch.prune()`: a bounded transaction.

use serde::Deserialize;
use serde_json::Value;

use super::Settings;
use crate::session::{Bind, CallError, Limits, Session, within};
use std::time::Duration;

const APPLICATION: &str = "castmatch-companion prune";

/// The server gives up first: its error keeps the connection and says why.
const GRACE: Duration = Duration::from_secs(2);

/// What one call did.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Batch {
    /// Conversations that went.
    pub conversations: u64,
    /// Messages that went.
    pub messages: u64,
    /// Finished requests that went.
    pub requests: u64,
    /// Conversations left out because they are in use.
    pub skipped: u64,
    /// Whether there is more to do.
    pub more: bool,
    /// Where the next call goes on.
    pub next: Option<Value>,
    /// Whether another session prunes; then nothing was done.
    pub busy: bool,
}

/// What a pass asks. A trait, so that tests can answer in the database's place.
///
/// A dropped future must leave no half batch behind; the pruner is not used again then.
pub trait Pruner: Send {
    /// The setting `castmatch.prune_policy`, `None` where it is empty.
    fn configured_policy(&mut self) -> impl Future<Output = Result<Option<String>, CallError>> + Send;
    /// One portion, or the whole count of a dry run.
    fn prune(
        &mut self,
        policy: Option<&Value>,
        dry_run: bool,
    ) -> impl Future<Output = Result<Batch, CallError>> + Send;
}

/// The connection of a pass.
pub struct DatabasePruner<'a> {
    settings: &'a Settings,
    session: Session,
}

impl<'a> DatabasePruner<'a> {
    /// Connects.
    ///
    /// # Errors
    /// When that fails or takes too long.
    pub async fn open(settings: &'a Settings) -> Result<Self, CallError> {
        let session = Session::open(&settings.database, APPLICATION, settings.connect_timeout).await?;
        Ok(Self { settings, session })
    }

    /// Says good-bye.
    pub async fn close(self) {
        self.session.close().await;
    }

    async fn call(
        &mut self,
        sql: &str,
        binds: &[Bind],
        statement: Duration,
        read_only: bool,
    ) -> Result<Option<String>, CallError> {
        let limits = Limits {
            statement,
            lock: self.settings.lock_timeout,
            read_only,
            role: None,
        };
        within(statement + GRACE, self.session.call(&limits, sql, binds)).await
    }
}

impl Pruner for DatabasePruner<'_> {
    async fn configured_policy(&mut self) -> Result<Option<String>, CallError> {
        let sql = "SELECT NULLIF(pg_catalog.current_setting('castmatch.prune_policy', true), '')";
        self.call(sql, &[], self.settings.batch_timeout, true).await
    }

    async fn prune(&mut self, policy: Option<&Value>, dry_run: bool) -> Result<Batch, CallError> {
        let limit = if dry_run {
            self.settings.dry_run_timeout
        } else {
            self.settings.batch_timeout
        };
        let flag = if dry_run { "true" } else { "false" };
        let (argument, binds) = match policy {
            Some(policy) => (
                "$1::pg_catalog.text::pg_catalog.jsonb",
                vec![Bind::Text(policy.to_string())],
            ),
            None => ("NULL", vec![]),
        };
        let sql = format!("SELECT castmatch.prune(policy => {argument}, dry_run => {flag})::pg_catalog.text");
        let text = self.call(&sql, &binds, limit, dry_run).await?;
        let text = text.ok_or_else(|| CallError::Malformed("null".to_owned()))?;
        serde_json::from_str(&text).map_err(|error| CallError::Malformed(error.to_string()))
    }
}
