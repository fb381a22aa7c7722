//! Extreme vectors, arbitrary bytes, and what is part of the format.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use half::f16;
use proptest::prelude::*;

use super::accuracy_tests::{Coded, Random, clustered, quantizer};
use super::*;
use crate::index::IndexError;

const METRICS: [Metric; 4] = [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1];
const BITS: [CodeBits; 3] = [CodeBits::Four, CodeBits::Eight, CodeBits::ThirtyTwo];

fn all_kinds() -> impl Iterator<Item = (Metric, CodeBits)> {
    METRICS
        .into_iter()
        .flat_map(|metric| BITS.into_iter().map(move |bits| (metric, bits)))
}

/// Those of vectors, and those of bits.
fn with_bits() -> impl Iterator<Item = (Metric, CodeBits)> {
    all_kinds().chain([(Metric::Hamming, CodeBits::One), (Metric::Jaccard, CodeBits::One)])
}

/// All keys among the vectors, which must be finite; `check` gets the indices, the estimate and its error.
fn check_all_pairs(
    quantizer: &Quantizer,
    vectors: &[Vec<f32>],
    mut check: impl FnMut(usize, usize, f32, f32),
) {
    let coded: Vec<Coded> = vectors
        .iter()
        .map(|vector| Coded::new(quantizer, vector))
        .collect();
    for (i, a) in coded.iter().enumerate() {
        let query = quantizer.query(&a.transformed);
        for (j, b) in coded.iter().enumerate() {
            let case = format!("{:?} {:?}: {i} and {j}", quantizer.metric(), quantizer.bits());
            let (estimate, error) = (query.estimate(b.code_ref()), query.error(&b.factors));
            let between = quantizer.between(a.code_ref(), b.code_ref());
            assert!(
                estimate.is_finite() && between.is_finite() && error.is_finite(),
                "{case}: {estimate} {between}"
            );
            check(i, j, estimate, error);
        }
    }
}

fn extreme_vectors(dims: usize) -> Vec<Vec<f32>> {
    let mut vectors = Vec::new();
    for value in [
        0.0,
        1.0,
        3.4e38,
        f32::MAX,
        f32::MIN,
        1e-20,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        65504.0,
        1e19,
    ] {
        vectors.push(vec![value; dims]);
        vectors.push(
            (0..dims)
                .map(|i| if i % 2 == 0 { value } else { -value })
                .collect(),
        );
        vectors.push(
            (0..dims)
                .map(|i| if i == dims / 2 { value } else { 0.0 })
                .collect(),
        );
        vectors.push(
            (0..dims)
                .map(|i| if i == dims / 2 { value } else { 1.0 })
                .collect(),
        );
    }
    vectors
}

#[test]
fn extreme_vectors_have_finite_keys() {
    for dims in [1, 3, 16, 17, 100] {
        let vectors = extreme_vectors(dims);
        for (metric, bits) in with_bits() {
            let plain = Quantizer::new(metric, dims, bits, 1, &[]).unwrap();
            check_all_pairs(&plain, &vectors, |_, _, _, _| ());
            check_all_pairs(&quantizer(metric, bits, &vectors), &vectors, |_, _, _, _| ());
        }
    }
}

#[test]
fn the_cosine_does_not_depend_on_the_length_of_vectors() {
    let random = &mut Random::new(9);
    let base = clustered(12, 100, 3, random);
    for factor in [1e-44_f64, 1e-30, 1e-10, 1.0, 1e20, 1e37] {
        // Elements of 1e-44 have a few bits; what they round to is what counts.
        let vectors: Vec<Vec<f32>> = base
            .iter()
            .map(|vector| vector.iter().map(|x| (f64::from(*x) * factor) as f32).collect())
            .collect();
        let quantizer = quantizer(Metric::Cosine, CodeBits::Eight, &vectors);
        check_all_pairs(&quantizer, &vectors, |i, j, estimate, error| {
            let exact = exact_key(Metric::Cosine, &vectors[i], &vectors[j]);
            assert!(
                (f64::from(estimate) - exact).abs() < 6.0 * f64::from(error),
                "{factor}: {estimate} {exact}"
            );
        });
    }
}

