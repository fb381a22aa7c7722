//! The kernels in plain Rust, written so that the compiler turns the lane loops into vector instructions of
//! the target's baseline.

/// f32 lanes that are added up side by side.
const LANES: usize = 4;
/// The lanes of one register or a few.
type Lanes = [f32; LANES];
/// As many sums in f64.
type Wide = [f64; LANES];

#[inline(always)]
fn zip_lanes(a: Lanes, b: Lanes, operation: impl Fn(f32, f32) -> f32) -> Lanes {
    let mut result = a;
    for (x, y) in result.iter_mut().zip(b) {
        *x = operation(*x, y);
    }
    result
}

#[inline(always)]
fn zero() -> Lanes {
    [0.0; LANES]
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    zip_lanes(a, b, |x, y| x + y)
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    zip_lanes(a, b, |x, y| x - y)
}

#[inline(always)]
fn abs(a: Lanes) -> Lanes {
    a.map(f32::abs)
}

#[inline(always)]
fn fused(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    // Where the baseline has no fused instruction, `mul_add` would be a slow library call.
    if cfg!(target_arch = "aarch64") {
        let mut result = c;
        for ((sum, x), y) in result.iter_mut().zip(a).zip(b) {
            *sum = x.mul_add(y, *sum);
        }
        result
    } else {
        add(zip_lanes(a, b, |x, y| x * y), c)
    }
}

#[inline(always)]
fn wide_zero() -> Wide {
    [0.0; LANES]
}

#[inline(always)]
fn widen(mut sums: Wide, lanes: Lanes) -> Wide {
    for (sum, lane) in sums.iter_mut().zip(lanes) {
        *sum += f64::from(lane);
    }
    sums
}

#[inline(always)]
fn wide_total(sums: Wide) -> f64 {
    sums.iter().sum()
}

/// Kernels for `f32`.
pub(super) mod single {
    use super::{LANES, Lanes, abs, add, fused, sub, wide_total, wide_zero, widen, zero};
    use crate::kernels::{Level, body::define_kernels};

    define_kernels!(Level::Portable, f32);

    #[inline(always)]
    fn load(source: &[f32; LANES]) -> Lanes {
        *source
    }

    #[inline(always)]
    fn load_tail(source: &[f32]) -> Lanes {
        let mut lanes = zero();
        lanes
            .iter_mut()
            .zip(source)
            .for_each(|(lane, value)| *lane = *value);
        lanes
    }
}

/// Kernels for `f16`.
pub(super) mod half {
    use super::{LANES, Lanes, abs, add, fused, sub, wide_total, wide_zero, widen, zero};
    use crate::kernels::{Level, body::define_kernels};
    use ::half::f16;

    define_kernels!(Level::Portable, f16);

    /// Converts without a branch, so that the lanes convert side by side: shifted into place, the bits of a
    /// half are those of an f32 that is 2^112 times too small. Infinity and NaN, which vectors never hold,
    /// would become finite.
    #[inline(always)]
    fn to_f32(value: f16) -> f32 {
        let bits = i32::from(value.to_bits() as i16);
        // Sign and magnitude in one: the shift copies the sign to the top, the mask keeps it and 15 bits of
        // magnitude.
        let narrow = f32::from_bits((bits << 13) as u32 & 0x8fff_e000);
        narrow * f32::from_bits((112 + 127) << 23)
    }

    #[inline(always)]
    fn load(source: &[f16; LANES]) -> Lanes {
        let mut lanes = zero();
        lanes
            .iter_mut()
            .zip(source)
            .for_each(|(lane, value)| *lane = to_f32(*value));
        lanes
    }

    #[inline(always)]
    fn load_tail(source: &[f16]) -> Lanes {
        let mut lanes = zero();
        lanes
            .iter_mut()
            .zip(source)
            .for_each(|(lane, value)| *lane = to_f32(*value));
        lanes
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn to_f32_is_exact_for_every_finite_half() {
            for bits in 0..=u16::MAX {
                let value = f16::from_bits(bits);
                if value.is_finite() {
                    assert_eq!(to_f32(value).to_bits(), value.to_f32().to_bits(), "{bits:#06x}");
                }
            }
        }
    }
}
