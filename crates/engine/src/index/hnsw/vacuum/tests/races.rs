//! Insertions between any two steps of a vacuum, and vacuums between any two steps of an insertion.
//!
//! The shapes are those of races that users of pgvector met: #988 (the entry point is replaced while vacuum removes it), #990
//! (an insertion comes to an element that vacuum has freed), #993 (the graph is not whole after both), #1010 (insertion and vacuum
//! both link the same neighbour).

use super::fixture::{Fixture, Random, Shape, insert, row_of};
use crate::index::hnsw::paged::peek_entries;
use crate::index::hnsw::paged_tests::storages::Torn;
use crate::index::hnsw::vacuum::adopt::adopt_records;
use crate::index::hnsw::vacuum::census::Census;
use crate::index::hnsw::vacuum::{VacuumStats, bulk_delete, cleanup};
use crate::index::page::{PageKind, UpperPageMut, page_kind};
use crate::index::storage::{Change, MemoryStorage, PageRead, PageWrite, Place, Position};
use crate::index::{IndexError, SlotId};

/// A storage in which something else happens before each step.
struct Interleaved<'a, F> {
    inner: &'a mut MemoryStorage,
    step: u64,
    act: F,
}

impl<'a, F: FnMut(u64, &mut MemoryStorage)> Interleaved<'a, F> {
    fn new(inner: &'a mut MemoryStorage, act: F) -> Self {
        Self { inner, step: 0, act }
    }

    fn next(&mut self) -> &mut MemoryStorage {
        (self.act)(self.step, self.inner);
        self.step += 1;
        self.inner
    }
}

impl<F: FnMut(u64, &mut MemoryStorage)> PageRead for Interleaved<'_, F> {
    fn blocks(&mut self) -> Result<u32, IndexError> {
        self.next().blocks()
    }

    fn peek(&mut self, places: &[Place], length: usize, out: &mut [u8]) -> Result<(), IndexError> {
        self.next().peek(places, length, out)
    }

    fn read<R>(&mut self, block: u32, look: impl FnOnce(&[u8]) -> R) -> Result<R, IndexError> {
        self.next().read(block, look)
    }

    fn check_interrupts(&mut self) -> Result<(), IndexError> {
        self.inner.check_interrupts()
    }
}

impl<F: FnMut(u64, &mut MemoryStorage)> PageWrite for Interleaved<'_, F> {
    fn update<R>(
        &mut self,
        block: u32,
        change: impl FnOnce(&mut [u8]) -> (Change, R),
    ) -> Result<R, IndexError> {
        self.next().update(block, change)
    }

    fn extend<R>(&mut self, fill: impl FnOnce(u32, &mut [u8]) -> R) -> Result<(u32, R), IndexError> {
        self.next().extend(fill)
    }

    fn find_room(&mut self, kind: PageKind, needed: u16) -> Result<Option<u32>, IndexError> {
        self.next().find_room(kind, needed)
    }

    fn note_room(&mut self, block: u32, kind: PageKind, free: u16) -> Result<(), IndexError> {
        self.next().note_room(block, kind, free)
    }

    fn position(&mut self) -> Position {
        self.inner.position()
    }

    fn changed_since(&mut self, block: u32, since: Position) -> Result<bool, IndexError> {
        self.inner.changed_since(block, since)
    }
}

/// An index of which more than half is to be deleted, all entries among it.
fn deleted(rows: u32) -> Fixture {
    let mut fixture = Fixture::random(Shape::small(4), rows, 1);
    let entries = peek_entries(&mut fixture.storage).unwrap();
    let ids: Vec<SlotId> = entries.iter().map(|entry| entry.id).collect();
    let rows = rows_of(&mut fixture, &ids);
    fixture.delete(|row| row % 5 < 3 || rows.contains(&row));
    fixture
}

fn rows_of(fixture: &mut Fixture, ids: &[SlotId]) -> Vec<u32> {
    let mut scratch = crate::index::hnsw::paged::PagedScratch::default();
    let heads = scratch
        .peek_heads(&mut fixture.storage, &fixture.index.layout, ids)
        .unwrap();
    heads.map(|head| row_of(head.unwrap().tid)).collect()
}

