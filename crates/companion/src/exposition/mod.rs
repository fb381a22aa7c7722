//! From the rows of `castmatch.metrics()` to Prometheus metric families. Nothing that comes from the database
//! is trusted: a row that would make the exposition invalid (bad name, bad labels, second row of the same
//! series, conflicting kind) is left out and counted, and the rest is served.
//!
//! `sample` checks single rows, `histogram` puts bucket, sum and count rows together, `families` is the
//! whole.

mod families;
mod histogram;
mod sample;

pub use families::{Exposition, convert};
pub use sample::{MAX_SAMPLES, MAX_TEXT_CHARS, Sample};
