#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;

use half::f16;

use super::ops::{
    add, binary_quantize, check_dimensions, check_type_modifier, compare, concat, convert,
    element_from_numeric, from_f32_slice, from_f64_slice, from_i32_slice, l2_normalize, mul, sub, subvector,
};
use super::{MAX_DIMENSIONS, VectorError};

fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().map(|value| f16::from_f32(*value)).collect()
}

fn message<T: std::fmt::Debug>(result: Result<T, VectorError>) -> String {
    let error = result.unwrap_err();
    format!("{} {error}", error.sqlstate())
}

#[test]
fn arithmetic_is_elementwise() {
    let (a, b) = ([1.0_f32, 2.0, -3.0], [4.0_f32, -5.0, 0.5]);
    assert_eq!(add(&a, &b).unwrap(), [5.0, -3.0, -2.5]);
    assert_eq!(sub(&a, &b).unwrap(), [-3.0, 7.0, -3.5]);
    assert_eq!(mul(&a, &b).unwrap(), [4.0, -10.0, -1.5]);
    // 65512 rounds to the largest half, 65520 beyond it.
    assert_eq!(
        add(&halves(&[65504.0]), &halves(&[8.0])).unwrap(),
        halves(&[65504.0])
    );
    assert_eq!(
        add(&halves(&[65504.0]), &halves(&[16.0])),
        Err(VectorError::Overflow)
    );
}

#[test]
fn results_out_of_range_are_refused() {
    assert_eq!(add(&[3e38_f32], &[3e38]), Err(VectorError::Overflow));
    assert_eq!(sub(&[-3e38_f32], &[3e38]), Err(VectorError::Overflow));
    assert_eq!(mul(&[3e38_f32], &[3e38]), Err(VectorError::Overflow));
    assert_eq!(mul(&[1e-30_f32], &[1e-30]), Err(VectorError::Underflow));
    assert_eq!(
        mul(&halves(&[1e-4]), &halves(&[1e-4])),
        Err(VectorError::Underflow)
    );
    // The first element out of range decides.
    assert_eq!(
        mul(&[1.0_f32, 1e-30, 3e38], &[1.0, 1e-30, 3e38]),
        Err(VectorError::Underflow)
    );
    // A subnormal result is no underflow, nor is a product with zero.
    assert_eq!(
        mul(&[1e-20_f32, 0.0, -0.0], &[1e-20, 1e-30, 1.0]).unwrap(),
        [1e-40, 0.0, 0.0]
    );
    assert_eq!(
        message(sub(&[1.0_f32, 2.0], &[1.0, 2.0, 3.0])),
        "22000 different vector dimensions 2 and 3"
    );
    assert_eq!(
        message(mul(&halves(&[1.0]), &[])),
        "22000 different halfvec dimensions 1 and 0"
    );
}

#[test]
fn concatenation_respects_the_dimension_limit() {
    assert_eq!(concat(&[1.0_f32, 2.0], &[3.0]).unwrap(), [1.0, 2.0, 3.0]);
    let full = vec![1.0_f32; MAX_DIMENSIONS];
    assert_eq!(
        message(concat(&full, &[1.0])),
        "54000 vector cannot have more than 16000 dimensions"
    );
}

#[test]
fn normalized_vectors_have_length_one() {
    assert_eq!(l2_normalize(&[3.0_f32, 4.0]).unwrap(), [0.6, 0.8]);
    assert_eq!(
        l2_normalize(&[3e38_f32, 3e38]).unwrap(),
        [std::f32::consts::FRAC_1_SQRT_2; 2]
    );
    assert_eq!(l2_normalize(&[f32::from_bits(1)]).unwrap(), [1.0]);
    assert_eq!(l2_normalize(&[1e-45_f32, 3e38]).unwrap(), [0.0, 1.0]);
    assert_eq!(
        l2_normalize(&halves(&[65504.0, 65504.0])).unwrap(),
        [f16::FRAC_1_SQRT_2; 2]
    );
    assert_eq!(l2_normalize(&halves(&[6e-8])).unwrap(), halves(&[1.0]));
    let zero = l2_normalize(&[0.0_f32, -0.0]).unwrap();
    assert!(zero.iter().all(|element| element.to_bits() == 0));
}

