#![allow(clippy::unwrap_used)]

//! Round trips and random input, for both element types.

use half::f16;
use proptest::prelude::*;

use super::mutation::{mutate, mutations};
use super::{Element, MAX_DIMENSIONS, VectorError, binary, text};

fn single() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("finite", |value| value.is_finite())
}

fn half() -> impl Strategy<Value = f16> {
    any::<u16>()
        .prop_map(f16::from_bits)
        .prop_filter("finite", |value| value.is_finite())
}

fn bytes_of<T: Element>(vector: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    vector.iter().for_each(|element| element.write_be(&mut bytes));
    bytes
}

fn check_round_trips<T: Element>(vector: &[T]) {
    let mut printed = String::new();
    text::format(vector, &mut printed);
    // Bytes and not values are compared, because -0 equals 0.
    assert_eq!(bytes_of(&text::parse::<T>(&printed).unwrap()), bytes_of(vector));

    let mut encoded = Vec::new();
    binary::encode(vector, &mut encoded);
    assert_eq!(
        bytes_of(&binary::decode::<T>(&encoded).unwrap()),
        bytes_of(vector)
    );
}

/// Whatever a parser accepts satisfies the invariants of a vector.
fn check_accepted<T: Element>(result: Result<Vec<T>, VectorError>) {
    match result {
        Ok(vector) => {
            assert!((1..=MAX_DIMENSIONS).contains(&vector.len()));
            check_round_trips(&vector);
        }
        Err(error) => assert!(error.to_string().len() < 400, "{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn vectors_round_trip(vector in prop::collection::vec(single(), 1..20)) {
        check_round_trips(&vector);
    }

    #[test]
    fn halfvecs_round_trip(vector in prop::collection::vec(half(), 1..20)) {
        check_round_trips(&vector);
    }

    #[test]
    fn mutated_text_never_panics(
        vector in prop::collection::vec(single(), 1..6),
        mutations in mutations(b"[],.+-eEpPxX0123456789 \t\ninfNaN\0".to_vec()),
    ) {
        let mut printed = String::new();
        text::format(&vector, &mut printed);
        let mut bytes = printed.into_bytes();
        mutations.into_iter().for_each(|mutation| mutate(&mut bytes, mutation));
        let input = String::from_utf8_lossy(&bytes);
        check_accepted(text::parse::<f32>(&input));
        check_accepted(text::parse::<f16>(&input));
    }

    #[test]
    fn random_text_never_panics(input in any::<String>()) {
        check_accepted(text::parse::<f32>(&input));
        check_accepted(text::parse::<f16>(&format!("[{input}]")));
    }

    #[test]
    fn mutated_binary_never_panics(
        vector in prop::collection::vec(half(), 1..6),
        mutations in mutations(vec![0, 1, 0x7f, 0x80, 0xff]),
    ) {
        let mut bytes = Vec::new();
        binary::encode(&vector, &mut bytes);
        mutations.into_iter().for_each(|mutation| mutate(&mut bytes, mutation));
        check_accepted(binary::decode::<f16>(&bytes));
        check_accepted(binary::decode::<f32>(&bytes));
    }

    #[test]
    fn random_binary_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check_accepted(binary::decode::<f32>(&bytes));
        check_accepted(binary::decode::<f16>(&bytes));
    }
}
