//! The code kernels in plain Rust, always inlined so that each level compiles them for its instruction set.
//!
//! Floats are summed in a fixed number of lanes, which the compiler turns into vector registers of whatever width there is; the
//! order of additions is therefore part of the source and the same at every level.

mod grid;
mod product;
mod rotate;
mod taxicab;

pub(super) use grid::{center_sums, fit, largest, write_u4, write_u8};
pub(super) use product::{dot_u4_i8, dot_u4_u4, dot_u8_i8, dot_u8_u8};
pub(super) use rotate::{hadamard_block, rotate_round};
pub(super) use taxicab::{l1_u4, l1_u4_u4, l1_u8, l1_u8_u8};

/// Lanes that floats are summed in, two registers of AVX-512.
const LANES: usize = 32;

/// Expands to the kernels over floats for one instruction set.
macro_rules! float_kernels {
    ($(#[$features:meta])*) => {
        use $crate::kernels::code::{AffineGrid, CenterSums, GridFit, Round, SymmetricGrid};

        $(#[$features])*
        fn rotate_round(vector: &mut [f32], signs: &[f32], round: Round) {
            body::rotate_round(vector, signs, round, |block| hadamard_block(block));
        }
        $(#[$features])*
        fn largest(vector: &[f32], center: &[f32]) -> f32 {
            body::largest(vector, center)
        }
        $(#[$features])*
        fn center_sums(vector: &[f32], center: &[f32]) -> CenterSums {
            body::center_sums(vector, center)
        }
        $(#[$features])*
        fn fit(vector: &[f32], center: &[f32], grid: SymmetricGrid) -> GridFit {
            body::fit(vector, center, grid)
        }
        $(#[$features])*
        fn write_u4(vector: &[f32], center: &[f32], grid: SymmetricGrid, out: &mut [u8]) -> u32 {
            body::write_u4(vector, center, grid, out)
        }
        $(#[$features])*
        fn write_u8(vector: &[f32], center: &[f32], grid: SymmetricGrid, out: &mut [u8]) -> u32 {
            body::write_u8(vector, center, grid, out)
        }
        $(#[$features])*
        fn l1_u4(code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
            body::l1_u4(code, query, grid)
        }
        $(#[$features])*
        fn l1_u8(code: &[u8], query: &[f32], grid: AffineGrid) -> f32 {
            body::l1_u8(code, query, grid)
        }
        $(#[$features])*
        fn l1_u4_u4(a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
            body::l1_u4_u4(a, b, dims, grids)
        }
        $(#[$features])*
        fn l1_u8_u8(a: &[u8], b: &[u8], dims: usize, grids: [AffineGrid; 2]) -> f32 {
            body::l1_u8_u8(a, b, dims, grids)
        }
    };
}
pub(super) use float_kernels;

/// The sum of the lanes, by halves.
#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(x, y)| *x += *y);
        half /= 2;
    }
    let [total, ..] = lanes;
    total
}
