#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects
)]

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

/// The order of PostgreSQL's float8.
fn compare_floats(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.partial_cmp(&b).unwrap(),
    }
}

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::MIN_POSITIVE,
            -f64::MIN_POSITIVE,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            -f64::NAN,
            f64::MAX,
            f64::MIN,
        ]),
    ]
}

/// Small values, so that tests and rows meet.
fn value() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        1 => Just(None),
        4 => (0_u64..6).prop_map(Some),
        1 => prop::sample::select(vec![u64::MAX, u64::MAX - 1, 1 << 63]).prop_map(Some),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let number = || prop_oneof![0_u64..6, Just(u64::MAX), Just(1_u64 << 63)];
    prop_oneof![
        1 => Just(Test::Never),
        4 => (number(), number()).prop_map(|(low, high)| Test::Range { low, high }),
        2 => number().prop_map(|value| Test::Range { low: value, high: value }),
        3 => prop::collection::vec(number(), 0..5).prop_map(Test::Any),
        1 => Just(Test::IsNull),
        1 => Just(Test::IsNotNull),
        2 => prop::collection::vec(number(), 0..4).prop_map(Test::Overlaps),
        2 => number().prop_map(Test::Contains),
    ]
}

/// What a test says, written down once more without haste.
fn model(test: &Test, value: Option<u64>) -> bool {
    match (test, value) {
        (Test::IsNull, value) => value.is_none(),
        (Test::Never, _) | (_, None) => false,
        (Test::IsNotNull, Some(_)) => true,
        (Test::Range { low, high }, Some(value)) => *low <= value && value <= *high,
        (Test::Any(values), Some(value)) => values.contains(&value),
        (Test::Overlaps(masks), Some(value)) => masks.iter().any(|mask| value & mask == *mask),
        (Test::Contains(mask), Some(value)) => value & mask == *mask,
    }
}

fn keys_of(values: &[Option<u64>]) -> RowKeys {
    let mut keys = RowKeys::new(values.len());
    for (column, value) in values.iter().enumerate() {
        keys.set(column, *value);
    }
    keys
}

proptest! {
    #[test]
    fn integers_keep_their_order(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(ordered_i64(a).cmp(&ordered_i64(b)), a.cmp(&b));
        prop_assert_eq!(ordered_u64(a as u64).cmp(&ordered_u64(b as u64)), (a as u64).cmp(&(b as u64)));
    }

    #[test]
    fn floats_keep_the_order_of_postgresql(a in floats(), b in floats()) {
        prop_assert_eq!(ordered_f64(a).cmp(&ordered_f64(b)), compare_floats(a, b), "{} {}", a, b);
    }

    #[test]
    fn equal_bytes_hash_alike_and_others_do_not(a in prop::collection::vec(0_u8..3, 0..20), b in prop::collection::vec(0_u8..3, 0..20)) {
        prop_assert_eq!(hash_bytes(&a) == hash_bytes(&b), a == b);
    }

    #[test]
    fn a_signature_never_denies_an_element(elements in prop::collection::vec(any::<u64>(), 0..40), other in any::<u64>()) {
        let mut signature = Signature::new();
        for element in &elements {
            signature.add(hash_bytes(&element.to_le_bytes()));
        }
        for element in &elements {
            let mask = Signature::mask(hash_bytes(&element.to_le_bytes()));
            prop_assert_eq!(signature.get() & mask, mask);
            prop_assert!(model(&Test::Overlaps(vec![Signature::mask(other), mask]), Some(signature.get())));
        }
    }

    #[test]
    fn a_filter_agrees_with_the_model(
        values in prop::collection::vec(value(), 1..=MAX_KEYS),
        tests in prop::collection::vec((any::<prop::sample::Index>(), test()), 0..5),
    ) {
        let keys = keys_of(&values);
        prop_assert_eq!(find_fault(keys.as_bytes(), values.len()), None);
        let conditions: Vec<Condition> = tests
            .iter()
            .map(|(column, test)| Condition { column: column.index(values.len()) as u8, test: test.clone() })
            .collect();
        let expected = conditions.iter().all(|condition| model(&condition.test, values[usize::from(condition.column)]));
        let filter = Filter::new(conditions);
        prop_assert_eq!(filter.matches(keys.as_bytes()), expected);
        prop_assert!(!(expected && filter.is_never()));
        prop_assert!(expected || !filter.is_always());
        let kinds = KeyKinds::new(&vec![KeyKind::Ordered; values.len()]).unwrap();
        prop_assert!(filter.fits(&kinds));
        prop_assert!(filter.reach() <= kinds.key_bytes());
        prop_assert_eq!(filter.matches(&keys.as_bytes()[..filter.reach()]), expected);
    }

    #[test]
    fn garbage_is_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), column in any::<u8>(), test in test()) {
        let filter = Filter::new(vec![Condition { column, test }]);
        let _ = filter.matches(&bytes);
        let _ = find_fault(&bytes, bytes.len() / 8);
        for end in 0..bytes.len().min(filter.reach()) {
            prop_assert!(!filter.matches(&bytes[..end]), "cut short at {}", end);
        }
    }

    #[test]
    fn kinds_are_read_as_they_were_written(codes in prop::collection::vec(1_u8..=4, 0..=MAX_KEYS), garbage in any::<[u8; MAX_KEYS]>()) {
        let kinds: Vec<KeyKind> = codes.iter().map(|code| KeyKind::from_u8(*code).unwrap()).collect();
        let keys = KeyKinds::new(&kinds).unwrap();
        prop_assert_eq!(KeyKinds::from_bytes(keys.to_bytes()), Some(keys));
        prop_assert_eq!(keys.count(), kinds.len());
        prop_assert_eq!(keys.iter().collect::<Vec<_>>(), kinds.clone());
        prop_assert_eq!(keys.get(kinds.len()), None);
        prop_assert_eq!(keys.key_bytes(), key_bytes(kinds.len()));
        if let Some(read) = KeyKinds::from_bytes(garbage) {
            prop_assert_eq!(read.to_bytes(), garbage);
        }
    }
}

