//! Distances of PostgreSQL's bit strings.

use crate::error::{Result, vector_error};
use crate::pg::bits::BitArg;
use castmatch_engine::vector::bits;
use pgrx::prelude::*;

fn check_lengths(left: &BitArg, right: &BitArg) -> Result<()> {
    bits::check_lengths(left.bits(), right.bits()).map_err(vector_error)
}

#[pg_extern(sql = false)]
fn hamming_distance(left: BitArg, right: BitArg) -> Result<f64> {
    check_lengths(&left, &right)?;
    Ok(bits::hamming(left.bytes(), right.bytes()) as f64)
}

#[pg_extern(sql = false)]
fn jaccard_distance(left: BitArg, right: BitArg) -> Result<f64> {
    check_lengths(&left, &right)?;
    Ok(bits::jaccard(left.bytes(), right.bytes()))
}