#[test]
fn subvector_counts_positions_before_the_first() {
    let vector = [1.0_f32, 2.0, 3.0, 4.0, 5.0];
    let cases: [(i32, i32, &[f32]); 10] = [
        (1, 3, &[1.0, 2.0, 3.0]),
        (3, 2, &[3.0, 4.0]),
        (3, 9, &[3.0, 4.0, 5.0]),
        (-1, 3, &[1.0]),
        (0, 2, &[1.0]),
        (5, 1, &[5.0]),
        (3, i32::MAX, &[3.0, 4.0, 5.0]),
        (1, i32::MAX, &vector),
        (-2_147_483_644, i32::MAX, &[1.0, 2.0]),
        (-9, 15, &vector),
    ];
    for (start, count, expected) in cases {
        assert_eq!(
            subvector(&vector, start, count).unwrap(),
            expected,
            "{start}, {count}"
        );
    }
    let empty = [
        (-1, 2),
        (-1, 1),
        (0, 1),
        (6, 1),
        (1, 0),
        (1, -1),
        (i32::MIN, i32::MAX),
        (i32::MAX, i32::MAX),
        (i32::MIN, i32::MIN),
        (i32::MAX, i32::MIN),
    ];
    for (start, count) in empty {
        assert_eq!(
            message(subvector(&vector, start, count)),
            "22000 vector must have at least 1 dimension"
        );
    }
}

#[test]
fn quantized_bits_start_at_the_most_significant() {
    let vector = [
        1.0_f32,
        0.0,
        -1.0,
        2.0,
        3.0,
        4.0,
        5.0,
        6.0,
        7.0,
        -1.0,
        -0.0,
        f32::from_bits(1),
    ];
    assert_eq!(binary_quantize(&vector), [0b1001_1111, 0b1001_0000]);
    assert_eq!(binary_quantize(&halves(&[1.0, 0.0, -1.0, 6e-8])), [0b1001_0000]);
    assert_eq!(binary_quantize(&[1.0_f32; 16]), [0xff, 0xff]);
}

#[test]
fn comparison_is_lexicographic_then_by_length() {
    let cases: [(&[f32], &[f32], Ordering); 6] = [
        (&[1.0, 2.0], &[1.0, 2.0, 3.0], Ordering::Less),
        (&[1.0, 3.0], &[1.0, 2.0, 3.0], Ordering::Greater),
        (&[1.0, 2.0, 3.0], &[1.0, 2.0], Ordering::Greater),
        (&[0.0], &[-0.0], Ordering::Equal),
        (&[-1.0], &[1.0], Ordering::Less),
        (&[1.0, 2.0], &[1.0, 2.0], Ordering::Equal),
    ];
    for (a, b, expected) in cases {
        assert_eq!(compare(a, b), expected, "{a:?} {b:?}");
        assert_eq!(compare(&halves(a), &halves(b)), expected, "{a:?} {b:?}");
        assert_eq!(compare(b, a), expected.reverse(), "{b:?} {a:?}");
    }
}