#[test]
fn hashes_stay_what_they_are() {
    assert_eq!(hash_bytes(b""), HASHES[0]);
    assert_eq!(hash_bytes(b"Berlin"), HASHES[1]);
    assert_eq!(
        hash_bytes(b"a text of more than one word of eight bytes"),
        HASHES[2]
    );
    assert_ne!(hash_bytes(b"a"), hash_bytes(b"a\0"));
    assert_ne!(hash_bytes(&[0; 8]), hash_bytes(&[0; 16]));
}

const HASHES: [u64; 3] = [
    0xD3FB_5726_2A5B_DCDE,
    0xE58D_F758_D8FE_A31E,
    0x77B5_0A5C_AD59_3453,
];

#[test]
fn keys_have_a_fixed_place() {
    assert_eq!(
        (0..=9).map(key_bytes).collect::<Vec<_>>(),
        [0, 12, 20, 28, 36, 44, 52, 60, 68, 68]
    );
    assert!(RowKeys::new(0).as_bytes().is_empty());
    let keys = keys_of(&[Some(0x0102_0304_0506_0708), None]);
    let mut expected = vec![0b10, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
    expected.extend([0; 8]);
    assert_eq!(keys.as_bytes(), expected);
    let mut changed = keys.clone();
    changed.set(0, None);
    changed.set(2, Some(7));
    assert_eq!(changed, RowKeys::new(2));
    assert_eq!(changed.as_bytes()[0], 0b11);
}

#[test]
fn faults_of_keys_are_found() {
    let good = keys_of(&[Some(7), None]).as_bytes().to_vec();
    let edited = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        find_fault(&bytes, 2)
    };
    assert_eq!(find_fault(&good, 2), None);
    assert_eq!(find_fault(&[], 0), None);
    assert!(find_fault(&good, 1).is_some());
    assert!(edited(0, 0b110).is_some(), "an absent column");
    assert!(edited(3, 1).is_some(), "reserved");
    assert!(edited(12, 1).is_some(), "a value of NULL");
    assert_eq!(edited(4, 9), None);
}

#[test]
fn too_many_columns_are_refused() {
    assert!(KeyKinds::new(&[KeyKind::Ordered; MAX_KEYS + 1]).is_none());
    assert_eq!(KeyKinds::from_bytes([1, 0, 1, 0, 0, 0, 0, 0]), None);
    assert_eq!(KeyKinds::from_bytes([5, 0, 0, 0, 0, 0, 0, 0]), None);
    let beyond = Filter::new(vec![Condition {
        column: 1,
        test: Test::IsNotNull,
    }]);
    assert!(!beyond.fits(&KeyKinds::new(&[KeyKind::Hashed]).unwrap()));
}
