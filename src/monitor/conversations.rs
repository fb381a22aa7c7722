//! Conversations: how many there are, as the server's statistics say, and what was pruned of them.

use super::indexes::{noted, noted_columns};
use super::sample::Sample;
use crate::error::Result;
use crate::pg::json;
use crate::pg::snapshot::in_recovery;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use castmatch_engine::measure::estimate;
use serde_json::{Value as Json, json};

/// The conversations of this database, and what was pruned of them.
pub(super) struct Conversations {
    conversations: Option<u64>,
    messages: Option<u64>,
    pruned: [u64; 3],
    /// As text of timestamptz, for people.
    last_prune: Json,
    last_prune_seconds: f64,
}

impl Conversations {
    /// Reads them.
    pub(super) fn read(session: &Session) -> Result<Self> {
        let recovering = in_recovery();
        let sql = format!(
            "SELECT {} FROM pg_catalog.pg_class c
             WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass::pg_catalog.oid",
            noted_columns("c")
        );
        let count = |table: &str| -> Result<Option<u64>> {
            let rows = session.run(&sql, &[Value::of(table)])?;
            Ok(estimate::rows(&noted(&rows, 0, 1)?, recovering))
        };
        let state = session.run(
            "SELECT pg_catalog.max(p.messages), pg_catalog.max(p.conversations), pg_catalog.max(p.requests),
                    pg_catalog.to_jsonb(pg_catalog.max(p.last_finished)),
                    COALESCE(EXTRACT(EPOCH FROM pg_catalog.max(p.last_finished)), 0)::pg_catalog.float8
             FROM castmatch.prune_state p",
            &[],
        )?;
        let total = |column| -> Result<u64> {
            let number: Option<i64> = state.get(0, column)?;
            Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
        };
        Ok(Self {
            conversations: count("castmatch.conversations")?,
            messages: count("castmatch.messages")?,
            pruned: [total(1)?, total(2)?, total(3)?],
            last_prune: json::cell(&state, 0, 4)?,
            last_prune_seconds: state.require(0, 5)?,
        })
    }

    pub(super) fn samples(&self, samples: &mut Vec<Sample>) {
        let mut estimate = |name: &str, help, value: Option<u64>| {
            samples.extend(value.map(|value| Sample::gauge(name, help, value as f64)));
        };
        estimate(
            "castmatch_conversations",
            "Conversations stored in this database, estimated from the server's statistics.",
            self.conversations,
        );
        estimate(
            "castmatch_messages",
            "Messages of conversations stored in this database, estimated from the server's statistics.",
            self.messages,
        );
        let [messages, conversations, requests] = self.pruned;
        samples.extend([
            Sample::counter(
                "castmatch_pruned_messages_total",
                "Messages that castmatch.prune has deleted in this database since the extension was created.",
                messages,
            ),
            Sample::counter(
                "castmatch_pruned_conversations_total",
                "Conversations that castmatch.prune has deleted whole in this database since the extension was created.",
                conversations,
            ),
            Sample::counter(
                "castmatch_pruned_requests_total",
                "Finished requests of castmatch.chat_async that castmatch.prune has deleted in this database since the extension was created.",
                requests,
            ),
            Sample::gauge(
                "castmatch_prune_last_success_timestamp_seconds",
                "When castmatch.prune last came to the end of a pass in this database, in seconds since 1970-01-01 UTC; 0 for never.",
                self.last_prune_seconds,
            ),
        ]);
    }

    pub(super) fn report(&self) -> Json {
        let [messages, ..] = self.pruned;
        json!({
            "conversations": self.conversations,
            "messages": self.messages,
            "last_prune": self.last_prune,
            "pruned_messages": messages,
        })
    }
}