#[test]
fn arrays_become_vectors() {
    assert_eq!(from_f32_slice::<f32>(&[1.5, -2.0]).unwrap(), [1.5, -2.0]);
    assert_eq!(from_f64_slice::<f32>(&[0.1, 1e-50]).unwrap(), [0.1, 0.0]);
    assert_eq!(
        from_i32_slice::<f32>(&[i32::MAX, -1]).unwrap(),
        [2_147_483_648.0, -1.0]
    );
    assert_eq!(
        from_f64_slice::<f16>(&[65519.99, 1e-9]).unwrap(),
        halves(&[65504.0, 0.0])
    );
    assert_eq!(
        message(from_f32_slice::<f32>(&[])),
        "22000 vector must have at least 1 dimension"
    );
    let long = vec![0; MAX_DIMENSIONS + 1];
    assert_eq!(
        message(from_i32_slice::<f16>(&long)),
        "54000 halfvec cannot have more than 16000 dimensions"
    );
    assert_eq!(
        message(from_f32_slice::<f32>(&[1.0, f32::NAN])),
        "22000 NaN not allowed in vector"
    );
    assert_eq!(
        message(from_f64_slice::<f32>(&[1e39])),
        "22000 infinite value not allowed in vector"
    );
    assert_eq!(
        message(from_f64_slice::<f16>(&[1e39])),
        "22000 infinite value not allowed in halfvec"
    );
    assert_eq!(
        message(from_i32_slice::<f16>(&[65520])),
        "22003 \"65520\" is out of range for type halfvec"
    );
    assert_eq!(
        message(from_f64_slice::<f16>(&[-1e5])),
        "22003 \"-100000\" is out of range for type halfvec"
    );
}

#[test]
fn numerics_become_elements() {
    assert_eq!(element_from_numeric::<f32>("1.5"), Ok(1.5));
    assert_eq!(element_from_numeric::<f32>("-0.000"), Ok(0.0));
    assert_eq!(element_from_numeric::<f16>("65519"), Ok(f16::MAX));
    assert_eq!(
        message(element_from_numeric::<f16>("65520")),
        "22003 \"65520\" is out of range for type halfvec"
    );
    let tiny = format!("0.{}1", "0".repeat(49));
    assert_eq!(
        message(element_from_numeric::<f32>(&tiny)),
        format!("22003 \"{tiny}\" is out of range for type real")
    );
    let huge = format!("1{}", "0".repeat(39));
    assert_eq!(
        message(element_from_numeric::<f16>(&huge)),
        format!("22003 \"{huge}\" is out of range for type real")
    );
    assert_eq!(
        message(element_from_numeric::<f32>("NaN")),
        "22000 NaN not allowed in vector"
    );
    assert_eq!(
        message(element_from_numeric::<f16>("-Infinity")),
        "22000 infinite value not allowed in halfvec"
    );
    assert_eq!(
        message(element_from_numeric::<f32>("1x")),
        "22P02 invalid input syntax for type real: \"1x\""
    );
}

#[test]
fn vectors_convert_to_the_other_type() {
    assert_eq!(convert::<f32, f16>(&[1e-30, 0.1]).unwrap(), halves(&[0.0, 0.1]));
    assert_eq!(
        convert::<f16, f32>(&halves(&[0.5, 65504.0])).unwrap(),
        [0.5, 65504.0]
    );
    assert_eq!(
        message(convert::<f32, f16>(&[1.0, -1e30])),
        "22003 \"-1e+30\" is out of range for type halfvec"
    );
    assert_eq!(
        message(convert::<f32, f16>(&[65520.0])),
        "22003 \"65520\" is out of range for type halfvec"
    );
}

#[test]
fn type_modifiers_are_checked() {
    assert_eq!(check_type_modifier::<f32>(&[3]), Ok(3));
    assert_eq!(check_type_modifier::<f32>(&[16_000]), Ok(16_000));
    assert_eq!(
        message(check_type_modifier::<f32>(&[0])),
        "22023 dimensions for type vector must be at least 1"
    );
    assert_eq!(
        message(check_type_modifier::<f16>(&[16_001])),
        "22023 dimensions for type halfvec cannot exceed 16000"
    );
    assert_eq!(
        message(check_type_modifier::<f32>(&[1, 2])),
        "22023 invalid type modifier"
    );
    assert_eq!(
        message(check_type_modifier::<f32>(&[])),
        "22023 invalid type modifier"
    );
    assert_eq!(check_dimensions(-1, 7), Ok(()));
    assert_eq!(check_dimensions(7, 7), Ok(()));
    assert_eq!(
        message(check_dimensions(3, 2)),
        "22000 expected 3 dimensions, not 2"
    );
}
