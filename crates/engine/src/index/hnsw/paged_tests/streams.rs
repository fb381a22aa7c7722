//! Garbage in peeks, and others at work between any two calls.

use std::collections::{HashMap, HashSet};

use super::checks::{check_lists, elements, free, kill};
use super::storages::{Busy, Torn};
use super::*;
use crate::index::page::SlotState;

const DIMS: usize = 16;

fn index_of(count: usize, seed: u64) -> (Arc<Index>, MemoryStorage, Vec<Vec<f32>>, Vec<SlotId>) {
    let mut random = Random(seed);
    let vectors = random.clustered(count + 2_000, DIMS, 8);
    let kind = Kind {
        m: 6,
        ef_construction: 24,
        bits: CodeBits::Eight,
        ..Kind::new(Metric::L2, DIMS)
    };
    let (index, mut storage) = empty_index(kind);
    let ids = insert_all(&index, &mut storage, &vectors[..count]);
    (index, storage, vectors, ids)
}

#[test]
fn garbage_in_peeks_loses_no_row_and_doubles_none() {
    let (index, storage, vectors, _) = index_of(1_500, 31);
    for one_in in [1, 2, 5, 50, 1_000] {
        for (seed, options) in [(1, with_ef(10)), (2, with_ef(300))] {
            let mut torn = Torn {
                inner: storage.clone(),
                random: Random(seed),
                one_in,
            };
            let mut table = Table::new(Metric::L2, &vectors, &vectors[9]);
            let hits = rows(&search(&index, &mut torn, &mut table, options, usize::MAX));
            assert_eq!(sorted(hits), (0..1_500).collect::<Vec<_>>(), "1 in {one_in}");
        }
    }
}

#[test]
fn insertions_over_garbage_write_no_wrong_page() {
    for one_in in [1, 3, 30, 500] {
        let (index, storage, vectors, _) = index_of(400, 32);
        let mut torn = Torn {
            inner: storage,
            random: Random(one_in as u64),
            one_in,
        };
        let mut insertions = Insertions::default();
        for row in 400..700 {
            insertions.insert(&index, &mut torn, &vectors[row], row).unwrap();
        }
        let mut storage = torn.inner;
        for (id, element) in elements(&index, &mut storage) {
            for list in &element.lists {
                let distinct: HashSet<_> = list.iter().collect();
                assert_eq!(distinct.len(), list.len());
                assert!(!distinct.contains(&id));
            }
        }
        let mut table = Table::new(Metric::L2, &vectors, &vectors[9]);
        let hits = rows(&search(&index, &mut storage, &mut table, with_ef(10), usize::MAX));
        assert_eq!(sorted(hits), (0..700).collect::<Vec<_>>(), "1 in {one_in}");
    }
}

#[test]
fn a_scan_among_insertions_returns_what_was_there() {
    let (index, storage, vectors, _) = index_of(600, 33);
    let mut insertions = Insertions::default();
    let (mut row, mut calls) = (600, 0);
    let others = |storage: &mut MemoryStorage| {
        calls += 1;
        if calls % 7 == 0 && row < 2_000 {
            insertions.insert(&index, storage, &vectors[row], row).unwrap();
            row += 1;
        }
    };
    let mut busy = Busy {
        inner: storage,
        others,
    };
    let visible: Vec<bool> = (0..vectors.len()).map(|row| row < 600).collect();
    let mut table = Table::new(Metric::L2, &vectors, &vectors[9]);
    table.visible = Some(&visible);
    let hits = rows(&search(&index, &mut busy, &mut table, with_ef(10), usize::MAX));
    assert_eq!(sorted(hits), (0..600).collect::<Vec<_>>());
}

#[test]
fn a_scan_among_deletions_returns_what_stays() {
    for memory_limit_bytes in [0, 4 << 20] {
        let (index, storage, vectors, ids) = index_of(900, 34);
        // Rows that are gone for every snapshot, the scan's too.
        let visible: Vec<bool> = (0..vectors.len()).map(|row| row < 900 && row % 3 != 0).collect();
        let mut insertions = Insertions::default();
        let (mut step, mut new) = (0, 900);
        let others = |storage: &mut MemoryStorage| {
            step += 1;
            let row = step % 900;
            match (row % 3, step / 900) {
                (0, 0) => kill(&index, storage, [ids[row]]),
                (0, 1) => {
                    free(&index, storage, [ids[row]]);
                    let (block, _) = index.layout.slot(ids[row]);
                    storage.note_room(block, PageKind::Node, 1).unwrap();
                }
                (1, 1) if new < 1_200 => {
                    insertions.insert(&index, storage, &vectors[new], new).unwrap();
                    new += 1;
                }
                _ => {}
            }
        };
        let mut busy = Busy {
            inner: storage,
            others,
        };
        let mut table = Table::new(Metric::L2, &vectors, &vectors[10]);
        table.visible = Some(&visible);
        let options = ScanOptions {
            ef: 10,
            memory_limit_bytes,
            ..ScanOptions::default()
        };
        let hits = rows(&search(&index, &mut busy, &mut table, options, usize::MAX));
        assert_eq!(
            sorted(hits),
            (0..900).filter(|row| row % 3 != 0).collect::<Vec<_>>()
        );
    }
}

