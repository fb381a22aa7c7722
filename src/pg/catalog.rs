//! Facts about this server and database: encoding, folders, where the extension's objects are.

use crate::error::{Result, internal, unsupported};
use crate::pg::spi::{Access, session};
use core::ffi::{CStr, c_char};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Refuses databases whose text is not UTF-8: the model and its tokenizer know nothing else.
///
/// # Errors
/// 0A000 for another encoding.
pub fn require_utf8() -> Result<()> {
    // SAFETY: plain reads of backend state.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    if encoding == pg_sys::pg_enc::PG_UTF8 as i32 {
        return Ok(());
    }
    // SAFETY: returns a static NUL-terminated string.
    let name = unsafe { CStr::from_ptr(pg_sys::GetDatabaseEncodingName()) };
    Err(unsupported(format!(
        "castmatch embeds text in databases with encoding UTF8 only, not {}",
        name.to_string_lossy()
    )))
}

/// `$(pg_config --sharedir)` of the running server.
pub fn share_directory() -> PathBuf {
    let mut path = [0 as c_char; pg_sys::MAXPGPATH as usize];
    // SAFETY: my_exec_path is a NUL-terminated global; `path` has the MAXPGPATH bytes that get_share_path writes at most.
    unsafe { pg_sys::get_share_path((&raw const pg_sys::my_exec_path).cast(), path.as_mut_ptr()) };
    // SAFETY: get_share_path NUL-terminates.
    let path = unsafe { CStr::from_ptr(path.as_ptr()) };
    PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes()))
}

/// Where `CREATE EXTENSION` put the types.
#[derive(Clone, Debug)]
pub struct ExtensionTypes {
    /// Schema of types and operators, quoted for use in SQL.
    pub schema: String,
    /// Type `vector`.
    pub vector: pg_sys::Oid,
    /// Type `vector[]`.
    pub vector_array: pg_sys::Oid,
    /// Type `halfvec`.
    pub halfvec: pg_sys::Oid,
    /// Type `halfvec[]`.
    pub halfvec_array: pg_sys::Oid,
    /// Owner of the extension's tables.
    pub owner: pg_sys::Oid,
    /// That schema, and its name.
    namespace: (pg_sys::Oid, String),
}

thread_local! {
    static TYPES: RefCell<Option<ExtensionTypes>> = const { RefCell::new(None) };
}

const TYPES_SQL: &str = "
    SELECT pg_catalog.quote_ident(n.nspname), v.oid, v.typarray, h.oid, h.typarray, q.relowner, n.oid, n.nspname::text
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
    JOIN pg_catalog.pg_type v ON v.typnamespace OPERATOR(pg_catalog.=) n.oid AND v.typname OPERATOR(pg_catalog.=) 'vector'
    JOIN pg_catalog.pg_type h ON h.typnamespace OPERATOR(pg_catalog.=) n.oid AND h.typname OPERATOR(pg_catalog.=) 'halfvec'
    JOIN pg_catalog.pg_namespace c ON c.nspname OPERATOR(pg_catalog.=) 'castmatch'
    JOIN pg_catalog.pg_class q ON q.relnamespace OPERATOR(pg_catalog.=) c.oid AND q.relname OPERATOR(pg_catalog.=) 'queue'
    WHERE e.extname OPERATOR(pg_catalog.=) 'castmatch'";

/// Where the extension's types are; looked up once per backend, again after the extension was created anew or its schema renamed.
///
/// # Errors
/// XX000 if the extension is not installed in this database.
pub fn extension_types() -> Result<ExtensionTypes> {
    let known = TYPES.with_borrow(Clone::clone);
    if let Some(types) = known
        && still_exists(&types)
    {
        return Ok(types);
    }
    let types = session(Access::ReadOnly, |session| {
        let rows = session.run(TYPES_SQL, &[])?;
        if rows.is_empty() {
            return Err(internal("extension castmatch is not installed in this database"));
        }
        Ok(ExtensionTypes {
            schema: rows.require(0, 1)?,
            vector: rows.require(0, 2)?,
            vector_array: rows.require(0, 3)?,
            halfvec: rows.require(0, 4)?,
            halfvec_array: rows.require(0, 5)?,
            owner: rows.require(0, 6)?,
            namespace: (rows.require(0, 7)?, rows.require(0, 8)?),
        })
    })?;
    TYPES.set(Some(types.clone()));
    Ok(types)
}

fn still_exists(types: &ExtensionTypes) -> bool {
    let (namespace, known) = &types.namespace;
    // SAFETY: syscache look-ups that give InvalidOid for an unknown type, and null or a palloc'ed NUL-terminated string for a schema.
    unsafe {
        let name = pg_sys::get_namespace_name(*namespace);
        pg_sys::get_element_type(types.vector_array) == types.vector
            && !name.is_null()
            && CStr::from_ptr(name).to_bytes() == known.as_bytes()
    }
}

/// The database that this process is connected to.
pub fn my_database() -> pg_sys::Oid {
    // SAFETY: a plain global of the backend.
    unsafe { pg_sys::MyDatabaseId }
}

