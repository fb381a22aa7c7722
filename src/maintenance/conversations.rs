//! Conversations that go, and the oldest messages of those that stay.
//!
//! Conversations are walked through by their primary key, with two look-ups in that of messages for each; nothing is locked until something
//! is to be deleted. A message never goes without the conversation if no other is left: numbers of messages would begin anew.

use crate::chat::store;
use crate::error::Result;
use crate::maintenance::batch::{Batch, count};
use crate::maintenance::plan::moment;
use crate::maintenance::requests;
use crate::pg::spi::{Rows, Session, session};
use crate::pg::value::Value;
use castmatch_engine::maintenance::{Facts, Fate, Id};
use pgrx::datum::{TimestampWithTimeZone, Uuid};
use pgrx::pg_sys;

/// Conversations looked at by one statement.
const PAGE: usize = 500;
/// Messages deleted by one statement: some milliseconds, after which the clock is looked at.
const PORTION: usize = 1_000;

/// Facts of the conversations `c` that a sub-select gives. First and last message are looked for if a parameter asks for them, and from a
/// number on.
macro_rules! facts_of {
    ($conversations:literal, $asked:literal) => {
        concat!(
            "SELECT c.id, c.owner::pg_catalog.oid, c.last_message_at, f.seq, f.created_at, l.seq FROM (
                 SELECT c.id, c.owner, c.last_message_at FROM castmatch.conversations c WHERE ",
            $conversations,
            ") c
             LEFT JOIN LATERAL (
                 SELECT m.seq, m.created_at FROM castmatch.messages m
                 WHERE m.conversation_id OPERATOR(pg_catalog.=) c.id AND ",
            $asked,
            " ORDER BY m.seq LIMIT 1) f ON true
             LEFT JOIN LATERAL (
                 SELECT m.seq FROM castmatch.messages m
                 WHERE m.conversation_id OPERATOR(pg_catalog.=) c.id AND ",
            $asked,
            " ORDER BY m.seq DESC LIMIT 1) l ON true
             ORDER BY c.id"
        )
    };
}
const PAGE_SQL: &str = facts_of!(
    "c.id OPERATOR(pg_catalog.>=) $1 ORDER BY c.id LIMIT $2",
    "$3 AND m.seq OPERATOR(pg_catalog.>=) CASE WHEN c.id OPERATOR(pg_catalog.=) $1 THEN $4 ELSE '-9223372036854775808'::pg_catalog.int8 END"
);
const ONE_SQL: &str = facts_of!(
    "c.id OPERATOR(pg_catalog.=) $1",
    "m.seq OPERATOR(pg_catalog.>=) $2"
);

/// The newest message that is too many.
const SURPLUS_SQL: &str = "
    SELECT m.seq FROM castmatch.messages m WHERE m.conversation_id OPERATOR(pg_catalog.=) $1 AND m.seq OPERATOR(pg_catalog.>=) $3
    ORDER BY m.seq DESC OFFSET $2 LIMIT 1";

/// Among the oldest so many messages: how many go, and the last of them. Ages follow numbers, so the first message that is young enough
/// keeps itself and all after it.
const EXTENT_SQL: &str = "
    WITH oldest AS MATERIALIZED (
        SELECT m.seq, m.created_at FROM castmatch.messages m
        WHERE m.conversation_id OPERATOR(pg_catalog.=) $1 AND m.seq OPERATOR(pg_catalog.>=) $6
        ORDER BY m.seq LIMIT $2
    ), edge AS (
        SELECT pg_catalog.min(o.seq) FILTER (WHERE ($3 OPERATOR(pg_catalog.<=) o.created_at) IS NOT FALSE) AS young FROM oldest o
    )
    SELECT pg_catalog.count(*), pg_catalog.max(o.seq) FROM oldest o, edge e
    WHERE $5 OR e.young IS NULL OR o.seq OPERATOR(pg_catalog.<) e.young OR o.seq OPERATOR(pg_catalog.<=) $4";

const DELETE_MESSAGES_SQL: &str = "
    DELETE FROM castmatch.messages d WHERE d.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
        SELECT m.ctid FROM castmatch.messages m
        WHERE m.conversation_id OPERATOR(pg_catalog.=) $1 AND m.seq OPERATOR(pg_catalog.>=) $4 AND m.seq OPERATOR(pg_catalog.<=) $2
        ORDER BY m.seq LIMIT $3 FOR UPDATE SKIP LOCKED))";
