//! Tests of vacuum over pages in memory.

#![allow(clippy::unwrap_used)]

mod concurrency;
mod crash;
mod deletion;
pub mod fixture;
mod races;
