//! End-to-end tests: castmatch in a real server, seen through a client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod cancel;
mod chats;
mod companion;
mod crash;
mod dump;
mod dynamic;
mod encodings;
mod limits;
mod model;
mod readme;
mod roles;
mod setting;
mod standby;
mod transactions;
mod upkeep;
mod workers;
