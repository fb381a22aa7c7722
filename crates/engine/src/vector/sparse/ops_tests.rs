#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;

use half::f16;

use super::distance::{cosine, inner_product, l1, l2, l2_squared, negative_inner_product, norm};
use super::ops::{check_type_modifier, compare, from_dense, l2_normalize, to_dense};
use super::{MAX_DIMENSIONS, MAX_NON_ZERO, SparseVec, SparseVector, binary, text};
use crate::vector::VectorError;

fn parse(input: &str) -> SparseVector {
    text::parse(input).unwrap_or_else(|error| panic!("{input}: {error}"))
}

fn print(vector: &SparseVector) -> String {
    let mut out = String::new();
    text::format(vector.view(), &mut out);
    out
}

fn message<T: std::fmt::Debug>(result: Result<T, VectorError>) -> String {
    let error = result.unwrap_err();
    format!("{} {error}", error.sqlstate())
}

#[test]
fn reads_and_prints_like_pgvector() {
    let cases = [
        ("{1:1.5,3:3.5}/5", "{1:1.5,3:3.5}/5"),
        ("{1:-2,3:-4}/5", "{1:-2,3:-4}/5"),
        ("{}/5", "{}/5"),
        (" { 1 : 1.5 ,  3  :  3.5  } / 5 ", "{1:1.5,3:3.5}/5"),
        ("\u{b}{\t1\n:\r2\u{c}}/\n3\t", "{1:2}/3"),
        ("{3:3.5,1:1.5}/5", "{1:1.5,3:3.5}/5"),
        ("{+1:+.5,002:5.}/+3", "{1:0.5,2:5}/3"),
        ("{1:0x1p3,2:1e-45}/2", "{1:8,2:1e-45}/2"),
        // Zeros are dropped, wherever they stand.
        ("{1:0,2:1,3:-0}/3", "{2:1}/3"),
        ("{1:0e5,2:-0x0.0p9}/2", "{}/2"),
        ("{0:0,-7:0,99999999999:0,2:0,2:1}/3", "{2:1}/3"),
        ("{1000000000:1}/1000000000", "{1000000000:1}/1000000000"),
    ];
    for (input, output) in cases {
        assert_eq!(print(&parse(input)), output, "{input}");
    }
}

#[test]
fn refuses_what_pgvector_refuses() {
    let brace = Some("Vector contents must start with \"{\".");
    let end = Some("Unexpected end of input.");
    let junk = Some("Junk after closing.");
    let syntax = [
        ("", brace),
        ("  ", brace),
        ("1:1}/1", brace),
        ("[1]", brace),
        ("{", None),
        ("{ ", None),
        ("{:", None),
        ("{,", None),
        ("{1", None),
        ("{1:", None),
        ("{1:1", None),
        ("{1:1,", None),
        ("{1:1,}/1", None),
        ("{,1:1}/1", None),
        ("{1:1 2:1}/2", None),
        ("{1:a}/1", None),
        ("{a:1}/1", None),
        ("{1.5:1}/2", None),
        ("{1;1}/1", None),
        ("{1:1}", end),
        ("{}", end),
        ("{1:1}x/1", end),
        ("{1:1}/", None),
        ("{1:1}/a", None),
        ("{1:1}/+", None),
        ("{1:1}/1x", junk),
        ("{1:1}/1.5", junk),
        ("{1:1}/1 1", junk),
    ];
    for (input, detail) in syntax {
        let error = text::parse(input).unwrap_err();
        let message = format!("invalid input syntax for type sparsevec: \"{input}\"");
        assert_eq!(
            (error.sqlstate(), error.to_string(), error.detail()),
            ("22P02", message, detail)
        );
    }
    let others = [
        ("{}/0", "22000 sparsevec must have at least 1 dimension"),
        ("{}/-1", "22000 sparsevec must have at least 1 dimension"),
        (
            "{}/-99999999999",
            "22000 sparsevec must have at least 1 dimension",
        ),
        (
            "{}/1000000001",
            "54000 sparsevec cannot have more than 1000000000 dimensions",
        ),
        (
            "{}/99999999999999999999",
            "54000 sparsevec cannot have more than 1000000000 dimensions",
        ),
        ("{0:1}/1", "22000 sparsevec index out of bounds"),
        ("{-1:1}/1", "22000 sparsevec index out of bounds"),
        ("{2:1}/1", "22000 sparsevec index out of bounds"),
        ("{1:1,2:1}/1", "22000 sparsevec index out of bounds"),
        (
            "{-99999999999999999999:1}/1",
            "22000 sparsevec index out of bounds",
        ),
        (
            "{99999999999999999999:1}/1",
            "22000 sparsevec index out of bounds",
        ),
        ("{-2147483648:1}/1", "22000 sparsevec index out of bounds"),
        (
            "{1:1,1:2}/3",
            "22000 sparsevec indices must not contain duplicates",
        ),
        ("{1:nan}/1", "22000 NaN not allowed in sparsevec"),
        ("{1:-inf", "22000 infinite value not allowed in sparsevec"),
        (
            "{1:1e-50}/1",
            "22003 \"1e-50\" is out of range for type sparsevec",
        ),
        (
            "{1:0x1p-200}/1",
            "22003 \"0x1p-200\" is out of range for type sparsevec",
        ),
        ("{1:1e39", "22003 \"1e39\" is out of range for type sparsevec"),
        (
            "{1:-4e38}/1",
            "22003 \"-4e38\" is out of range for type sparsevec",
        ),
    ];
    for (input, expected) in others {
        assert_eq!(message(text::parse(input)), expected, "{input}");
    }
}

