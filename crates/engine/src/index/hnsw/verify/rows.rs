//! The rows that are in an index, to be held against those of the table.

use crate::index::{HeapTid, IndexError};

use super::super::queue::reserve;
use super::super::sort::sort_by_key;
use super::{Check, Findings};

/// The rows that are in an index: eight bytes each, sorted.
///
/// The caller scans the table with a snapshot that it took *before* it verified the index, and calls
/// [`IndexedRows::expect`] for each visible row that the index must hold (the root of its HOT chain, with a vector, matching the
/// predicate of a partial index). A row that this snapshot sees was put into the index before its transaction ended, and vacuum
/// keeps it, so each one must be there. Rows of the index beyond those are rows that no snapshot or only another one sees.
#[derive(Debug, Default)]
pub struct IndexedRows {
    tids: Vec<u64>,
    expected: u64,
    missing: Findings,
}

/// The row as a number that orders as rows do.
fn pack(tid: HeapTid) -> u64 {
    (u64::from(tid.block) << 16) | u64::from(tid.offset)
}

impl IndexedRows {
    /// Adds a row, in any order.
    pub(super) fn push(&mut self, tid: HeapTid) -> Result<(), IndexError> {
        reserve(&mut self.tids, 1, "rows of an index")?;
        self.tids.push(pack(tid));
        Ok(())
    }

    /// Sorts the rows, and checks that none is there twice. `go_on` is asked between steps.
    ///
    /// # Errors
    /// Those of `go_on`.
    pub(super) fn sorted(
        mut self,
        go_on: impl FnMut() -> Result<(), IndexError>,
    ) -> Result<(Self, Check), IndexError> {
        sort_by_key(&mut self.tids, |tid| *tid, go_on)?;
        let mut twice = Findings::default();
        for pair in self.tids.array_windows::<2>() {
            let [a, b] = *pair;
            if a == b {
                twice.add(|| format!("row ({},{})", a >> 16, a & 0xFFFF));
            }
        }
        let check = twice.check("rows are unique", &format!("{} rows", self.tids.len()));
        self.tids.dedup();
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

    /// Notes a row of the table that must be in the index. Returns whether it is.
    pub fn expect(&mut self, tid: HeapTid) -> bool {
        let found = self.contains(tid);
        self.expected += 1;
        if !found {
            self.missing.add(|| format!("row ({},{})", tid.block, tid.offset));
        }
        found
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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rows(tids: &[(u32, u16)]) -> (IndexedRows, Check) {
        let mut rows = IndexedRows::default();
        for (block, offset) in tids {
            rows.push(HeapTid {
                block: *block,
                offset: *offset,
            })
            .unwrap();
        }
        rows.sorted(|| Ok(())).unwrap()
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
        assert!(rows.expect(HeapTid { block: 1, offset: 2 }));
        assert!(rows.check().ok);
        assert!(!rows.expect(HeapTid { block: 2, offset: 1 }));
        let check = rows.check();
        assert!(!check.ok);
        assert_eq!(
            check.detail,
            "2 rows of the table, 2 rows of the index; 1 found: row (2,1)"
        );
    }
}
