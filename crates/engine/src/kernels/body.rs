//! The algorithm of all kernels, as macros over the operations of one instruction set.
//!
//! They are macros and not generic functions, because a function with `#[target_feature]` inlines only
//! functions that have the same features, which trait methods and closures do not.
//!
//! The module that expands `define_kernels` provides, each with the features: the type `Lanes` of `LANES` f32
//! lanes and the type `Wide` of as many f64 sums; `load`, `load_tail` (fewer than `LANES` elements, the rest
//! zero), `zero`, `add`, `sub`, `abs`, `fused(a, b, c)` = a*b+c, and for the sums `wide_zero`, `widen(sums,
//! lanes)` and `wide_total`.

/// Terms that an f32 lane adds up before its sum goes to f64; this bounds the rounding error, see README.md.
pub(super) const TERMS_PER_LANE: usize = 8;

/// Expands to the function `$name` that sums a term over all pairs of elements, `$sum` being the lanes' sums
/// so far.
macro_rules! sum_kernel {
    (
        $(#[$features:meta])*
        $name:ident, $element:ty, $reliable:path, |$sum:ident, $x:ident, $y:ident| $term:expr
    ) => {
        $(#[$features])*
        fn $name(a: &[$element], b: &[$element]) -> f64 {
            // Two independent sums, because that many suffice to keep the loads busy, which are the
            // bottleneck; with four, the wider strides through both vectors are slower as soon as one is not
            // in the first level cache.
            const GROUP: usize = 2 * LANES;
            let length = a.len().min(b.len());
            let (a, b) = (a.split_at(length).0, b.split_at(length).0);
            let mut wide = wide_zero();
            for (a, b) in a.chunks(GROUP * TERMS_PER_LANE).zip(b.chunks(GROUP * TERMS_PER_LANE)) {
                let mut sums = [zero(); 2];
                let (a_groups, a_rest) = a.as_chunks::<GROUP>();
                let (b_groups, b_rest) = b.as_chunks::<GROUP>();
                for (a, b) in a_groups.iter().zip(b_groups) {
                    let pairs = a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0);
                    for ($sum, (a, b)) in sums.iter_mut().zip(pairs) {
                        let ($x, $y) = (load(a), load(b));
                        *$sum = { let $sum = *$sum; $term };
                    }
                }
                let [mut sum, mut tail] = sums;
                let (a_singles, a_tail) = a_rest.as_chunks::<LANES>();
                let (b_singles, b_tail) = b_rest.as_chunks::<LANES>();
                for (a, b) in a_singles.iter().zip(b_singles) {
                    let ($sum, $x, $y) = (sum, load(a), load(b));
                    sum = $term;
                }
                if !a_tail.is_empty() {
                    let ($sum, $x, $y) = (tail, load_tail(a_tail), load_tail(b_tail));
                    tail = $term;
                }
                wide = widen(wide, add(sum, tail));
            }
            let total = wide_total(wide);
            if $reliable(total) { total } else { exact::$name(a, b) }
        }
    };
}

/// Expands to the kernels and their table `KERNELS` for one element type and instruction set.
macro_rules! define_kernels {
    ($level:expr, $element:ty $(, #[$features:meta])*) => {
        use $crate::kernels::body::{TERMS_PER_LANE, sum_kernel};
        use $crate::kernels::{CosineParts, KernelSet, exact, sealed::Sealed};

        /// The kernels of this element type and instruction set.
        pub(in $crate::kernels) static KERNELS: KernelSet<$element> =
            KernelSet { level: $level, l2_squared, inner_product, cosine_parts, l1 };

        /// Whether a sum of squares or products neither overflowed f32 nor may have lost terms to underflow.
        #[inline(always)]
        fn is_reliable(sum: f64) -> bool {
            sum.is_finite() && sum.abs() >= <$element as Sealed>::SMALLEST_RELIABLE_SUM
        }

        sum_kernel!($(#[$features])* l2_squared, $element, is_reliable, |sum, x, y| {
            let difference = sub(x, y);
            fused(difference, difference, sum)
        });
        sum_kernel!($(#[$features])* inner_product, $element, is_reliable, |sum, x, y| fused(x, y, sum));
        // Differences of floats do not underflow, so only overflow can spoil this sum.
        sum_kernel!($(#[$features])* l1, $element, f64::is_finite, |sum, x, y| add(sum, abs(sub(x, y))));

        $(#[$features])*
        fn cosine_parts(a: &[$element], b: &[$element]) -> CosineParts {
            let length = a.len().min(b.len());
            let (a, b) = (a.split_at(length).0, b.split_at(length).0);
            let mut wide = [wide_zero(); 3];
            const GROUP: usize = 2 * LANES;
            for (a, b) in a.chunks(GROUP * TERMS_PER_LANE).zip(b.chunks(GROUP * TERMS_PER_LANE)) {
                let mut sums = [[zero(); 3]; 2];
                let (a_groups, a_rest) = a.as_chunks::<GROUP>();
                let (b_groups, b_rest) = b.as_chunks::<GROUP>();
                for (a, b) in a_groups.iter().zip(b_groups) {
                    let pairs = a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0);
                    for (sums, (a, b)) in sums.iter_mut().zip(pairs) {
                        *sums = add_cosine_terms(*sums, load(a), load(b));
                    }
                }
                let [mut sums, mut tails] = sums;
                let (a_singles, a_tail) = a_rest.as_chunks::<LANES>();
                let (b_singles, b_tail) = b_rest.as_chunks::<LANES>();
                for (a, b) in a_singles.iter().zip(b_singles) {
                    sums = add_cosine_terms(sums, load(a), load(b));
                }
                if !a_tail.is_empty() {
                    tails = add_cosine_terms(tails, load_tail(a_tail), load_tail(b_tail));
                }
                for (wide, (sum, tail)) in wide.iter_mut().zip(sums.into_iter().zip(tails)) {
                    *wide = widen(*wide, add(sum, tail));
                }
            }
            let [inner_product, norm_a_squared, norm_b_squared] = wide;
            let parts = CosineParts {
                inner_product: wide_total(inner_product),
                norm_a_squared: wide_total(norm_a_squared),
                norm_b_squared: wide_total(norm_b_squared),
            };
            // A small inner product is exact enough when the norms are not small, because the cosine divides
            // by them.
            if is_reliable(parts.norm_a_squared)
                && is_reliable(parts.norm_b_squared)
                && parts.inner_product.is_finite()
            {
                parts
            } else {
                exact::cosine_parts(a, b)
            }
        }

        $(#[$features])*
        #[inline]
        fn add_cosine_terms([product, square_a, square_b]: [Lanes; 3], x: Lanes, y: Lanes) -> [Lanes; 3] {
            [fused(x, y, product), fused(x, x, square_a), fused(y, y, square_b)]
        }
    };
}

pub(super) use {define_kernels, sum_kernel};
