//! Builds.

use super::db::{Db, WORK, Work, build};
use super::fixture::{Kind, Random, Table};
use crate::index::Metric;
use crate::index::ivf::scan::ScanOptions;
use crate::index::storage::{MemoryStorage, PageRead};

fn same(a: &mut MemoryStorage, b: &mut MemoryStorage) -> bool {
    let blocks = a.blocks().unwrap();
    blocks == b.blocks().unwrap() && (0..blocks).all(|block| a.page(block) == b.page(block))
}

#[test]
fn neither_memory_nor_threads_change_the_pages() {
    for (refine, lists) in [(false, 0), (true, 0), (false, 300)] {
        let kind = Kind {
            refine,
            lists,
            keys: true,
            ..Kind::new(Metric::Cosine, 64)
        };
        let mut vectors = Random(11).clustered(6_000, 64, 30);
        vectors[17].fill(0.0);
        let mut table = Table::new(kind, vectors);
        table.live.fill(true);
        let (_, mut first, tapes) = build(&table, WORK);
        assert_eq!(tapes, 0);
        for (memory_bytes, threads) in [(1 << 10, 0), (100 << 10, 0), (64 << 20, 2), (100 << 10, 2)] {
            let (_, mut other, tapes) = build(
                &table,
                Work {
                    memory_bytes,
                    threads,
                },
            );
            assert_eq!(tapes > 1, memory_bytes < 1 << 20);
            assert!(
                same(&mut first, &mut other),
                "{memory_bytes} bytes, {threads} threads"
            );
        }
    }
}

#[test]
fn small_builds_work() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        for lists in [0, 1, 50] {
            for count in [0, 1, 2, 40] {
                for refine in [false, true] {
                    let kind = Kind {
                        lists,
                        refine,
                        ..Kind::new(metric, 20)
                    };
                    let vectors = Random(12).clustered(60, 20, 5);
                    let mut db = Db::build(kind, vectors, count);
                    db.assert_exact();
                    db.insert_all(count..60);
                    db.assert_exact();
                    let query = db.table.vectors[7].clone();
                    let hits = db.search(&query, ScanOptions::default(), 1);
                    assert!(metric == Metric::InnerProduct || hits[0].tid == super::fixture::tid_of(7));
                    db.vacuum();
                    db.assert_exact();
                }
            }
        }
    }
}

#[test]
fn identical_rows_are_one_list() {
    for value in [0.0, 1.0] {
        for metric in [Metric::L2, Metric::Cosine] {
            let mut db = Db::build(Kind::new(metric, 64), vec![vec![value; 64]; 3_000], 2_000);
            db.assert_exact();
            db.insert_all(2_000..3_000);
            db.assert_exact();
            for round in 0..4 {
                let stats = db.vacuum();
                db.assert_exact();
                assert!(round < 2 || stats.lists_replaced == 0, "{round}: {stats:?}");
            }
        }
    }
}
