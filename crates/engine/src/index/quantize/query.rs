//! A vector prepared so that its keys to codes are estimated quickly.

mod of_code;

use super::super::Metric;
use super::encode::SMALLEST;
use super::{CodeBits, CodeRef, Factors, Quantizer, affine, bits, finish_key, full};
use crate::kernels::code::{CODE_ALIGN, CodeKernels, LINE, Line, code_kernels};

/// Adding this and subtracting it again rounds numbers of up to 2^22 to integers.
const ROUNDER: f32 = 12_582_912.0;

/// Where squared norms end. Elements of such vectors may have been cut, and what is computed from them is of no use.
const HUGE: f64 = f32::MAX as f64;

/// How keys are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Not prepared: everything is infinitely far.
    Empty,
    /// From the inner product with a 4-bit code.
    Dot4,
    /// From the inner product with an 8-bit code.
    Dot8,
    /// The taxicab distance to a 4-bit affine code.
    Affine4,
    /// The taxicab distance to an 8-bit affine code.
    Affine8,
    /// From the elements themselves.
    Full,
    /// From the bits themselves.
    Bits,
}

/// A prepared query. It can be prepared again for another vector without allocating.
///
/// For the forms with inner products, q' is the transformed vector minus the centre, rounded to 8 bits: `step * line`.
#[derive(Debug, Clone)]
pub struct Query {
    kernels: &'static CodeKernels,
    metric: Metric,
    form: Form,
    code_bytes: usize,
    /// The rounded query in the order of the code.
    lines: Vec<Line>,
    /// The transformed vector for the forms without inner products.
    values: Vec<f32>,
    /// The code of the query for the metrics of bits, and how many of it are set.
    bits: Vec<u8>,
    bits_set: u32,
    /// Whether codes are of projections.
    projected: bool,
    /// The value of 1 in `lines`.
    step: f64,
    /// What the middle of the grid adds to the inner product of code and lines.
    offset: f64,
    /// What each unit of a code's sum adds to the inner product of code and lines.
    sum_weight: f64,
    /// The squared norm of q'.
    norm_squared: f64,
    /// The inner product of the centre and the transformed vector.
    center_product: f64,
    /// The least possible key.
    lowest: f64,
}

impl Default for Query {
    /// A query that is not prepared: everything is infinitely far from it.
    fn default() -> Self {
        Self {
            kernels: code_kernels(),
            metric: Metric::L2,
            form: Form::Empty,
            code_bytes: 0,
            lines: Vec::new(),
            values: Vec::new(),
            bits: Vec::new(),
            bits_set: 0,
            projected: false,
            step: 0.0,
            offset: 0.0,
            sum_weight: 0.0,
            norm_squared: 0.0,
            center_product: 0.0,
            lowest: 0.0,
        }
    }
}

impl Query {
    /// Prepares for a transformed vector of the quantiser. After the first time nothing is allocated.
    pub fn prepare(&mut self, quantizer: &Quantizer, transformed: &[f32]) {
        self.kernels = quantizer.kernels;
        self.metric = quantizer.metric();
        self.code_bytes = quantizer.code_bytes();
        self.lowest = if self.metric == Metric::InnerProduct {
            f64::from(f32::MIN)
        } else {
            0.0
        };
        self.projected = quantizer.projected;
        self.lines.clear();
        self.values.clear();
        (self.step, self.offset, self.sum_weight) = (0.0, 0.0, 0.0);
        (self.norm_squared, self.center_product) = (0.0, 0.0);
        self.form = match quantizer.bits() {
            CodeBits::One => Form::Bits,
            CodeBits::ThirtyTwo => Form::Full,
            CodeBits::Four if affine::applies(self.metric, CodeBits::Four) => Form::Affine4,
            CodeBits::Four => Form::Dot4,
            CodeBits::Eight if affine::applies(self.metric, CodeBits::Eight) => Form::Affine8,
            CodeBits::Eight => Form::Dot8,
        };
        match self.form {
            Form::Dot4 => self.round(quantizer, transformed, 7.5),
            Form::Dot8 => self.round(quantizer, transformed, 127.5),
            Form::Full => {
                self.norm_squared = full::norm_squared(transformed);
                self.values.extend_from_slice(transformed);
                self.values.resize(self.code_bytes / size_of::<f32>(), 0.0);
            }
            Form::Bits => {
                self.bits.resize(self.code_bytes, 0);
                self.bits_set = bits::write(transformed, &mut self.bits).sum;
            }
            Form::Affine4 | Form::Affine8 | Form::Empty => self.values.extend_from_slice(transformed),
        }
    }

