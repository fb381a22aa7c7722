//! The regions of the shards.
//!
//! A sample of the elements, evenly from all pages, stands for all: each member of it for about as many elements as any other.
//! The sample is halved again and again, between two of its members that are far apart, until there are as many parts as shards.
//! So all regions have about as many elements, which the means of a clustering would not give.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use super::Means;
use super::members::members;
use crate::index::IndexError;
use crate::index::hnsw::Index;
use crate::index::hnsw::build::Supervisor;
use crate::index::hnsw::queue::reserve;
use crate::index::hnsw::sort::sort_by_key;
use crate::index::hnsw::sweep::{PageCopy, sweep};
use crate::index::quantize::{CodeRef, Factors, Query};
use crate::index::storage::PageRead;

/// Members of the sample for each shard: as many make regions of about equal size, and more cost each element time.
const PER_SHARD: u64 = 16;
/// The sample takes at most this part of the memory.
const MEMORY_SHARE: usize = 4;
/// How many shards are found for an element; if all of them are full, any other takes it.
pub(super) const NEAREST: usize = 4;

/// Members of the sample that are looked at between two questions whether to go on.
const STEP: usize = 1 << 12;

/// Codes of elements, one after the other.
#[derive(Debug, Default)]
pub(super) struct Codes {
    factors: Vec<Factors>,
    bytes: Vec<u8>,
    code_bytes: usize,
}

impl Codes {
    /// Room for so many codes.
    pub(super) fn with_capacity(index: &Index, count: usize) -> Result<Self, IndexError> {
        let mut codes = Codes {
            code_bytes: index.quantizer.code_bytes(),
            ..Codes::default()
        };
        reserve(&mut codes.factors, count, "sample of an index build")?;
        reserve(
            &mut codes.bytes,
            count * codes.code_bytes,
            "sample of an index build",
        )?;
        Ok(codes)
    }

    /// What one code takes.
    pub(super) fn bytes_each(index: &Index) -> usize {
        size_of::<Factors>() + index.quantizer.code_bytes()
    }

    pub(super) fn len(&self) -> usize {
        self.factors.len()
    }

    pub(super) fn clear(&mut self) {
        self.factors.clear();
        self.bytes.clear();
    }

    /// Adds a code; there is room for it.
    pub(super) fn push(&mut self, code: CodeRef<'_>) {
        self.factors.push(code.factors);
        self.bytes.extend_from_slice(code.code);
    }

    pub(super) fn get(&self, at: usize) -> CodeRef<'_> {
        CodeRef {
            factors: self.factors[at],
            code: &self.bytes[at * self.code_bytes..(at + 1) * self.code_bytes],
        }
    }
}

/// The sample, divided.
#[derive(Debug)]
pub(super) struct Regions {
    codes: Codes,
    /// Members of the sample, region by region.
    members: Vec<u32>,
    /// Where each region ends in `members`.
    ends: Vec<usize>,
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
        let each = Codes::bytes_each(index) + size_of::<u32>() + size_of::<(f32, u32)>();
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
            codes,
        };
        let (size, shards) = (
            regions.codes.len(),
            wanted.min(regions.codes.len() as u64) as usize,
        );
        reserve(&mut regions.members, size, "sample of an index build")?;
        reserve(&mut regions.ends, shards, "sample of an index build")?;
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
        // Parts to be divided, the first one last. Halving needs no more room than the number of shards has bits.
        let mut open: Vec<(std::ops::Range<usize>, usize)> = Vec::new();
        reserve(&mut open, usize::BITS as usize + 2, "sample of an index build")?;
        open.push((0..part.len(), shards));
        while let Some((range, shards)) = open.pop() {
            let members = &mut part[range.clone()];
            if shards <= 1 {
                self.members.extend(members.iter().map(|(_, at)| *at));
                self.ends.push(self.members.len());
                continue;
            }
            self.order_between_extremes(index, members, supervisor)?;
            let left = shards / 2;
            let cut = range.start + members.len() * left / shards;
            open.push((cut..range.end, shards - left));
            open.push((range.start..cut, left));
        }
        Ok(())
    }

    /// Orders members by how much nearer they are to one that is far from the first than to one that is far from that.
    fn order_between_extremes(
        &self,
        index: &Index,
        members: &mut [(f32, u32)],
        supervisor: &dyn Supervisor,
    ) -> Result<(), IndexError> {
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
                *order = key(one, *at) - key(other, *at);
            }
        }
        let key = |(order, at): &(f32, u32)| u64::from(ascending(*order)) << 32 | u64::from(*at);
        sort_by_key(members, key, || Ok(supervisor.check()?))
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

    /// The regions nearest to a query, nearest first; behind them `u16::MAX`.
    pub(super) fn nearest(&self, index: &Index, query: &Query) -> [u16; NEAREST] {
        let mut nearest = [(f32::INFINITY, u16::MAX); NEAREST];
        let mut start = 0;
        for (shard, end) in (0..).zip(&self.ends) {
            let key = self.members[start..*end]
                .iter()
                .map(|at| {
                    let code = self.codes.get(*at as usize);
                    index.quantizer.fill_key(query.estimate(code), code)
                })
                .fold(f32::INFINITY, f32::min);
            start = *end;
            let mut new = (key, shard);
            for place in &mut nearest {
                if place.1 == u16::MAX || new.0 < place.0 {
                    std::mem::swap(place, &mut new);
                }
                if new.1 == u16::MAX {
                    break;
                }
            }
        }
        nearest.map(|(_, shard)| shard)
    }
}

/// A number that orders as the floating-point numbers do.
fn ascending(number: f32) -> u32 {
    let bits = number.to_bits();
    bits ^ ((bits.cast_signed() >> 31).cast_unsigned() | 0x8000_0000)
}
