//! The vector types: `vector(n)` of 32-bit and `halfvec(n)` of 16-bit floating-point elements, the sparse `sparsevec(n)`, and the
//! distances of PostgreSQL's `bit`.
//!
//! Names, text and binary formats, limits and errors are pgvector 0.8's. Each function of the dense types is
//! written once over [`castmatch_engine::vector::Element`] and exported once for each; the SQL declarations stand in `sql/vector.sql`,
//! `sql/halfvec.sql`, `sql/sparsevec.sql`, `sql/bit.sql` and `sql/casts.sql`.

mod aggregate;
mod arithmetic;
mod bit;
mod casts;
mod compare;
mod distance;
mod io;
mod sparsevec;
