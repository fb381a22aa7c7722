#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use half::f16;

use super::*;

const DIMS: [usize; 9] = [32, 64, 96, 256, 384, 768, 1536, 1920, 4096];
const ALL_LANES: [usize; 3] = [32, 16, 8];

fn levels() -> impl Iterator<Item = &'static ScanKernels> {
    Level::ALL.into_iter().filter_map(ScanKernels::of)
}

/// Xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Between -1 and 1.
    fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// A centroid that is stored, and its values.
    fn centroid(&mut self, dims: usize, scale: f32) -> (Vec<u8>, Vec<f32>) {
        let halves: Vec<f16> = self.floats(dims).into_iter().map(f16::from_f32).collect();
        (
            halves.iter().flat_map(|half| half.to_le_bytes()).collect(),
            halves.iter().map(|half| half.to_f32() * scale).collect(),
        )
    }
}

fn prepared(values: &[f32]) -> Tables {
    let mut tables = Tables::default();
    tables.prepare(values).unwrap();
    tables
}

/// The keys of a level with what makes them the sums themselves.
fn sums(set: &ScanKernels, tables: &Tables, codes: &[u8], lanes: usize) -> [f32; BLOCK_ROWS] {
    let mut factors = vec![0; 8 * lanes];
    for scale in factors[..4 * lanes].as_chunks_mut().0 {
        *scale = (-1.0_f32).to_le_bytes();
    }
    let mut out = [f32::NAN; BLOCK_ROWS];
    set.keys(tables, codes, &factors, lanes, 0.0, 0.0, 1.0, &mut out);
    out
}

#[test]
fn sums_are_exact_and_estimate_the_inner_product() {
    let mut random = Random(1);
    for dims in DIMS {
        let values = random.floats(dims);
        let tables = prepared(&values);
        assert_eq!(tables.dims(), dims);
        let entries: Vec<u8> = tables.lines().iter().flat_map(|line| line.0).collect();
        for lanes in ALL_LANES {
            let codes = random.bytes(code_bytes(dims, lanes));
            let by_level: Vec<_> = levels().map(|set| sums(set, &tables, &codes, lanes)).collect();
            let mut squares = 0.0;
            for row in 0..lanes {
                let mut bits = vec![0; dims / 8];
                read_row(&codes, lanes, row, &mut bits);
                let bit = |dim: usize| usize::from(bits[dim / 8] >> (dim % 8) & 1);
                let index = |group: usize| (0..4).map(|i| bit(4 * group + i) << i).sum::<usize>();
                let sum: u32 = (0..dims / 4).map(|t| u32::from(entries[16 * t + index(t)])).sum();
                for sums in &by_level {
                    assert_eq!(
                        f64::from(sums[row]),
                        f64::from(sum),
                        "dims {dims} lanes {lanes} row {row}"
                    );
                }
                let exact: f64 = values
                    .iter()
                    .enumerate()
                    .map(|(dim, value)| f64::from(*value) * (2.0 * bit(dim) as f64 - 1.0))
                    .sum();
                let estimate = f64::from(tables.base()) + f64::from(tables.step()) * f64::from(sum);
                let error = (estimate - exact).abs();
                assert!(error <= f64::from(tables.step()) * dims as f64 / 8.0 * 1.001 + 1e-3);
                assert!(
                    error <= 6.0 * f64::from(tables.error()) + 1e-3,
                    "dims {dims} error {error}"
                );
                squares += (error / f64::from(tables.error())).powi(2);
            }
            assert!((squares / lanes as f64).sqrt() < 2.0, "dims {dims} lanes {lanes}");
            for sums in &by_level {
                assert!(sums[lanes..].iter().all(|key| *key == f32::INFINITY));
            }
        }
    }
}

