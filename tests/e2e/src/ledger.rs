//! A session's own book of what it has committed, kept outside the database: after a crash the database must hold
//! exactly that, the last transaction wholly or not at all where its answer was lost.

use std::collections::BTreeSet;

use postgres::Client;
use postgres::error::SqlState;

use crate::index::{Index, Rows};
use crate::random::Random;

/// Ids that one writer may use.
const IDS: i64 = 1_000_000;

/// One session that writes to rows of its own.
#[derive(Debug)]
pub struct Writer {
    index: Index,
    random: Random,
    first: i64,
    next: i64,
    limit: usize,
    committed: Rows,
    /// What the transaction under way makes of rows; `None` deletes.
    pending: Vec<(i64, Option<i32>)>,
}

impl Writer {
    /// Writer of that number, 1 or more, that keeps about `limit` rows; rows with smaller ids are nobody's.
    #[must_use]
    pub fn new(index: &Index, number: i64, limit: usize) -> Self {
        let first = number.checked_mul(IDS).unwrap();
        Self {
            index: index.clone(),
            random: Random::new(index.seed.wrapping_add(number.unsigned_abs())),
            first,
            next: first,
            limit,
            committed: Rows::new(),
            pending: Vec::new(),
        }
    }

    /// The rows that the database must hold of this writer.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.committed
    }

    /// The table that it writes to.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.index.table
    }

    /// One transaction: inserts, updates and deletes of some rows, sometimes rolled back.
    ///
    /// # Errors
    /// As the server gives them; the transaction may then be committed or not until [`Self::reconcile`].
    pub fn step(&mut self, client: &mut Client) -> Result<(), postgres::Error> {
        let mut statements = String::new();
        for _ in 0..self.random.within(1..4) {
            statements += &self.statement();
        }
        if self.random.percent(10) {
            self.pending.clear();
            return client.batch_execute(&format!("BEGIN;{statements}ROLLBACK"));
        }
        client.batch_execute(&format!("BEGIN;{statements}COMMIT"))?;
        for (id, version) in self.pending.drain(..) {
            match version {
                Some(version) => self.committed.insert(id, version),
                None => self.committed.remove(&id),
            };
        }
        Ok(())
    }

    fn statement(&mut self) -> String {
        let many = self.committed.len() > self.limit;
        match self.random.within(0..100) {
            0..15 => self.touch(),
            15..40 => self.update(),
            40..55 => self.delete(4),
            55..100 if many => self.delete(12),
            _ => self.insert(),
        }
    }

    fn insert(&mut self) -> String {
        let mut values = Vec::new();
        for _ in 0..self.random.within(1..9) {
            let id = self.next;
            self.next += 1;
            assert!(self.next < self.first + IDS, "this writer has used up its ids");
            values.push(format!("({id}, 0, {})", self.index.literal(id, 0)));
            self.pending.push((id, Some(0)));
        }
        format!(
            "INSERT INTO {} (id, version, e) VALUES {};",
            self.table(),
            values.join(",")
        )
    }

    /// A new vector for some rows.
    fn update(&mut self) -> String {
        let mut sql = String::new();
        for id in self.choose(3) {
            let version = self.committed[&id] + 1;
            self.pending.push((id, Some(version)));
            let vector = self.index.literal(id, version);
            let table = self.table();
            sql += &format!("UPDATE {table} SET version = {version}, e = {vector} WHERE id = {id};");
        }
        sql
    }

    /// An update that leaves the vector alone: the new row version needs no index entry while it fits on its page.
    fn touch(&mut self) -> String {
        let ids = list(&self.choose(5));
        format!(
            "UPDATE {} SET touched = touched + 1 WHERE id IN ({ids});",
            self.table()
        )
    }

    fn delete(&mut self, most: i64) -> String {
        let chosen = self.choose(most);
        self.pending.extend(chosen.iter().map(|&id| (id, None)));
        format!("DELETE FROM {} WHERE id IN ({});", self.table(), list(&chosen))
    }

    /// Up to so many committed rows that this transaction has not changed yet.
    fn choose(&mut self, most: i64) -> Vec<i64> {
        let mut chosen = BTreeSet::new();
        for _ in 0..self.random.within(1..most + 1) {
            if self.next == self.first {
                break;
            }
            let near = self.random.within(self.first..self.next);
            let found = self.committed.range(near..).next().map(|(&id, _)| id);
            chosen.extend(found.filter(|id| !self.pending.iter().any(|(other, _)| other == id)));
        }
        chosen.into_iter().collect()
    }

    /// Asserts that of this writer's ids the table holds what was committed, and of a transaction whose end is
    /// unknown either all or nothing; goes on from there.
    ///
    /// # Panics
    /// If it does not.
    pub fn reconcile(&mut self, table: &Rows) {
        let found: Rows = table
            .range(self.first..self.first + IDS)
            .map(|(&id, &version)| (id, version))
            .collect();
        let mut after = self.committed.clone();
        for (id, version) in self.pending.drain(..) {
            match version {
                Some(version) => after.insert(id, version),
                None => after.remove(&id),
            };
        }
        if found != self.committed {
            assert_eq!(
                found,
                after,
                "rows of the writer of {} in {}",
                self.first,
                self.table()
            );
        }
        self.committed = found;
    }
}

fn list(ids: &[i64]) -> String {
    let words: Vec<String> = ids.iter().map(i64::to_string).collect();
    if words.is_empty() {
        "NULL".to_owned()
    } else {
        words.join(",")
    }
}

/// Whether the error only says that the server has gone, goes, or comes up again.
#[must_use]
pub fn is_lost(error: &postgres::Error) -> bool {
    let endings = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ];
    error.code().is_none_or(|code| endings.contains(code))
}

/// Whether the error says that the session was terminated. The message is the last before the end of the connection, and the client may
/// notice the end first.
#[must_use]
pub fn is_terminated(error: &postgres::Error) -> bool {
    error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN)
}
