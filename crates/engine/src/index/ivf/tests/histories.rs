//! Random histories of an index: insertions, deletions, vacuums, scans that go on meanwhile, crashes and interrupts.

use std::sync::Arc;

use super::db::Db;
use super::fixture::{Backend, Kind, Random, Running, row_of, tid_of};
use crate::index::ivf::directory::Directory;
use crate::index::ivf::insert::{Inserter, NewElement, Placed};
use crate::index::ivf::scan::ScanOptions;
use crate::index::ivf::vacuum::{VacuumStats, bulk_delete};
use crate::index::storage::MemoryStorage;
use crate::index::{IndexError, Metric};

struct History {
    db: Db,
    random: Random,
    /// With the transaction that was next when they began.
    running: Vec<(u64, Running)>,
    /// Rows that may be in the index although nobody sees them.
    gone: Vec<bool>,
    directories: Vec<Arc<Directory>>,
    crashes: usize,
    replaced: u64,
}

impl History {
    fn new(kind: Kind, seed: u64) -> Self {
        let vectors = Random(seed).clustered(3_000, kind.dims, 12);
        Self {
            db: Db::build(kind, vectors, 300),
            random: Random(seed),
            running: Vec::new(),
            gone: vec![false; 3_000],
            directories: Vec::new(),
            crashes: 0,
            replaced: 0,
        }
    }

    fn insert(&mut self) -> Result<(), IndexError> {
        let first = self.random.below(3_000);
        for row in first..(first + self.random.below(400)).min(3_000) {
            if self.db.table.live[row] || self.gone[row] {
                continue;
            }
            // Until it is committed.
            self.gone[row] = true;
            let stale = !self.directories.is_empty() && self.random.below(4) == 0;
            if !(stale && self.insert_by_old_directory(row)?) {
                self.db.insert(row)?;
            }
            self.db.table.live[row] = true;
            self.gone[row] = false;
        }
        Ok(())
    }

    /// Inserts a row by a directory that may be out of date. Returns whether that was possible.
    fn insert_by_old_directory(&mut self, row: usize) -> Result<bool, IndexError> {
        let db = &mut self.db;
        let directory = &self.directories[self.random.below(self.directories.len())];
        let mut transformed = vec![0.0; db.index.layout.dims];
        let rankable = db
            .index
            .transform(db.table.vectors[row].as_slice(), &mut transformed);
        let keys = db.table.kind.keys_of(row);
        let element = NewElement {
            transformed: &transformed,
            rankable,
            tid: tid_of(row),
            keys: keys.as_bytes(),
        };
        let placed = Inserter::default().insert(&db.index, &mut db.storage, directory, &element)?;
        Ok(placed == Placed::Stored)
    }

    fn delete(&mut self) {
        let first = self.random.below(3_000);
        let step = 1 + self.random.below(4);
        for row in (first..(first + self.random.below(1_500)).min(3_000)).step_by(step) {
            self.gone[row] |= self.db.table.live[row];
            self.db.table.live[row] = false;
        }
    }

    fn bulk_delete(&mut self) -> Result<(), IndexError> {
        let mut seen = self.db.table.live.clone();
        for (_, running) in &self.running {
            for (seen, live) in seen.iter_mut().zip(&running.rows.table.live) {
                *seen |= *live;
            }
        }
        let db = &mut self.db;
        let is_dead = |tid| !seen[row_of(tid)];
        bulk_delete(&db.index, &mut db.storage, is_dead, &mut VacuumStats::default())?;
        for (gone, seen) in self.gone.iter_mut().zip(&seen) {
            *gone &= *seen;
        }
        Ok(())
    }

    fn cleanup(&mut self) -> Result<(), IndexError> {
        let oldest = self.running.iter().map(|(transaction, _)| *transaction).min();
        self.db.past = oldest.unwrap_or(self.db.transactions) + 1;
        let steps = [0, 1, 2, usize::MAX][self.random.below(4)];
        self.replaced += self.db.cleanup_steps(steps)?.lists_replaced;
        Ok(())
    }

    fn scan(&mut self) -> Result<(), IndexError> {
        if self.running.len() < 3 {
            let query = self.db.table.vectors[self.random.below(3_000)].clone();
            let query = (self.random.below(4) > 0).then_some(&*query);
            let db = &mut self.db;
            let options = ScanOptions::default();
            let running = Running::begin(&db.index, &mut db.storage, &db.table, query, options, None)?;
            self.running.push((db.transactions, running));
        }
        let which = self.random.below(self.running.len());
        let count = [1, 50, 500, usize::MAX][self.random.below(4)];
        let (_, running) = &mut self.running[which];
        if !running.take(&mut self.db.storage, count)? {
            assert_eq!(running.rows(), running.rows.table.live_rows());
            self.running.swap_remove(which);
        }
        Ok(())
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 => self.db.storage.fail_after(self.random.next() % 60),
            1 => self.db.storage.interrupt_after(self.random.next() % 60),
            _ => {}
        }
        let outcome = match self.random.below(10) {
            0..3 => self.insert(),
            3 => {
                self.delete();
                Ok(())
            }
            4 => self.bulk_delete(),
            5..7 => self.cleanup(),
            7 => Directory::load(&self.db.index, &mut self.db.storage).map(|directory| {
                self.directories.push(Arc::new(directory));
                if self.directories.len() > 5 {
                    self.directories.remove(0);
                }
            }),
            _ => self.scan(),
        };
        match outcome {
            Ok(()) | Err(IndexError::Interrupted(_)) => {}
            Err(error) => {
                assert_eq!(error, MemoryStorage::FAILURE);
                self.crashes += 1;
                self.running.clear();
                self.db.backend = Backend::default();
            }
        }
        if self.db.storage.failed() || self.random.below(2) == 0 {
            self.db.storage.recover();
        }
        self.db.storage.interrupt_after(u64::MAX);
    }

    fn run(mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
        self.db.storage.recover();
        for (_, running) in &mut self.running {
            running.take(&mut self.db.storage, usize::MAX).unwrap();
            assert_eq!(running.rows(), running.rows.table.live_rows());
        }
        self.running.clear();
        let query = self.db.table.vectors[0].clone();
        self.db.assert_complete(Some(&query), ScanOptions::default());
        self.db.past = u64::MAX;
        for _ in 0..3 {
            self.db.vacuum();
            self.db.assert_exact();
        }
        assert_eq!(self.db.cleanup().unwrap().lists_replaced, 0);
        assert_eq!(self.db.statistics().retired_pages, 0);
        println!(
            "{} crashes, {} lists replaced, {:?}",
            self.crashes,
            self.replaced,
            self.db.statistics()
        );
    }
}

#[test]
fn no_history_loses_a_row() {
    for seed in 1..9 {
        let kind = Kind {
            keys: seed % 2 == 0,
            refine: seed % 4 == 3,
            lists: if seed % 3 == 0 { 150 } else { 0 },
            ..Kind::new(Metric::Cosine, 8)
        };
        println!("seed {seed}");
        History::new(kind, seed).run(250);
    }
}
