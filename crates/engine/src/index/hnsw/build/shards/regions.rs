//! The regions of the shards.
//!
//! A sample of the elements, evenly from all pages, stands for all: each member of it for about as many elements as any other.
//! The sample is halved again and again, between two of its members that are far apart, until there are as many parts as shards.
//! So all regions have about as many elements, which the means of a clustering would not give. The halves make a tree, by which
//! [`super::nearest`] finds the regions of an element.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use std::ops::Range;

use super::Means;
use super::codes::Codes;
use super::members::members;
use crate::index::hnsw::Index;
use crate::index::hnsw::build::Supervisor;
use crate::index::hnsw::queue::reserve;
use crate::index::hnsw::sort::sort_by_key;
use crate::index::hnsw::sweep::{PageCopy, sweep};
use crate::index::quantize::{CodeRef, Query};
use crate::index::storage::PageRead;
use crate::index::{IndexError, Metric};

/// Members of the sample for each shard: as many make regions of about equal size, and more cost each element time.
pub(super) const PER_SHARD: u64 = 16;
/// The sample takes at most this part of the memory.
const MEMORY_SHARE: usize = 4;
/// Members of the sample that are looked at between two questions whether to go on.
const STEP: usize = 1 << 12;

/// A part of the sample in the tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// One that was halved: its number in [`Regions::splits`].
    Split(u32),
    /// A region.
    Region(u16),
}

/// How a part was halved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    /// Members of the sample that are far apart.
    pub(super) extremes: [u32; 2],
    /// How much nearer an element may be to the second one than to the first to belong to the first half.
    pub(super) border: f32,
    /// Turns the square of a difference of such numbers into that of a distance, as keys are.
    pub(super) scale: f32,
    /// The halves.
    pub(super) halves: [Part; 2],
}

/// A part that is to become so many regions.
struct Undivided {
    range: Range<usize>,
    shards: usize,
    /// Which half it is of which split.
    place: Option<(usize, usize)>,
}

/// The sample, divided.
#[derive(Debug)]
pub(super) struct Regions {
    pub(super) codes: Codes,
    /// Members of the sample, region by region.
    pub(super) members: Vec<u32>,
    /// Where each region ends in `members`.
    pub(super) ends: Vec<usize>,
    /// The first one is that of the whole sample.
    pub(super) splits: Vec<Split>,
}

impl Regions {
    /// Divides the elements of a level, of which there are `elements`, into `wanted` regions, or into as many as the memory has room for
    /// samples of.
    pub(super) fn of_sample<S: PageRead>(
        index: &Index,
        storage: &mut S,
        level: u8,
        elements: u64,
        wanted: u64,
        means: &Means,
        supervisor: &dyn Supervisor,
    ) -> Result<Self, IndexError> {
        let split = size_of::<Split>().div_ceil(PER_SHARD as usize);
        let each = Codes::bytes_each(index) + size_of::<u32>() + size_of::<(f32, u32)>() + split;
        let most = (means.memory_bytes / MEMORY_SHARE / each).max(2) as u64;
        let size = (wanted * PER_SHARD).min(most).min(elements).max(1);
        let mut codes = Codes::with_capacity(index, size as usize)?;
        let mut seen = 0_u64;
        sweep(index, storage, &mut PageCopy::new(), |_, copy| {
            members(index, copy, level, |member| {
                // The next one of `size` that are spread evenly over all.
                if (codes.len() as u64) < size && seen >= codes.len() as u64 * elements / size {
                    codes.push(member.code);
                }
                seen += 1;
                Ok(())
            })
        })?;
        let mut regions = Regions {
            members: Vec::new(),
            ends: Vec::new(),
            splits: Vec::new(),
            codes,
        };
        let (size, shards) = (
            regions.codes.len(),
            wanted.min(regions.codes.len() as u64) as usize,
        );
        reserve(&mut regions.members, size, "sample of an index build")?;
        reserve(&mut regions.ends, shards, "sample of an index build")?;
        reserve(&mut regions.splits, shards, "sample of an index build")?;
        let mut order: Vec<(f32, u32)> = Vec::new();
        reserve(&mut order, size, "sample of an index build")?;
        order.extend((0..size as u32).map(|at| (0.0, at)));
        regions.divide(index, &mut order, shards, supervisor)?;
        Ok(regions)
    }