#[test]
fn one_huge_vector_does_not_spoil_the_others() {
    let random = &mut Random::new(10);
    let mut vectors = clustered(300, 64, 5, random);
    vectors[17] = vec![3e38; 64];
    for metric in [Metric::L2, Metric::InnerProduct] {
        let quantizer = quantizer(metric, CodeBits::Eight, &vectors);
        check_all_pairs(&quantizer, &vectors, |i, j, estimate, error| {
            if i == 17 || j == 17 {
                return;
            }
            let exact = exact_key(metric, &vectors[i], &vectors[j]);
            assert!(
                (f64::from(estimate) - exact).abs() < 6.0 * f64::from(error),
                "{estimate} {exact} {error}"
            );
            assert!(f64::from(error) < 10.0, "{metric:?}: {error}");
        });
    }
}

#[test]
fn halfvecs_of_the_greatest_elements_are_ranked() {
    let dims = 384;
    let random = &mut Random::new(11);
    let vectors: Vec<Vec<f16>> = (0..20)
        .map(|_| {
            let sign = |x: f32| if x < 0.0 { f16::MIN } else { f16::MAX };
            (0..dims).map(|_| sign(random.normal())).collect()
        })
        .collect();
    for metric in METRICS {
        let bits = CodeBits::default_for(metric, dims);
        let quantizer = Quantizer::new(metric, dims, bits, 3, &[]).unwrap();
        let transform = |vector: &[f16]| {
            let mut transformed = vec![0.0; dims];
            assert_eq!(quantizer.transform(vector, &mut transformed), Rankable::Yes);
            transformed
        };
        for a in &vectors {
            let query = quantizer.query(&transform(a));
            for b in &vectors {
                let mut code = vec![0; quantizer.code_bytes()];
                let factors = quantizer.encode(&transform(b), &mut code);
                let estimate = f64::from(query.estimate(CodeRef { factors, code: &code }));
                let (exact, error) = (exact_key(metric, a, b), f64::from(query.error(&factors)));
                assert!(
                    (estimate - exact).abs() <= 6.0 * error,
                    "{metric:?}: {estimate} {exact} {error}"
                );
            }
        }
    }
}

#[test]
fn zero_vectors_are_in_the_middle_or_unrankable() {
    for dims in [3, 384] {
        for (metric, bits) in all_kinds() {
            let quantizer = Quantizer::new(metric, dims, bits, 1, &[]).unwrap();
            let (zero, one) = (vec![0.0_f32; dims], vec![1.0_f32; dims]);
            let mut transformed = vec![7.0; dims];
            let rankable = quantizer.transform(&zero, &mut transformed);
            assert_eq!(rankable == Rankable::No, metric == Metric::Cosine);
            assert_eq!(transformed, zero);
            let (zero, one) = (Coded::new(&quantizer, &zero), Coded::new(&quantizer, &one));
            let expected = match metric {
                Metric::L2 | Metric::L1 | Metric::Hamming => dims as f32,
                Metric::InnerProduct => 0.0,
                Metric::Cosine | Metric::Jaccard => 1.0,
            };
            for key in [
                quantizer.query(&one.transformed).estimate(zero.code_ref()),
                quantizer.query(&zero.transformed).estimate(one.code_ref()),
                quantizer.between(zero.code_ref(), one.code_ref()),
            ] {
                assert!(
                    (key - expected).abs() <= 1e-4 * expected,
                    "{dims} {metric:?} {bits:?}: {key}"
                );
            }
            assert_eq!(quantizer.query(&zero.transformed).estimate(zero.code_ref()), 0.0);
        }
    }
}