/// Vacuums, with something else before each step. Returns how many steps there were.
fn vacuum_with(fixture: &mut Fixture, act: impl FnMut(u64, &mut MemoryStorage)) -> u64 {
    let rows = &fixture.rows;
    let mut stats = VacuumStats::default();
    let mut storage = Interleaved::new(&mut fixture.storage, act);
    // What is inserted meanwhile has numbers from 1000.
    let is_dead = |tid| row_of(tid) < 1_000 && !rows.contains_key(&row_of(tid));
    bulk_delete(&fixture.index, &mut storage, is_dead, &mut stats).unwrap();
    cleanup(&fixture.index, &mut storage, &mut stats).unwrap();
    storage.step
}

/// An index apart from the fixture, for closures that work on its pages.
fn index() -> crate::index::hnsw::Index {
    Shape::small(4).index()
}

#[test]
fn pgvector_988_entries_are_promoted_in_each_phase_of_a_vacuum() {
    let steps = vacuum_with(&mut deleted(300), |_, _| {});
    for interleaving in 0..12 {
        let mut fixture = deleted(300);
        let (index, vector) = (index(), Random(interleaving + 50).vector(4));
        let at = steps * interleaving / 12;
        // From lower than any entry to higher than all.
        let level = 1 + (interleaving % 7) as u8;
        let mut promoted = None;
        vacuum_with(&mut fixture, |step, storage| {
            if step == at {
                promoted = Some(insert(&index, storage, 1_000, &vector, level).unwrap());
            }
        });
        fixture.rows.insert(1_000, vector.clone());
        fixture.assert_clean();
        let entries = peek_entries(&mut fixture.storage).unwrap();
        let lowest = entries.iter().map(|entry| entry.level).min().unwrap();
        assert!(
            entries.contains(promoted.unwrap()) || level <= lowest,
            "{interleaving}: {entries:?}"
        );
        assert_eq!(fixture.search(&vector, 20, 1), [1_000]);
        fixture.vacuum().unwrap();
        fixture.assert_exact();
    }
}

#[test]
fn pgvector_990_vacuum_frees_the_neighbours_of_an_insertion_at_any_step() {
    for refill in [false, true] {
        let vector = vec![0.5; 4];
        let mut at = 0;
        loop {
            let mut fixture = deleted(300);
            let (index, keep) = (index(), fixture.rows.clone());
            let mut refilled = Vec::new();
            let mut storage = Interleaved::new(&mut fixture.storage, |step, storage: &mut MemoryStorage| {
                if step != at {
                    return;
                }
                let mut stats = VacuumStats::default();
                let is_dead = |tid| row_of(tid) < 1_000 && !keep.contains_key(&row_of(tid));
                bulk_delete(&index, storage, is_dead, &mut stats).unwrap();
                cleanup(&index, storage, &mut stats).unwrap();
                // Others take the freed slots, very near to the element that is being inserted.
                for row in 0..if refill { 60 } else { 0 } {
                    let near = vec![0.5 + row as f32 / 1e4; 4];
                    insert(&index, storage, 2_000 + row, &near, (row % 3) as u8).unwrap();
                    refilled.push((2_000 + row, near));
                }
            });
            insert(&fixture.index, &mut storage, 1_000, &vector, 2).unwrap();
            let steps = storage.step;
            fixture.rows.insert(1_000, vector.clone());
            fixture.rows.extend(refilled);
            fixture.assert_clean();
            assert!(fixture.search(&vector, 100, 200).contains(&1_000), "step {at}");
            fixture.vacuum().unwrap();
            fixture.assert_exact();
            at += 1;
            if at >= steps {
                break;
            }
        }
        assert!(at > 20);
    }
}

