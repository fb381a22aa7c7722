//! The graph index: hierarchical navigable small worlds (Malkov and Yashunin, arXiv 1603.09320) over quantised vectors.
//!
//! [`walk`] is the search that everything shares, over anything that is a [`walk::Graph`]; [`queue`] and [`visited`] are its
//! state, [`select`] decides which neighbours an element keeps. [`paged`] is the graph as it stands on pages, [`Index`] what an
//! opened index is.

pub mod build;
mod hash;
pub(in crate::index) mod idset;
mod index;
pub mod insert;
mod level;
pub mod paged;
pub mod queue;
mod reach;
pub mod scan;
pub mod select;
mod sort;
pub mod statistics;
mod sweep;
pub mod vacuum;
pub mod verify;
pub mod visited;
pub mod walk;

pub use index::{Index, IndexOptions};
pub use level::level_of;

#[cfg(test)]
mod paged_tests;