#[test]
fn a_query_can_be_prepared_again() {
    let random = &mut Random::new(12);
    let mut query = Query::default();
    let unprepared = query.estimate(CodeRef {
        factors: Factors::default(),
        code: &[0; 64],
    });
    assert_eq!(unprepared, f32::INFINITY);
    for dims in [384, 17, 100, 3, 200] {
        let vectors = clustered(4, dims, 2, random);
        for (metric, bits) in all_kinds() {
            let quantizer = quantizer(metric, bits, &vectors);
            let coded: Vec<Coded> = vectors
                .iter()
                .map(|vector| Coded::new(&quantizer, vector))
                .collect();
            query.prepare(&quantizer, &coded[0].transformed);
            let fresh = quantizer.query(&coded[0].transformed);
            for code in &coded {
                assert_eq!(query.estimate(code.code_ref()), fresh.estimate(code.code_ref()));
                assert_eq!(query.error(&code.factors), fresh.error(&code.factors));
            }
        }
    }
}

#[test]
fn impossible_quantisers_are_refused() {
    let new = |dims, center: &[f32]| Quantizer::new(Metric::L2, dims, CodeBits::Four, 1, center).map(|_| ());
    for dims in [0, 16_001, usize::MAX] {
        assert!(
            matches!(new(dims, &[]), Err(IndexError::Limit { limit: 16_000, .. })),
            "{dims}"
        );
    }
    assert_eq!(new(16_000, &[]), Ok(()));
    for center in [
        vec![0.0; 39],
        vec![f32::NAN; 40],
        vec![f32::INFINITY; 40],
        vec![f32::MAX; 40],
    ] {
        assert!(matches!(new(40, &center), Err(IndexError::Corrupt { .. })));
    }
    // Where no centre is used, none is looked at.
    assert!(Quantizer::new(Metric::L1, 40, CodeBits::Eight, 1, &[f32::NAN; 3]).is_ok());
}

#[test]
fn codes_have_the_bytes_of_the_layout() {
    for (dims, four, eight, full) in [
        (1, 32, 32, 32),
        (64, 32, 64, 256),
        (65, 64, 96, 288),
        (384, 192, 384, 1536),
    ] {
        for (bits, expected) in [
            (CodeBits::Four, four),
            (CodeBits::Eight, eight),
            (CodeBits::ThirtyTwo, full),
        ] {
            let quantizer = Quantizer::new(Metric::L2, dims, bits, 1, &[]).unwrap();
            assert_eq!(quantizer.code_bytes(), expected, "{dims} {bits:?}");
        }
    }
}

#[test]
fn few_dimensions_get_more_bits() {
    for (metric, dims, bits) in [
        (Metric::L2, 3, CodeBits::ThirtyTwo),
        (Metric::L1, 32, CodeBits::ThirtyTwo),
        (Metric::L2, 33, CodeBits::Eight),
        (Metric::Cosine, 128, CodeBits::Eight),
        (Metric::Cosine, 129, CodeBits::Four),
        (Metric::L1, 1536, CodeBits::Eight),
    ] {
        assert_eq!(CodeBits::default_for(metric, dims), bits);
    }
    for bits in BITS {
        assert_eq!(CodeBits::from_u8(bits.to_u8()), Some(bits));
    }
    assert_eq!(CodeBits::from_u8(0), None);
}

