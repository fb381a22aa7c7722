//! The scores of the rows found so far: an open-addressing table from a row's place to a number.

use std::collections::TryReserveError;

/// A row: its table's number and its place, packed by [`super::gin::Place`] and the glue. Never [`EMPTY`].
pub type Row = u64;

/// A slot without a row.
const EMPTY: Row = Row::MAX;
const MIN_SLOTS: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Slot {
    row: Row,
    score: f64,
}

const FREE: Slot = Slot {
    row: EMPTY,
    score: 0.0,
};

/// The scores.
#[derive(Debug)]
pub struct Accumulators {
    /// A power of two of them, at most half in use.
    slots: Vec<Slot>,
    used: usize,
}

impl Accumulators {
    /// None yet.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new() -> Result<Self, TryReserveError> {
        Ok(Self {
            slots: free_slots(MIN_SLOTS)?,
            used: 0,
        })
    }

    /// Rows that have a score.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Adds to the scores of rows, whether or not they have one.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn add(&mut self, rows: &[Row], amount: f64) -> Result<(), TryReserveError> {
        self.make_room(rows.len())?;
        for &row in rows {
            let place = self.find(row);
            if let Some(slot) = self.slots.get_mut(place) {
                if slot.row == EMPTY {
                    slot.row = row;
                    self.used += 1;
                }
                slot.score += amount;
            }
        }
        Ok(())
    }

    /// Adds to the scores of those rows that have one.
    pub fn raise(&mut self, rows: &[Row], amount: f64) {
        for &row in rows {
            let place = self.find(row);
            if let Some(slot) = self.slots.get_mut(place)
                && slot.row != EMPTY
            {
                slot.score += amount;
            }
        }
    }

    /// The scores, in no order.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn scores(&self) -> Result<Vec<(Row, f64)>, TryReserveError> {
        let mut scores = Vec::new();
        scores.try_reserve_exact(self.used)?;
        let used = self.slots.iter().filter(|slot| slot.row != EMPTY);
        scores.extend(used.map(|slot| (slot.row, slot.score)));
        Ok(scores)
    }

    /// The `place`-th largest score (from 1), if there are as many.
    ///
    /// # Errors
    /// When there is no memory to sort them.
    pub fn largest(&self, place: usize) -> Result<Option<f64>, TryReserveError> {
        if place == 0 || place > self.used {
            return Ok(None);
        }
        let mut scores = self.scores()?;
        let (_, found, _) = scores.select_nth_unstable_by(place - 1, |a, b| b.1.total_cmp(&a.1));
        Ok(Some(found.1))
    }

    /// The slot of a row, or the free one where it belongs.
    fn find(&self, row: Row) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = spread(row) & mask;
        while let Some(slot) = self.slots.get(place) {
            if slot.row == row || slot.row == EMPTY {
                break;
            }
            place = (place + 1) & mask;
        }
        place
    }

    fn make_room(&mut self, more: usize) -> Result<(), TryReserveError> {
        let wanted = self.used.saturating_add(more).saturating_mul(2);
        if wanted <= self.slots.len() {
            return Ok(());
        }
        let larger = free_slots(wanted.checked_next_power_of_two().unwrap_or(usize::MAX))?;
        let old = std::mem::replace(&mut self.slots, larger);
        for slot in old.into_iter().filter(|slot| slot.row != EMPTY) {
            let place = self.find(slot.row);
            if let Some(free) = self.slots.get_mut(place) {
                *free = slot;
            }
        }
        Ok(())
    }
}

fn free_slots(count: usize) -> Result<Vec<Slot>, TryReserveError> {
    let mut slots = Vec::new();
    slots.try_reserve_exact(count)?;
    slots.resize(count, FREE);
    Ok(slots)
}

/// Places of one page differ in their lowest bits only; the high bits of the product depend on all of them.
fn spread(row: Row) -> usize {
    (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::Accumulators;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn sums_are_those_of_a_map(
            lists in prop::collection::vec((prop::collection::vec(0_u64..5000, 0..300), 1_u8..9, any::<bool>()), 0..12)
        ) {
            let mut table = Accumulators::new().map_err(|_| TestCaseError::fail("memory"))?;
            let mut map: BTreeMap<u64, f64> = BTreeMap::new();
            for (rows, amount, new) in lists {
                let amount = f64::from(amount);
                if new {
                    table.add(&rows, amount).map_err(|_| TestCaseError::fail("memory"))?;
                } else {
                    table.raise(&rows, amount);
                }
                for row in rows {
                    if new {
                        *map.entry(row).or_default() += amount;
                    } else if let Some(score) = map.get_mut(&row) {
                        *score += amount;
                    }
                }
            }
            let mut scores = table.scores().map_err(|_| TestCaseError::fail("memory"))?;
            scores.sort_by_key(|&(row, _)| row);
            prop_assert_eq!(table.len(), map.len());
            let mut sorted: Vec<f64> = map.values().copied().collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            for (place, score) in (1..).zip(&sorted) {
                prop_assert_eq!(table.largest(place).ok().flatten(), Some(*score));
            }
            prop_assert_eq!(table.largest(sorted.len() + 1).ok().flatten(), None);
            prop_assert_eq!(scores, map.into_iter().collect::<Vec<_>>());
        }
    }
}
