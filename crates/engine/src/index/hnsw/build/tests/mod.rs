#![allow(clippy::unwrap_used, clippy::panic)]

pub(super) mod data;
mod graph;
mod limits;
mod pages;
mod recall;
