//! From vectors to codes, and between codes.

use super::super::{IndexError, Metric};
use super::rotation::Rotation;
use super::{CodeBits, CodeRef, Factors, Query, Rankable, affine, bits, encode, finish_key, full};
use crate::kernels::code::{CODE_ALIGN, CodeKernels, code_kernels};
use crate::vector::{Element, MAX_DIMENSIONS};

/// The block where an index keeps the centre.
const CENTER_BLOCK: u32 = 1;
/// Elements to be coded stay within this, so that their differences are finite.
const LARGEST: f32 = f32::MAX / 4.0;
/// Vectors whose largest element is outside of these are rotated as a multiple by a power of two.
const UNSCALED: std::ops::Range<f32> = 1e-18..1e18;

/// How the vectors of one index become codes. Immutable, a function of what it is made from.
#[derive(Debug)]
pub struct Quantizer {
    pub(super) kernels: &'static CodeKernels,
    metric: Metric,
    bits: CodeBits,
    dims: usize,
    rotation: Rotation,
    /// What is subtracted from transformed vectors, of `dims` elements.
    pub(super) center: Vec<f32>,
    /// The squared norm of the centre.
    pub(super) center_norm_squared: f64,
    /// Whether what is coded are projections, whose distances are not those of the vectors.
    pub(super) projected: bool,
}

impl Quantizer {
    /// A quantiser for vectors of `dims` dimensions; of bits there may be any number. `center` is in the space of transformed vectors; empty stands for zero, and
    /// it is ignored where [`Quantizer::uses_center`] says so.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for dimensions outside 1 to 16,000, [`IndexError::Corrupt`] for a centre of another length or not
    /// finite, [`IndexError::OutOfMemory`].
    pub fn new(
        metric: Metric,
        dims: usize,
        bits: CodeBits,
        seed: u64,
        center: &[f32],
    ) -> Result<Self, IndexError> {
        if dims == 0 || (dims > MAX_DIMENSIONS && bits != CodeBits::One) {
            return Err(IndexError::Limit {
                what: "number of dimensions",
                value: dims as u64,
                limit: MAX_DIMENSIONS as u64,
            });
        }
        let is_coded = Self::uses_center(metric, bits);
        let rotation = if is_coded {
            Rotation::new(dims, seed)?
        } else {
            Rotation::identity(dims)
        };
        let center = if is_coded { center } else { &[] };
        if !center.is_empty()
            && (center.len() != dims || center.iter().any(|x| x.is_nan() || x.abs() > LARGEST))
        {
            return Err(IndexError::Corrupt {
                block: CENTER_BLOCK,
                what: "the centre has another number of dimensions or is not finite",
            });
        }
        let mut own_center = Vec::new();
        own_center
            .try_reserve_exact(dims)
            .map_err(|_| IndexError::OutOfMemory {
                what: "centre of the vectors",
                bytes: dims * size_of::<f32>(),
            })?;
        own_center.extend_from_slice(center);
        own_center.resize(dims, 0.0);
        let center_norm_squared = own_center.iter().map(|x| f64::from(*x).powi(2)).sum();
        Ok(Self {
            kernels: code_kernels(),
            metric,
            bits,
            dims,
            rotation,
            center: own_center,
            center_norm_squared,
            projected: false,
        })
    }

    /// The same for vectors that are projected before.
    #[must_use]
    pub fn of_projected(self) -> Self {
        Self {
            projected: true,
            ..self
        }
    }

    /// Whether codes of this kind are taken relative to a centre. If not, it need not be computed.
    #[must_use]
    pub fn uses_center(metric: Metric, bits: CodeBits) -> bool {
        metric != Metric::L1 && matches!(bits, CodeBits::Four | CodeBits::Eight)
    }

    /// The number of dimensions.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The bits per dimension.
    #[must_use]
    pub fn bits(&self) -> CodeBits {
        self.bits
    }