#[test]
fn sums_do_not_overflow_at_the_dimension_limit() {
    let tables = prepared(&vec![1.0; 4096]);
    for set in levels() {
        for lanes in ALL_LANES {
            let codes = vec![255; code_bytes(4096, lanes)];
            assert_eq!(
                sums(set, &tables, &codes, lanes)[..lanes],
                vec![1024.0 * 255.0; lanes]
            );
        }
    }
    // More than one accumulator of AVX-512 holds.
    let tables = prepared(&vec![1.0; 10_016]);
    for set in levels() {
        let codes = vec![255; code_bytes(10_016, 32)];
        assert_eq!(
            sums(set, &tables, &codes, 32),
            [2504.0 * 255.0; 32],
            "{:?}",
            set.level()
        );
    }
}

#[test]
fn keys_follow_the_formula_to_the_bit() {
    let mut random = Random(2);
    for dims in DIMS {
        let tables = prepared(&random.floats(dims));
        for lanes in ALL_LANES {
            let codes = random.bytes(code_bytes(dims, lanes));
            let numbers = random.floats(2 * lanes);
            let factors: Vec<u8> = numbers.iter().flat_map(|factor| factor.to_le_bytes()).collect();
            let (shift, a, b) = (random.float(), random.float(), random.float());
            for set in levels() {
                let mut out = [f32::NAN; BLOCK_ROWS];
                set.keys(&tables, &codes, &factors, lanes, shift, a, b, &mut out);
                let sums = sums(ScanKernels::of(Level::Portable).unwrap(), &tables, &codes, lanes);
                for row in 0..lanes {
                    let estimate = a + b * sums[row];
                    let expected = (shift + numbers[lanes + row]) - numbers[row] * estimate;
                    assert_eq!(
                        out[row].to_bits(),
                        expected.to_bits(),
                        "{:?} {dims} {lanes}",
                        set.level()
                    );
                }
            }
        }
    }
}

#[test]
fn garbage_factors_and_short_slices_give_no_nan() {
    let mut random = Random(3);
    let tables = prepared(&random.floats(96));
    for lanes in [0, 1, 7, 8, 16, 24, 32, 33, 64] {
        let codes = random.bytes(code_bytes(96, lanes));
        let mut expected = None;
        for set in levels() {
            let mut garbage = Random(4);
            for _ in 0..200 {
                let factors = garbage.bytes(8 * lanes);
                let mut out = [f32::NAN; BLOCK_ROWS];
                set.keys(
                    &tables,
                    &codes,
                    &factors,
                    lanes,
                    1.0,
                    f32::MAX,
                    f32::INFINITY,
                    &mut out,
                );
                assert!(out.iter().all(|key| !key.is_nan()));
                expected = expected.or(Some(out));
            }
            let (mut out, factors) = ([f32::NAN; BLOCK_ROWS], Random(4).bytes(8 * lanes));
            set.keys(
                &tables,
                &codes,
                &factors,
                lanes,
                1.0,
                f32::MAX,
                f32::INFINITY,
                &mut out,
            );
            assert_eq!(Some(out), expected, "{:?}", set.level());
            let all = vec![0xff; 8 * lanes];
            set.keys(&tables, &codes, &all, lanes, 0.0, 1.0, 1.0, &mut out);
            assert_eq!(out, [f32::INFINITY; BLOCK_ROWS]);
            let zeros = vec![0; 8 * lanes];
            for (codes, factors) in [
                (&codes[..codes.len().saturating_sub(1)], &zeros[..]),
                (&codes[..], &zeros[..zeros.len().saturating_sub(1)]),
                (&[], &[]),
            ] {
                if lanes > 1 {
                    let mut out = [0.0; BLOCK_ROWS];
                    set.keys(&tables, codes, factors, lanes, 0.0, 1.0, 1.0, &mut out);
                    assert_eq!(out, [f32::INFINITY; BLOCK_ROWS], "{:?} {lanes}", set.level());
                }
            }
        }
    }
}

