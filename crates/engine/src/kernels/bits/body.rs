//! The loops of the bit kernels, as a macro over the operations of one instruction set.

/// Expands to the kernels and their table `KERNELS` for one instruction set.
///
/// The module that expands it provides, each with the features: the type `Register` of `BYTES` bytes, which also holds sums; `load`,
/// `load_tail` (fewer bytes, the rest zero), `zero`, `xor`, `and`, `or`, `add_count(sums, bits)` and `total(sums)`.
macro_rules! bit_kernels {
    ($level:expr $(, #[$features:meta])*) => {
        use $crate::kernels::bits::{BitKernels, Overlap};

        /// The kernels of this instruction set.
        pub(in $crate::kernels::bits) static KERNELS: BitKernels = BitKernels { level: $level, differing, overlap };

        $(#[$features])*
        fn differing(a: &[u8], b: &[u8]) -> u64 {
            let length = a.len().min(b.len());
            let (a_chunks, a_tail) = a.split_at(length).0.as_chunks::<BYTES>();
            let (b_chunks, b_tail) = b.split_at(length).0.as_chunks::<BYTES>();
            let mut sums = zero();
            for (a, b) in a_chunks.iter().zip(b_chunks) {
                sums = add_count(sums, xor(load(a), load(b)));
            }
            if !a_tail.is_empty() {
                sums = add_count(sums, xor(load_tail(a_tail), load_tail(b_tail)));
            }
            total(sums)
        }

        $(#[$features])*
        fn overlap(a: &[u8], b: &[u8]) -> Overlap {
            let length = a.len().min(b.len());
            let (a_chunks, a_tail) = a.split_at(length).0.as_chunks::<BYTES>();
            let (b_chunks, b_tail) = b.split_at(length).0.as_chunks::<BYTES>();
            let (mut both, mut either) = (zero(), zero());
            for (a, b) in a_chunks.iter().zip(b_chunks) {
                let (x, y) = (load(a), load(b));
                both = add_count(both, and(x, y));
                either = add_count(either, or(x, y));
            }
            if !a_tail.is_empty() {
                let (x, y) = (load_tail(a_tail), load_tail(b_tail));
                both = add_count(both, and(x, y));
                either = add_count(either, or(x, y));
            }
            Overlap { both: total(both), either: total(either) }
        }
    };
}

pub(super) use bit_kernels;
