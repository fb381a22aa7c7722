//! Time per call of every kernel at every level this machine has, side by side.
//!
//! `cargo bench -p castmatch-engine --bench kernels`, with `-- codes` only the tables of codes, with `-- types` only those of bits and of sparse vectors. The first tables compare the same two vectors again and
//! again, so they measure the arithmetic. A further one compares a query with one row after the other out of
//! 256 KB to 64 MB of rows, which start 16 bytes past a multiple of 64 or less as in a heap page, so it
//! includes the caches. The tables of codes do the same for the quantiser of the vector index.

use std::hint::black_box;
use std::time::{Duration, Instant};

use castmatch_engine::index::Metric;
use castmatch_engine::index::quantize::{CodeBits, CodeRef, Factors, Quantizer, Query};
use castmatch_engine::kernels::bits::{BitKernels, BitLevel};
use castmatch_engine::kernels::code::{AffineGrid, CodeKernels, CodeLevel, Line};
use castmatch_engine::kernels::{KernelElement, KernelSet, Level};
use castmatch_engine::vector::Element;
use castmatch_engine::vector::sparse::{SparseVector, distance};
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

/// The kernels between codes and queries at every level.
fn print_code_kernels() {
    let levels: Vec<&CodeKernels> = CodeLevel::ALL
        .into_iter()
        .rev()
        .filter_map(CodeKernels::for_level)
        .collect();
    print!("codes    {:<14} {:>10}", "ns per call", "dimensions");
    levels
        .iter()
        .for_each(|set| print!(" {:>10}", format!("{:?}", set.level())));
    println!();
    let grid = AffineGrid {
        low: -1.0,
        step: 0.01,
    };
    for kernel in ["u4 * i8", "u8 * i8", "u4 * u4", "u8 * u8", "l1 u4", "l1 u8"] {
        for dims in DIMENSIONS {
            let bytes = (if kernel.contains("u4") { dims / 2 } else { dims }).next_multiple_of(32);
            let a: Vec<u8> = elements::<f32>(bytes, 1)
                .iter()
                .map(|x| (x * 120.0 + 127.0) as u8)
                .collect();
            let b: Vec<u8> = a.iter().rev().copied().collect();
            let lines = vec![Line([3; 64]); dims.div_ceil(128) * 2];
            let query = elements::<f32>(dims, 2);
            print!("{:<8} {kernel:<14} {dims:>10}", "");
            for set in &levels {
                let (a, b) = (black_box(&a), black_box(&b));
                let time = match kernel {
                    "u4 * i8" => nanoseconds_per_call(|| set.dot_u4_i8(a, black_box(&lines))),
                    "u8 * i8" => nanoseconds_per_call(|| set.dot_u8_i8(a, black_box(&lines))),
                    "u4 * u4" => nanoseconds_per_call(|| set.dot_u4_u4(a, b)),
                    "u8 * u8" => nanoseconds_per_call(|| set.dot_u8_u8(a, b)),
                    "l1 u4" => nanoseconds_per_call(|| set.l1_u4(a, black_box(&query), grid)),
                    _ => nanoseconds_per_call(|| set.l1_u8(a, black_box(&query), grid)),
                };
                print!(" {time:>10.1}");
            }
            println!();
        }
    }
}

/// The steps of the quantiser at the best level.
fn print_quantizer() {
    println!("quantiser, ns per call         transform     encode    prepare   estimate    between");
    for (metric, bits) in [
        (Metric::L2, CodeBits::Four),
        (Metric::L2, CodeBits::Eight),
        (Metric::Cosine, CodeBits::Four),
        (Metric::L1, CodeBits::Eight),
    ] {
        for dims in [100_usize, 384, 768, 1536] {
            let center = vec![0.01; dims];
            let Ok(quantizer) = Quantizer::new(metric, dims, bits, 1, &center) else {
                continue;
            };
            let vector = elements::<f32>(dims, 3);
            let mut transformed = vec![0.0; dims];
            let mut code = vec![0; quantizer.code_bytes()];
            let transform =
                nanoseconds_per_call(|| quantizer.transform(black_box(&vector), &mut transformed));
            let encode = nanoseconds_per_call(|| quantizer.encode(black_box(&transformed), &mut code));
            let factors = quantizer.encode(&transformed, &mut code);
            let mut query = Query::default();
            let prepare = nanoseconds_per_call(|| query.prepare(&quantizer, black_box(&transformed)));
            let code = CodeRef { factors, code: &code };
            let estimate = nanoseconds_per_call(|| query.estimate(black_box(code)));
            let between = nanoseconds_per_call(|| quantizer.between(black_box(code), black_box(code)));
            println!(
                "    {:<8} {:>2} bits {dims:>10} {transform:>10.1} {encode:>10.1} {prepare:>10.1} {estimate:>10.1} {between:>10.1}",
                metric.name(),
                bits.to_u8()
            );
        }
    }
}

