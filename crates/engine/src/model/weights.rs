//! Reads the tensors of a safetensors file one at a time.
//!
//! The file is read front to back once: every byte goes into the fingerprint, and only the tensors that are asked for
//! are kept, as f32. At no time are file and tensors both in memory. Called by the model's loading.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use sha2::{Digest, Sha256};

use super::error::{ComputeError, InvalidModel, ModelError};

/// Largest header that is read, in bytes; the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Bytes that are read and hashed at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// Tensors by name, to be taken out one by one.
#[derive(Debug)]
pub(super) struct Tensors {
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
    file: PathBuf,
}

impl Tensors {
    /// Reads the tensors for which `wanted` is true and hashes the whole file.
    pub(super) fn read(
        folder: &Path,
        file: &Path,
        wanted: impl Fn(&str) -> bool,
        hasher: &mut Sha256,
    ) -> Result<Self, ModelError> {
        let opened = File::open(file).map_err(|source| match source.kind() {
            ErrorKind::NotFound => ModelError::Missing {
                folder: folder.to_path_buf(),
                file: file.strip_prefix(folder).unwrap_or(file).to_path_buf(),
            },
            _ => ModelError::Unreadable {
                file: file.to_path_buf(),
                source,
            },
        })?;
        let len = opened
            .metadata()
            .map_err(|source| ModelError::Unreadable {
                file: file.to_path_buf(),
                source,
            })?
            .len();
        let mut reader = Reader {
            inner: BufReader::with_capacity(CHUNK_BYTES, opened),
            file,
            hasher,
        };
        let metadata = reader.header(len)?;
        let mut tensors = HashMap::new();
        // In the order of their offsets, which `Metadata` has checked to leave no gap.
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else {
                continue;
            };
            if wanted(&name) {
                let values = reader.tensor(&name, info)?;
                tensors.insert(name, (info.shape.clone(), values));
            } else {
                reader.skip(info.data_offsets.1.saturating_sub(info.data_offsets.0))?;
            }
        }
        Ok(Self {
            tensors,
            file: file.to_path_buf(),
        })
    }

    /// Takes a tensor out; its memory is the caller's from then on.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let (found, values) = self.tensors.remove(name).ok_or_else(|| {
            ModelError::invalid(
                &self.file,
                InvalidModel::TensorAbsent {
                    name: name.to_owned(),
                },
            )
        })?;
        if found != shape {
            let problem = InvalidModel::TensorShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found,
            };
            return Err(ModelError::invalid(&self.file, problem));
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(ModelError::invalid(
                &self.file,
                InvalidModel::TensorNotFinite {
                    name: name.to_owned(),
                },
            ));
        }
        Ok(values)
    }

    /// Whether a tensor of this name was read and not yet taken.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

struct Reader<'a> {
    inner: BufReader<File>,
    file: &'a Path,
    hasher: &'a mut Sha256,
}

impl Reader<'_> {
    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), ModelError> {
        self.inner
            .read_exact(buffer)
            .map_err(|source| ModelError::Unreadable {
                file: self.file.to_path_buf(),
                source,
            })?;
        self.hasher.update(&*buffer);
        Ok(())
    }

    fn invalid(&self, detail: impl ToString) -> ModelError {
        ModelError::invalid(
            self.file,
            InvalidModel::Weights {
                detail: detail.to_string(),
            },
        )
    }

    fn header(&mut self, file_len: u64) -> Result<Metadata, ModelError> {
        let mut length = [0; 8];
        if file_len < 8 {
            return Err(self.invalid("shorter than a header"));
        }
        self.exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER_BYTES || length > file_len - 8 {
            return Err(self.invalid(format_args!("header of {length} bytes in a file of {file_len}")));
        }
        let mut header = vec![0; length as usize];
        self.exact(&mut header)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| self.invalid(error))?;
        let expected = length
            .saturating_add(8)
            .saturating_add(metadata.data_len() as u64);
        if expected != file_len {
            return Err(self.invalid(format_args!("{file_len} bytes, the header promises {expected}")));
        }
        Ok(metadata)
    }

    fn skip(&mut self, mut bytes: usize) -> Result<(), ModelError> {
        let mut chunk = [0; 4096];
        while bytes > 0 {
            let step = bytes.min(chunk.len());
            self.exact(&mut chunk[..step])?;
            bytes -= step;
        }
        Ok(())
    }

    fn tensor(&mut self, name: &str, info: &TensorInfo) -> Result<Vec<f32>, ModelError> {
        let element_bytes = match info.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            other => {
                let problem = InvalidModel::TensorType {
                    name: name.to_owned(),
                    found: format!("{other:?}"),
                };
                return Err(ModelError::invalid(self.file, problem));
            }
        };
        // `Metadata` has checked that shape and offsets agree, `header` that the file is that long.
        let mut left = info.data_offsets.1.saturating_sub(info.data_offsets.0) / element_bytes;
        let mut values: Vec<f32> = Vec::new();
        values
            .try_reserve_exact(left)
            .map_err(|_| ComputeError::OutOfMemory {
                bytes: left.saturating_mul(size_of::<f32>()),
            })?;
        let mut chunk = [0; 4096];
        while left > 0 {
            let count = left.min(chunk.len() / element_bytes);
            let bytes = &mut chunk[..count * element_bytes];
            self.exact(bytes)?;
            match info.dtype {
                Dtype::F16 => values.extend(bytes.as_chunks().0.iter().map(|&b| half(u16::from_le_bytes(b)))),
                Dtype::BF16 => values.extend(
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
                ),
                _ => values.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            }
            left -= count;
        }
        Ok(values)
    }
}

/// The number that an IEEE half-precision pattern stands for.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff);
    let value = if magnitude >= 0x7c00 {
        // Infinity and NaN keep their pattern.
        f32::from_bits(0x7f80_0000 | (magnitude & 0x3ff) << 13)
    } else {
        // Exponent and fraction in place, then 2^112 makes up for the difference of the biases; exact, subnormals too.
        f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23)
    };
    f32::from_bits(value.to_bits() | sign)
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
