//! The vector types: `vector(n)` of 32-bit floats, `halfvec(n)` of 16-bit floats and [`sparse`] ones, and the distances of bit strings.
//!
//! Everything here but [`sparse`] and [`bits`] is generic over [`Element`], so both dense types share one implementation. A vector is a plain
//! slice of elements; the PostgreSQL glue maps it to and from the varlena. Two invariants hold for every
//! vector a function here returns, and the glue may rely on them when it reads one back: 1 to
//! [`MAX_DIMENSIONS`] elements, all of them finite. Text, binary format and the SQL-visible semantics are
//! those of pgvector 0.8; README.md lists the differences.

#![deny(clippy::indexing_slicing)]

pub mod aggregate;
pub mod binary;
pub mod bits;
mod convert;
mod decimal;
pub mod distance;
mod element;
mod error;
mod number;
pub mod ops;
pub mod sparse;
pub mod text;

#[cfg(test)]
mod mutation;
#[cfg(test)]
mod ops_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod properties;

pub use decimal::write_f32;
pub use element::Element;
pub use error::{ErrorClass, VectorError};
pub use half::f16;

/// The most dimensions a dense vector can have.
pub const MAX_DIMENSIONS: usize = 16_000;
