//! The index access methods: the callbacks that PostgreSQL calls, and the SQL functions that look after an index.
//!
//! Each callback turns what the server hands over into the engine's terms and back; the algorithms and the page format are the
//! engine's (`castmatch_engine::index`). docs/design/hnsw.md and docs/design/ivf.md are the documents of
//! the two access methods; their modules have the same shape.

mod backend;
mod column;
mod cost;
mod hints;
pub mod hnsw;
mod inspect;
pub mod ivf;
mod keys;
mod opclass;
mod remembered;
mod routine;
mod rows;
mod search;
mod storage;
mod upkeep;
mod validate;
mod value;

use crate::error::{error, out_of_memory};
use crate::pg::array::ReportError;
use crate::pg::relation::Relation;
use castmatch_engine::index::IndexError;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Raises the error of a callback, which PostgreSQL expects to be raised and not returned.
fn raise<T>(result: crate::error::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(report) => report.report_error(),
    }
}

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
