//! The level of an element.

use super::hash::mix;
use crate::index::HeapTid;
use crate::index::page::MAX_LEVEL;

/// The level of the element of a row: geometrically distributed with ratio 1/m (arXiv 1603.09320, section 4.1), the same each
/// time for the same seed and row.
#[must_use]
pub fn level_of(seed: u64, tid: HeapTid, m: u16) -> u8 {
    let row = (u64::from(tid.block) << 16) | u64::from(tid.offset);
    // 53 random bits, made a number in (0, 1].
    let uniform = ((mix(seed ^ mix(row)) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    let level = -uniform.ln() / f64::from(m.max(2)).ln();
    // Between 0 and 53, so the cast is exact after rounding down.
    (level as u8).min(MAX_LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_has_one_mth_of_the_one_below() {
        for m in [2, 16, 100] {
            let mut counts = [0u32; 8];
            for number in 0..200_000 {
                let tid = HeapTid {
                    block: number / 100,
                    offset: (number % 100) as u16 + 1,
                };
                counts[usize::from(level_of(7, tid, m))] += 1;
            }
            for level in 0..4 {
                let at_least: u32 = counts[level..].iter().sum();
                let expected = 200_000.0 / f64::from(m).powi(level as i32);
                assert!(
                    (f64::from(at_least) - expected).abs() < 5.0 * expected.sqrt() + 1.0,
                    "m {m} level {level}: {at_least}"
                );
            }
        }
    }

    #[test]
    fn another_seed_gives_other_levels() {
        let levels = |seed| {
            (0..1000)
                .map(|block| level_of(seed, HeapTid { block, offset: 1 }, 4))
                .collect::<Vec<_>>()
        };
        assert_eq!(levels(1), levels(1));
        assert_ne!(levels(1), levels(2));
    }
}
