#![allow(clippy::unwrap_used)]

//! Round trips and random input.

use proptest::prelude::*;

use super::ops::{compare, from_dense, to_dense};
use super::{MAX_NON_ZERO, SparseVec, SparseVector, binary, text};
use crate::vector::mutation::{Mutation, mutate, mutations};
use crate::vector::{VectorError, ops};

fn value() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("finite and not zero", |value| value.is_finite() && *value != 0.0)
}

/// Vectors of few and of many dimensions.
fn vector() -> impl Strategy<Value = SparseVector> {
    prop_oneof![1..20_i32, 1..=super::MAX_DIMENSIONS].prop_flat_map(|dims| {
        prop::collection::btree_map(0..dims, value(), 0..20.min(dims as usize)).prop_map(move |elements| {
            SparseVector::from_elements(dims, elements.into_iter().collect()).unwrap()
        })
    })
}

/// A dense vector that is mostly zeros.
fn dense() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(
        prop_oneof![3 => Just(0.0_f32), 1 => value(), 1 => -2.0_f32..2.0],
        1..12,
    )
}

fn check_round_trips(vector: SparseVec<'_>) {
    let mut printed = String::new();
    text::format(vector, &mut printed);
    assert_eq!(text::parse(&printed).unwrap().view(), vector);

    let mut encoded = Vec::new();
    binary::encode(vector, &mut encoded);
    assert_eq!(binary::decode(&encoded).unwrap().view(), vector);
}

/// Whatever a parser accepts satisfies the invariants of a sparse vector.
fn check_accepted(result: Result<SparseVector, VectorError>) {
    match result {
        Ok(vector) => {
            let view = vector.view();
            assert!(view.non_zero() <= MAX_NON_ZERO);
            assert!(view.values.iter().all(|value| value.is_finite() && *value != 0.0));
            assert!(SparseVec::new(view.dims, view.indices, view.values).is_ok());
            check_round_trips(view);
        }
        Err(error) => assert!(error.to_string().len() < 400, "{error}"),
    }
}

fn text_mutations() -> impl Strategy<Value = Vec<Mutation>> {
    mutations(b"{}:/,.+-eEpPxX0123456789 \t\ninfNaN\0".to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn vectors_round_trip(vector in vector()) {
        check_round_trips(vector.view());
    }

    #[test]
    fn mutated_text_never_panics(vector in vector(), mutations in text_mutations()) {
        let mut printed = String::new();
        text::format(vector.view(), &mut printed);
        let mut bytes = printed.into_bytes();
        mutations.into_iter().for_each(|mutation| mutate(&mut bytes, mutation));
        check_accepted(text::parse(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn random_text_never_panics(input in any::<String>(), dims in any::<i64>()) {
        check_accepted(text::parse(&input));
        check_accepted(text::parse(&format!("{{{input}}}/{dims}")));
        check_accepted(text::parse(&format!("{{1:{input}}}/3")));
        check_accepted(text::parse(&format!("{{}}/{input}")));
    }

    #[test]
    fn mutated_binary_never_panics(vector in vector(), mutations in mutations(vec![0, 1, 0x7f, 0x80, 0xff])) {
        let mut bytes = Vec::new();
        binary::encode(vector.view(), &mut bytes);
        mutations.into_iter().for_each(|mutation| mutate(&mut bytes, mutation));
        check_accepted(binary::decode(&bytes));
    }

    /// Messages as long as they say, so that what is in them is looked at.
    #[test]
    fn random_elements_never_panic(
        dims in prop_oneof![-2..12_i32, any::<i32>()],
        elements in prop::collection::vec((prop_oneof![-2..12_i32, any::<i32>()], any::<u32>()), 0..12),
    ) {
        let mut bytes: Vec<u8> = [dims, elements.len() as i32, 0].iter().flat_map(|field| field.to_be_bytes()).collect();
        bytes.extend(elements.iter().flat_map(|(index, _)| index.to_be_bytes()));
        bytes.extend(elements.iter().flat_map(|(_, value)| value.to_be_bytes()));
        check_accepted(binary::decode(&bytes));
    }

    #[test]
    fn random_binary_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check_accepted(binary::decode(&bytes));
    }

    #[test]
    fn dense_vectors_come_back(dense in dense()) {
        let sparse = from_dense(&dense).unwrap();
        // Of a negative zero only the sign is lost.
        prop_assert_eq!(to_dense::<f32>(sparse.view()).unwrap(), dense);
    }

    #[test]
    fn sparse_vectors_are_ordered_as_dense_ones(a in dense(), b in dense()) {
        let (x, y) = (from_dense(&a).unwrap(), from_dense(&b).unwrap());
        prop_assert_eq!(compare(x.view(), y.view()), ops::compare(&a, &b));
    }
}
