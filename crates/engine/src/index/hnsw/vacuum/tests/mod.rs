//! Tests of vacuum over pages in memory.

mod concurrency;
mod crash;
mod deletion;
pub mod fixture;
mod races;