#[test]
fn rows_are_read_as_written_and_moved() {
    let mut random = Random(5);
    for lanes in ALL_LANES {
        let dims = 96;
        let rows: Vec<Vec<u8>> = (0..lanes).map(|_| random.bytes(dims / 8)).collect();
        let mut codes = random.bytes(code_bytes(dims, lanes));
        for (row, bits) in rows.iter().enumerate() {
            write_row(&mut codes, lanes, row, bits);
        }
        // The layout itself, bit by bit.
        for (row, bits) in rows.iter().enumerate() {
            for dim in 0..dims {
                let byte = codes[dim / 4 * (lanes / 2) + row % (lanes / 2)];
                let nibble = if row < lanes / 2 { byte & 15 } else { byte >> 4 };
                assert_eq!(nibble >> (dim % 4) & 1, bits[dim / 8] >> (dim % 8) & 1);
            }
        }
        let read = |codes: &[u8], row| {
            let mut bits = vec![0; dims / 8];
            read_row(codes, lanes, row, &mut bits);
            bits
        };
        for (from, to) in [(lanes - 1, 0), (0, lanes / 2), (3, 1), (2, 2)] {
            let before: Vec<_> = (0..lanes).map(|row| read(&codes, row)).collect();
            move_row(&mut codes, lanes, from, to);
            for (row, bits) in before.iter().enumerate() {
                assert_eq!(&read(&codes, row), if row == to { &before[from] } else { bits });
            }
        }
        let before = codes.clone();
        write_row(&mut codes, lanes, lanes, &rows[0]);
        write_row(&mut codes, 12, 0, &rows[0]);
        write_row(&mut codes, lanes, 0, &vec![0; dims / 8 + 1]);
        move_row(&mut codes, lanes, lanes, 0);
        move_row(&mut codes, lanes, 0, lanes);
        move_row(&mut codes, 0, 0, 0);
        assert_eq!(codes, before);
        let mut bits = vec![7; dims / 8 + 1];
        read_row(&codes, lanes, 0, &mut bits);
        read_row(&codes, lanes, lanes, &mut bits);
        assert_eq!(bits, vec![7; dims / 8 + 1]);
    }
}

#[test]
fn tables_of_extreme_queries_are_finite() {
    let zeros = prepared(&[0.0; 64]);
    assert_eq!(
        (zeros.dims(), zeros.base(), zeros.step(), zeros.error()),
        (64, 0.0, 0.0, 0.0)
    );
    assert!(zeros.lines().iter().all(|line| line.0 == [0; 64]));
    for value in [
        1e30,
        -1e30,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-45,
        f32::NAN,
        f32::INFINITY,
    ] {
        let mut values = vec![value; 4096];
        values[5] = 1.0;
        for values in [&values[..], &values[..32], &values[32..]] {
            let tables = prepared(values);
            assert!(tables.step().is_finite() && tables.base().is_finite() && tables.error().is_finite());
        }
    }
    let mut tables = prepared(&[1.0; 33]);
    assert_eq!((tables.dims(), tables.base()), (64, -33.0));
    assert_eq!(
        tables.lines()[2].0[..16]
            .iter()
            .map(|x| u32::from(*x))
            .sum::<u32>(),
        8 * 64
    );
    tables.prepare(&[]).unwrap();
    assert_eq!((tables.dims(), tables.base(), tables.step()), (0, 0.0, 0.0));
}

