//! Support functions of the aggregates `avg` and `sum`.
//!
//! The state of `avg` is pgvector's: a double precision array with the number of values followed by the sum of each
//! dimension, so that partial states of parallel workers combine by addition.

use crate::error::{Result, vector_error};
use crate::pg::array::ArrayArg;
use crate::pg::vector::{VectorArg, VectorOut};
use castmatch_engine::vector::{VectorError, aggregate, f16};
use pgrx::prelude::*;

/// The state as numbers; one that PostgreSQL did not get from these functions is refused like any other.
fn state(sums: &ArrayArg) -> Result<Vec<f64>> {
    sums.to_f64().map_err(|_| vector_error(VectorError::InvalidState))
}

#[pg_extern(sql = false)]
fn vector_combine(left: ArrayArg, right: ArrayArg) -> Result<Vec<f64>> {
    aggregate::combine(&state(&left)?, &state(&right)?).map_err(vector_error)
}

macro_rules! averages {
    ($element:ty, $accumulate:ident, $average:ident) => {
        #[pg_extern(sql = false)]
        fn $accumulate(sums: ArrayArg, value: VectorArg<$element>) -> Result<Vec<f64>> {
            let mut state = state(&sums)?;
            aggregate::accumulate_in_place(&mut state, value.elements()).map_err(vector_error)?;
            Ok(state)
        }

        #[pg_extern(sql = false)]
        fn $average(sums: ArrayArg) -> Result<Option<VectorOut<$element>>> {
            Ok(aggregate::average::<$element>(&state(&sums)?)
                .map_err(vector_error)?
                .map(VectorOut))
        }
    };
}

averages!(f32, vector_accum, vector_avg);
averages!(f16, halfvec_accum, halfvec_avg);
