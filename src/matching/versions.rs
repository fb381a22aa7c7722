//! The versions of what the catalogs say about an attached table: a result is in the caches under those that it was computed with.

use crate::error::Result;
use crate::matching::trigger::{CHANGE_TRIGGER, TRUNCATE_TRIGGER};
use crate::pg::spi::Session;
use crate::pg::value::Value;
use pgrx::pg_sys;

/// The table's row, its registration, its text search configuration and dictionaries, the statistics of its text; and its triggers, if
/// every one is there that notes changes, those of partitions too.
const SQL: &str = "
    SELECT c.xmin::text OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) r.xmin::text
               OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) COALESCE((
                   SELECT pg_catalog.string_agg(m.xmin::text OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) d.xmin::text, ','
                       ORDER BY m.maptokentype, m.mapseqno)
                   FROM pg_catalog.pg_ts_config_map m
                   JOIN pg_catalog.pg_ts_dict d ON d.oid OPERATOR(pg_catalog.=) m.mapdict
                   WHERE m.mapcfg OPERATOR(pg_catalog.=) r.text_config::pg_catalog.regconfig), '')
               OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) COALESCE((
                   SELECT pg_catalog.date_part('epoch', s.measured_at)::text FROM castmatch.text_statistics s
                   WHERE s.target OPERATOR(pg_catalog.=) r.target), '')
               OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) (
                   SELECT CASE WHEN pg_catalog.count(t.oid) OPERATOR(pg_catalog.=) pg_catalog.count(*)
                       THEN pg_catalog.string_agg(t.xmin::text, ',' ORDER BY t.oid) END
                   FROM (
                       SELECT p.relid, $2::pg_catalog.name AS name
                       FROM pg_catalog.pg_partition_tree(c.oid) p
                       UNION ALL SELECT c.oid, $2::pg_catalog.name WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid))
                       UNION ALL SELECT c.oid, $3::pg_catalog.name) w
                   LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid OPERATOR(pg_catalog.=) w.relid
                       AND t.tgname OPERATOR(pg_catalog.=) w.name AND t.tgenabled OPERATOR(pg_catalog.=) 'A')
    FROM castmatch.registrations r
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.target
    WHERE r.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass";

/// The versions as one text; `None` if a change of the table could go unnoticed.
///
/// # Errors
/// As the statement raises them.
pub fn read(session: &Session, target: pg_sys::Oid) -> Result<Option<String>> {
    let values = [
        Value::oid(target),
        Value::of(CHANGE_TRIGGER),
        Value::of(TRUNCATE_TRIGGER),
    ];
    let rows = session.run(SQL, &values)?;
    if rows.is_empty() { Ok(None) } else { rows.get(0, 1) }
}
