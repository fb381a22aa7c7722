//! Matrix product against a packed right-hand side.
//!
//! The right-hand side (weights, or the keys and values of one attention head) is stored in panels of two or
//! three vector registers of columns, so that the inner loop reads it in order; the left-hand side is read in place, any
//! row stride. A register tile of `TILE_ROWS` × `PANEL_VECTORS` is accumulated over the whole depth. Weights are packed
//! once at load, so a single short text pays no packing.

use super::{InstructionSet, Kernels, vector::Vector};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

/// Columns of the widest panel, over all instruction sets.
const MAX_PANEL_COLUMNS: usize = 48;

/// A matrix of `depth` × `columns`, stored for the inner loop of one instruction set.
#[derive(Debug)]
pub(in crate::model) struct PackedMatrix {
    /// Panels one after the other, each row-major `depth` × panel width; missing columns are zero.
    data: Vec<f32>,
    depth: usize,
    columns: usize,
    kernels: Kernels,
}

impl PackedMatrix {
    /// An empty matrix for these kernels, to be filled by [`PackedMatrix::pack`].
    pub(in crate::model) fn new(kernels: Kernels) -> Self {
        Self {
            data: Vec::new(),
            depth: 0,
            columns: 0,
            kernels,
        }
    }

    /// Floats that a matrix of this shape occupies packed; `None` when that exceeds the address space.
    pub(in crate::model) fn packed_len(kernels: Kernels, depth: usize, columns: usize) -> Option<usize> {
        columns
            .checked_next_multiple_of(kernels.lanes())?
            .checked_mul(depth)
    }

    /// Replaces the content by `depth` × `columns` numbers; `fill(k, first, target)` writes those of row k from
    /// column `first` on. Memory is reused.
    ///
    /// # Errors
    /// The bytes that could not be allocated.
    pub(in crate::model) fn pack(
        &mut self,
        depth: usize,
        columns: usize,
        mut fill: impl FnMut(usize, usize, &mut [f32]),
    ) -> Result<(), usize> {
        let len = Self::packed_len(self.kernels, depth, columns).ok_or(usize::MAX)?;
        self.data.clear();
        self.data
            .try_reserve_exact(len)
            .map_err(|_| len.saturating_mul(size_of::<f32>()))?;
        self.data.resize(len, 0.0);
        self.depth = depth;
        self.columns = columns;
        let lanes = self.kernels.lanes();
        let mut rest = &mut self.data[..len];
        let mut first = 0;
        while first < columns {
            let used = (columns - first).min(self.kernels.panel_vectors() * lanes);
            let width = used.next_multiple_of(lanes);
            let (panel, behind) = rest.split_at_mut(width * depth);
            for (k, row) in panel.chunks_exact_mut(width).enumerate() {
                fill(k, first, &mut row[..used]);
            }
            rest = behind;
            first += used;
        }
        Ok(())
    }
}

/// Rows of a left-hand side: `count` rows of the depth asked for, `stride` floats apart.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct Rows<'a> {
    pub(in crate::model) data: &'a [f32],
    pub(in crate::model) stride: usize,
    pub(in crate::model) count: usize,
}