    /// Divides a part of the sample into so many regions, each with a member at least.
    fn divide(
        &mut self,
        index: &Index,
        part: &mut [(f32, u32)],
        shards: usize,
        supervisor: &dyn Supervisor,
    ) -> Result<(), IndexError> {
        // The first one last. Halving needs no more room than the number of shards has bits.
        let mut open: Vec<Undivided> = Vec::new();
        reserve(&mut open, usize::BITS as usize + 2, "sample of an index build")?;
        open.push(Undivided {
            range: 0..part.len(),
            shards,
            place: None,
        });
        let mut query = Query::default();
        while let Some(Undivided { range, shards, place }) = open.pop() {
            let members = &mut part[range.clone()];
            // There are no more shards than 16 bits number.
            let own = if shards <= 1 {
                self.members.extend(members.iter().map(|(_, at)| *at));
                self.ends.push(self.members.len());
                Part::Region(self.ends.len() as u16 - 1)
            } else {
                let left = shards / 2;
                let cut = members.len() * left / shards;
                let split = self.split(index, members, cut, &mut query, supervisor)?;
                self.splits.push(split);
                let number = self.splits.len() - 1;
                let cut = range.start + cut;
                open.push(Undivided {
                    range: cut..range.end,
                    shards: shards - left,
                    place: Some((number, 1)),
                });
                open.push(Undivided {
                    range: range.start..cut,
                    shards: left,
                    place: Some((number, 0)),
                });
                Part::Split(number as u32)
            };
            if let Some((split, half)) = place {
                self.splits[split].halves[half] = own;
            }
        }
        Ok(())
    }

    /// Orders members by how much nearer they are to one that is far from the first than to one that is far from that, and tells how `cut` of
    /// them come into the first half. Whose halves these are is still to be said.
    fn split(
        &self,
        index: &Index,
        members: &mut [(f32, u32)],
        cut: usize,
        query: &mut Query,
        supervisor: &dyn Supervisor,
    ) -> Result<Split, IndexError> {
        let key = |a: u32, b: u32| self.distance(index, self.codes.get(a as usize), b);
        let farthest = |from: u32, members: &[(f32, u32)]| {
            let mut far = (f32::NEG_INFINITY, from);
            for step in members.chunks(STEP) {
                supervisor.check()?;
                for (_, at) in step {
                    let key = key(from, *at);
                    if key >= far.0 {
                        far = (key, *at);
                    }
                }
            }
            Ok::<u32, IndexError>(far.1)
        };
        let first = members.first().map_or(0, |(_, at)| *at);
        let one = farthest(first, members)?;
        let other = farthest(one, members)?;
        for step in members.chunks_mut(STEP) {
            supervisor.check()?;
            for (order, at) in step {
                // As an element will be looked at, to the last bit: identical ones lie on the border.
                query.prepare_code(&index.quantizer, self.codes.get(*at as usize));
                *order = self.nearer_to_first(index, query, [one, other]);
            }
        }
        let number = |(order, at): &(f32, u32)| u64::from(ascending(*order)) << 32 | u64::from(*at);
        sort_by_key(members, number, || Ok(supervisor.check()?))?;
        let order = |at: usize| members.get(at).map_or(0.0, |(order, _)| *order);
        let (last, next) = (order(cut.saturating_sub(1)), order(cut));
        // Keys but those of the taxicab and the Jaccard metric are squared distances, of which the planes between two points have that of these as a factor.
        let apart = if matches!(index.metric, Metric::L1 | Metric::Jaccard) {
            1.0
        } else {
            key(one, other) - key(one, one)
        };
        Ok(Split {
            extremes: [one, other],
            border: if last == next {
                last
            } else {
                last / 2.0 + next / 2.0
            },
            scale: if apart > 0.0 { 0.25 / apart } else { 0.0 },
            halves: [Part::Region(0); 2],
        })
    }

    /// How much nearer an element is to the first than to the second of two members: the lower, the nearer.
    pub(super) fn nearer_to_first(&self, index: &Index, query: &Query, [one, other]: [u32; 2]) -> f32 {
        self.key(index, query, one) - self.key(index, query, other)
    }

    /// As [`Regions::distance`], of an element that was prepared.
    pub(super) fn key(&self, index: &Index, query: &Query, at: u32) -> f32 {
        let code = self.codes.get(at as usize);
        index.quantizer.fill_key(query.estimate(code), code)
    }

    /// How far a member of the sample is from a code: by the key of the metric, but by the Euclidean distance for inner products, which
    /// make no regions: all of space would be nearest to the few longest vectors.
    fn distance(&self, index: &Index, from: CodeRef<'_>, at: u32) -> f32 {
        let code = self.codes.get(at as usize);
        index
            .quantizer
            .fill_key(index.quantizer.between(from, code), code)
    }

    /// How many regions there are.
    pub(super) fn shards(&self) -> u16 {
        // At most MAX_SHARDS.
        self.ends.len() as u16
    }
}

/// A number that orders as the floating-point numbers do.
fn ascending(number: f32) -> u32 {
    let bits = number.to_bits();
    bits ^ ((bits.cast_signed() >> 31).cast_unsigned() | 0x8000_0000)
}