const DELETE_REQUESTS_SQL: &str = "
    DELETE FROM castmatch.requests d WHERE d.id OPERATOR(pg_catalog.=) ANY (ARRAY(
        SELECT r.id FROM castmatch.requests r WHERE r.conversation_id OPERATOR(pg_catalog.=) $1
        LIMIT $2 FOR UPDATE SKIP LOCKED))";
/// Only when nothing hangs on it: the cascade would delete more than was counted, and wait.
const DELETE_CONVERSATION_SQL: &str = "
    DELETE FROM castmatch.conversations d WHERE d.id OPERATOR(pg_catalog.=) $1
        AND NOT EXISTS (SELECT FROM castmatch.messages m WHERE m.conversation_id OPERATOR(pg_catalog.=) $1)
        AND NOT EXISTS (SELECT FROM castmatch.requests r WHERE r.conversation_id OPERATOR(pg_catalog.=) $1)";

/// Whose lock is taken, so that nobody adds a message or a request meanwhile.
const LOCK_SQL: &str = "
    SELECT FROM castmatch.conversations c WHERE c.id OPERATOR(pg_catalog.=) $1 FOR UPDATE SKIP LOCKED";
const HAS_REQUESTS_SQL: &str = "
    SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0,
        pg_catalog.count(*) FILTER (WHERE r.state IN ('queued', 'running')) OPERATOR(pg_catalog.>) 0
    FROM castmatch.requests r WHERE r.conversation_id OPERATOR(pg_catalog.=) $1";

/// How a conversation was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Done with, for this pass.
    Done,
    /// In the middle: the batch is full. The first number that is not done.
    Half(i64),
}

/// Where a page ended.
enum Reached {
    /// At the last conversation of all.
    End,
    /// At its own end; the next page begins there.
    Next(Id),
    /// Where the batch is over, and at which message of that conversation; none if there is no more.
    Over(Option<(Id, Option<i64>)>),
}

/// Before the number of any message.
const FIRST: i64 = i64::MIN;

/// Walks through the conversations from an id on, of the first from a message on; gives where the batch ended, none at the end.
///
/// # Errors
/// As the statements raise them.
pub fn walk(batch: &mut Batch, mut from: Id, seq: Option<i64>) -> Result<Option<(Id, Option<i64>)>> {
    let mut seq = seq.unwrap_or(FIRST);
    loop {
        pgrx::check_for_interrupts!();
        // A session for each page, so that what its statements returned is freed.
        match session(batch.access(), |session| page(session, batch, from, seq))? {
            Reached::End => return Ok(None),
            Reached::Next(next) => (from, seq) = (next, FIRST),
            Reached::Over(next) => return Ok(next),
        }
    }
}

fn page(session: &Session, batch: &mut Batch, from: Id, seq: i64) -> Result<Reached> {
    let asks_messages = batch.plan.needs_messages();
    let values = [
        uuid(from),
        Value::of(count(PAGE)),
        Value::of(asks_messages),
        Value::of(seq),
    ];
    let rows = session.run(PAGE_SQL, &values)?;
    let mut next = None;
    for row in 0..rows.len() {
        let (owner, facts) = facts(&rows, row)?;
        next = facts.id.next();
        let fate = batch.plan.bounds(owner).fate(&facts);
        if fate == Fate::Stays {
            continue;
        }
        pgrx::check_for_interrupts!();
        let seq = if facts.id == from { seq } else { FIRST };
        if batch.dry_run {
            Doomed::new(session, batch, (owner, facts), fate, seq)?.count(session, batch)?;
        } else if let Left::Half(seq) = prune_one(session, batch, facts.id, seq)? {
            return Ok(Reached::Over(Some((facts.id, Some(seq)))));
        }
        // After one conversation at least: every call gets on.
        if batch.is_over() {
            return Ok(Reached::Over(next.map(|next| (next, None))));
        }
    }
    Ok(match next.filter(|_| rows.len() == PAGE) {
        None => Reached::End,
        Some(next) if batch.is_over() => Reached::Over(Some((next, None))),
        Some(next) => Reached::Next(next),
    })
}