#[test]
fn sixteen_thousand_elements_and_not_one_more() {
    let elements = |count: usize| {
        (1..=count)
            .map(|index| format!("{index}:1"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let full = format!("{{{}}}/{MAX_NON_ZERO}", elements(MAX_NON_ZERO));
    assert_eq!(parse(&full).view().non_zero(), MAX_NON_ZERO);
    let limit = "54000 sparsevec cannot have more than 16000 non-zero elements";
    assert_eq!(
        message(text::parse(&format!("{{{}}}/20000", elements(MAX_NON_ZERO + 1)))),
        limit
    );
    // Counted before anything is read.
    assert_eq!(message(text::parse(&",".repeat(MAX_NON_ZERO))), limit);
    let dense = vec![1.0_f32; MAX_NON_ZERO + 1];
    assert_eq!(message(from_dense(&dense)), limit);
    let many: Vec<(i32, f32)> = (0..=MAX_NON_ZERO as i32).map(|index| (index, 1.0)).collect();
    assert_eq!(message(SparseVector::from_elements(MAX_DIMENSIONS, many)), limit);
}

fn encoded(fields: [i32; 3], indices: &[i32], values: &[f32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = fields
        .iter()
        .chain(indices)
        .flat_map(|field| field.to_be_bytes())
        .collect();
    bytes.extend(values.iter().flat_map(|value| value.to_be_bytes()));
    bytes
}

#[test]
fn the_binary_layout_is_that_of_pgvector() {
    let mut bytes = Vec::new();
    binary::encode(parse("{1:1,5:-2.5}/7").view(), &mut bytes);
    assert_eq!(bytes, encoded([7, 2, 0], &[0, 4], &[1.0, -2.5]));
    assert_eq!(print(&binary::decode(&bytes).unwrap()), "{1:1,5:-2.5}/7");
    assert_eq!(
        print(&binary::decode(&encoded([3, 0, 0], &[], &[])).unwrap()),
        "{}/3"
    );
}

#[test]
fn malformed_messages_are_refused() {
    let length = |expected, actual| {
        format!(
            "22P03 invalid binary representation of type sparsevec: expected {expected} bytes, not {actual}"
        )
    };
    let index = |fault| format!("22000 sparsevec {fault}");
    let cases: [(Vec<u8>, String); 17] = [
        (vec![], length(12, 0)),
        (vec![0; 11], length(12, 11)),
        (encoded([3, 1, 0], &[0], &[]), length(20, 16)),
        (encoded([3, 1, 0], &[0], &[1.0, 1.0]), length(20, 24)),
        (
            encoded([3, 16_000, 0], &[], &[]),
            "54000 sparsevec cannot have more elements than dimensions".to_owned(),
        ),
        (encoded([20_000, 16_000, 0], &[], &[]), length(128_012, 12)),
        (
            encoded([0, 0, 0], &[], &[]),
            "22000 sparsevec must have at least 1 dimension".to_owned(),
        ),
        (
            encoded([-1, 0, 0], &[], &[]),
            "22000 sparsevec must have at least 1 dimension".to_owned(),
        ),
        (
            encoded([1_000_000_001, 0, 0], &[], &[]),
            "54000 sparsevec cannot have more than 1000000000 dimensions".to_owned(),
        ),
        (
            encoded([3, -1, 0], &[], &[]),
            "22000 sparsevec cannot have negative number of elements".to_owned(),
        ),
        (
            encoded([i32::MAX, i32::MAX, 0], &[], &[]),
            "54000 sparsevec cannot have more than 1000000000 dimensions".to_owned(),
        ),
        (
            encoded([MAX_DIMENSIONS, 16_001, 0], &[], &[]),
            "54000 sparsevec cannot have more than 16000 non-zero elements".to_owned(),
        ),
        (
            encoded([3, 0, -1], &[], &[]),
            "22P03 expected unused to be 0, not -1".to_owned(),
        ),
        (encoded([3, 1, 0], &[3], &[1.0]), index("index out of bounds")),
        (encoded([3, 1, 0], &[-1], &[1.0]), index("index out of bounds")),
        (
            encoded([3, 2, 0], &[1, 0], &[1.0, 1.0]),
            index("indices must be in ascending order"),
        ),
        (
            encoded([3, 2, 0], &[1, 1], &[1.0, 1.0]),
            index("indices must not contain duplicates"),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(message(binary::decode(&bytes)), expected, "{bytes:?}");
    }
    let value = |value| message(binary::decode(&encoded([1, 1, 0], &[0], &[value])));
    assert_eq!(value(f32::NAN), "22000 NaN not allowed in sparsevec");
    assert_eq!(
        value(f32::NEG_INFINITY),
        "22000 infinite value not allowed in sparsevec"
    );
    for zero in [0.0, -0.0] {
        assert_eq!(
            value(zero),
            "22000 binary representation of sparsevec cannot contain zero values"
        );
    }
}

#[test]
fn parts_that_are_no_vector_are_refused() {
    assert!(SparseVec::new(3, &[0, 2], &[1.0, 2.0]).is_ok());
    assert_eq!(
        message(SparseVec::new(3, &[0, 2], &[1.0])),
        "XX000 sparsevec of 2 indices and 1 values"
    );
    assert_eq!(
        message(SparseVec::new(0, &[], &[])),
        "22000 sparsevec must have at least 1 dimension"
    );
    for indices in [[1, 0], [1, 1], [0, 3], [-1, 0], [i32::MIN, i32::MAX]] {
        assert!(SparseVec::new(3, &indices, &[1.0, 2.0]).is_err(), "{indices:?}");
    }
}

#[test]
fn distances_are_those_of_pgvector() {
    let pair = |a: &str, b: &str| (parse(a), parse(b));
    let (a, b) = pair("{}/2", "{1:3,2:4}/2");
    assert_eq!(l2(a.view(), b.view()), Ok(5.0));
    assert_eq!(l2(b.view(), a.view()), Ok(5.0));
    let (a, b) = pair("{1:1}/3", "{3:2}/3");
    assert_eq!(l2_squared(a.view(), b.view()), Ok(5.0));
    assert_eq!(l1(a.view(), b.view()), Ok(3.0));
    assert_eq!(inner_product(a.view(), b.view()), Ok(0.0));
    assert_eq!(cosine(a.view(), b.view()), Ok(1.0));
    let (a, b) = pair("{1:1,2:2}/2", "{1:2,2:4}/2");
    assert_eq!(inner_product(a.view(), b.view()), Ok(10.0));
    assert_eq!(negative_inner_product(a.view(), b.view()), Ok(-10.0));
    assert_eq!(cosine(a.view(), b.view()), Ok(0.0));
    assert_eq!(cosine(a.view(), parse("{1:-1,2:-2}/2").view()), Ok(2.0));
    let (a, b) = pair("{1:1,3:3,5:5}/6", "{2:2,3:1,6:-6}/6");
    assert_eq!(l2_squared(a.view(), b.view()), Ok(1.0 + 4.0 + 4.0 + 25.0 + 36.0));
    assert_eq!(l1(a.view(), b.view()), Ok(1.0 + 2.0 + 2.0 + 5.0 + 6.0));
    assert_eq!(inner_product(b.view(), a.view()), Ok(3.0));
    assert_eq!(norm(parse("{1:3,7:4}/9").view()), 5.0);
    assert_eq!(norm(parse("{}/9").view()).to_bits(), 0);
}

#[test]
fn distances_neither_overflow_nor_underflow() {
    let (large, tiny) = (parse("{1:3e38,2:-3e38}/3"), parse("{1:1e-45}/3"));
    assert!(l2(large.view(), parse("{}/3").view()).unwrap() > 4e38);
    assert!(inner_product(large.view(), large.view()).unwrap().is_finite());
    assert_eq!(cosine(tiny.view(), tiny.view()), Ok(0.0));
    assert_eq!(cosine(large.view(), large.view()), Ok(0.0));
    assert!(cosine(tiny.view(), parse("{}/3").view()).unwrap().is_nan());
}

#[test]
fn different_dimensions_are_refused() {
    let (a, b) = (parse("{1:1}/2"), parse("{1:1}/3"));
    let expected = "22000 different sparsevec dimensions 2 and 3";
    for distance in [l2, l2_squared, inner_product, negative_inner_product, cosine, l1] {
        assert_eq!(message(distance(a.view(), b.view())), expected);
    }
}

#[test]
fn normalized_vectors_have_length_one() {
    assert_eq!(
        print(&l2_normalize(parse("{1:3,2:4}/2").view()).unwrap()),
        "{1:0.6,2:0.8}/2"
    );
    assert_eq!(print(&l2_normalize(parse("{}/2").view()).unwrap()), "{}/2");
    assert_eq!(
        print(&l2_normalize(parse("{2:3e38}/3").view()).unwrap()),
        "{2:1}/3"
    );
    // An element that becomes zero is left out.
    assert_eq!(
        print(&l2_normalize(parse("{1:1e-20,2:3e38}/3").view()).unwrap()),
        "{2:1}/3"
    );
}

#[test]
fn order_is_that_of_the_dense_vectors() {
    use Ordering::{Equal, Greater, Less};
    let cases = [
        ("{1:1,2:2}/2", "{1:1,2:2}/2", Equal),
        ("{1:1}/2", "{1:2}/2", Less),
        ("{1:1}/2", "{2:1}/2", Greater),
        ("{1:-1}/2", "{2:1}/2", Less),
        ("{}/2", "{2:1}/2", Less),
        ("{}/2", "{2:-1}/2", Greater),
        ("{}/2", "{}/3", Less),
        ("{1:1}/2", "{1:1,3:-5}/3", Less),
        ("{1:1}/4", "{1:1,3:-5}/3", Greater),
        ("{1:1}/3", "{1:1,3:5}/3", Less),
    ];
    for (a, b, expected) in cases {
        let (left, right) = (parse(a), parse(b));
        assert_eq!(compare(left.view(), right.view()), expected, "{a} {b}");
        assert_eq!(compare(right.view(), left.view()), expected.reverse(), "{b} {a}");
    }
}

#[test]
fn conversions_keep_every_element() {
    let halves: Vec<f16> = [0.0, 1.5, 0.0, -2.0, -0.0]
        .into_iter()
        .map(f16::from_f32)
        .collect();
    assert_eq!(
        print(&from_dense(&[0.0_f32, 1.5, 0.0, -2.0, -0.0]).unwrap()),
        "{2:1.5,4:-2}/5"
    );
    assert_eq!(print(&from_dense(&halves).unwrap()), "{2:1.5,4:-2}/5");
    let sparse = parse("{2:1.5,4:-2}/5");
    assert_eq!(
        to_dense::<f32>(sparse.view()).unwrap(),
        [0.0, 1.5, 0.0, -2.0, 0.0]
    );
    assert_eq!(to_dense::<f16>(sparse.view()).unwrap(), halves);
    assert_eq!(
        message(to_dense::<f16>(parse("{1:65520}/5").view())),
        "22003 \"65520\" is out of range for type halfvec"
    );
    assert_eq!(
        message(to_dense::<f32>(parse("{}/16001").view())),
        "54000 vector cannot have more than 16000 dimensions"
    );
    assert_eq!(
        message(from_dense::<f32>(&[])),
        "22000 sparsevec must have at least 1 dimension"
    );
    assert_eq!(
        message(from_dense(&[0.0, f32::NAN])),
        "22000 NaN not allowed in sparsevec"
    );
    assert_eq!(
        message(from_dense(&[f32::INFINITY])),
        "22000 infinite value not allowed in sparsevec"
    );
    // An array may have more elements than a dense vector.
    let mut long = vec![0.0_f32; 20_000];
    long.push(1.0);
    assert_eq!(print(&from_dense(&long).unwrap()), "{20001:1}/20001");
}

#[test]
fn type_modifiers_are_checked() {
    assert_eq!(check_type_modifier(&[MAX_DIMENSIONS]), Ok(MAX_DIMENSIONS));
    assert_eq!(
        message(check_type_modifier(&[0])),
        "22023 dimensions for type sparsevec must be at least 1"
    );
    assert_eq!(
        message(check_type_modifier(&[MAX_DIMENSIONS + 1])),
        "22023 dimensions for type sparsevec cannot exceed 1000000000"
    );
    assert_eq!(
        message(check_type_modifier(&[1, 2])),
        "22023 invalid type modifier"
    );
}
