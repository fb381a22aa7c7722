//! Integration tests: the client against a real server, with every fault that the server knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod answers;
mod connections;
mod faults;
mod retries;
mod secrets;
mod session;
mod tls;