fn uuid(id: Id) -> Value {
    Value::of(Uuid::from_bytes(id.0))
}

fn facts(rows: &Rows, row: usize) -> Result<(pg_sys::Oid, Facts)> {
    let id: Uuid = rows.require(row, 1)?;
    let at: TimestampWithTimeZone = rows.require(row, 3)?;
    let first: Option<i64> = rows.get(row, 4)?;
    let first_at: Option<TimestampWithTimeZone> = rows.get(row, 5)?;
    let facts = Facts {
        id: Id(*id.as_bytes()),
        last_message_at: at.into_inner(),
        first: first.zip(first_at.map(TimestampWithTimeZone::into_inner)),
        last: rows.get(row, 6)?,
    };
    Ok((rows.require(row, 2)?, facts))
}

/// Deletes what may go of a conversation, unless somebody is using it.
fn prune_one(session: &Session, batch: &mut Batch, id: Id, seq: i64) -> Result<Left> {
    if !store::try_lock(session, &Uuid::from_bytes(id.0))? {
        batch.tally.skipped += 1;
        return Ok(Left::Done);
    }
    batch.locks += 1;
    let is_locked = !session.run(LOCK_SQL, &[uuid(id)])?.is_empty();
    // Read under the locks: a turn may have ended just before.
    let rows = session.run(ONE_SQL, &[uuid(id), Value::of(seq)])?;
    if rows.is_empty() {
        return Ok(Left::Done);
    }
    let (owner, facts) = facts(&rows, 0)?;
    let fate = batch.plan.bounds(owner).fate(&facts);
    if fate == Fate::Stays {
        return Ok(Left::Done);
    }
    let doomed = Doomed::new(session, batch, (owner, facts), fate, seq)?;
    if !is_locked || doomed.has_open_requests {
        batch.tally.skipped += 1;
        return Ok(Left::Done);
    }
    doomed.delete(session, batch)
}

/// A conversation of which something may go.
struct Doomed {
    facts: Facts,
    /// The first number that is not done.
    seq: i64,
    /// All of it.
    is_whole: bool,
    /// Messages before that moment.
    age: Option<i64>,
    /// Messages up to that number are too many.
    surplus: Option<i64>,
    has_requests: bool,
    has_open_requests: bool,
}

impl Doomed {
    fn new(
        session: &Session,
        batch: &Batch,
        (owner, facts): (pg_sys::Oid, Facts),
        fate: Fate,
        seq: i64,
    ) -> Result<Self> {
        let bounds = batch.plan.bounds(owner);
        let is_whole = fate == Fate::Goes;
        let surplus = match bounds.messages.filter(|_| !is_whole) {
            None => None,
            Some(limit) => {
                let rows = session.run(SURPLUS_SQL, &[uuid(facts.id), Value::of(limit), Value::of(seq)])?;
                if rows.is_empty() { None } else { rows.get(0, 1)? }
            }
        };
        let rows = session.run(HAS_REQUESTS_SQL, &[uuid(facts.id)])?;
        Ok(Self {
            facts,
            seq,
            is_whole,
            age: bounds.age,
            surplus,
            has_requests: rows.require(0, 1)?,
            has_open_requests: rows.require(0, 2)?,
        })
    }

    /// How many of the oldest so many messages go, and the last of them.
    fn extent(&self, session: &Session, most: Option<usize>) -> Result<(usize, Option<i64>)> {
        let none = |type_oid| Value::datum(type_oid, None);
        let rows = session.run(
            EXTENT_SQL,
            &[
                uuid(self.facts.id),
                most.map_or(none(pg_sys::INT8OID), |most| Value::of(count(most))),
                self.age.map_or(none(pg_sys::TIMESTAMPTZOID), moment),
                self.surplus.map_or(none(pg_sys::INT8OID), Value::of),
                Value::of(self.is_whole),
                Value::of(self.seq),
            ],
        )?;
        let messages: i64 = rows.require(0, 1)?;
        Ok((usize::try_from(messages).unwrap_or(0), rows.get(0, 2)?))
    }

