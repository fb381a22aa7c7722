#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::error::{InvalidModel, ModelError};
use super::{Tensors, half};

/// A file that vanishes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("castmatch-weights-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn read(&self) -> Result<Tensors, ModelError> {
        Tensors::read(
            Path::new("/"),
            &self.0,
            |name| name != "unused",
            &mut Sha256::new(),
        )
    }

    fn problem(&self) -> InvalidModel {
        match self.read() {
            Err(ModelError::Invalid { problem, .. }) => problem,
            other => panic!("expected invalid weights, got {other:?}"),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

const THREE: &str = r#"{"unused":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},
    "a":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},
    "b":{"dtype":"F16","shape":[2],"data_offsets":[16,20]},
    "c":{"dtype":"BF16","shape":[2],"data_offsets":[20,24]}}"#;

fn three() -> Vec<u8> {
    let mut data = vec![7; 8];
    data.extend(1.5f32.to_le_bytes());
    data.extend((-2.0f32).to_le_bytes());
    data.extend([0x00, 0x3c, 0x01, 0x00]); // 1 and the smallest subnormal
    data.extend([0x80, 0x3f, 0x00, 0xc0]); // 1 and -2
    file(THREE, &data)
}

#[test]
fn all_three_types_are_read_and_taken_once() {
    let scratch = Scratch::new("types", &three());
    let mut hasher = Sha256::new();
    let mut tensors =
        Tensors::read(Path::new("/"), &scratch.0, |name| name != "unused", &mut hasher).unwrap();
    assert_eq!(tensors.take("a", &[2, 1]).unwrap(), [1.5, -2.0]);
    assert_eq!(tensors.take("b", &[2]).unwrap(), [1.0, 2f32.powi(-24)]);
    assert_eq!(tensors.take("c", &[2]).unwrap(), [1.0, -2.0]);
    assert!(!tensors.contains("unused") && !tensors.contains("a"));
    assert!(tensors.take("a", &[2, 1]).is_err());
    assert_eq!(
        hasher.finalize(),
        Sha256::digest(three()),
        "the fingerprint covers every byte"
    );
}

#[test]
fn a_wrong_shape_or_type_or_number_is_named() {
    let mut tensors = Scratch::new("shape", &three()).read().unwrap();
    match tensors.take("a", &[1, 2]) {
        Err(ModelError::Invalid {
            problem: InvalidModel::TensorShape { expected, found, .. },
            ..
        }) => {
            assert_eq!((expected, found), (vec![1, 2], vec![2, 1]));
        }
        other => panic!("{other:?}"),
    }
    let integers = file(
        r#"{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#,
        &[0; 4],
    );
    assert!(matches!(
        Scratch::new("type", &integers).problem(),
        InvalidModel::TensorType { .. }
    ));
    let nan = file(
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        &f32::NAN.to_le_bytes(),
    );
    let mut tensors = Scratch::new("nan", &nan).read().unwrap();
    assert!(matches!(
        tensors.take("a", &[1]),
        Err(ModelError::Invalid {
            problem: InvalidModel::TensorNotFinite { .. },
            ..
        })
    ));
}

#[test]
fn every_truncation_and_every_lie_of_the_header_is_refused() {
    let whole = three();
    for len in 0..whole.len() {
        let scratch = Scratch::new("truncated", &whole[..len]);
        assert!(
            matches!(scratch.problem(), InvalidModel::Weights { .. }),
            "cut at {len}"
        );
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(matches!(
        Scratch::new("longer", &longer).problem(),
        InvalidModel::Weights { .. }
    ));
    for header in [
        r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,18446744073709551612]}}"#,
        r#"{"a":3}"#,
        "[",
    ] {
        let scratch = Scratch::new("lie", &file(header, &[0; 8]));
        assert!(
            matches!(scratch.problem(), InvalidModel::Weights { .. }),
            "{header}"
        );
    }
    let huge = [&u64::MAX.to_le_bytes()[..], &[b'{'; 100]].concat();
    assert!(matches!(
        Scratch::new("huge", &huge).problem(),
        InvalidModel::Weights { .. }
    ));
}

#[test]
fn half_precision_is_exact() {
    for (bits, value) in [
        (0x0000, 0.0),
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x0400, 2f32.powi(-14)),
        (0x0001, 2f32.powi(-24)),
        (0x83ff, -1023.0 * 2f32.powi(-24)),
        (0x3555, 1365.0 / 4096.0),
    ] {
        assert_eq!(half(bits), value, "{bits:#06x}");
    }
    assert_eq!(half(0x7c00), f32::INFINITY);
    assert!(half(0x7e00).is_nan() && half(0x8000).is_sign_negative());
}
