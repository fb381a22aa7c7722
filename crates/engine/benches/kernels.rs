//! Time per call of every kernel at every level this machine has, side by side.
//!
//! `cargo bench -p castmatch-engine --bench kernels`. The first tables compare the same two vectors again and
//! again, so they measure the arithmetic. The last one compares a query with one row after the other out of
//! 256 KB to 64 MB of rows, which start 16 bytes past a multiple of 64 or less as in a heap page, so it
//! includes the caches.

use std::hint::black_box;
use std::time::{Duration, Instant};

use castmatch_engine::kernels::{KernelElement, KernelSet, Level};
use castmatch_engine::vector::Element;
use half::f16;

const DIMENSIONS: [usize; 4] = [384, 768, 1536, 16_000];
const SAMPLES: usize = 50;
const SAMPLE_TIME: Duration = Duration::from_millis(1);

/// Deterministic elements in -1..1.
fn elements<T: Element>(length: usize, mut seed: u64) -> Vec<T> {
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        T::from_f32((seed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0)
    };
    (0..length).map(|_| next()).collect()
}

/// The least mean time per call of all samples, in nanoseconds; other load on the machine only ever adds to it.
fn nanoseconds_per_call<R>(mut kernel: impl FnMut() -> R) -> f64 {
    let mut call = || {
        black_box(kernel());
    };
    let mut calls = 1_u32;
    loop {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        if start.elapsed() >= SAMPLE_TIME {
            break;
        }
        calls *= 2;
    }
    (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| call());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .fold(f64::INFINITY, f64::min)
}

fn measure<T: Element + KernelElement>(set: &KernelSet<T>, metric: &str, a: &[T], b: &[T]) -> f64 {
    match metric {
        "l2_squared" => nanoseconds_per_call(|| set.l2_squared(black_box(a), black_box(b))),
        "inner_product" => nanoseconds_per_call(|| set.inner_product(black_box(a), black_box(b))),
        "cosine_parts" => nanoseconds_per_call(|| set.cosine_parts(black_box(a), black_box(b))),
        _ => nanoseconds_per_call(|| set.l1(black_box(a), black_box(b))),
    }
}

fn print_table<T: Element + KernelElement>() {
    let levels: Vec<Level> = Level::ALL
        .into_iter()
        .rev()
        .filter(|level| level.is_available())
        .collect();
    print!("{:<8} {:<14} {:>10}", T::TYPE_NAME, "ns per call", "dimensions");
    levels
        .iter()
        .for_each(|level| print!(" {:>10}", format!("{level:?}")));
    println!();
    for metric in ["l2_squared", "inner_product", "cosine_parts", "l1"] {
        for dimensions in DIMENSIONS {
            let (a, b) = (elements::<T>(dimensions, 1), elements::<T>(dimensions, 2));
            print!("{:<8} {metric:<14} {dimensions:>10}", "");
            for set in levels.iter().filter_map(|level| T::kernel_set(*level)) {
                print!(" {:>10.1}", measure(set, metric, &a, &b));
            }
            println!();
        }
    }
}

fn print_scan_table() {
    let levels: Vec<Level> = Level::ALL
        .into_iter()
        .rev()
        .filter(|level| level.is_available())
        .collect();
    println!("vector   ns per row of a scan, l2_squared");
    for kilobytes in [256_usize, 4096, 65_536] {
        for dimensions in [384_usize, 768, 1536] {
            // Four elements stand for the header between two rows.
            let stride = dimensions + 4;
            let rows = elements::<f32>(kilobytes * 1024 / size_of::<f32>() / stride * stride, 1);
            let query = elements::<f32>(dimensions, 2);
            print!("         {kilobytes:>8} KB     {dimensions:>10}");
            for set in levels.iter().filter_map(|level| f32::kernel_set(*level)) {
                let scan = || {
                    rows.chunks_exact(stride)
                        .map(|row| set.l2_squared(&row[4..], &query))
                        .sum::<f64>()
                };
                print!(
                    " {:>10.1}",
                    nanoseconds_per_call(scan) / (rows.len() / stride) as f64
                );
            }
            println!();
        }
    }
}

fn main() {
    print_table::<f32>();
    print_table::<f16>();
    print_scan_table();
}
