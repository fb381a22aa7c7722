//! jsonb as a value that Rust code looks into.
//!
//! PostgreSQL's jsonb may be nested deeper than serde_json reads (128 levels); that is an error with a clear text here, not
//! pgrx's panic.

use crate::error::{Result, error};
use crate::pg::spi::Rows;
use crate::pg::value::to_text;
use castmatch_engine::filter::MAX_DEPTH;
use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Longest jsonb argument as text: some hundred times what the limits of a filter allow.
const MAX_BYTES: usize = 4 << 20;

/// A jsonb argument, not looked into yet.
pub struct JsonArg {
    text: String,
}

pgrx::impl_sql_translatable!(JsonArg, "jsonb");

// SAFETY: the SQL declarations give this type to jsonb arguments only.
unsafe impl<'fcx> ArgAbi<'fcx> for JsonArg {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller guarantees an argument that is not NULL; the datum is taken as it is.
        let datum = unsafe { arg.unbox_arg_using_from_datum::<pg_sys::Datum>() };
        Self {
            text: datum
                .map(|datum| to_text(pg_sys::JSONBOID, datum))
                .unwrap_or_default(),
        }
    }
}

impl JsonArg {
    /// The value; `name` is the argument's name for messages.
    ///
    /// # Errors
    /// 54000 if it is too long or nested too deeply.
    pub fn parse(&self, name: &str) -> Result<Value> {
        if self.text.len() > MAX_BYTES {
            return Err(error(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "{name} of {} bytes is longer than {MAX_BYTES} bytes",
                    self.text.len()
                ),
            ));
        }
        serde_json::from_str(&self.text).map_err(|_| {
            error(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("{name} is nested too deeply, the limit is {MAX_DEPTH}"),
            )
        })
    }
}

/// A jsonb cell; NULL gives JSON's null. Data that cannot be read (nested too deeply, a number beyond double precision)
/// is left out: of an object only the member that holds it.
///
/// # Errors
/// XX000 if there is no such cell.
pub fn cell(rows: &Rows, row: usize, column: usize) -> Result<Value> {
    let (type_oid, datum) = rows.cell(row, column)?;
    let text = datum.map(|datum| to_text(type_oid, datum)).unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or_else(|_| readable_members(&text)))
}

fn readable_members(text: &str) -> Value {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap_or_default();
    if members.is_empty() {
        return Value::Null;
    }
    let readable =
        |(name, value): (String, Box<RawValue>)| Some((name, serde_json::from_str(value.get()).ok()?));
    Value::Object(members.into_iter().filter_map(readable).collect())
}
