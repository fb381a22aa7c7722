//! Support functions of the aggregates `avg` and `sum`.
//!
//! The state of `avg` is pgvector's: a double precision array with the number of values followed by the sum of each
//! dimension, so that partial states of parallel workers combine by addition.

use crate::error::{Result, vector_error};
use crate::pg::vector::{VectorArg, VectorOut};
use castmatch_engine::vector::{aggregate, f16};
use pgrx::prelude::*;

#[pg_extern(sql = false)]
fn vector_combine(left: Vec<f64>, right: Vec<f64>) -> Result<Vec<f64>> {
    aggregate::combine(&left, &right).map_err(vector_error)
}

macro_rules! averages {
    ($element:ty, $accumulate:ident, $average:ident) => {
        #[pg_extern(sql = false)]
        fn $accumulate(state: Vec<f64>, value: VectorArg<$element>) -> Result<Vec<f64>> {
            let mut state = state;
            aggregate::accumulate_in_place(&mut state, value.elements()).map_err(vector_error)?;
            Ok(state)
        }

        #[pg_extern(sql = false)]
        fn $average(state: Vec<f64>) -> Result<Option<VectorOut<$element>>> {
            Ok(aggregate::average::<$element>(&state)
                .map_err(vector_error)?
                .map(VectorOut))
        }
    };
}

averages!(f32, vector_accum, vector_avg);
averages!(f16, halfvec_accum, halfvec_avg);
