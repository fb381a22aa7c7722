//! A real HTTP server for tests that speaks OpenAI's protocol: chat, streamed or not, and embeddings. The first part of
//! a URL's path chooses how it behaves (see [`Behaviour`]), so that one server stands for many endpoints, broken ones
//! among them. Every request is checked against the published shapes, recorded, and answered deterministically.
//!
//! Everything here serves tests only, so a failure panics with a message that says what is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod behaviour;
mod body;
mod certificate;
mod check;
mod connection;
mod fault;
mod gzip;
mod reply;
mod server;
mod vectors;

pub use behaviour::Behaviour;
pub use server::{Recorded, TestEndpoint};
pub use vectors::embedding;