#[test]
fn sign_codes_and_their_sums_are_right_at_every_level() {
    let mut random = Random(6);
    for dims in DIMS.into_iter().chain([1, 8, 15, 17, 40]) {
        let (mut x, c) = (random.floats(dims), random.floats(dims));
        x[0] = c[0];
        let mut expected: Option<(SignSums, Vec<u8>)> = None;
        for set in levels() {
            let mut bits = vec![0xff; dims.div_ceil(8) + 3];
            let sums = set.sign_code(&x, &c, &mut bits);
            let (mut naive, mut size) = ([0.0_f64; 4], 1e-6);
            for i in 0..dims {
                let (r, c) = (f64::from(x[i] - c[i]), f64::from(c[i]));
                assert_eq!(bits[i / 8] >> (i % 8) & 1, u8::from(r > 0.0));
                let u = if r > 0.0 { 1.0 } else { -1.0 };
                naive = [
                    naive[0] + u * r,
                    naive[1] + r * r,
                    naive[2] + u * c,
                    naive[3] + r * c,
                ];
                size += r.abs() + r * r + c.abs();
            }
            assert!(bits[dims.div_ceil(8)..].iter().all(|byte| *byte == 0));
            let actual = [
                sums.absolute,
                sums.norm_squared,
                sums.code_center,
                sums.center_product,
            ];
            for (actual, naive) in actual.into_iter().zip(naive) {
                assert!(
                    (actual - naive).abs() < 1e-12 * size,
                    "{:?} {actual} {naive}",
                    set.level()
                );
            }
            let (expected_sums, expected_bits) = expected.get_or_insert_with(|| (sums, bits.clone()));
            assert_eq!(
                (sums, &bits),
                (*expected_sums, &*expected_bits),
                "{:?}",
                set.level()
            );
            let mut first = [0xff];
            set.sign_code(&x, &c, &mut first);
            assert_eq!(first, bits[..1]);
            set.sign_code(&x, &[], &mut []);
        }
    }
}

#[test]
fn centroids_are_decoded_and_compared_alike_at_every_level() {
    let mut random = Random(7);
    for dims in DIMS.into_iter().chain([0, 1, 31, 33]) {
        let (scale, x) = (0.37, random.floats(dims));
        let (bytes, values) = random.centroid(dims, scale);
        let pairs = || x.iter().zip(&values).map(|(x, c)| (f64::from(*x), f64::from(*c)));
        let distance: f64 = pairs().map(|(x, c)| (x - c) * (x - c)).sum();
        let product: f64 = pairs().map(|(x, c)| x * c).sum();
        let size: f64 = pairs().map(|(x, c)| (x * c).abs()).sum();
        let reference = ScanKernels::of(Level::Portable).unwrap();
        for set in levels() {
            let actual = set.centroid_l2_squared(&x, &bytes, scale);
            assert!((f64::from(actual) - distance).abs() <= 2e-6 * distance);
            assert_eq!(
                actual.to_bits(),
                reference.centroid_l2_squared(&x, &bytes, scale).to_bits()
            );
            let actual = set.centroid_inner_product(&x, &bytes, scale);
            assert!((f64::from(actual) - product).abs() <= 2e-6 * size);
            assert_eq!(
                actual.to_bits(),
                reference.centroid_inner_product(&x, &bytes, scale).to_bits()
            );
            let mut out = vec![9.0; dims + 1];
            set.decode_centroid(&bytes, scale, &mut out);
            assert_eq!((&out[..dims], out[dims]), (&values[..], 9.0));
            if dims > 0 {
                set.decode_centroid(&bytes, scale, &mut out[..dims - 1]);
                set.centroid_l2_squared(&x, &bytes[..2 * dims - 1], scale);
            }
        }
    }
}

#[test]
fn every_half_is_decoded_exactly() {
    let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for set in levels() {
        let mut out = vec![0.0; 1 << 16];
        set.decode_centroid(&bytes, 1.0, &mut out);
        for (bits, actual) in (0..=u16::MAX).zip(out) {
            let expected = f16::from_bits(bits).to_f32();
            assert!(
                actual.to_bits() == expected.to_bits() || actual.is_nan() && expected.is_nan(),
                "{bits}"
            );
        }
    }
}

