//! The tables of a query.

use super::layout::{DIMS_ALIGN, GROUP};

/// Entries of a table, one for each value of a group's bits.
const ENTRIES: usize = 1 << GROUP;
/// Tables in a [`Line`].
const TABLES: usize = 4;
/// Dimensions that the tables of a [`Line`] are for.
pub(super) const LINE_DIMS: usize = TABLES * GROUP;
/// The greatest entry.
const TOP: f64 = 255.0;
/// Adding this to a number between 0 and 2^22 leaves the nearest integer in the low bits.
const ROUNDER: f32 = 8_388_608.0;

/// Four tables, at the alignment of a cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; TABLES * ENTRIES]);

/// What a query contributes to the inner product with any code: for each group of four dimensions, a table of 16 numbers.
///
/// A bit that has the sign of the query's dimension adds twice the absolute value to the least inner product that a code can have,
/// which is [`base`](Tables::base). The sums over four dimensions are rounded to multiples of one [`step`](Tables::step), the same
/// for all tables, so that a row's entries add up as integers.
#[derive(Debug, Default, Clone)]
pub struct Tables {
    lines: Vec<Line>,
    base: f32,
    step: f32,
}

impl Tables {
    /// Makes the tables of a query in the space of codes: a code u of ±1 (bit 1 is +1) has about the inner product
    /// `base() + step() * sum` with `values`, where `sum` is that of the entries the code selects.
    ///
    /// Dimensions missing to a multiple of [`DIMS_ALIGN`] count as zeros, and so do values that are not finite. The memory of earlier
    /// tables is used again.
    ///
    /// # Errors
    ///
    /// How many bytes there was no memory for; the tables are then empty.
    pub fn prepare(&mut self, values: &[f32]) -> Result<(), usize> {
        *self = Tables {
            lines: std::mem::take(&mut self.lines),
            ..Tables::default()
        };
        self.lines.clear();
        let lines = values.len().next_multiple_of(DIMS_ALIGN) / LINE_DIMS;
        if self.lines.try_reserve_exact(lines).is_err() {
            return Err(lines.saturating_mul(size_of::<Line>()));
        }
        let (groups, tail) = values.as_chunks::<GROUP>();
        let mut last = [0.0; GROUP];
        last.iter_mut().zip(tail).for_each(|(value, x)| *value = *x);
        let groups = || groups.iter().chain([&last]);

        // In f64, which the sums of finite values cannot overflow.
        let (mut largest, mut total) = (0.0_f64, 0.0_f64);
        for group in groups() {
            let range: f64 = group.map(|value| f64::from(finite(value)).abs()).iter().sum();
            largest = largest.max(range);
            total += range;
        }
        let scale = if largest > 0.0 { TOP / largest } else { 0.0 };
        self.step = (2.0 * largest / TOP) as f32;
        self.base = if total > 0.0 {
            (-total).max(f64::from(f32::MIN)) as f32
        } else {
            0.0
        };
        let mut tables = groups().map(|group| table(*group, scale));
        self.lines.extend((0..lines).map(|_| {
            let mut line = Line([0; TABLES * ENTRIES]);
            for (place, table) in line.0.as_chunks_mut().0.iter_mut().zip(&mut tables) {
                *place = table;
            }
            line
        }));
        Ok(())
    }

    /// Dimensions of the codes that these tables are for.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.lines.len() * LINE_DIMS
    }

    /// The inner product with a code all of whose entries are 0: minus the sum of the query's absolute values.
    #[must_use]
    pub fn base(&self) -> f32 {
        self.base
    }

    /// What 1 in a sum of entries stands for in the inner product.
    #[must_use]
    pub fn step(&self) -> f32 {
        self.step
    }

    /// The standard deviation of an estimate's error that rounding the entries makes: one for each group, uniform within half a step.
    #[must_use]
    pub fn error(&self) -> f32 {
        self.step * ((self.dims() / GROUP) as f32 / 12.0).sqrt()
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }
}

fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

/// The table of one group: what the bits with the sign of their dimension add.
fn table(group: [f32; GROUP], scale: f64) -> [u8; ENTRIES] {
    let mut sums = [ROUNDER; ENTRIES];
    // No value is more than the largest range, and so none more than the greatest entry after scaling. Summed before the rounder is
    // added, or each addition would round.
    let mut exact = [0.0_f32; ENTRIES];
    for (dim, value) in group.into_iter().map(finite).enumerate() {
        let weight = (f64::from(value).abs() * scale) as f32;
        let adds_if_set = value > 0.0;
        for (entry, sum) in exact.iter_mut().enumerate() {
            *sum += if (entry >> dim & 1 == 1) == adds_if_set {
                weight
            } else {
                0.0
            };
        }
    }
    sums.iter_mut().zip(exact).for_each(|(sum, exact)| *sum += exact);
    sums.map(|sum| sum.to_bits() as u8)
}
