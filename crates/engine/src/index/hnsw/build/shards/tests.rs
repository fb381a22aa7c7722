#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use super::super::tests::data::{InterruptAfter, build, clustered, index, keys_of, options, push_all, tid};
use super::super::{Builder, PageSink};
use super::members::members;
use super::nearest::{Frontier, MOST_ESTIMATES};
use super::regions::Regions;
use super::{Means, Sharded, Tape, link_pages};
use crate::index::hnsw::insert::{Inserter, NewElement};
use crate::index::hnsw::paged::{PagedGraph, PagedScratch, peek_entries};
use crate::index::hnsw::reach::Reach;
use crate::index::hnsw::sweep::{Content, PageCopy, sweep};
use crate::index::hnsw::walk::{Beam, Overflow, descend};
use crate::index::hnsw::{Index, IndexOptions};
use crate::index::key::{KeyKind, KeyKinds};
use crate::index::page::{PageBytes, SlotState};
use crate::index::quantize::{Query, exact_key};
use crate::index::storage::{MemoryStorage, PageRead};
use crate::index::{HeapTid, IndexError, Metric};
use crate::interrupt::NeverInterrupted;

/// A tape in memory.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    at: usize,
    /// Fails when it is longer.
    fails_after: Option<usize>,
}

impl Tape for Memory {
    fn clear(&mut self) -> Result<(), IndexError> {
        self.bytes.clear();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.bytes.extend_from_slice(bytes);
        match self.fails_after {
            Some(most) if self.bytes.len() > most => Err(IndexError::Failed { what: "tape is full" }),
            _ => Ok(()),
        }
    }

    fn rewind(&mut self) -> Result<(), IndexError> {
        self.at = 0;
        Ok(())
    }

