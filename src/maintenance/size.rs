//! What messages hold, measured once at the beginning of a pass: by one scan, unless the files of the table show already that it cannot be
//! too much.

use crate::error::Result;
use crate::maintenance::plan::Plan;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use castmatch_engine::maintenance::{Id, SizeCutoff};
use pgrx::datum::Uuid;
use pgrx::pg_sys;

/// For each limit: the most recent conversation that has to go so that the more recent ones do not hold more. 64 bytes stand for what each
/// row has besides its three columns of variable length: header, line pointer, key, tokens, moment. `pg_column_size` does not
/// read what is stored out of line.
const CUTOFFS: &str = "
    WITH sizes AS (
        SELECT m.conversation_id AS id, pg_catalog.sum(64 OPERATOR(pg_catalog.+) pg_catalog.pg_column_size(m.role)
            OPERATOR(pg_catalog.+) pg_catalog.pg_column_size(m.content)
            OPERATOR(pg_catalog.+) COALESCE(pg_catalog.pg_column_size(m.context), 0)) AS bytes
        FROM castmatch.messages m GROUP BY m.conversation_id
    ), ranked AS (
        SELECT COALESCE(l.number, 0) AS number, COALESCE(l.bytes, $3) AS most, c.id, c.last_message_at,
            pg_catalog.sum(s.bytes) OVER (PARTITION BY l.number ORDER BY c.last_message_at DESC, c.id DESC) AS held
        FROM castmatch.conversations c
        JOIN sizes s ON s.id OPERATOR(pg_catalog.=) c.id
        LEFT JOIN ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY AS l (role, bytes, number)
            ON l.role OPERATOR(pg_catalog.=) c.owner::pg_catalog.oid
    )
    SELECT DISTINCT ON (r.number) r.number, pg_catalog.to_jsonb(r.last_message_at) OPERATOR(pg_catalog.#>>) '{}', r.id
    FROM ranked r WHERE r.held OPERATOR(pg_catalog.>) r.most
    ORDER BY r.number, r.last_message_at DESC, r.id DESC";

/// Stands for no limit.
const UNLIMITED: i64 = i64::MAX;

/// Which conversations have to go for the limits of bytes.
///
/// # Errors
/// As the statements raise them.
pub fn cutoffs(session: &Session, plan: &Plan) -> Result<Vec<SizeCutoff>> {
    let own = || {
        plan.roles
            .iter()
            .filter_map(|role| role.own_bytes.map(|bytes| (role, bytes.unwrap_or(UNLIMITED))))
    };
    let general = plan.general_bytes.unwrap_or(UNLIMITED);
    let least = own().map(|(_, bytes)| bytes).fold(general, i64::min);
    if least == UNLIMITED || bytes_on_disk(session)? <= least {
        return Ok(Vec::new());
    }
    let (oids, bytes): (Vec<pg_sys::Oid>, Vec<i64>) = own().map(|(role, bytes)| (role.oid, bytes)).unzip();
    let rows = session.run(CUTOFFS, &[Value::of(oids), Value::of(bytes), Value::of(general)])?;
    (0..rows.len())
        .map(|row| {
            let number: i64 = rows.require(row, 1)?;
            let role = usize::try_from(number)
                .ok()
                .and_then(|number| own().nth(number.checked_sub(1)?))
                .map(|(role, _)| role.name.clone());
            Ok(SizeCutoff {
                role,
                last_message_at: rows.require(row, 2)?,
                conversation: Id(*rows.require::<Uuid>(row, 3)?.as_bytes()),
            })
        })
        .collect()
}

/// The size of the table with what is stored out of line, which is never less than what is measured.
fn bytes_on_disk(session: &Session) -> Result<i64> {
    session
        .run(
            "SELECT pg_catalog.pg_table_size('castmatch.messages'::pg_catalog.regclass)",
            &[],
        )?
        .require(0, 1)
}
