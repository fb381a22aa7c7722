//! An inverted file: rows in lists by their nearest centroid, coded in one bit per dimension.
//!
//! docs/design/ivf.md is the document of the design. Layers, from the bottom: [`layout`] and [`page`] are the bytes; [`encode`] the codes;
//! [`directory`] the lists; [`build`], [`insert`], [`scan`] and [`vacuum`] what is done with them, [`verify`] and
//! [`statistics`] what can be said of them.

pub mod build;
pub mod directory;
pub mod encode;
mod index;
pub mod insert;
pub mod kmeans;
pub mod layout;
pub mod page;
mod pages;
pub mod scan;
pub mod statistics;
#[cfg(test)]
mod tests;
pub mod vacuum;
pub mod verify;

pub use directory::Directory;
pub use index::{Index, IndexOptions, LISTS_MAX, lists_for};