    /// Whether nothing is left when the messages up to that number are gone.
    fn ends_with(&self, through: Option<i64>) -> bool {
        match self.facts.last {
            Some(last) => through.is_some_and(|through| through >= last),
            None => self.is_whole,
        }
    }

    fn count(&self, session: &Session, batch: &mut Batch) -> Result<()> {
        if self.has_open_requests {
            batch.tally.skipped += 1;
            return Ok(());
        }
        let (messages, through) = self.extent(session, None)?;
        batch.tally.messages += count(messages);
        if self.ends_with(through) {
            batch.tally.conversations += 1;
            requests::count_of_conversation(session, batch, self.facts.id)?;
        }
        Ok(())
    }

    /// Whether it goes whole, and with the next batch, but does not fit what is left of this one.
    fn had_better_wait(&self, session: &Session, batch: &Batch) -> Result<bool> {
        // Numbers may be missing in between, so this is the most that there can be; one more row is the conversation.
        let most = match (self.facts.first, self.facts.last) {
            (Some((first, _)), Some(last)) => last.saturating_sub(first).saturating_add(2),
            _ => 1,
        };
        if !self.is_whole || batch.is_fresh() || most <= count(batch.rows_left) {
            return Ok(false);
        }
        let fits = |rows: usize| -> Result<bool> {
            let (_, through) = self.extent(session, Some(rows.saturating_sub(1)))?;
            Ok(self.ends_with(through))
        };
        Ok(!fits(batch.rows_left)? && fits(batch.plan.batch_rows)?)
    }

    fn delete(mut self, session: &Session, batch: &mut Batch) -> Result<Left> {
        if self.had_better_wait(session, batch)? {
            return Ok(Left::Half(self.seq));
        }
        loop {
            pgrx::check_for_interrupts!();
            // One row is kept for the conversation.
            let room = PORTION.min(batch.rows_left.saturating_sub(1));
            if room == 0 {
                return Ok(Left::Half(self.seq));
            }
            let (messages, through) = self.extent(session, Some(room))?;
            let ends = self.ends_with(through);
            if ends && self.has_requests {
                let requests = self.delete_requests(session, batch, room)?;
                if requests == 0 {
                    // Somebody holds them.
                    batch.tally.skipped += 1;
                    return Ok(Left::Done);
                }
                if batch.is_over() {
                    return Ok(Left::Half(self.seq));
                }
                // There is less room now.
                continue;
            }
            if messages > 0 && self.delete_messages(session, batch, through, room)? < messages {
                batch.tally.skipped += 1;
                return Ok(Left::Done);
            }
            self.seq = through.map_or(self.seq, |through| through.saturating_add(1));
            if ends {
                return self.delete_conversation(session, batch);
            }
            if messages < room {
                return Ok(Left::Done);
            }
            if batch.is_over() {
                return Ok(Left::Half(self.seq));
            }
        }
    }

    fn delete_messages(
        &self,
        session: &Session,
        batch: &mut Batch,
        through: Option<i64>,
        room: usize,
    ) -> Result<usize> {
        let values = [
            uuid(self.facts.id),
            Value::of(through.unwrap_or(i64::MIN)),
            Value::of(count(room)),
            Value::of(self.seq),
        ];
        let deleted = session.run(DELETE_MESSAGES_SQL, &values)?.len();
        batch.tally.messages += batch.spend(deleted);
        Ok(deleted)
    }

    /// Deletes requests of the conversation, and notes whether that were all.
    fn delete_requests(&mut self, session: &Session, batch: &mut Batch, room: usize) -> Result<usize> {
        let values = [uuid(self.facts.id), Value::of(count(room))];
        let deleted = session.run(DELETE_REQUESTS_SQL, &values)?.len();
        batch.tally.requests += batch.spend(deleted);
        let rows = session.run(HAS_REQUESTS_SQL, &[uuid(self.facts.id)])?;
        self.has_requests = rows.require(0, 1)?;
        Ok(deleted)
    }

    fn delete_conversation(&self, session: &Session, batch: &mut Batch) -> Result<Left> {
        let deleted = session
            .run(DELETE_CONVERSATION_SQL, &[uuid(self.facts.id)])?
            .len();
        if deleted == 0 {
            batch.tally.skipped += 1;
        }
        batch.tally.conversations += batch.spend(deleted);
        Ok(Left::Done)
    }
}