/// Codes are stored: another code for the same vector would be another format.
#[test]
fn codes_stay_what_they_are() {
    let hash = |bytes: &[u8]| {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    // Not from `Random`, whose logarithm and cosine may differ between platforms.
    let element = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5;
    let mut found = Vec::new();
    for (metric, bits) in all_kinds() {
        for dims in [100, 384] {
            let center: Vec<f32> = (0..dims).map(|i| 0.1 * element(i + 1000)).collect();
            let vector: Vec<f32> = (0..dims).map(element).collect();
            let quantizer = Quantizer::new(metric, dims as usize, bits, 7, &center).unwrap();
            let coded = Coded::new(&quantizer, &vector);
            found.push(hash(&coded.code) ^ hash(&coded.factors.to_bytes()));
        }
    }
    let expected: [u64; 24] = [
        0x0eb8_65df_a895_89c4,
        0xe0a1_a009_e0b2_3da1,
        0x5d7d_075d_5953_3a74,
        0x650f_5ea1_4c8f_e91b,
        0xa0cb_1be9_f1e8_342a,
        0x2dc3_d2a8_204e_9e52,
        0x0eb8_65df_a895_89c4,
        0xe0a1_a009_e0b2_3da1,
        0x5d7d_075d_5953_3a74,
        0x650f_5ea1_4c8f_e91b,
        0xa0cb_1be9_f1e8_342a,
        0x2dc3_d2a8_204e_9e52,
        0xef44_2b06_1e91_8245,
        0xce96_c911_12e3_3eb1,
        0x9f10_d5f1_e264_4831,
        0x41a4_56b3_618a_f183,
        0x8faa_7fcb_59b8_b9d2,
        0x5215_3bfb_c5d8_30be,
        0xbc3b_4452_370d_48fe,
        0x18e3_9ba0_d1f4_b9df,
        0x3cca_5323_836c_9d00,
        0x4802_74c8_5dfe_e125,
        0xa0cb_1be9_f1e8_342a,
        0x2dc3_d2a8_204e_9e52,
    ];
    assert_eq!(found, expected, "{found:#x?}");
}

#[test]
fn factors_are_the_same_after_a_round_trip() {
    let factors = Factors {
        norm_squared: 1.5,
        scale: -2.0,
        error: 3e-9,
        bias: 4e30,
        sum: 0xdead_beef,
    };
    let bytes = factors.to_bytes();
    assert_eq!(Factors::from_bytes(&bytes), factors);
    assert_eq!(bytes[..4], 1.5_f32.to_le_bytes());
    assert_eq!(bytes[16..], [0xef, 0xbe, 0xad, 0xde]);
}

/// Floats as bytes of a torn page may be.
fn any_factors() -> impl Strategy<Value = Factors> {
    prop_oneof![
        any::<[u8; Factors::BYTES]>().prop_map(|bytes| Factors::from_bytes(&bytes)),
        (
            0..5_usize,
            prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.0])
        )
            .prop_map(|(which, value)| {
                let mut factors = Factors {
                    norm_squared: 1.0,
                    scale: 1.0,
                    error: 1.0,
                    bias: 1.0,
                    sum: 1,
                };
                match which {
                    0 => factors.norm_squared = value,
                    1 => factors.scale = value,
                    2 => factors.error = value,
                    3 => factors.bias = value,
                    _ => factors.sum = u32::MAX,
                }
                factors
            })
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_give_a_key(
        factors in [any_factors(), any_factors()],
        codes in [prop::collection::vec(any::<u8>(), 0..600), prop::collection::vec(any::<u8>(), 0..600)],
        vector in prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 1..140),
    ) {
        for (metric, bits) in with_bits() {
            let quantizer = Quantizer::new(metric, vector.len(), bits, 1, &[]).unwrap();
            // Even a vector that is not finite, though none is stored.
            let mut transformed = vec![0.0; vector.len()];
            quantizer.transform(&vector, &mut transformed);
            let query = quantizer.query(&transformed);
            let mut own = vec![0; quantizer.code_bytes()];
            quantizer.encode(&transformed, &mut own);
            let [a, b] = [0, 1].map(|i| CodeRef { factors: factors[i], code: &codes[i] });
            let own = CodeRef { factors: factors[0], code: &own };
            for key in [query.estimate(a), query.estimate(own), quantizer.between(a, b), quantizer.between(own, b)] {
                prop_assert!(!key.is_nan());
            }
            prop_assert!(!query.error(&factors[0]).is_nan());
            prop_assert!(!query.error_at(&factors[0], query.estimate(a)).is_nan());
            let short = codes[0].len() < quantizer.code_bytes();
            prop_assert!(!short || query.estimate(a) == f32::INFINITY);
        }
    }
}
