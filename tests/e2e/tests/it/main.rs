//! End-to-end tests: castmatch in a real server, seen through a client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod cancel;
mod chats;
mod companion;
mod crash;
mod dump;
mod dynamic;
mod encodings;
mod index_cancel;
mod index_concurrent;
mod index_corrupt;
mod index_crash;
mod index_crash_build;
mod index_damage;
mod index_docs;
mod index_file;
mod index_filter;
mod index_kill;
mod index_memory;
mod index_pgvector;
mod index_recall;
mod index_reindex;
mod index_rows;
mod index_scan;
mod index_setting;
mod index_standby;
mod index_unlogged;
mod limits;
mod model;
mod readme;
mod roles;
mod setting;
mod standby;
mod transactions;
mod upkeep;
mod workers;