    /// Rounds q' to 8 bits; `half` is the middle of the grid.
    fn round(&mut self, quantizer: &Quantizer, transformed: &[f32], half: f64) {
        let center = &quantizer.center;
        let sums = self.kernels.center_sums(transformed, center);
        self.norm_squared = sums.norm_squared;
        self.center_product = sums.center_product + quantizer.center_norm_squared;
        let lines_per_code_line = if self.form == Form::Dot4 { 2 } else { 1 };
        self.lines
            .resize(self.code_bytes.div_ceil(LINE) * lines_per_code_line, Line::ZERO);
        let largest = self.kernels.largest(transformed, center);
        if largest < SMALLEST {
            return;
        }
        let inverse_step = 127.0 / largest;
        self.step = f64::from(largest) / 127.0;
        let round = |(x, c): (&f32, &f32)| ((x - c) * inverse_step + ROUNDER - ROUNDER) as i8;
        let mut sum = 0;
        // Groups of 32 dimensions are halves of lines. With 4 bits they are in the order low half of the first line, of the second
        // line, high half of the first line, of the second line.
        let groups = transformed.chunks(CODE_ALIGN).zip(center.chunks(CODE_ALIGN));
        for (index, (values, center)) in groups.enumerate() {
            let (line, upper) = match self.form {
                Form::Dot4 => (index / 4 * 2 + index % 2, index % 4 >= 2),
                _ => (index / 2, index % 2 == 1),
            };
            let Some(Line(line)) = self.lines.get_mut(line) else {
                break;
            };
            let (low, high) = line.split_at_mut(CODE_ALIGN);
            let group = if upper { high } else { low };
            for (element, pair) in group.iter_mut().zip(values.iter().zip(center)) {
                *element = round(pair);
                sum += i32::from(*element);
            }
        }
        self.offset = half * f64::from(sum);
    }

    /// The key between the query and a code, estimated. Bytes that are no code give some number or infinity.
    #[inline]
    #[must_use]
    pub fn estimate(&self, code: CodeRef<'_>) -> f32 {
        let Some(bytes) = code.code.get(..self.code_bytes) else {
            return f32::INFINITY;
        };
        match self.form {
            Form::Dot4 => self.dot_key(self.kernels.dot_u4_i8(bytes, &self.lines), &code.factors),
            Form::Dot8 => self.dot_key(self.kernels.dot_u8_i8(bytes, &self.lines), &code.factors),
            Form::Affine4 => {
                let grid = affine::grid(&code.factors);
                finish_key(f64::from(self.kernels.l1_u4(bytes, &self.values, grid)), 0.0)
            }
            Form::Affine8 => {
                let grid = affine::grid(&code.factors);
                finish_key(f64::from(self.kernels.l1_u8(bytes, &self.values, grid)), 0.0)
            }
            Form::Full => full::query_key(self.metric, &self.values, bytes),
            Form::Bits => bits::key(
                self.metric,
                (bytes, code.factors.sum),
                (&self.bits, self.bits_set),
            ),
            Form::Empty => f32::INFINITY,
        }
    }

    /// The key from the inner product of code and lines.
    #[inline]
    fn dot_key(&self, dot: i32, factors: &Factors) -> f32 {
        // Estimates <x, q'>: scale * <u, q'>.
        let grid_product = f64::from(dot) - self.offset + self.sum_weight * f64::from(factors.sum);
        let product = f64::from(factors.scale) * self.step * grid_product;
        let key = if self.metric == Metric::InnerProduct {
            -(product + f64::from(factors.bias) + self.center_product)
        } else {
            f64::from(factors.norm_squared) + self.norm_squared - 2.0 * product
        };
        finish_key(key, self.lowest)
    }