    /// The bytes of a code, a multiple of 32.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        match self.bits {
            CodeBits::One => self.dims.div_ceil(8).next_multiple_of(CODE_ALIGN),
            CodeBits::Four => self.dims.div_ceil(2 * CODE_ALIGN) * CODE_ALIGN,
            CodeBits::Eight => self.dims.next_multiple_of(CODE_ALIGN),
            CodeBits::ThirtyTwo => (4 * self.dims).next_multiple_of(CODE_ALIGN),
        }
    }

    /// Writes the vector to `out` as it is coded, except for the centre: normalised under cosine, and rotated. Both have as many
    /// elements as the quantiser has dimensions.
    pub fn transform<T: Element>(&self, vector: &[T], out: &mut [f32]) -> Rankable {
        for (out, x) in out.iter_mut().zip(vector) {
            *out = x.to_f32();
        }
        self.transform_in_place(out)
    }

    /// [`Quantizer::transform`] of what `out` holds.
    pub fn transform_in_place(&self, out: &mut [f32]) -> Rankable {
        let largest = if self.metric == Metric::Cosine {
            let squares = out.iter().map(|x| f64::from(*x).powi(2));
            let norm = squares.sum::<f64>().sqrt();
            if !norm.is_normal() {
                out.fill(0.0);
                return Rankable::No;
            }
            let inverse = 1.0 / norm;
            out.iter_mut().for_each(|x| *x = (f64::from(*x) * inverse) as f32);
            1.0
        } else {
            out.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()))
        };
        if matches!(self.bits, CodeBits::ThirtyTwo | CodeBits::One) {
            return Rankable::Yes;
        }
        if self.rotation.is_identity() {
            out.iter_mut().for_each(|x| *x = x.clamp(-LARGEST, LARGEST));
        } else if largest == 0.0 || UNSCALED.contains(&largest) {
            self.rotation.apply(self.kernels, out);
        } else {
            self.rotate_scaled(out, largest);
        }
        Rankable::Yes
    }

    /// Rotates a vector whose elements could overflow or lose digits to underflow on the way.
    fn rotate_scaled(&self, vector: &mut [f32], largest: f32) {
        let scale = 2.0_f64.powi(-f64::from(largest).log2().floor() as i32);
        vector
            .iter_mut()
            .for_each(|x| *x = (f64::from(*x) * scale) as f32);
        self.rotation.apply(self.kernels, vector);
        let limit = f64::from(LARGEST);
        vector
            .iter_mut()
            .for_each(|x| *x = (f64::from(*x) / scale).clamp(-limit, limit) as f32);
    }

    /// Codes a transformed vector. `out` has [`Quantizer::code_bytes`], all of which are written.
    pub fn encode(&self, transformed: &[f32], out: &mut [u8]) -> Factors {
        if self.bits == CodeBits::One {
            return bits::write(transformed, out);
        }
        if self.bits == CodeBits::ThirtyTwo {
            full::write(transformed, out);
            return Factors {
                norm_squared: super::saturate(full::norm_squared(transformed)),
                scale: 1.0,
                ..Factors::default()
            };
        }
        if affine::applies(self.metric, self.bits) {
            return affine::encode(transformed, self.bits, out);
        }
        encode::encode(self.kernels, self.bits, transformed, &self.center, out)
    }

    /// Prepares a transformed vector as a query. [`Query::prepare`] does so without allocating.
    #[must_use]
    pub fn query(&self, transformed: &[f32]) -> Query {
        let mut query = Query::default();
        query.prepare(self, transformed);
        query
    }

    /// The key between two codes, estimated.
    ///
    /// The estimate is unbiased while the rounding errors of the two are independent, as they are unless the vectors differ by
    /// less than about a step of the grid; those come out too near, at most by the squared error of a code.
    #[must_use]
    pub fn between(&self, a: CodeRef<'_>, b: CodeRef<'_>) -> f32 {
        let bytes = self.code_bytes();
        let (Some(a_code), Some(b_code)) = (a.code.get(..bytes), b.code.get(..bytes)) else {
            return f32::INFINITY;
        };
        if self.bits == CodeBits::One {
            return bits::key(self.metric, (a_code, a.factors.sum), (b_code, b.factors.sum));
        }
        if self.bits == CodeBits::ThirtyTwo {
            return full::code_key(self.metric, a_code, b_code);
        }
        if self.metric == Metric::L1 {
            let grids = [affine::grid(&a.factors), affine::grid(&b.factors)];
            let key = match self.bits {
                CodeBits::Four => self.kernels.l1_u4_u4(a_code, b_code, self.dims, grids),
                _ => self.kernels.l1_u8_u8(a_code, b_code, self.dims, grids),
            };
            return finish_key(f64::from(key), 0.0);
        }
        let (dot, half) = match self.bits {
            CodeBits::Four => (self.kernels.dot_u4_u4(a_code, b_code), 7.5),
            _ => (self.kernels.dot_u8_u8(a_code, b_code), 127.5),
        };
        // The sum of (a_i - half)(b_i - half).
        let sums = f64::from(a.factors.sum) + f64::from(b.factors.sum);
        let grid_product = f64::from(dot) - half * sums + half * half * self.dims as f64;
        let product = f64::from(a.factors.scale) * f64::from(b.factors.scale) * grid_product;
        if self.metric == Metric::InnerProduct {
            let biases = f64::from(a.factors.bias) + f64::from(b.factors.bias);
            return finish_key(
                -(product + biases + self.center_norm_squared),
                f64::from(f32::MIN),
            );
        }
        let norms = f64::from(a.factors.norm_squared) + f64::from(b.factors.norm_squared);
        finish_key(norms - 2.0 * product, 0.0)
    }

    /// By what the links of a graph that are not diverse are ranked; `key` is that between the owner of the list and the code.
    ///
    /// It is the key itself, except for the inner product. There the nearest by key are the same few long vectors for most
    /// owners: a graph of such links alone reaches nothing else. So links are filled with the nearest by L2, here the squared
    /// distance less the squared norm of the owner, which is the same for all candidates.
    #[must_use]
    pub fn fill_key(&self, key: f32, code: CodeRef<'_>) -> f32 {
        if self.metric != Metric::InnerProduct {
            return key;
        }
        let norm_squared = match self.bits {
            CodeBits::ThirtyTwo => -f64::from(self.between(code, code)),
            // Of what was coded and the centre, as [`Factors`] has it.
            _ => {
                let Factors {
                    norm_squared, bias, ..
                } = code.factors;
                f64::from(norm_squared) + 2.0 * f64::from(bias) + self.center_norm_squared
            }
        };
        finish_key(norm_squared + 2.0 * f64::from(key), f64::from(f32::MIN))
    }
}
