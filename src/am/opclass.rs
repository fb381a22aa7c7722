//! Operator classes: which metric an index orders by, and of which element type its vectors are.
//!
//! Support function 1 of each class returns the pair as one number; that is how an access method learns which class it serves
//! without looking at names.

use super::keys::KeyType;
use crate::error::{Result, internal, unsupported};
use crate::pg::relation::Relation;
use castmatch_engine::index::{ElementKind, Metric};
use pgrx::prelude::*;

/// What an operator class stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpClass {
    /// What the index orders by.
    pub metric: Metric,
    /// The type of the column.
    pub element: ElementKind,
}

/// The element type stands above the metric in the number.
const ELEMENT_FACTOR: i32 = 16;

impl OpClass {
    const fn to_number(self) -> i32 {
        self.element as i32 * ELEMENT_FACTOR + self.metric as i32
    }

    /// The pair that a support function returned.
    pub fn from_number(number: i32) -> Option<Self> {
        let metric = u8::try_from(number % ELEMENT_FACTOR).ok()?;
        let element = u8::try_from(number / ELEMENT_FACTOR).ok()?;
        Some(Self {
            metric: Metric::from_u8(metric)?,
            element: ElementKind::from_u8(element)?,
        })
    }
}

/// The operator class of the index's first column.
///
/// # Errors
/// 0A000 if the column is one to filter by, XX000 if its support function is not one of ours.
pub fn of(index: Relation) -> Result<OpClass> {
    let number = crate::pg::index::support_number(index, 0);
    if number.and_then(KeyType::from_number).is_some() {
        return Err(unsupported(format!(
            "first column of index \"{}\" is not a vector",
            index.name()
        ))
        .set_hint("Name the vector with its operator class first, then the columns to filter by: (embedding vector_cosine_ops, …)."));
    }
    number.and_then(OpClass::from_number).ok_or_else(|| {
        internal(format!(
            "operator class of index \"{}\" has an unknown support function",
            index.name()
        ))
    })
}

macro_rules! support_functions {
    ($($name:ident: $element:ident, $metric:ident;)*) => {
        $(
            #[pg_extern(sql = false)]
            fn $name() -> i32 {
                OpClass { metric: Metric::$metric, element: ElementKind::$element }.to_number()
            }
        )*
    };
}

support_functions! {
    index_vector_l2: Vector, L2;
    index_vector_ip: Vector, InnerProduct;
    index_vector_cosine: Vector, Cosine;
    index_vector_l1: Vector, L1;
    index_halfvec_l2: Halfvec, L2;
    index_halfvec_ip: Halfvec, InnerProduct;
    index_halfvec_cosine: Halfvec, Cosine;
    index_halfvec_l1: Halfvec, L1;
    index_sparsevec_l2: Sparsevec, L2;
    index_sparsevec_ip: Sparsevec, InnerProduct;
    index_sparsevec_cosine: Sparsevec, Cosine;
    index_sparsevec_l1: Sparsevec, L1;
    index_bit_hamming: Bit, Hamming;
    index_bit_jaccard: Bit, Jaccard;
}
