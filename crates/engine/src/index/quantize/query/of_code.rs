//! A code as a query: to link elements of which only the codes are left.

use super::{Form, Query};
use crate::index::Metric;
use crate::index::quantize::{CodeBits, CodeRef, Factors, Quantizer, affine};
use crate::kernels::code::{LINE, Line};

impl Query {
    /// Prepares for the vector that a code stands for. Estimates then are those of [`Quantizer::between`], up to rounding in the
    /// last digits, and come faster. After the first time nothing is allocated.
    pub fn prepare_code(&mut self, quantizer: &Quantizer, code: CodeRef<'_>) {
        // Sets what does not depend on the vector. An empty vector has no elements to round.
        self.prepare(quantizer, &[]);
        let Some(bytes) = code.code.get(..self.code_bytes) else {
            self.form = Form::Empty;
            return;
        };
        let dims = quantizer.dims();
        match self.form {
            Form::Dot4 => self.lines_of_four_bits(bytes, &code.factors, dims),
            Form::Dot8 => self.lines_of_eight_bits(bytes, &code.factors, dims),
            Form::Full => {
                self.values.clear();
                let elements = bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|element| f32::from_le_bytes(*element));
                self.values.extend(elements);
            }
            Form::Bits => {
                self.bits.copy_from_slice(bytes);
                self.bits_set = code.factors.sum;
            }
            Form::Affine4 | Form::Affine8 => {
                let grid = affine::grid(&code.factors);
                let code_of = |dim| match quantizer.bits() {
                    CodeBits::Four => four_bits(bytes, dim),
                    _ => bytes.get(dim).copied().unwrap_or(0),
                };
                self.values
                    .extend((0..dims).map(|dim| grid.low + grid.step * f32::from(code_of(dim))));
            }
            Form::Empty => {}
        }
        if matches!(self.form, Form::Dot4 | Form::Dot8) {
            self.norm_squared = f64::from(code.factors.norm_squared);
            self.center_product = f64::from(code.factors.bias) + quantizer.center_norm_squared;
            debug_assert!(self.metric != Metric::L1);
        }
    }

    /// The grid value c - 15/2 of a code is half of 2c - 15, which is an integer of 8 bits.
    fn lines_of_four_bits(&mut self, code: &[u8], factors: &Factors, dims: usize) {
        self.step = f64::from(factors.scale) / 2.0;
        // Padding, which codes have behind their last dimension, multiplies zeros and is not in the sum.
        let sum = 2.0 * f64::from(factors.sum) - 15.0 * dims as f64;
        self.offset = 7.5 * sum;
        for (block, lines) in code.chunks(LINE).zip(self.lines.as_chunks_mut::<2>().0) {
            let [Line(low), Line(high)] = lines;
            for ((byte, low), high) in block.iter().zip(low).zip(high) {
                *low = 2 * (byte & 15).cast_signed() - 15;
                *high = 2 * (byte >> 4).cast_signed() - 15;
            }
        }
    }

    /// The grid value c - 255/2 of a code is c - 128, an integer of 8 bits, and a half, which multiplies the sum of the other code.
    fn lines_of_eight_bits(&mut self, code: &[u8], factors: &Factors, dims: usize) {
        self.step = f64::from(factors.scale);
        self.sum_weight = 0.5;
        let sum = f64::from(factors.sum) - 128.0 * dims as f64;
        self.offset = 127.5 * (sum + 0.5 * dims as f64);
        for (block, Line(line)) in code.chunks(LINE).zip(&mut self.lines) {
            for (byte, element) in block.iter().zip(line) {
                *element = (byte ^ 128).cast_signed();
            }
        }
    }
}

/// One dimension of a 4-bit code.
fn four_bits(code: &[u8], dim: usize) -> u8 {
    let byte = code.get(dim / 64 * 32 + dim % 32).copied().unwrap_or(0);
    if dim % 64 < 32 { byte & 15 } else { byte >> 4 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_code_as_a_query_estimates_what_lies_between_the_codes() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.4
        };
        for dims in [3, 33, 96, 200, 383] {
            for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1] {
                for bits in [CodeBits::Four, CodeBits::Eight, CodeBits::ThirtyTwo] {
                    let center: Vec<f32> = (0..dims).map(|_| 0.3 * random()).collect();
                    let quantizer = Quantizer::new(metric, dims, bits, 7, &center).unwrap();
                    let mut query = Query::default();
                    let mut coded = || {
                        let vector: Vec<f32> = (0..dims).map(|_| random()).collect();
                        let mut transformed = vec![0.0; dims];
                        quantizer.transform(&vector, &mut transformed);
                        let mut code = vec![0; quantizer.code_bytes()];
                        (quantizer.encode(&transformed, &mut code), code)
                    };
                    for _ in 0..5 {
                        let ((a_factors, a), (b_factors, b)) = (coded(), coded());
                        let a = CodeRef {
                            factors: a_factors,
                            code: &a,
                        };
                        let b = CodeRef {
                            factors: b_factors,
                            code: &b,
                        };
                        query.prepare_code(&quantizer, a);
                        let (expected, estimate) = (quantizer.between(a, b), query.estimate(b));
                        let scale = expected.abs().max(1.0);
                        assert!(
                            (expected - estimate).abs() <= 1e-4 * scale,
                            "{metric:?} {bits:?} {dims}: {expected} {estimate}"
                        );
                        let itself = query.estimate(a);
                        assert!((itself - quantizer.between(a, a)).abs() <= 1e-4 * itself.abs().max(1.0));
                    }
                }
            }
        }
    }

    #[test]
    fn a_code_that_is_too_short_is_infinitely_far() {
        let quantizer = Quantizer::new(Metric::L2, 64, CodeBits::Eight, 7, &[]).unwrap();
        let mut query = Query::default();
        query.prepare_code(
            &quantizer,
            CodeRef {
                factors: Factors::default(),
                code: &[0; 32],
            },
        );
        assert!(
            query
                .estimate(CodeRef {
                    factors: Factors::default(),
                    code: &[0; 64]
                })
                .is_infinite()
        );
    }
}
