//! Structures for memory that several processes share: atomics only, valid when all bytes are zero.
//!
//! No process may die or be cancelled at a point where another one would wait for it for ever: whatever takes several steps
//! has a state for each of them, and each step is one atomic exchange. Process latches appear as plain numbers here; the
//! glue knows how to set them.

pub mod attendance;
pub mod breaker;
pub mod counters;
pub mod embedder;
pub mod histogram;
pub mod ledger;
pub mod model_calls;
pub mod model_counters;
pub mod models;
pub mod portion;
pub mod sync;