#[test]
fn pgvector_993_the_graph_is_whole_after_many_insertions_during_a_vacuum() {
    for every in [3, 17, 50] {
        let mut fixture = deleted(400);
        let (index, mut random) = (index(), Random(every));
        let mut inserted = Vec::new();
        vacuum_with(&mut fixture, |step, storage| {
            if step % every == 0 && inserted.len() < 300 {
                let row = 1_000 + inserted.len() as u32;
                let vector = random.vector(4);
                let level = index.level(super::fixture::tid(row));
                insert(&index, storage, row, &vector, level).unwrap();
                inserted.push((row, vector));
            }
        });
        fixture.rows.extend(inserted);
        println!(
            "{every}: {:?}",
            fixture.verify().checks.iter().find(|c| c.name == "reachability")
        );
        let plain = deleted(400);
        let keep = plain.rows.clone();
        let mut plain = Fixture::build(Shape::small(4), keep);
        let mut random = Random(every);
        for row in 1000..1300 {
            plain.insert(row, random.vector(4)).unwrap();
        }
        println!(
            "plain: {:?}",
            plain.verify().checks.iter().find(|c| c.name == "reachability")
        );
        let recall = fixture.recall(10, 80, 50, 3);
        assert!(recall >= 0.97, "every {every} steps: recall {recall}");
        fixture.vacuum().unwrap();
        fixture.assert_exact();
    }
}

#[test]
fn pgvector_1010_no_neighbour_is_listed_twice_whenever_an_insertion_comes() {
    let steps = vacuum_with(&mut deleted(160), |_, _| {});
    for at in 0..steps {
        let mut fixture = deleted(160);
        let (index, vector) = (index(), Random(at + 1).vector(4));
        let mut inserted = false;
        vacuum_with(&mut fixture, |step, storage| {
            if step == at {
                insert(&index, storage, 1_000, &vector, (at % 3) as u8).unwrap();
                inserted = true;
            }
        });
        if !inserted {
            // The steps depend on the graph, which is not built in the same order each time.
            continue;
        }
        fixture.rows.insert(1_000, vector.clone());
        // Verification finds what is listed twice, and whatever dangles.
        fixture.assert_clean();
        assert_eq!(fixture.search(&vector, 40, 1), [1_000], "step {at} of {steps}");
    }
}

/// Records of an earlier element of a slot, which no sound index has, are taken for those of the element that is there now. Whichever of
/// both sets it ends up with, it is not one that vacuum has freed.
#[test]
fn an_insertion_and_a_vacuum_agree_on_the_records_of_an_element() {
    let mut at = 0;
    loop {
        let mut fixture = Fixture::random(Shape::small(4), 200, 1);
        let vector = Random(31).vector(4);
        fixture.vacuum().unwrap();
        // The slot that the insertion will take.
        let mut copy = fixture.storage.clone();
        let slot = insert(&fixture.index, &mut copy, 900, &vector, 2).unwrap();
        let block = (0..)
            .find(|block| {
                let page = fixture.storage.page(*block).unwrap();
                page_kind(page).unwrap() == Some(PageKind::Upper)
            })
            .unwrap();
        let planted = fixture.storage.update(block, |bytes| {
            let mut page = UpperPageMut::open(bytes, &fixture.index.layout).unwrap();
            let free = page.as_ref().find_free(1).unwrap();
            page.write(free, slot, 1, &[]).unwrap();
            (Change::Made, ())
        });
        planted.unwrap();
        let index = index();
        let mut storage = Interleaved::new(&mut fixture.storage, |step, storage: &mut MemoryStorage| {
            if step == at {
                cleanup(&index, storage, &mut VacuumStats::default()).unwrap();
            }
        });
        let inserted = insert(&fixture.index, &mut storage, 900, &vector, 2).unwrap();
        let steps = storage.step;
        assert_eq!(inserted, slot, "step {at} of {steps}");
        fixture.rows.insert(900, vector.clone());
        assert_eq!(fixture.search(&vector, 20, 1), [900], "step {at} of {steps}");
        // Records that nobody claims may be left; a claim of free ones would stay.
        fixture.vacuum().unwrap();
        fixture.assert_exact();
        at += 1;
        if at >= steps {
            break;
        }
    }
    assert!(at > 20);
}

#[test]
fn records_in_use_are_not_freed_for_a_torn_peek() {
    let mut fixture = deleted(300);
    fixture.vacuum().unwrap();
    let census = Census::take(&fixture.index, &mut fixture.storage).unwrap();
    let mut torn = Torn {
        inner: std::mem::take(&mut fixture.storage),
        random: crate::index::hnsw::paged_tests::Random(5),
        one_in: 2,
    };
    adopt_records(&fixture.index, &mut torn, &census).unwrap();
    fixture.storage = torn.inner;
    fixture.assert_exact();
}
