//! `castmatch.detach`: takes away what attach put on a table, each part only if it is still there.

use crate::cache::epoch;
use crate::error::{Result, null_argument};
use crate::matching::attach::require_owner;
use crate::matching::attachment::not_attached;
use crate::matching::text::index;
use crate::matching::trigger::{CHANGE_TRIGGER, LIVE_TRIGGER, QUEUE_TRIGGER, TRUNCATE_TRIGGER};
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, Session, quote_identifier, session};
use crate::pg::value::Value;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Whether the table has a trigger, an index, a column of that name.
const TRIGGER_SQL: &str = "SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) $1
    AND t.tgname OPERATOR(pg_catalog.=) $2::pg_catalog.name";
const INDEX_SQL: &str = "SELECT 1 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
    WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.name";
const COLUMN_SQL: &str = "SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) $1
    AND a.attname OPERATOR(pg_catalog.=) $2::pg_catalog.name AND NOT a.attisdropped";

#[pg_extern(sql = false)]
fn detach(table: Option<pg_sys::Oid>, drop_embedding: Option<bool>) -> Result<()> {
    let table = table.ok_or_else(|| null_argument("target"))?;
    let registered = session(Access::ReadOnly, |session| {
        let rows = session.run(
            "SELECT r.embedding_column::text, r.vector_index::text, r.next_embedding::text, n.nspname::text, c.relname::text
             FROM castmatch.registrations r
             JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.target
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
             WHERE r.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
            &[Value::oid(table)],
        )?;
        if rows.is_empty() {
            return Ok(None);
        }
        let vector_index: Option<String> = rows.get(0, 2)?;
        Ok(Some((
            rows.require::<String>(0, 1)?,
            vector_index,
            rows.get::<String>(0, 3)?,
            rows.require::<String>(0, 4)?,
            rows.require::<String>(0, 5)?,
        )))
    })?;
    let (embedding, vector_index, next, schema, name) = registered.ok_or_else(|| not_attached(table))?;
    require_owner(table)?;
    let (schema, name) = (quote_identifier(&schema), quote_identifier(&name));
    // The registration first: it stands in the way of a column that is dropped.
    epoch::note_change(table);
    let owner = catalog::extension_types()?.owner;
    act_as(owner, Restriction::LocalChange, || {
        session(Access::ReadWrite, |session| {
            for sql in [
                "DELETE FROM castmatch.queue
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
                "DELETE FROM castmatch.text_statistics
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
                "DELETE FROM castmatch.progress
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
                "DELETE FROM castmatch.registrations
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
            ] {
                session.run(sql, &[Value::oid(table)])?;
            }
            Ok(())
        })
    })?;
    // Each part only if it is still there: IF EXISTS would say that it is not.
    let exists = |session: &Session, sql: &str, name: &str| -> Result<bool> {
        Ok(!session
            .run(sql, &[Value::oid(table), Value::of(name)])?
            .is_empty())
    };
    session(Access::ReadWrite, |session| {
        for trigger in [QUEUE_TRIGGER, LIVE_TRIGGER, CHANGE_TRIGGER, TRUNCATE_TRIGGER] {
            if exists(session, TRIGGER_SQL, trigger)? {
                session.run_utility(&format!("DROP TRIGGER {trigger} ON {schema}.{name}"))?;
            }
        }
        for index in index::names(session, table)? {
            session.run_utility(&format!("DROP INDEX {index}"))?;
        }
        if let Some(index) = vector_index
            && exists(session, INDEX_SQL, &index)?
        {
            session.run_utility(&format!("DROP INDEX {schema}.{}", quote_identifier(&index)))?;
        }
        let own = (drop_embedding == Some(true)).then_some(embedding);
        for column in own.into_iter().chain(next) {
            if exists(session, COLUMN_SQL, &column)? {
                let column = quote_identifier(&column);
                session.run_utility(&format!("ALTER TABLE {schema}.{name} DROP COLUMN {column}"))?;
            }
        }
        Ok(())
    })
}
