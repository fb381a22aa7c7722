//! The rows that are in an index, to be held against those of the table.

use crate::index::key::hash_bytes;
use crate::index::{HeapTid, IndexError};

use super::super::queue::reserve;
use super::super::sort::sort_by_key;
use super::{Check, Findings};

/// The rows that are in an index: eight bytes each, sorted, and eight more where the index has key columns.
///
/// The caller scans the table with a snapshot that it took *before* it verified the index, and calls
/// [`IndexedRows::expect`] for each visible row that the index must hold (the root of its HOT chain, with a vector, matching the
/// predicate of a partial index). A row that this snapshot sees was put into the index before its transaction ended, and vacuum
/// keeps it, so each one must be there. Rows of the index beyond those are rows that no snapshot or only another one sees.
#[derive(Debug, Default)]
pub struct IndexedRows {
    tids: Vec<u64>,
    /// A hash of the keys of each row; empty without key columns.
    keys: Vec<u64>,
    expected: u64,
    missing: Findings,
    different: Findings,
}

/// The row as a number that orders as rows do.
fn pack(tid: HeapTid) -> u64 {
    (u64::from(tid.block) << 16) | u64::from(tid.offset)
}

impl IndexedRows {
    /// Adds a row with its keys, in any order.
    pub(in crate::index) fn push(&mut self, tid: HeapTid, keys: &[u8]) -> Result<(), IndexError> {
        reserve(&mut self.tids, 1, "rows of an index")?;
        self.tids.push(pack(tid));
        if !keys.is_empty() {
            reserve(&mut self.keys, 1, "keys of the rows of an index")?;
            self.keys.push(hash_bytes(keys));
        }
        Ok(())
    }

    /// Sorts the rows, and checks that none is there twice. `go_on` is asked between steps.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`], and those of `go_on`.
    pub(in crate::index) fn sorted(
        mut self,
        go_on: impl FnMut() -> Result<(), IndexError>,
    ) -> Result<(Self, Check), IndexError> {
        if self.keys.is_empty() {
            sort_by_key(&mut self.tids, |tid| *tid, go_on)?;
        } else {
            let mut pairs: Vec<(u64, u64)> = Vec::new();
            reserve(&mut pairs, self.tids.len(), "rows of an index")?;
            pairs.extend(self.tids.iter().copied().zip(self.keys.iter().copied()));
            sort_by_key(&mut pairs, |(tid, _)| *tid, go_on)?;
            for ((tid, key), pair) in self.tids.iter_mut().zip(&mut self.keys).zip(pairs) {
                (*tid, *key) = pair;
            }
        }
        let mut twice = Findings::default();
        for pair in self.tids.array_windows::<2>() {
            let [a, b] = *pair;
            if a == b {
                twice.add(|| format!("row ({},{})", a >> 16, a & 0xFFFF));
            }
        }
        let check = twice.check("rows are unique", &format!("{} rows", self.tids.len()));
        // Where a row is there twice no keys are its own: they are not looked at.
        let before = self.tids.len();
        self.tids.dedup();
        if self.tids.len() < before {
            self.keys.clear();
        }
        Ok((self, check))
    }

    /// How many different rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tids.is_empty()
    }

    /// Whether the row is in the index.
    #[must_use]
    pub fn contains(&self, tid: HeapTid) -> bool {
        self.tids.binary_search(&pack(tid)).is_ok()
    }

    /// Notes a row of the table that must be in the index with these keys. Returns whether it is.
    pub fn expect(&mut self, tid: HeapTid, keys: &[u8]) -> bool {
        let row = || format!("row ({},{})", tid.block, tid.offset);
        self.expected += 1;
        let Ok(place) = self.tids.binary_search(&pack(tid)) else {
            self.missing.add(row);
            return false;
        };
        match self.keys.get(place) {
            Some(found) if *found != hash_bytes(keys) => {
                self.different.add(row);
                false
            }
            _ => true,
        }
    }

    /// The check that all expected rows were there.
    #[must_use]
    pub fn check(&self) -> Check {
        let summary = format!(
            "{} rows of the table, {} rows of the index",
            self.expected,
            self.tids.len()
        );
        self.missing.check("rows of the table", &summary)
    }

    /// The check that the keys of all expected rows were those of the table; none without key columns.
    #[must_use]
    pub fn key_check(&self) -> Option<Check> {
        let summary = format!("{} rows of the table", self.expected);
        (!self.keys.is_empty()).then(|| self.different.check("filter columns", &summary))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rows(tids: &[(u32, u16)]) -> (IndexedRows, Check) {
        let mut rows = IndexedRows::default();
        for (block, offset) in tids {
            let tid = HeapTid {
                block: *block,
                offset: *offset,
            };
            rows.push(tid, &[]).unwrap();
        }
        rows.sorted(|| Ok(())).unwrap()
    }

    #[test]
    fn a_row_with_other_keys_is_named() {
        let tid = |offset| HeapTid { block: 3, offset };
        let mut rows = IndexedRows::default();
        for offset in [9, 2, 5] {
            rows.push(tid(offset), &[offset as u8; 12]).unwrap();
        }
        let (mut rows, check) = rows.sorted(|| Ok(())).unwrap();
        assert!(check.ok);
        assert!(rows.expect(tid(5), &[5; 12]));
        assert!(rows.expect(tid(9), &[9; 12]));
        assert!(rows.key_check().unwrap().ok);
        assert!(!rows.expect(tid(2), &[5; 12]));
        assert!(rows.check().ok);
        let check = rows.key_check().unwrap();
        assert!(!check.ok);
        assert_eq!(check.detail, "3 rows of the table; 1 found: row (3,2)");
    }

    #[test]
    fn a_row_that_is_there_twice_is_named() {
        let (rows, check) = rows(&[(7, 2), (1, 9), (7, 2), (u32::MAX, u16::MAX)]);
        assert!(!check.ok);
        assert_eq!(check.detail, "4 rows; 1 found: row (7,2)");
        assert_eq!(rows.len(), 3);
        assert!(!rows.is_empty());
    }

    #[test]
    fn a_missing_row_is_named() {
        let (mut rows, check) = rows(&[(1, 1), (1, 2)]);
        assert!(check.ok);
        assert!(rows.expect(HeapTid { block: 1, offset: 2 }, &[]));
        assert!(rows.check().ok);
        assert!(rows.key_check().is_none());
        assert!(!rows.expect(HeapTid { block: 2, offset: 1 }, &[]));
        let check = rows.check();
        assert!(!check.ok);
        assert_eq!(
            check.detail,
            "2 rows of the table, 2 rows of the index; 1 found: row (2,1)"
        );
    }
}
