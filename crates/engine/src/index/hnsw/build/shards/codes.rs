//! Codes of elements in memory.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use crate::index::IndexError;
use crate::index::hnsw::Index;
use crate::index::hnsw::queue::reserve;
use crate::index::quantize::{CodeRef, Factors};

/// Codes of elements, one after the other.
#[derive(Debug, Default)]
pub(super) struct Codes {
    factors: Vec<Factors>,
    bytes: Vec<u8>,
    code_bytes: usize,
}

impl Codes {
    /// Room for so many codes.
    pub(super) fn with_capacity(index: &Index, count: usize) -> Result<Self, IndexError> {
        let mut codes = Codes {
            code_bytes: index.quantizer.code_bytes(),
            ..Codes::default()
        };
        reserve(&mut codes.factors, count, "sample of an index build")?;
        reserve(
            &mut codes.bytes,
            count * codes.code_bytes,
            "sample of an index build",
        )?;
        Ok(codes)
    }

    /// What one code takes.
    pub(super) fn bytes_each(index: &Index) -> usize {
        size_of::<Factors>() + index.quantizer.code_bytes()
    }

    pub(super) fn len(&self) -> usize {
        self.factors.len()
    }

    pub(super) fn clear(&mut self) {
        self.factors.clear();
        self.bytes.clear();
    }

    /// Adds a code; there is room for it.
    pub(super) fn push(&mut self, code: CodeRef<'_>) {
        self.factors.push(code.factors);
        self.bytes.extend_from_slice(code.code);
    }

    pub(super) fn get(&self, at: usize) -> CodeRef<'_> {
        CodeRef {
            factors: self.factors[at],
            code: &self.bytes[at * self.code_bytes..(at + 1) * self.code_bytes],
        }
    }
}
