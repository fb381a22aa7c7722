//! Making tables matchable and ranking their rows: attach, the queue and the workers that embed, match.
//!
//! ```text
//! attach ─► trigger on the table ─► castmatch.queue ─► launcher ─► sync worker ─► embedding column
//! match  ─► filter, semantic leg, text leg ─► fusion ─► preferences, diversity ─► rows with reasons
//! ```

mod attach;
pub mod attachment;
mod benchmark;
pub mod cached;
mod detach;
mod explain;
mod index_worker;
pub mod key;
pub mod legs;
pub mod match_rows;
mod own_row;
mod queue;
pub mod rank;
mod ranking;
mod reasons;
mod reembed;
mod row_values;
mod switch;
mod sync;
mod sync_worker;
pub mod target;
pub mod text;
mod trigger;
pub mod vector_index;
mod vector_type;
mod versions;

pub use queue::in_transaction;
