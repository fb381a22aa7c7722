//! Sorting of arrays as long as the index, which answers interrupts.
//!
//! The sorts of the standard library run to their end: seconds for a hundred million numbers. Here parts are split in place by the highest bit
//! in which their keys differ (radix exchange), with a question whether to go on every [`STEP`] items, until they are short
//! enough for a sort of the standard library. No key makes it quadratic: there are at most 64 splits above any item.

// Places are those of the array that is sorted.
#![allow(clippy::indexing_slicing)]

use std::ops::Range;

use crate::index::IndexError;

/// Items that are looked at between two questions.
const STEP: usize = 1 << 16;
/// Parts of so many items are sorted at once.
const PART: usize = 1 << 14;

/// Sorts by ascending keys, equal ones in any order. Allocates nothing. When `check` fails, the items are those that were there, in some order.
///
/// # Errors
/// Those of `check`.
pub(super) fn sort_by_key<T>(
    items: &mut [T],
    key: impl Fn(&T) -> u64,
    mut check: impl FnMut() -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    // Parts to be sorted: one for each bit at most waits for its turn.
    let mut open = [const { 0..0 }; u64::BITS as usize + 1];
    let mut count = 1;
    open[0] = 0..items.len();
    while count > 0 {
        count -= 1;
        let range = std::mem::take(&mut open[count]);
        let part = &mut items[range.clone()];
        check()?;
        if part.len() <= PART {
            part.sort_unstable_by_key(&key);
            continue;
        }
        let differing = differing_bits(part, &key, &mut check)?;
        if differing == 0 {
            continue;
        }
        let bit = 1 << differing.ilog2();
        let middle = range.start + split(part, |item| key(item) & bit == 0, &mut check)?;
        open[count] = middle..range.end;
        open[count + 1] = range.start..middle;
        count += 2;
    }
    Ok(())
}

/// The bits in which keys differ.
fn differing_bits<T>(
    part: &[T],
    key: impl Fn(&T) -> u64,
    check: &mut impl FnMut() -> Result<(), IndexError>,
) -> Result<u64, IndexError> {
    let (mut all, mut any) = (u64::MAX, 0);
    for step in part.chunks(STEP) {
        check()?;
        for item in step {
            let key = key(item);
            (all, any) = (all & key, any | key);
        }
    }
    Ok(all ^ any)
}

/// Moves the items that `is_first` holds for before the others. Returns how many they are.
fn split<T>(
    part: &mut [T],
    is_first: impl Fn(&T) -> bool,
    check: &mut impl FnMut() -> Result<(), IndexError>,
) -> Result<usize, IndexError> {
    let Range { mut start, mut end } = 0..part.len();
    let mut looked_at = 0;
    while start < end {
        looked_at += 1;
        if looked_at % STEP == 0 {
            check()?;
        }
        if is_first(&part[start]) {
            start += 1;
        } else {
            end -= 1;
            part.swap(start, end);
        }
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::interrupt::Interrupted;

    /// Numbers in no order, of which the highest bits vary as `shape` says.
    fn numbers(count: usize, shape: u32) -> Vec<u64> {
        let mut state = u64::from(shape) + 1;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = state >> (shape % 60);
            // Now and then few different ones, or most of them small.
            match shape % 3 {
                0 => number,
                1 => number % 7,
                _ => number >> (state % 61),
            }
        };
        (0..count).map(next).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn sorts_as_the_standard_library_does(count in 0usize..100_000, shape in 0u32..200) {
            let mut sorted = numbers(count, shape);
            let mut expected = sorted.clone();
            sort_by_key(&mut sorted, |number| *number, || Ok(())).unwrap();
            expected.sort_unstable();
            prop_assert!(sorted == expected);
        }
    }

    #[test]
    fn an_interruption_in_the_middle_ends_it_and_loses_nothing() {
        let numbers = numbers(400_000, 0);
        let mut expected = numbers.clone();
        expected.sort_unstable();
        let checks = Cell::new(0);
        let sort = |allowed: u32| {
            checks.set(0);
            let mut sorted = numbers.clone();
            let check = || {
                checks.set(checks.get() + 1);
                if checks.get() > allowed {
                    return Err(Interrupted.into());
                }
                Ok(())
            };
            (sort_by_key(&mut sorted, |number| *number, check), sorted)
        };
        assert_eq!(sort(u32::MAX), (Ok(()), expected.clone()));
        let all = checks.get();
        assert!(all > 40, "{all}");
        for allowed in [0, 1, all / 3, all / 2, all - 1] {
            let (ended, mut left) = sort(allowed);
            assert_eq!(ended, Err(Interrupted.into()));
            assert_eq!(checks.get(), allowed + 1);
            assert!(left != expected || allowed == all - 1);
            left.sort_unstable();
            assert!(left == expected);
        }
    }

    #[test]
    fn the_work_between_two_checks_is_bounded() {
        for shape in 0..9 {
            let mut numbers = numbers(300_000, shape);
            let (since, longest) = (Cell::new(0), Cell::new(0));
            let key = |number: &u64| {
                since.set(since.get() + 1);
                longest.set(since.get().max(longest.get()));
                *number
            };
            let check = || {
                since.set(0);
                Ok(())
            };
            sort_by_key(&mut numbers, key, check).unwrap();
            // That of the sort of a part, which takes two keys for each comparison.
            let most = PART * 2 * (PART.ilog2() as usize + 4);
            assert!(longest.get() <= most, "{} > {most}", longest.get());
        }
    }
}