/// What the product is added to.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) enum Init<'a> {
    /// Nothing.
    Zero,
    /// A vector of one number per column.
    Bias(&'a [f32]),
    /// A vector of one number per column, and what the output holds already.
    BiasAndOutput(&'a [f32]),
}

impl Kernels {
    /// output = left × right + init, row r of the output beginning at `r * output_stride`.
    ///
    /// # Panics
    /// When a slice is too short for the shapes, or `right` was packed for other kernels.
    pub(in crate::model) fn matmul(
        self,
        left: Rows<'_>,
        right: &PackedMatrix,
        init: Init<'_>,
        output: &mut [f32],
        output_stride: usize,
    ) {
        if left.count == 0 || right.columns == 0 {
            return;
        }
        // Everything the unsafe code below relies on.
        assert!(right.kernels == self, "matrix packed for other kernels");
        let packed = right.data.as_slice();
        let needed = PackedMatrix::packed_len(self, right.depth, right.columns);
        assert!(
            needed.is_some_and(|needed| packed.len() >= needed),
            "right side too short"
        );
        assert!(
            left.data.len() >= last_row(left.count, left.stride) + right.depth,
            "left side too short"
        );
        assert!(
            output_stride >= right.columns || left.count == 1,
            "output rows overlap"
        );
        assert!(
            output.len() >= last_row(left.count, output_stride) + right.columns,
            "output too short"
        );
        if let Init::Bias(bias) | Init::BiasAndOutput(bias) = init {
            assert!(bias.len() == right.columns, "bias of another length");
        }
        let product = Product {
            left: left.data.as_ptr(),
            left_stride: left.stride,
            rows: left.count,
            right: packed.as_ptr(),
            depth: right.depth,
            columns: right.columns,
            bias: match init {
                Init::Zero => std::ptr::null(),
                Init::Bias(bias) | Init::BiasAndOutput(bias) => bias.as_ptr(),
            },
            add_output: matches!(init, Init::BiasAndOutput(_)),
            output: output.as_mut_ptr(),
            output_stride,
        };
        match self.set {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Kernels::available` detected AVX-512F; the assertions above hold for the pointers.
            InstructionSet::Avx512 => unsafe { multiply_avx512(&product) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Kernels::available` detected AVX2 and FMA; the assertions above hold for the pointers.
            InstructionSet::Avx2 => unsafe { multiply_avx2(&product) },
            // SAFETY: needs no instruction beyond the target's; the assertions above hold for the pointers.
            InstructionSet::Baseline => unsafe { multiply::<[f32; 4]>(&product) },
        }
    }
}

fn last_row(rows: usize, stride: usize) -> usize {
    rows.saturating_sub(1).saturating_mul(stride)
}

/// One product, unchecked; [`Kernels::matmul`] vouches for the lengths.
struct Product {
    left: *const f32,
    left_stride: usize,
    rows: usize,
    right: *const f32,
    depth: usize,
    columns: usize,
    /// `columns` numbers, or null.
    bias: *const f32,
    add_output: bool,
    output: *mut f32,
    output_stride: usize,
}

#[cfg(target_arch = "x86_64")]
/// # Safety
/// The processor has AVX-512F, and the pointers of `product` are valid for its shapes.
#[target_feature(enable = "avx512f")]
unsafe fn multiply_avx512(product: &Product) {
    // SAFETY: this function's own contract.
    unsafe { multiply::<__m512>(product) }
}

#[cfg(target_arch = "x86_64")]
/// # Safety
/// The processor has AVX2 and FMA, and the pointers of `product` are valid for its shapes.
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_avx2(product: &Product) {
    // SAFETY: this function's own contract.
    unsafe { multiply::<__m256>(product) }
}

/// # Safety
/// The processor has the instructions of `V`, and the pointers of `product` are valid for its shapes.
#[inline(always)]
#[allow(clippy::multiple_unsafe_ops_per_block)] // One call of three.
unsafe fn multiply<V: Vector>(product: &Product) {
    const {
        assert!(
            V::PANEL_VECTORS * V::LANES <= MAX_PANEL_COLUMNS && V::PANEL_VECTORS <= 3 && V::TILE_ROWS <= 8
        )
    };
    let tiles = product.rows.div_ceil(V::TILE_ROWS);
    let mut column = 0;
    while column < product.columns {
        let width = (product.columns - column).min(V::PANEL_VECTORS * V::LANES);
        // The rows are dealt out evenly: 9 rows as 5 + 4, since a tile of one row would wait for its additions.
        let mut row = 0;
        for tile in 0..tiles {
            let end = product.rows * (tile + 1) / tiles;
            // SAFETY: rows and columns are within the shapes; `width` needs `div_ceil(width, LANES)` vectors, and
            // the panel holds that many (PackedMatrix pads to whole vectors).
            unsafe {
                match width.div_ceil(V::LANES) {
                    1 => tile_of_rows::<V, 1>(product, row, end - row, column, width),
                    2 => tile_of_rows::<V, 2>(product, row, end - row, column, width),
                    _ => tile_of_rows::<V, 3>(product, row, end - row, column, width),
                }
            }
            row = end;
        }
        column += width;
    }
}

/// # Safety
/// As [`multiply`]; `row..row + rows` and `column..column + width` lie within the shapes, `rows <= TILE_ROWS`.
#[inline(always)]
#[allow(clippy::multiple_unsafe_ops_per_block)] // One call of eight.
unsafe fn tile_of_rows<V: Vector, const VECTORS: usize>(
    product: &Product,
    row: usize,
    rows: usize,
    column: usize,
    width: usize,
) {
    // SAFETY: this function's own contract; the number of rows is passed on exactly.
    unsafe {
        match rows {
            1 => tile::<V, 1, VECTORS>(product, row, column, width),
            2 => tile::<V, 2, VECTORS>(product, row, column, width),
            3 => tile::<V, 3, VECTORS>(product, row, column, width),
            4 => tile::<V, 4, VECTORS>(product, row, column, width),
            5 if V::TILE_ROWS >= 5 => tile::<V, 5, VECTORS>(product, row, column, width),
            6 if V::TILE_ROWS >= 6 => tile::<V, 6, VECTORS>(product, row, column, width),
            7 if V::TILE_ROWS >= 7 => tile::<V, 7, VECTORS>(product, row, column, width),
            8 if V::TILE_ROWS >= 8 => tile::<V, 8, VECTORS>(product, row, column, width),
            _ => {}
        }
    }
}

/// Computes `ROWS` × `width` numbers of the output, the accumulators staying in registers.
///
/// # Safety
/// As [`tile_of_rows`], with `ROWS` rows, and `VECTORS` vectors covering `width` columns.
#[inline(always)]
#[allow(clippy::multiple_unsafe_ops_per_block, clippy::needless_range_loop)]
unsafe fn tile<V: Vector, const ROWS: usize, const VECTORS: usize>(
    product: &Product,
    row: usize,
    column: usize,
    width: usize,
) {
    let partial = width < VECTORS * V::LANES;
    // SAFETY: all offsets stay within the shapes that the caller vouches for: the left side is read at
    // (row + r, k), the panel at (k, 0..VECTORS * LANES), which is its full padded width, and bias and output at
    // column..column + width, for which a partial last vector goes through `edge`.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        let mut left = product.left.add(row * product.left_stride);
        let mut right = product.right.add(column * product.depth);
        for _ in 0..product.depth {
            let mut columns = [V::splat(0.0); VECTORS];
            for v in 0..VECTORS {
                columns[v] = V::load(right.add(v * V::LANES));
            }
            for r in 0..ROWS {
                let value = V::splat(*left.add(r * product.left_stride));
                for v in 0..VECTORS {
                    sums[r][v] = value.mul_add(columns[v], sums[r][v]);
                }
            }
            left = left.add(1);
            right = right.add(VECTORS * V::LANES);
        }
        let mut edge = [[0.0f32; MAX_PANEL_COLUMNS]; 2];
        for r in 0..ROWS {
            let target = product.output.add((row + r) * product.output_stride + column);
            let bias = if product.bias.is_null() {
                product.bias
            } else {
                product.bias.add(column)
            };
            if partial {
                if !bias.is_null() {
                    std::ptr::copy_nonoverlapping(bias, edge[0].as_mut_ptr(), width);
                }
                std::ptr::copy_nonoverlapping(target, edge[1].as_mut_ptr(), width);
                let bias = if bias.is_null() { bias } else { edge[0].as_ptr() };
                finish::<V, VECTORS>(&sums[r], bias, product.add_output, edge[1].as_mut_ptr());
                std::ptr::copy_nonoverlapping(edge[1].as_ptr(), target, width);
            } else {
                finish::<V, VECTORS>(&sums[r], bias, product.add_output, target);
            }
        }
    }
}

/// Adds bias and old output to one row of sums and stores it.
///
/// # Safety
/// `VECTORS` whole vectors are readable at `bias`, unless null, and writable at `target`.
#[inline(always)]
#[allow(clippy::multiple_unsafe_ops_per_block, clippy::needless_range_loop)]
unsafe fn finish<V: Vector, const VECTORS: usize>(
    sums: &[V; VECTORS],
    bias: *const f32,
    add_output: bool,
    target: *mut f32,
) {
    // SAFETY: this function's own contract.
    unsafe {
        for v in 0..VECTORS {
            let mut sum = sums[v];
            if !bias.is_null() {
                sum = sum.add(V::load(bias.add(v * V::LANES)));
            }
            if add_output {
                sum = sum.add(V::load(target.add(v * V::LANES)));
            }
            sum.store(target.add(v * V::LANES));
        }
    }
}

#[cfg(test)]
#[path = "matmul_tests.rs"]
mod tests;
