//! Pruning of conversations, as far as it needs no PostgreSQL: the policy as JSON, where a pass stands between two calls, and what
//! becomes of a conversation.
//!
//! Texts that PostgreSQL reads (intervals, sizes, timestamps) stay texts here; the glue (`src/maintenance` of the extension) resolves them.
//! docs/design/pruning.md has the whole.

mod cursor;
mod error;
mod fate;
mod id;
mod policy;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, Phase, SizeCutoff};
pub use error::{Expected, Key, PolicyError};
pub use fate::{Bounds, Facts, Fate};
pub use id::Id;
pub use policy::{Limits, MAX_BATCH_ROWS, MIN_BATCH_ROWS, Policy, RoleLimits, Size, parse};