/// Databases that a worker may connect to. Needs a transaction and no database.
pub fn connectable_databases() -> Vec<pg_sys::Oid> {
    let mut databases = Vec::new();
    // SAFETY: pg_database is a shared catalog, readable without a database; the lock is released below.
    let relation = unsafe { pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32) };
    // SAFETY: no scan keys; the relation is open.
    let scan = unsafe { pg_sys::table_beginscan_catalog(relation, 0, core::ptr::null_mut()) };
    loop {
        // SAFETY: the scan is open.
        let tuple = unsafe { pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection) };
        if tuple.is_null() {
            break;
        }
        // SAFETY: a tuple of pg_database, whose fixed columns are laid out as FormData_pg_database.
        let row = unsafe { &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>() };
        if row.datallowconn && !row.datistemplate {
            databases.push(row.oid);
        }
    }
    // SAFETY: ends the scan that was begun above.
    unsafe { pg_sys::table_endscan(scan) };
    // SAFETY: opened above.
    unsafe { pg_sys::table_close(relation, pg_sys::AccessShareLock as i32) };
    databases
}

/// A relation's name without its schema, if it exists.
pub fn relation_name(relation: pg_sys::Oid) -> Option<String> {
    // SAFETY: a syscache look-up that gives null for an unknown relation, else a palloc'ed NUL-terminated string.
    let name = unsafe { pg_sys::get_rel_name(relation) };
    // SAFETY: as above.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

unsafe extern "C-unwind" {
    /// Of catalog/partition.h.
    fn get_partition_ancestors(table: pg_sys::Oid) -> *mut pg_sys::List;
    /// Of catalog/pg_inherits.h.
    fn find_all_inheritors(
        table: pg_sys::Oid,
        lock: pg_sys::LOCKMODE,
        parents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}

/// A partitioned table and all its partitions, locked as a query that reads them does until the transaction ends.
pub fn lock_with_partitions(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: a palloc'ed list of numbers; the counts of parents are not wanted.
    let tables = unsafe {
        let list = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            find_all_inheritors(table, pg_sys::AccessShareLock as i32, core::ptr::null_mut())
        });
        pgrx::PgList::<pg_sys::Oid>::from_pg(list)
    };
    tables.iter_oid().collect()
}

/// Locks a table as a query that reads it does, until the transaction ends, and takes note of what has changed before.
pub fn lock_for_reading(table: pg_sys::Oid) {
    // SAFETY: takes a lock by number; there need be no such table.
    unsafe { pg_sys::LockRelationOid(table, pg_sys::AccessShareLock as i32) };
}

/// The partitioned tables that a partition is a part of, nearest first.
pub fn partition_ancestors(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: look-ups in the catalogs; an unknown table is no partition.
    let is_partition = unsafe { pg_sys::get_rel_relispartition(table) };
    if !is_partition {
        return Vec::new();
    }
    // SAFETY: a palloc'ed list of numbers.
    let ancestors = unsafe {
        pgrx::PgList::<pg_sys::Oid>::from_pg(pg_sys::ffi::pg_guard_ffi_boundary(|| {
            get_partition_ancestors(table)
        }))
    };
    ancestors.iter_oid().collect()
}

/// An index access method by its name.
pub fn access_method(name: &str) -> Option<pg_sys::Oid> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a syscache look-up by a NUL-terminated name that gives InvalidOid for an unknown one.
    let method = unsafe { pg_sys::get_am_oid(name.as_ptr(), true) };
    (method != pg_sys::InvalidOid).then_some(method)
}

/// Whether an index of that method can hold a type without an operator class being named.
pub fn has_default_class(type_oid: pg_sys::Oid, method: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the catalogs.
    unsafe { pg_sys::GetDefaultOpClass(type_oid, method) != pg_sys::InvalidOid }
}

/// The type modifier of a column, if there is such a column and it has one: of a vector, its dimensions.
pub fn type_modifier(relation: pg_sys::Oid, column: &str) -> Option<i32> {
    let column = std::ffi::CString::new(column).ok()?;
    // SAFETY: a syscache look-up by a NUL-terminated name; 0 for an unknown one.
    let number = unsafe { pg_sys::get_attnum(relation, column.as_ptr()) };
    if number == 0 {
        return None;
    }
    let (mut type_oid, mut modifier, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
    // SAFETY: the column exists; the pointers are valid for the call.
    unsafe {
        pg_sys::get_atttypetypmodcoll(relation, number, &mut type_oid, &mut modifier, &mut collation);
    }
    (modifier >= 0).then_some(modifier)
}

/// A type's name without its schema, if it exists.
pub fn type_name(type_oid: pg_sys::Oid) -> Option<String> {
    // SAFETY: the tuple is released before the function returns; its fixed columns are laid out as FormData_pg_type.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::TYPEOID as i32,
            pg_sys::Datum::from(type_oid),
        );
        if tuple.is_null() {
            return None;
        }
        let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_type>();
        let name = CStr::from_ptr((*row).typname.data.as_ptr())
            .to_string_lossy()
            .into_owned();
        pg_sys::ReleaseSysCache(tuple);
        Some(name)
    }
}

/// The base type of a domain, or the type itself.
pub fn base_type(type_oid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a syscache look-up; an unknown type raises an ERROR.
    unsafe { pg_sys::getBaseType(type_oid) }
}