/// Estimates for one code after the other, with factors in front of each as in an index.
fn print_code_scan() {
    println!("ns per code of a scan, L2");
    for bits in [CodeBits::Four, CodeBits::Eight] {
        for kilobytes in [256_usize, 4096, 65_536] {
            for dims in [384_usize, 768, 1536] {
                let Ok(quantizer) = Quantizer::new(Metric::L2, dims, bits, 1, &[]) else {
                    continue;
                };
                let query = quantizer.query(&elements::<f32>(dims, 2));
                let stride = Factors::BYTES + quantizer.code_bytes();
                let rows: Vec<u8> = elements::<f32>(kilobytes * 1024 / stride * stride, 5)
                    .iter()
                    .map(|x| (x * 120.0 + 127.0) as u8)
                    .collect();
                let scan = || {
                    rows.chunks_exact(stride)
                        .filter_map(|row| row.split_first_chunk::<{ Factors::BYTES }>())
                        .map(|(factors, code)| {
                            query.estimate(CodeRef {
                                factors: Factors::from_bytes(factors),
                                code,
                            })
                        })
                        .fold(0.0, f32::max)
                };
                let time = nanoseconds_per_call(scan) / (rows.len() / stride) as f64;
                println!(
                    "         {kilobytes:>8} KB  {} bits {dims:>10} {time:>10.1}",
                    bits.to_u8()
                );
            }
        }
    }
}

/// The kernels that count bits at every level.
fn print_bits() {
    let levels: Vec<&BitKernels> = BitLevel::ALL
        .into_iter()
        .rev()
        .filter_map(BitKernels::of)
        .collect();
    print!("bits     {:<14} {:>10}", "ns per call", "bits");
    levels
        .iter()
        .for_each(|set| print!(" {:>14}", format!("{:?}", set.level())));
    println!();
    for kernel in ["differing", "overlap"] {
        for bits in DIMENSIONS {
            let bytes = |seed| -> Vec<u8> {
                let values = elements::<f32>(bits.div_ceil(8), seed);
                values.iter().map(|x| (x * 120.0 + 127.0) as u8).collect()
            };
            let (a, b) = (bytes(1), bytes(2));
            print!("{:<8} {kernel:<14} {bits:>10}", "");
            for set in &levels {
                let (a, b) = (black_box(&a), black_box(&b));
                let time = match kernel {
                    "differing" => nanoseconds_per_call(|| set.differing(a, b)),
                    _ => nanoseconds_per_call(|| set.overlap(a, b)),
                };
                print!(" {time:>14.1}");
            }
            println!();
        }
    }
}

/// Distances of sparse vectors that share about half of their places.
fn print_sparse() {
    println!(
        "sparse   ns per call      elements      l2_squared  inner_product         cosine             l1"
    );
    for count in [30_usize, 100, 300, 1_000, 16_000] {
        let vector = |seed| {
            let places = elements::<f32>(2 * count, seed);
            let values = elements::<f32>(2 * count, seed + 1);
            let kept = (0_i32..)
                .zip(places.iter().zip(values))
                .filter(|(_, (place, _))| **place < 0.0);
            SparseVector::from_elements(
                1_000_000,
                kept.map(|(index, (_, value))| (index, value))
                    .take(16_000)
                    .collect(),
            )
        };
        let (Ok(a), Ok(b)) = (vector(1), vector(7)) else {
            continue;
        };
        print!("{:>30}", count);
        for metric in [
            distance::l2_squared,
            distance::inner_product,
            distance::cosine,
            distance::l1,
        ] {
            let time = nanoseconds_per_call(|| metric(black_box(a.view()), black_box(b.view())).ok());
            print!(" {time:>14.1}");
        }
        println!();
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "types") {
        print_bits();
        print_sparse();
        return;
    }
    if std::env::args().any(|argument| argument == "codes") {
        print_code_kernels();
        print_quantizer();
        print_code_scan();
        return;
    }
    print_table::<f32>();
    print_table::<f16>();
    print_scan_table();
    print_bits();
    print_sparse();
    print_code_kernels();
    print_quantizer();
    print_code_scan();
}
