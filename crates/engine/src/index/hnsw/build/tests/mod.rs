#![allow(clippy::unwrap_used, clippy::panic)]

mod data;
mod graph;
mod limits;
mod pages;
mod recall;
