//! Which lists are replaced next.

use std::collections::HashSet;

use crate::index::IndexError;
use crate::index::storage::PageRead;
use crate::kernels::scan::Tables;

use super::super::directory::{Directory, Ranking, UNRANKED, prepare};
use super::super::index::Index;
use super::super::page::{Entry, ListState};
use super::census::{Census, ListCount};

/// A list with so many times the rows that it is to have is divided...
const LONG: u64 = 3;
/// ...unless it had more than this part of them when it was made: identical rows cannot be divided.
const UNDIVIDED_SHARE: u64 = 2;
/// A list with less than one of so many of the rows that it is to have is merged with its neighbours...
const SHORT: u64 = 8;
/// ...unless it has more than one of so many of those that it had when it was made: rows far from all others are a short list each time.
const SHRUNK: u64 = 2;
/// A list with so many times the pages that its rows need, and one, is written anew.
const SPARSE: u64 = 2;
/// Lists that are replaced together have at most so many rows, if they are more than one.
pub(super) const ROWS_TOGETHER: u64 = 65_536;
/// So many lists are made at once at most.
pub(super) const LISTS_TOGETHER: u64 = 256;
/// Neighbours that are looked at for a list that is to be replaced.
const NEIGHBOURS: usize = 512;
/// A short list is merged with so many neighbours.
const MERGED_WITH: usize = 2;

/// Chooses lists.
#[derive(Debug)]
pub(super) struct Planner {
    pub goal: u64,
    rows_per_page: u64,
    /// Lists that are left as they are until the next vacuum.
    settled: HashSet<u32>,
}

impl Planner {
    pub fn new(index: &Index, census: &Census) -> Self {
        Self {
            goal: index.list_rows(census.rows()),
            rows_per_page: index.layout.rows_per_page() as u64,
            settled: HashSet::new(),
        }
    }

    /// Leaves a list as it is.
    pub fn settle(&mut self, list: u32) {
        self.settled.insert(list);
    }

    fn is_long(&self, entry: &Entry, count: ListCount) -> bool {
        count.rows > LONG * self.goal && count.rows > UNDIVIDED_SHARE * entry.stamp
    }

    fn is_sparse(&self, count: ListCount) -> bool {
        count.pages > SPARSE * count.rows.div_ceil(self.rows_per_page) + 1
    }

    fn is_short(&self, entry: &Entry, count: ListCount) -> bool {
        let shrunk = entry.stamp == 0 || count.rows.saturating_mul(SHRUNK) <= entry.stamp;
        count.rows.saturating_mul(SHORT) < self.goal && shrunk
    }

    /// How much a list wants to be replaced; 0: not at all.
    fn urgency(&self, number: u32, entry: &Entry, count: ListCount, lists: usize) -> u64 {
        if number == UNRANKED || entry.state != ListState::Active || self.settled.contains(&number) {
            return 0;
        }
        if self.is_long(entry, count) {
            2 + count.rows
        } else if self.is_sparse(count) {
            2
        } else {
            u64::from(lists > 1 && self.is_short(entry, count))
        }
    }

    fn wanting<'a>(&'a self, census: &'a Census) -> impl Iterator<Item = (u64, u32)> + 'a {
        let lists = census
            .entries
            .iter()
            .skip(1)
            .filter(|entry| entry.state == ListState::Active)
            .count();
        (0_u32..)
            .zip(census.entries.iter().zip(&census.counts))
            .map(move |(number, (entry, count))| (self.urgency(number, entry, *count, lists), number))
            .filter(|(urgency, _)| *urgency > 0)
    }

    /// Whether a list wants to be replaced.
    pub fn has_work(&self, census: &Census) -> bool {
        self.wanting(census).next().is_some()
    }

    /// How many lists want to be replaced.
    pub fn left(&self, census: &Census) -> u64 {
        self.wanting(census).count() as u64
    }

    /// The next lists to be replaced together: the one that wants it most, and those near it that want it too.
    pub fn choose<S: PageRead>(
        &self,
        index: &Index,
        storage: &mut S,
        census: &Census,
    ) -> Result<Vec<u32>, IndexError> {
        let wanting: HashSet<u32> = self.wanting(census).map(|(_, number)| number).collect();
        let Some((_, leader)) = self.wanting(census).max() else {
            return Ok(Vec::new());
        };
        let count_of = |number: u32| census.counts.get(number as usize).copied().unwrap_or_default();
        let short = census
            .entries
            .get(leader as usize)
            .is_some_and(|entry| self.is_short(entry, count_of(leader)));
        let mut chosen = vec![leader];
        let mut rows = count_of(leader).rows;
        let directory = Directory::load(index, storage)?;
        let Some(list) = directory.list(leader) else {
            return Ok(chosen);
        };
        let mut centroid = vec![0.0; index.layout.dims];
        list.centroid(index, storage, &mut centroid)?;
        let (mut tables, mut ranking) = (Tables::default(), Ranking::default());
        prepare(&mut tables, &centroid)?;
        ranking.begin(index, &directory, storage, (&centroid, &tables), NEIGHBOURS, true)?;
        for _ in 0..NEIGHBOURS {
            let Some(near) = ranking.next(index, &directory, storage, &centroid)? else {
                break;
            };
            let number = near.number;
            let more = count_of(number).rows;
            if number == leader || rows + more > ROWS_TOGETHER || (rows + more) / self.goal >= LISTS_TOGETHER
            {
                continue;
            }
            let is_neighbour = short && chosen.len() <= MERGED_WITH && !self.settled.contains(&number);
            if wanting.contains(&number) || is_neighbour {
                chosen.push(number);
                rows += more;
            }
        }
        Ok(chosen)
    }
}