#[test]
fn insertions_among_insertions_keep_lists_sound() {
    let (index, storage, vectors, _) = index_of(60, 35);
    let mut other = Insertions::default();
    let (mut calls, mut row, mut other_rows) = (0, 1_000, HashSet::new());
    let others = |storage: &mut MemoryStorage| {
        calls += 1;
        if calls % 3 == 0 && row < 1_600 {
            other.insert(&index, storage, &vectors[row], row).unwrap();
            other_rows.insert(row);
            row += 1;
        }
    };
    let mut busy = Busy {
        inner: storage,
        others,
    };
    let mut insertions = Insertions::default();
    for row in 60..200 {
        insertions.insert(&index, &mut busy, &vectors[row], row).unwrap();
    }
    let mut storage = busy.inner;
    let all = check_lists(&index, &mut storage);
    assert_eq!(all.len(), 200 + other_rows.len());
    assert!(other_rows.len() > 400);
    assert!(checks::unreachable(&index, &mut storage).len() <= 3);
    let visible: Vec<bool> = (0..vectors.len())
        .map(|row| row < 200 || other_rows.contains(&row))
        .collect();
    let mut found = 0;
    for row in (0..200).chain(1_000..1_100) {
        let mut table = Table::new(Metric::L2, &vectors, &vectors[row]);
        table.visible = Some(&visible);
        found += usize::from(rows(&search(&index, &mut storage, &mut table, with_ef(20), 1)) == [row]);
    }
    assert!(found >= 297, "{found} of 300");
}

/// Vacuum in small, step by step: kills, takes the killed out of all lists, frees.
struct Vacuum {
    phase: usize,
    next: usize,
    doomed: Vec<SlotId>,
}

impl Vacuum {
    fn step(&mut self, index: &Index, storage: &mut MemoryStorage) {
        if self.next == self.doomed.len() {
            (self.phase, self.next) = (self.phase + 1, 0);
        }
        let Some(id) = self.doomed.get(self.next).copied() else {
            return;
        };
        self.next += 1;
        match self.phase {
            0 => kill(index, storage, [id]),
            1 | 2 => unlink(index, storage, id),
            3 => free(index, storage, [id]),
            _ => {}
        }
    }
}

/// Takes an element out of all lists of level 0 and 1.
fn unlink(index: &Index, storage: &mut MemoryStorage, gone: SlotId) {
    use crate::index::page::{NodePageMut, UpperPageMut, page_kind};
    use crate::index::storage::Change;
    for block in 1..storage.blocks().unwrap() {
        storage
            .update(block, |bytes| {
                let mut change = Change::None;
                if page_kind(bytes).unwrap() == Some(PageKind::Node) {
                    let mut page = NodePageMut::open(bytes, &index.layout).unwrap();
                    for at in 0..index.layout.slots_per_page() {
                        let list: Vec<SlotId> = page.as_ref().slot(at).unwrap().neighbours.iter().collect();
                        if list.contains(&gone) {
                            let kept: Vec<SlotId> = list.into_iter().filter(|id| *id != gone).collect();
                            page.set_neighbours(at, &kept).unwrap();
                            change = Change::Made;
                        }
                    }
                } else {
                    let mut page = UpperPageMut::open(bytes, &index.layout).unwrap();
                    for at in 0..index.layout.uppers_per_page() {
                        let list: Vec<SlotId> = page.as_ref().record(at).unwrap().neighbours.iter().collect();
                        if list.contains(&gone) {
                            let kept: Vec<SlotId> = list.into_iter().filter(|id| *id != gone).collect();
                            page.set_neighbours(at, &kept).unwrap();
                            change = Change::Made;
                        }
                    }
                }
                (change, ())
            })
            .unwrap();
    }
}

#[test]
fn insertions_among_vacuum_leave_few_links_to_free_slots() {
    let (index, storage, vectors, ids) = index_of(500, 36);
    let mut vacuum = Vacuum {
        phase: 0,
        next: 0,
        doomed: ids.iter().copied().step_by(3).collect(),
    };
    let mut calls = 0;
    let others = |storage: &mut MemoryStorage| {
        calls += 1;
        if calls % 2 == 0 {
            vacuum.step(&index, storage);
        }
    };
    let mut busy = Busy {
        inner: storage,
        others,
    };
    let mut insertions = Insertions::default();
    let mut new = HashMap::new();
    for row in 500..560 {
        let id = insertions.insert(&index, &mut busy, &vectors[row], row).unwrap();
        new.insert(id, row);
    }
    let mut storage = busy.inner;
    assert!(vacuum.phase >= 4, "vacuum came to phase {}", vacuum.phase);
    let all = elements(&index, &mut storage);
    let mut links = 0;
    for (id, element) in &all {
        assert_eq!(element.state, SlotState::Live);
        for list in &element.lists {
            assert!(!list.contains(id));
            links += list.iter().filter(|member| !all.contains_key(member)).count();
        }
    }
    println!("{links} links to free slots");
    assert!(links <= 10, "{links} links to free slots");
    for (id, row) in new {
        assert_eq!(all[&id].tid, tid_of(row));
    }
}
