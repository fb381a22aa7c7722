//! The regions that are nearest to an element.
//!
//! A region is as near as the nearest of its members. To look at all members would cost each element time in proportion to the number of
//! regions. So the search goes down the tree of the halves to the region that the element belongs to, and then to those beyond the
//! nearest borders, to so many in all as usually hold the nearest ones.
//!
//! What is equally near comes in another order for each element: so identical vectors, whose regions are many and all as near, spread over them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

#[cfg(test)]
use super::regions::PER_SHARD;
use super::regions::{Part, Regions};
use crate::index::IndexError;
use crate::index::hnsw::Index;
use crate::index::hnsw::hash::mix;
use crate::index::quantize::Query;

/// How many shards are found for an element; if all of them are full, any other takes it.
pub(super) const NEAREST: usize = 4;
/// How many regions are looked at: the nearest of 300 is among them for 98 % of the elements.
const LOOKED_AT: usize = 16;
/// No tree is deeper: it halves no more shards than 16 bits number.
const DEPTH: usize = 17;

/// A part to be looked at, the nearest one the greatest.
#[derive(Debug)]
struct Beyond {
    /// The sum of the squared distances to the borders before it.
    far: f32,
    lot: u64,
    part: Part,
}

impl Ord for Beyond {
    fn cmp(&self, other: &Self) -> Ordering {
        other.far.total_cmp(&self.far).then(other.lot.cmp(&self.lot))
    }
}

impl PartialOrd for Beyond {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Beyond {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Beyond {}

/// Memory of a search.
#[derive(Debug)]
pub(super) struct Frontier {
    open: BinaryHeap<Beyond>,
    nearest: [(f32, u64, u16); NEAREST],
    /// Estimates since it was made.
    pub(super) estimates: u64,
}

impl Frontier {
    pub(super) fn new() -> Result<Self, IndexError> {
        let mut open = BinaryHeap::new();
        let most = LOOKED_AT * DEPTH;
        open.try_reserve_exact(most)
            .map_err(|_| IndexError::OutOfMemory {
                what: "regions of an index build",
                bytes: most * size_of::<Beyond>(),
            })?;
        Ok(Frontier {
            open,
            nearest: [(0.0, 0, 0); NEAREST],
            estimates: 0,
        })
    }

    /// Notes how near a region is.
    fn rate(&mut self, key: f32, lot: u64, shard: u16) {
        let mut new = (key, lot, shard);
        for place in &mut self.nearest {
            let nearer = new.0.total_cmp(&place.0).then(new.1.cmp(&place.1));
            if place.2 == u16::MAX || nearer == Ordering::Less {
                std::mem::swap(place, &mut new);
            }
            if new.2 == u16::MAX {
                return;
            }
        }
    }
}

impl Regions {
    /// The regions nearest to an element, nearest first; behind them `u16::MAX`. `salt` is another one for each element.
    pub(super) fn nearest(
        &self,
        index: &Index,
        query: &Query,
        salt: u32,
        frontier: &mut Frontier,
    ) -> [u16; NEAREST] {
        frontier.nearest = [(f32::INFINITY, 0, u16::MAX); NEAREST];
        frontier.open.clear();
        if usize::from(self.shards()) <= LOOKED_AT {
            for shard in 0..self.shards() {
                self.look_at(index, query, salt, shard, frontier);
            }
        } else {
            let whole = Beyond {
                far: 0.0,
                lot: 0,
                part: Part::Split(0),
            };
            frontier.open.push(whole);
            for _ in 0..LOOKED_AT {
                let Some(next) = frontier.open.pop() else {
                    break;
                };
                let shard = self.descend(index, query, salt, next, frontier);
                self.look_at(index, query, salt, shard, frontier);
            }
        }
        frontier.nearest.map(|(_, _, shard)| shard)
    }

    /// The region that a part leads to; what lies beyond the borders on the way is noted.
    fn descend(&self, index: &Index, query: &Query, salt: u32, from: Beyond, frontier: &mut Frontier) -> u16 {
        let Beyond { far, mut part, .. } = from;
        loop {
            let number = match part {
                Part::Region(shard) => return shard,
                Part::Split(number) => number,
            };
            let Some(split) = self.splits.get(number as usize) else {
                return 0;
            };
            frontier.estimates += 2;
            let beyond = self.nearer_to_first(index, query, split.extremes) - split.border;
            let lot = draw(salt, number);
            let second = beyond > 0.0 || (beyond == 0.0 && lot % 2 == 1);
            let [one, other] = split.halves;
            let (near, rest) = if second { (other, one) } else { (one, other) };
            frontier.open.push(Beyond {
                far: far + beyond * beyond * split.scale,
                lot,
                part: rest,
            });
            part = near;
        }
    }

    /// Rates a region.
    fn look_at(&self, index: &Index, query: &Query, salt: u32, shard: u16, frontier: &mut Frontier) {
        let at = usize::from(shard);
        let start = at
            .checked_sub(1)
            .and_then(|before| self.ends.get(before).copied());
        let (start, end) = (start.unwrap_or(0), self.ends.get(at).copied().unwrap_or(0));
        let members = self.members.get(start..end).unwrap_or_default();
        frontier.estimates += members.len() as u64;
        let keys = members.iter().map(|at| self.key(index, query, *at));
        let key = keys.fold(f32::INFINITY, f32::min);
        frontier.rate(key, draw(salt, u32::from(shard)), shard);
    }
}

/// Decides between equals.
fn draw(salt: u32, number: u32) -> u64 {
    mix(u64::from(salt) << 32 | u64::from(number))
}

/// How many estimates an element costs at most, whatever the number of shards is.
#[cfg(test)]
pub(super) const MOST_ESTIMATES: u64 = (LOOKED_AT * (2 * DEPTH + 2 * PER_SHARD as usize)) as u64;
