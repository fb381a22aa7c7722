//! The pages that a build writes.

use super::data::{build, clustered, index, options, tid, uniform};
use crate::index::hnsw::Index;
use crate::index::hnsw::build::PageSink;
use crate::index::hnsw::walk::Graph;
use crate::index::page::{NodePage, PageBytes, PageKind, SlotState, UpperPage, page_kind};
use crate::index::storage::MemoryStorage;
use crate::index::{IndexError, Metric, SlotId};

#[derive(Default)]
struct Pages(Vec<PageBytes>);

impl PageSink for Pages {
    fn page(&mut self, block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        assert_eq!(block as usize, self.0.len(), "pages come in order without a gap");
        self.0.push(*bytes);
        Ok(())
    }
}

#[test]
fn pages_hold_what_was_built() {
    for (metric, dims, rows, m) in [
        (Metric::L2, 3, 3_000, 4),
        (Metric::Cosine, 200, 2_000, 8),
        (Metric::L2, 2_100, 90, 16),
    ] {
        let vectors = clustered(rows.max(100), dims.max(6), 1)
            .into_iter()
            .map(|v| v[..dims].to_vec())
            .collect::<Vec<_>>();
        let vectors = &vectors[..rows];
        let index = index(&options(metric, dims, m, 40), vectors);
        let built = build(&index, vectors, 2);
        let mut pages = Pages::default();
        let written = built.write_index(&mut pages).unwrap();
        assert_eq!(written.end_block as usize, pages.0.len());
        assert_eq!(written.elements as usize, rows);

        let shift = index.first_node_block() * u32::from(index.layout.slots_per_page());
        let page = |block: u32| &pages.0[block as usize];
        let mut graph = built.graph();
        let mut expected = Vec::new();
        let row_of = |id: SlotId| built.placement.number(id.0 - shift).0 as usize;
        let id_of = |number: SlotId| SlotId(shift + built.placement.place(number));
        for row in 0..rows as u32 {
            let own = id_of(SlotId(row));
            let (block, place) = index.layout.slot(own);
            let slot = NodePage::open(page(block), &index.layout)
                .unwrap()
                .slot(place)
                .unwrap();
            assert_eq!(slot.head.state, SlotState::Live);
            assert_eq!(slot.head.tid, tid(row as usize));
            assert_eq!(slot.head.level, index.level(slot.head.tid));
            let code = built.elements.code(SlotId(row));
            assert_eq!(
                (slot.head.code, slot.head.factors),
                (code.code, &code.factors.to_bytes())
            );
            for level in 0..=slot.head.level {
                graph.neighbours(SlotId(row), level, &mut expected).unwrap();
                expected.iter_mut().for_each(|id| *id = id_of(*id));
                if level == 0 {
                    assert!(slot.neighbours.equals(&expected));
                    continue;
                }
                let (block, place) = index
                    .layout
                    .upper(index.layout.upper_at(slot.head.upper, level).unwrap());
                let record = UpperPage::open(page(block), &index.layout)
                    .unwrap()
                    .record(place)
                    .unwrap();
                assert!(record.used && record.owner == own && record.level == level);
                assert!(record.neighbours.equals(&expected));
            }
        }
        let highest = (0..rows).map(|row| index.level(tid(row))).max();
        assert_eq!(written.entries.max_level(), highest);
        assert!(
            written
                .entries
                .iter()
                .all(|entry| entry.level == index.level(tid(row_of(entry.id))))
        );
    }
}

#[test]
fn an_index_opens_as_it_was_written() {
    let vectors = uniform(300, 70, 1);
    let index = index(&options(Metric::Cosine, 70, 6, 30), &vectors);
    let mut pages = Pages::default();
    let written = build(&index, &vectors, 0).write_index(&mut pages).unwrap();
    assert_eq!(page_kind(&pages.0[0]).unwrap(), Some(PageKind::Meta));
    let mut storage = MemoryStorage::new();
    for page in &pages.0 {
        storage.push_page(page).unwrap();
    }
    let (opened, entries) = Index::open(&mut storage).unwrap();
    assert_eq!(entries, written.entries);
    assert_eq!(opened.meta(entries), index.meta(entries));
    assert_eq!(opened.center(), index.center());
    assert_eq!(opened.layout, index.layout);
}

#[test]
fn an_empty_index_has_its_head_only() {
    let index = index(&options(Metric::L2, 200, 16, 64), &[]);
    let mut pages = Pages::default();
    let written = build(&index, &[], 2).write_index(&mut pages).unwrap();
    assert_eq!(
        (written.end_block, written.elements, written.entries.len()),
        (2, 0, 0)
    );
    assert_eq!(pages.0.len(), 2);
}

#[test]
fn an_error_of_the_sink_ends_the_writing() {
    struct Full;
    impl PageSink for Full {
        fn page(&mut self, block: u32, _: &PageBytes) -> Result<(), IndexError> {
            if block < 5 {
                Ok(())
            } else {
                Err(IndexError::OutOfMemory {
                    what: "test",
                    bytes: 0,
                })
            }
        }
    }
    let vectors = uniform(500, 70, 1);
    let index = index(&options(Metric::L2, 70, 6, 30), &vectors);
    assert!(build(&index, &vectors, 0).write_index(&mut Full).is_err());
}
