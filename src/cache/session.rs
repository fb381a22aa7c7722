//! What a result depends on besides its arguments: who asks, and the settings that change how values look or rows are found.

use crate::pg::{catalog, role, setting};
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::key::Key;

/// Settings that results of searches depend on: how values are written, which plan finds the rows, how hard the index looks.
const SETTINGS: [&core::ffi::CStr; 18] = [
    c"TimeZone",
    c"DateStyle",
    c"IntervalStyle",
    c"extra_float_digits",
    c"bytea_output",
    c"xmlbinary",
    c"lc_monetary",
    c"lc_numeric",
    c"lc_time",
    c"castmatch.ef_search",
    c"castmatch.probes",
    c"castmatch.rerank_confidence",
    c"enable_indexscan",
    c"enable_bitmapscan",
    c"enable_seqscan",
    c"enable_sort",
    c"work_mem",
    c"row_security",
];

/// Version of castmatch: another one may compute another value.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The beginning of a key for the result of a search in `target`, as the current role in the current session.
pub fn key(kind: Kind, target: pgrx::pg_sys::Oid) -> Key {
    let key = Key::new(kind, catalog::my_database().to_u32(), target.to_u32())
        .with(VERSION.as_bytes())
        .with_number(u64::from(role::current().to_u32()));
    SETTINGS
        .iter()
        .fold(key, |key, name| key.with_text(setting::value(name).as_deref()))
}
