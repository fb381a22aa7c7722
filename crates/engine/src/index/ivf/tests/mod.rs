//! The inverted file over memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_range_loop
)]

mod build;
mod crash;
mod damage;
mod db;
mod delete;
mod filters;
mod fixture;
mod growth;
mod histories;
mod interrupts;
mod races;
mod scans;
mod storages;
