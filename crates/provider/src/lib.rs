//! A client of endpoints that speak OpenAI's protocol: chat, streamed or not, and embeddings.
//!
//! It runs inside PostgreSQL backends, so it has one thread per process that never calls PostgreSQL. The backend hands
//! over a [`Call`], waits on [`Client::ready_fd`] beside its own latch, and takes the [`Event`]s of its [`Pending`] call.
//! Nothing that a server sends makes it panic, wait past the time of an attempt, or read more than [`MAX_BODY_BYTES`].

mod answer;
mod attempt;
mod body;
mod call;
mod client;
mod endpoint;
mod events;
mod failure;
mod retry;
mod schema;
mod secret;
mod stream;
mod transport;

pub use answer::{Answer, ChatAnswer, EmbeddingsAnswer, ToolCall, Usage};
pub use body::MAX_BODY_BYTES;
pub use call::{Call, ChatCall, ChatMessage, EmbeddingsCall, JsonSchema, Role, Tool};
pub use client::{Client, Event, Outcome, Pending};
pub use endpoint::{Endpoint, EndpointError};
pub use failure::{Failure, FailureKind};
pub use schema::{check_schema, conforms};
pub use secret::{Secret, SecretError};
