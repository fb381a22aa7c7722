//! The graph index: hierarchical navigable small worlds (Malkov and Yashunin, arXiv 1603.09320) over quantised vectors.
//!
//! [`walk`] is the search that everything shares, over anything that is a [`walk::Graph`]; [`queue`] and [`visited`] are its
//! state, [`select`] decides which neighbours an element keeps. [`paged`] is the graph as it stands on pages, [`index`] what an
//! opened index is.

pub mod index;
pub mod paged;
pub mod queue;
pub mod scan;
pub mod select;
pub mod visited;
pub mod walk;

/// The highest level an element can have; level 0 holds all elements.
pub const MAX_LEVEL: u8 = 7;

/// How many elements of the highest levels searches begin from.
pub const ENTRIES: usize = 16;
