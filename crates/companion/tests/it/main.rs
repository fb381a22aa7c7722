//! Integration tests. `http` and `shutdown` run the server with a scripted source, `prune_pass` a pass with a scripted
//! database; the others run the binary against a private PostgreSQL cluster with a stand-in for the extension.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod api;
mod api_faults;
mod api_setting;
mod bars;
mod check;
mod clock;
mod cluster;
mod dashboard;
mod http;
mod live;
mod openapi;
mod openmetrics;
mod performance;
mod pooler;
mod program;
mod prune;
mod prune_pass;
mod shutdown;
mod source;