    fn read(&mut self, out: &mut [u8]) -> Result<usize, IndexError> {
        let rest = &self.bytes[self.at..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

struct Pages(MemoryStorage);

impl PageSink for Pages {
    fn page(&mut self, _block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        self.0.push_page(bytes).map(drop)
    }
}

/// Stores what fits into so much memory, then the rest, all unlinked.
fn store(index: &Index, vectors: &[Vec<f32>], memory_bytes: usize, threads: usize) -> (MemoryStorage, Means) {
    let mut builder = Builder::new(index, memory_bytes, threads);
    let taken = push_all(&mut builder, index, vectors);
    let mut pages = Pages(MemoryStorage::new());
    builder.write_unlinked(&mut pages).unwrap();
    drop(builder);
    let mut storage = pages.0;
    let mut inserter = Inserter::default();
    let mut transformed = vec![0.0; index.dims as usize];
    for (row, vector) in vectors.iter().enumerate().skip(taken) {
        let rankable = index.quantizer.transform(vector, &mut transformed);
        let keys = keys_of(index, row);
        let element = NewElement {
            transformed: &transformed,
            rankable,
            tid: tid(row),
            level: index.level(tid(row)),
            keys: keys.as_bytes(),
        };
        inserter
            .store_unlinked(index, &mut storage, &element, row as u64)
            .unwrap();
    }
    let means = Means {
        memory_bytes,
        threads,
    };
    (storage, means)
}

/// Builds in so much memory.
fn build_in(
    index: &Index,
    vectors: &[Vec<f32>],
    memory_bytes: usize,
    threads: usize,
) -> (MemoryStorage, Sharded) {
    let (mut storage, means) = store(index, vectors, memory_bytes, threads);
    let sharded = link_pages(
        index,
        &mut storage,
        &mut Memory::default(),
        means,
        &NeverInterrupted,
    )
    .unwrap();
    (storage, sharded)
}

/// The share of the 10 nearest that a search on the pages finds.
fn recall(
    index: &Index,
    storage: &mut MemoryStorage,
    vectors: &[Vec<f32>],
    queries: &[Vec<f32>],
    ef: usize,
) -> f64 {
    let id_bound = index.layout.id_bound(storage.blocks().unwrap()).unwrap();
    let entries: Vec<_> = peek_entries(storage).unwrap().iter().collect();
    let (mut beam, mut scratch) = (Beam::new(Overflow::Drop), PagedScratch::default());
    let mut transformed = vec![0.0; index.dims as usize];
    let mut query = Query::default();
    let mut hits = 0;
    for vector in queries {
        let key = |row: usize| exact_key(index.metric, vector, &vectors[row]);
        let mut exact: Vec<f64> = (0..vectors.len()).map(key).filter(|key| !key.is_nan()).collect();
        exact.sort_by(f64::total_cmp);
        index.quantizer.transform(vector, &mut transformed);
        query.prepare(&index.quantizer, &transformed);
        let found: Vec<_> = {
            let mut graph = PagedGraph::new(index, storage, &mut scratch, id_bound);
            descend(&mut beam, &mut graph, &query, &entries, 0, ef).unwrap();
            beam.run(&mut graph, &query, 0).unwrap();
            beam.found().map(|candidate| candidate.id).collect()
        };
        let mut heads = PagedScratch::default();
        let rows = heads.peek_heads(storage, &index.layout, &found).unwrap();
        let rows = rows
            .map(|head| head.unwrap().tid)
            .map(|tid| tid.block as usize * 50 + usize::from(tid.offset) - 1);
        hits += rows.filter(|row| key(*row) <= exact[9]).count().min(10);
    }
    hits as f64 / (10 * queries.len()) as f64
}

#[test]
fn an_index_of_many_shards_is_as_good_as_one_built_in_memory() {
    for (metric, order_by_first) in [
        (Metric::L2, false),
        (Metric::L2, true),
        (Metric::Cosine, false),
        (Metric::InnerProduct, false),
        (Metric::L1, false),
    ] {
        let mut all = clustered(8_100, 48, 7);
        let queries = all.split_off(8_000);
        if order_by_first {
            all.sort_by(|a, b| a[0].total_cmp(&b[0]));
        }
        let index = index(&options(metric, 48, 8, 48), &all);
        let built = build(&index, &all, 2);
        let mut whole = Pages(MemoryStorage::new());
        built.write_index(&mut whole).unwrap();
        let expected = recall(&index, &mut whole.0, &all, &queries, 60);
        for memory in [260_000, 700_000] {
            let (mut storage, sharded) = build_in(&index, &all, memory, 2);
            let found = recall(&index, &mut storage, &all, &queries, 60);
            println!("{metric:?} {memory}: recall {found} against {expected}, {sharded:?}");
            assert!(
                found >= expected - 0.02,
                "{metric:?} {memory}: {found} against {expected}"
            );
            assert_eq!(unreached(&index, &mut storage), 0, "{metric:?} {memory}");
            assert_eq!(sharded.elements, 8_000);
            assert!(sharded.shards > 4, "{sharded:?}");
        }
    }
}

/// The elements that a search can come to, of those that are in the graph.
fn unreached(index: &Index, storage: &mut MemoryStorage) -> usize {
    let mut reach = Reach::new(index, storage).unwrap();
    let entries = peek_entries(storage).unwrap();
    reach.spread_from_entries(storage, &entries).unwrap();
    let mut unreached = 0;
    sweep(index, storage, &mut PageCopy::new(), |_, copy| {
        members(index, copy, 0, |member| {
            unreached += usize::from(!reach.met().contains(member.id));
            Ok(())
        })
    })
    .unwrap();
    unreached
}

#[test]
fn without_memory_for_shards_elements_are_linked_one_by_one() {
    let all = clustered(1_200, 24, 3);
    let (vectors, queries) = all.split_at(1_100);
    let index = index(&options(Metric::L2, 24, 8, 40), vectors);
    // Without any, links are poor, but all elements have one.
    for (memory, least) in [(0, 0.4), (60_000, 0.9)] {
        let (mut storage, sharded) = build_in(&index, vectors, memory, 0);
        assert_eq!(sharded.elements, 1_100);
        assert_eq!(unreached(&index, &mut storage), 0, "{memory}: {sharded:?}");
        let found = recall(&index, &mut storage, vectors, queries, 60);
        assert!(found > least, "{memory}: {found}");
    }
}

#[test]
fn many_levels_are_linked_by_shards() {
    // With m = 2 half of the elements of a level reach the next one, so that several do not fit.
    let all = clustered(6_050, 24, 3);
    let (vectors, queries) = all.split_at(6_000);
    let index = index(&options(Metric::L2, 24, 2, 40), vectors);
    let (mut storage, sharded) = build_in(&index, vectors, 200_000, 2);
    assert!(sharded.shards > 20, "{sharded:?}");
    assert_eq!(unreached(&index, &mut storage), 0);
    let mut whole = Pages(MemoryStorage::new());
    build(&index, vectors, 2).write_index(&mut whole).unwrap();
    let expected = recall(&index, &mut whole.0, vectors, queries, 200);
    let found = recall(&index, &mut storage, vectors, queries, 200);
    assert!(found >= expected - 0.05, "{found} against {expected}");
}

#[test]
fn identical_vectors_and_those_without_rank_fill_shards() {
    let mut vectors = vec![vec![1.0; 24]; 3_000];
    vectors.extend(vec![vec![0.0; 24]; 500]);
    vectors.extend(clustered(1_000, 24, 3));
    let index = index(&options(Metric::Cosine, 24, 8, 40), &vectors);
    let (mut storage, sharded) = build_in(&index, &vectors, 250_000, 2);
    assert_eq!(sharded.elements, 4_000);
    assert!(sharded.shards > 2);
    assert_eq!(unreached(&index, &mut storage), 0);
}

/// Regions of the elements on pages.
fn regions(index: &Index, storage: &mut MemoryStorage, elements: u64, wanted: u64) -> Regions {
    let means = Means {
        memory_bytes: 1 << 30,
        threads: 0,
    };
    Regions::of_sample(index, storage, 0, elements, wanted, &means, &NeverInterrupted).unwrap()
}

/// Shows every `step`-th element on pages as a query, with its number.
fn each_query(index: &Index, storage: &mut MemoryStorage, step: u32, mut look: impl FnMut(u32, &Query)) {
    let (mut seen, mut query) = (0, Query::default());
    sweep(index, storage, &mut PageCopy::new(), |_, copy| {
        members(index, copy, 0, |member| {
            if seen % step == 0 {
                query.prepare_code(&index.quantizer, member.code);
                look(member.id.0, &query);
            }
            seen += 1;
            Ok(())
        })
    })
    .unwrap();
}

#[test]
fn the_nearest_of_many_regions_are_found_by_few_estimates() {
    let vectors = clustered(8_000, 48, 7);
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct, Metric::L1] {
        let index = index(&options(metric, 48, 8, 48), &vectors);
        let (mut storage, _) = store(&index, &vectors, 1 << 26, 0);
        let mut of_many = 0.0;
        for wanted in [8, 300] {
            let regions = regions(&index, &mut storage, 8_000, wanted);
            let mut frontier = Frontier::new().unwrap();
            let (mut first, mut second, mut count) = (0, 0, 0);
            each_query(&index, &mut storage, 16, |id, query| {
                let mut start = 0;
                let mut exact: Vec<(f32, u16)> = (0..)
                    .zip(&regions.ends)
                    .map(|(shard, end)| {
                        let of_region = &regions.members[std::mem::replace(&mut start, *end)..*end];
                        let keys = of_region.iter().map(|at| regions.key(&index, query, *at));
                        (keys.fold(f32::INFINITY, f32::min), shard)
                    })
                    .collect();
                exact.sort_by(|a, b| a.0.total_cmp(&b.0));
                let found = regions.nearest(&index, query, id, &mut frontier);
                first += usize::from(found[0] == exact[0].1);
                second += usize::from(found[1] == exact[1].1);
                count += 1;
            });
            let each = frontier.estimates as f64 / f64::from(count);
            println!(
                "{metric:?}, {wanted} regions: {each:.0} of {} estimates, nearest {:.3}, second {:.3}",
                16 * wanted,
                first as f64 / f64::from(count),
                second as f64 / f64::from(count)
            );
            if wanted == 8 {
                assert_eq!((first, second), (count as usize, count as usize), "{metric:?}");
            }
            assert!(frontier.estimates <= MOST_ESTIMATES * count as u64);
            of_many = first as f64 / f64::from(count);
        }
        assert!(of_many >= 0.9, "{metric:?}: {of_many}");
    }
}

#[test]
fn identical_vectors_spread_over_the_regions_that_are_as_near() {
    let mut vectors = vec![vec![1.0; 24]; 6_000];
    vectors.extend(clustered(2_000, 24, 3));
    let index = index(&options(Metric::L2, 24, 8, 40), &vectors);
    let (mut storage, _) = store(&index, &vectors, 1 << 26, 0);
    let regions = regions(&index, &mut storage, 8_000, 200);
    let mut frontier = Frontier::new().unwrap();
    let (mut taken, mut identical) = (vec![0_u32; 200], 6_000);
    each_query(&index, &mut storage, 1, |id, query| {
        if identical > 0 {
            taken[usize::from(regions.nearest(&index, query, id, &mut frontier)[0])] += 1;
            identical -= 1;
        }
    });
    // Three quarters of the regions are of the identical ones, so each is the first of about 40.
    assert!(taken.iter().all(|count| *count < 150), "{taken:?}");
    assert!(
        taken.iter().filter(|count| **count > 15).count() > 140,
        "{taken:?}"
    );
}

#[test]
fn an_interruption_or_a_failing_tape_ends_the_build() {
    let vectors = clustered(2_000, 24, 3);
    let index = index(&options(Metric::L2, 24, 8, 24), &vectors);
    for threads in [0, 2] {
        for allowed in [0, 1, 40] {
            let supervisor = InterruptAfter(Cell::new(allowed));
            let (mut storage, means) = store(&index, &vectors, 150_000, threads);
            let ended = link_pages(&index, &mut storage, &mut Memory::default(), means, &supervisor);
            assert!(
                matches!(ended, Err(IndexError::Interrupted(_))),
                "{allowed}: {ended:?}"
            );
        }
        let (mut storage, means) = store(&index, &vectors, 150_000, threads);
        let mut tape = Memory {
            fails_after: Some(100),
            ..Memory::default()
        };
        let ended = link_pages(&index, &mut storage, &mut tape, means, &NeverInterrupted);
        assert!(matches!(ended, Err(IndexError::Failed { .. })), "{ended:?}");
    }
}

#[test]
fn keys_stay_with_their_rows_in_a_build_of_parts() {
    let vectors = clustered(3_000, 24, 3);
    let options = IndexOptions {
        keys: KeyKinds::new(&[KeyKind::Ordered, KeyKind::Hashed]).unwrap(),
        ..options(Metric::L2, 24, 8, 24)
    };
    let index = index(&options, &vectors);
    let (mut storage, sharded) = build_in(&index, &vectors, 250_000, 2);
    assert!(sharded.shards > 2);
    let mut rows = 0;
    sweep(&index, &mut storage, &mut PageCopy::new(), |_, copy| {
        let Content::Nodes(page) = copy.content(&index)? else {
            return Ok(());
        };
        for (_, slot) in page.slots() {
            let slot = slot.unwrap();
            if slot.head.state == SlotState::Live {
                let HeapTid { block, offset } = slot.head.tid;
                let row = block as usize * 50 + usize::from(offset) - 1;
                assert_eq!(slot.keys, keys_of(&index, row).as_bytes());
                rows += 1;
            }
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(rows, 3_000);
    assert!(crate::index::hnsw::verify::verify(&mut storage).unwrap().is_ok());
}
