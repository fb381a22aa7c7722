//! The rounds of the rotation.

use crate::kernels::code::Round;

/// `hadamard_block` transforms 16 elements.
#[inline(always)]
pub(in crate::kernels::code) fn rotate_round(
    vector: &mut [f32],
    signs: &[f32],
    round: Round,
    hadamard_block: impl Fn(&mut [f32; 16]),
) {
    vector.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
    let dims = vector.len();
    let rest = vector.get_mut(round.start..);
    if let Some(window) = rest.and_then(|rest| rest.get_mut(..round.length)) {
        window.as_chunks_mut::<16>().0.iter_mut().for_each(hadamard_block);
        hadamard_between_blocks(window);
    }
    if round.turn_halves {
        const COSINE: f32 = std::f32::consts::FRAC_1_SQRT_2;
        let (first, second) = vector.split_at_mut(dims.div_ceil(2));
        for (x, y) in first.iter_mut().zip(second) {
            (*x, *y) = ((*x + *y) * COSINE, (*x - *y) * COSINE);
        }
    }
}

/// The rest of the fast Walsh-Hadamard transform, not normalised, after its blocks of 16 are done: butterflies of elements 16 and
/// more apart, two stages at a time to spare loads and stores.
#[inline(always)]
fn hadamard_between_blocks(vector: &mut [f32]) {
    let mut half = 16;
    while 2 * half < vector.len() {
        for four in vector.chunks_exact_mut(4 * half) {
            let (first, second) = four.split_at_mut(2 * half);
            let ((a, b), (c, d)) = (first.split_at_mut(half), second.split_at_mut(half));
            let first = blocks(a).zip(blocks(b));
            for ((a, b), (c, d)) in first.zip(blocks(c).zip(blocks(d))) {
                for ((a, b), (c, d)) in a.iter_mut().zip(b).zip(c.iter_mut().zip(d)) {
                    let (sum, difference) = (*a + *b, *a - *b);
                    let (other_sum, other_difference) = (*c + *d, *c - *d);
                    (*a, *b) = (sum + other_sum, difference + other_difference);
                    (*c, *d) = (sum - other_sum, difference - other_difference);
                }
            }
        }
        half *= 4;
    }
    if half < vector.len() {
        let (low, high) = vector.split_at_mut(half);
        for (low, high) in blocks(low).zip(blocks(high)) {
            for (x, y) in low.iter_mut().zip(high) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
    }
}

#[inline(always)]
fn blocks(vector: &mut [f32]) -> impl Iterator<Item = &mut [f32; 16]> {
    vector.as_chunks_mut::<16>().0.iter_mut()
}

/// The Walsh-Hadamard transform of 16 elements.
#[inline(always)]
pub(in crate::kernels::code) fn hadamard_block(block: &mut [f32; 16]) {
    *block = hadamard_step::<8>(hadamard_step::<4>(hadamard_step::<2>(hadamard_step::<1>(*block))));
}

/// The butterflies of elements `HALF` apart.
#[inline(always)]
fn hadamard_step<const HALF: usize>(block: [f32; 16]) -> [f32; 16] {
    std::array::from_fn(|i| {
        let (x, y) = (block.get(i & !HALF), block.get(i | HALF));
        let (x, y) = (x.copied().unwrap_or(0.0), y.copied().unwrap_or(0.0));
        if i & HALF == 0 { x + y } else { x - y }
    })
}
