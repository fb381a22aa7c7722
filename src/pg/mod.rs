//! Safe wrappers round PostgreSQL's C interface; the only module that calls `pg_sys` functions.
//!
//! Everything here runs on the backend's main thread. A PostgreSQL ERROR inside a call unwinds as a Rust panic (pgrx), so
//! wrappers keep no state that a transaction abort would not clean up by itself.
#![allow(unsafe_code)]
// A chain of pointer hops through one structure of the server is one fact with one reason; cutting it up hides that.
#![allow(clippy::multiple_unsafe_ops_per_block)]

pub mod ahead;
pub mod array;
pub mod bits;
pub mod buffer;
pub mod catalog;
pub mod clock;
pub mod condition;
pub mod dsm;
pub mod freespace;
pub mod gin;
pub mod heap;
pub mod index;
pub mod interrupt;
pub mod invalidation;
pub mod json;
pub mod latch;
pub mod lexemes;
pub mod lwlock;
pub mod memory;
pub mod opclass;
pub mod peek;
pub mod planner;
#[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
mod planner_conditions;
pub mod progress;
pub mod random;
pub mod relation;
pub mod reloption;
pub mod role;
pub mod scalar;
pub mod scankey;
pub mod setting;
pub mod shmem;
pub mod signals;
pub mod simplify;
pub mod snapshot;
pub mod sparsevec;
pub mod spi;
pub mod startup;
pub mod tempfile;
pub mod thread;
pub mod tid;
pub mod trigger;
pub mod utility;
pub mod vacuum;
pub mod value;
pub mod varlena;
pub mod vector;
pub mod version;
pub mod worker;
pub mod xact;
