//! Making tables matchable and ranking their rows: attach, the queue and the workers that embed, match.
//!
//! ```text
//! attach ─► trigger on the table ─► castmatch.queue ─► launcher ─► sync worker ─► embedding column
//! match  ─► filter, semantic leg, text leg ─► fusion ─► rows with reasons
//! ```

mod attach;
pub mod attachment;
pub mod cached;
mod detach;
mod index_worker;
pub mod key;
pub mod launcher;
pub mod legs;
pub mod match_rows;
mod queue;
pub mod rank;
mod reasons;
mod reembed;
mod switch;
mod sync;
mod sync_worker;
pub mod target;
pub mod text;
mod trigger;
mod vector_index;
