//! Ordering of vectors, for btree indexes, DISTINCT and ORDER BY: element by element, then by length.

use crate::pg::vector::VectorArg;
use castmatch_engine::vector::{f16, ops};
use core::cmp::Ordering;
use pgrx::prelude::*;

macro_rules! comparisons {
    ($element:ty; $cmp:ident; $($name:ident = $test:expr;)*) => {
        #[pg_extern(sql = false)]
        fn $cmp(left: VectorArg<$element>, right: VectorArg<$element>) -> i32 {
            ops::compare(left.elements(), right.elements()) as i32
        }

        $(
            #[pg_extern(sql = false)]
            fn $name(left: VectorArg<$element>, right: VectorArg<$element>) -> bool {
                let test: fn(Ordering) -> bool = $test;
                test(ops::compare(left.elements(), right.elements()))
            }
        )*
    };
}

comparisons! {
    f32; vector_cmp;
    vector_lt = Ordering::is_lt;
    vector_le = Ordering::is_le;
    vector_eq = Ordering::is_eq;
    vector_ne = Ordering::is_ne;
    vector_ge = Ordering::is_ge;
    vector_gt = Ordering::is_gt;
}

comparisons! {
    f16; halfvec_cmp;
    halfvec_lt = Ordering::is_lt;
    halfvec_le = Ordering::is_le;
    halfvec_eq = Ordering::is_eq;
    halfvec_ne = Ordering::is_ne;
    halfvec_ge = Ordering::is_ge;
    halfvec_gt = Ordering::is_gt;
}
