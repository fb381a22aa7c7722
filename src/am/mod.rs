//! The index access methods: the callbacks that PostgreSQL calls, and the SQL functions that look after an index.
//!
//! Each callback turns what the server hands over into the engine's terms and back; the algorithms and the page format are the
//! engine's (`castmatch_engine::index`). docs/design/hnsw.md is the document of the access method.

pub mod hnsw;
mod inspect;
mod keys;
mod opclass;
mod state;
mod storage;

use crate::error::{error, out_of_memory};
use crate::pg::relation::Relation;
use castmatch_engine::index::IndexError;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The report for a failure of an index.
fn index_error(relation: Relation, failure: IndexError) -> ErrorReport {
    let name = relation.name();
    // Of use in any search_path. Looked up only for an error that says it.
    let rebuild = || format!("Rebuild the index: REINDEX INDEX {}.", relation.qualified_name());
    match failure {
        IndexError::Interrupted(_) => error(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, "canceled"),
        IndexError::Corrupt { block, what } => error(
            PgSqlErrorCode::ERRCODE_INDEX_CORRUPTED,
            format!("index \"{name}\" is corrupted in block {block}: {what}"),
        )
        .set_hint(rebuild()),
        IndexError::Version { .. } => error(
            PgSqlErrorCode::ERRCODE_INDEX_CORRUPTED,
            format!("index \"{name}\" cannot be read: {failure}"),
        )
        .set_hint(rebuild()),
        IndexError::OutOfMemory { what, bytes } => out_of_memory(what, bytes),
        IndexError::Failed { .. } => error(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("index \"{name}\": {failure}"),
        ),
        failure => error(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("index \"{name}\": {failure}"),
        ),
    }
}
