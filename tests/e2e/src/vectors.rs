//! The vectors of the tests: each follows from a seed, the row's id and its version, so that a test knows what the
//! database must hold without asking it.
//!
//! Coordinates are whole numbers below 1000: exact in single and in half precision, and short as text.

use std::fmt::Write;

use crate::random::Random;

/// Groups that the vectors of one seed form; they overlap.
const GROUPS: i64 = 40;
/// Every so many rows one has no vector.
const NULL_EVERY: i64 = 37;

/// The vector of a row as text, or nothing for a row that has none.
#[must_use]
pub fn of_row(seed: u64, id: i64, version: i32, dims: usize) -> Option<String> {
    (id % NULL_EVERY != 0).then(|| point(seed, &format!("{id}/{version}"), dims))
}

/// A vector to search for, of the same distribution as those of the rows.
#[must_use]
pub fn query(seed: u64, number: i64, dims: usize) -> String {
    point(seed, &format!("query {number}"), dims)
}

/// A vector as text: the centre of a group plus noise of about the spread of the centres.
fn point(seed: u64, name: &str, dims: usize) -> String {
    let start = name.bytes().fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let mut noise = Random::new(start);
    let mut center = Random::new(seed.wrapping_add(noise.within(0..GROUPS).unsigned_abs()));
    let mut text = String::with_capacity(dims.saturating_mul(5));
    for position in 0..dims {
        let sign = if position == 0 { '[' } else { ',' };
        let coordinate = center.within(-500..500) + noise.within(-499..500);
        write!(text, "{sign}{coordinate}").unwrap();
    }
    text.push(']');
    text
}
