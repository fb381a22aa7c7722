//! Integration tests. `http` and `shutdown` run the server with a scripted source; `live` runs the binary
//! against a private PostgreSQL cluster with a stand-in for the extension.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bars;
mod clock;
mod cluster;
mod dashboard;
mod http;
mod live;
mod openmetrics;
mod performance;
mod program;
mod shutdown;
mod source;