    /// A number that the true key is not below, but for rare cases, if `key` is the estimate for a code with these factors: `epsilon`
    /// standard deviations of the estimate lower, and what rounding in single precision may add to that. An estimate at the end
    /// of the range of numbers says nothing, nor does one of a projection: collisions may add any part of a distance. Only a taxicab
    /// distance they do not add to.
    #[must_use]
    pub fn lower_bound(&self, key: f32, factors: &Factors, epsilon: f32) -> f32 {
        if self.projected && self.metric != Metric::L1 {
            return f32::NEG_INFINITY;
        }
        let huge = |norm_squared: f64| norm_squared >= HUGE;
        if !(key > f32::MIN && key < f32::MAX) || huge(self.norm_squared) || huge(factors.norm_squared.into())
        {
            return f32::NEG_INFINITY;
        }
        // Sums of as many terms in lanes; each term is known to half a unit in the last place.
        let units = 4.0 + self.code_bytes as f32 / 64.0;
        // What the terms are made of can be larger than their sum.
        let terms = match (self.form, self.metric) {
            (Form::Full, Metric::InnerProduct) => {
                (self.norm_squared * f64::from(factors.norm_squared)).sqrt()
            }
            (Form::Full, Metric::Cosine) => 1.0,
            _ => 0.0,
        };
        let rounding = f32::EPSILON * units * (key.abs() + finish_key(terms, 0.0)) + f32::MIN_POSITIVE;
        key - epsilon * self.error_at(factors, key) - rounding
    }

    /// The standard deviation to expect of the difference between the estimate for a code with these factors and the true key,
    /// whatever that is. It is too great for codes near the query, for which there is [`Query::error_at`].
    #[must_use]
    pub fn error(&self, factors: &Factors) -> f32 {
        match self.form {
            Form::Affine4 | Form::Affine8 => finish_key(f64::from(factors.error), 0.0),
            Form::Full | Form::Bits | Form::Empty => 0.0,
            Form::Dot4 | Form::Dot8 => self.dot_error(factors, self.norm_squared),
        }
    }

    /// The standard deviation to expect of the difference between an estimate for a code with these factors and the true key.
    ///
    /// The rounding error of a code is orthogonal to its vector x, so only the part of q' that is orthogonal to x too takes part in
    /// it. That part is small for near vectors.
    #[must_use]
    pub fn error_at(&self, factors: &Factors, estimate: f32) -> f32 {
        if !matches!(self.form, Form::Dot4 | Form::Dot8) {
            return self.error(factors);
        }
        let norm_squared = f64::from(factors.norm_squared);
        let product = match self.metric {
            Metric::InnerProduct => -f64::from(estimate) - f64::from(factors.bias) - self.center_product,
            _ => (norm_squared + self.norm_squared - f64::from(estimate)) / 2.0,
        };
        // The product is itself off by about this.
        let product_error = f64::from(factors.error) * self.norm_squared.sqrt();
        let parallel = (product.abs() - product_error).max(0.0);
        let orthogonal = self.norm_squared - parallel * parallel / norm_squared.max(f64::MIN_POSITIVE);
        self.dot_error(factors, orthogonal.max(0.0))
    }

    /// The error where the part of q' that takes part in that of the code has the given squared norm.
    fn dot_error(&self, factors: &Factors, norm_squared: f64) -> f32 {
        // The rounding of the code, and that of the query, whose errors are uniform within half a step.
        let of_code = f64::from(factors.error).powi(2) * norm_squared;
        let of_query = f64::from(factors.norm_squared) * self.step * self.step / 12.0;
        let factor = if self.metric == Metric::InnerProduct {
            1.0
        } else {
            2.0
        };
        finish_key(factor * (of_code + of_query).sqrt(), 0.0)
    }
}
