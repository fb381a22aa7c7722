//! The vector types: `vector(n)` of 32-bit and `halfvec(n)` of 16-bit floating-point elements.
//!
//! Names, text and binary formats, limits and errors are pgvector 0.8's. Each function is written once over
//! [`castmatch_engine::vector::Element`] and exported once for each type; the SQL declarations stand in
//! `sql/types.sql`, `sql/vector.sql` and `sql/halfvec.sql`.

mod aggregate;
mod arithmetic;
mod casts;
mod compare;
mod distance;
mod io;