#[test]
fn the_nearest_row_is_found_at_every_level() {
    let mut random = Random(8);
    for dims in [1, 15, 32, 96, 384, 1537] {
        for count in [0, 1, 2, 3, 4, 5, 7, 8, 21] {
            let (x, mut rows) = (random.floats(dims), random.floats(count * dims));
            if count > 2 {
                // Twice the same: the first counts.
                let near: Vec<f32> = x.iter().map(|x| x + 0.001).collect();
                rows[(count - 2) * dims..(count - 1) * dims].copy_from_slice(&near);
                rows[(count - 1) * dims..].copy_from_slice(&near);
            }
            let distances: Vec<f64> = rows
                .chunks(dims)
                .map(|row| row.iter().zip(&x).map(|(y, x)| f64::from(x - y).powi(2)).sum())
                .collect();
            let reference = ScanKernels::of(Level::Portable)
                .unwrap()
                .nearest_row(&x, &rows, dims);
            for set in levels() {
                let (index, value) = set.nearest_row(&x, &rows, dims);
                assert_eq!((index, value.to_bits()), (reference.0, reference.1.to_bits()));
                match count {
                    0 => assert_eq!((index, value), (0, f32::INFINITY)),
                    _ => {
                        let best = distances.iter().copied().fold(f64::INFINITY, f64::min);
                        assert!((f64::from(value) - best).abs() <= 1e-5 * best);
                        assert!(distances.iter().position(|x| *x == best) == Some(index) || count <= 2);
                    }
                }
                // A part of a row is none.
                let cut = rows.len().saturating_sub(1);
                assert!(set.nearest_row(&x, &rows[..cut], dims).0 < count.max(1));
            }
        }
    }
    for set in levels() {
        assert_eq!(set.nearest_row(&[1.0], &[1.0; 8], 0), (0, f32::INFINITY));
        assert_eq!(set.nearest_row(&[1.0], &[1.0; 8], 2), (0, f32::INFINITY));
        assert_eq!(set.nearest_row(&[1.0], &[f32::NAN, 2.0, 1.0], 1), (2, 0.0));
    }
}

#[test]
fn the_best_level_is_selected() {
    assert_eq!(scan_kernels().level(), Level::detect());
    for level in Level::ALL {
        assert_eq!(ScanKernels::of(level).is_some(), level.is_available());
    }
}

/// Prints how long the kernels take: `cargo test --release -p castmatch-engine scan -- --ignored --nocapture`.
#[test]
#[ignore = "prints times, checks nothing"]
fn times() {
    fn time(name: &str, level: Level, per: usize, mut work: impl FnMut()) {
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let start = std::time::Instant::now();
            (0..200).for_each(|_| work());
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / (200 * per) as f64);
        }
        println!("{level:?} {name}: {best:.1} ns");
    }
    let mut random = Random(9);
    for set in levels() {
        let level = set.level();
        for (dims, lanes) in [(384, 32), (768, 32), (1536, 32), (4096, 16), (4096, 8)] {
            let values = random.floats(dims);
            let mut tables = prepared(&values);
            let blocks: Vec<_> = (0..8).map(|_| random.bytes(code_bytes(dims, lanes))).collect();
            let factors = vec![0; 8 * lanes];
            let mut out = [0.0; BLOCK_ROWS];
            time(&format!("block of {lanes} x {dims}"), level, blocks.len(), || {
                for codes in &blocks {
                    set.keys(&tables, codes, &factors, lanes, 1.0, 2.0, 3.0, &mut out);
                    std::hint::black_box(&out);
                }
            });
            let (bytes, center) = random.centroid(dims, 0.5);
            time(&format!("centroid_l2_squared {dims}"), level, 1, || {
                std::hint::black_box(set.centroid_l2_squared(&values, std::hint::black_box(&bytes), 0.5));
            });
            let mut bits = vec![0; dims / 8];
            time(&format!("sign_code {dims}"), level, 1, || {
                std::hint::black_box(set.sign_code(std::hint::black_box(&values), &center, &mut bits));
            });
            let rows = random.floats(32 * dims);
            time(&format!("nearest_row {dims}, per row"), level, 32, || {
                std::hint::black_box(set.nearest_row(std::hint::black_box(&values), &rows, dims));
            });
            if level == Level::Portable {
                time(&format!("prepare {dims}"), level, 1, || {
                    tables.prepare(std::hint::black_box(&values)).unwrap();
                });
            }
        }
    }
}
