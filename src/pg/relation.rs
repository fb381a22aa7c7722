//! Open relations, as the server hands them to the callbacks of an access method.

use super::snapshot::in_recovery;
use core::ptr::NonNull;
use pgrx::pg_sys;

/// The physical file of a relation: changes with every rewrite (REINDEX, TRUNCATE, a move to another tablespace).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Locator {
    /// Tablespace.
    pub tablespace: pg_sys::Oid,
    /// Database.
    pub database: pg_sys::Oid,
    /// File number.
    pub number: pg_sys::Oid,
}

/// InvalidSubTransactionId of c.h.
const NO_SUBTRANSACTION: pg_sys::SubTransactionId = 0;

/// An open relation.
#[derive(Clone, Copy)]
pub struct Relation(NonNull<pg_sys::RelationData>);

impl Relation {
    /// Takes the relation that the server gave.
    ///
    /// # Safety
    /// The relation must be open, and stay so as long as the result and its copies are used.
    pub unsafe fn from_raw(relation: pg_sys::Relation) -> Self {
        match NonNull::new(relation) {
            Some(relation) => Self(relation),
            None => pgrx::error!("castmatch: no relation"),
        }
    }

    /// The server's pointer.
    pub fn as_ptr(self) -> pg_sys::Relation {
        self.0.as_ptr()
    }

    fn data(&self) -> &pg_sys::RelationData {
        // SAFETY: an open relation (the promise to `from_raw`).
        unsafe { self.0.as_ref() }
    }

    fn class(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: an open relation has its pg_class row.
        unsafe { &*self.data().rd_rel }
    }

    /// The role that owns the relation.
    pub fn owner(&self) -> pg_sys::Oid {
        self.class().relowner
    }

    /// The object's number in pg_class.
    pub fn oid(&self) -> pg_sys::Oid {
        self.data().rd_id
    }

    /// The access method.
    pub fn access_method(&self) -> pg_sys::Oid {
        self.class().relam
    }

    /// The name, without its schema.
    pub fn name(&self) -> String {
        // SAFETY: a name in pg_class is terminated by a zero byte.
        let name = unsafe { core::ffi::CStr::from_ptr(self.class().relname.data.as_ptr()) };
        name.to_string_lossy().into_owned()
    }

    /// The name with its schema, quoted where SQL needs that.
    pub fn qualified_name(&self) -> String {
        // SAFETY: a look-up in the system cache, which gives null for a schema that is gone, else a palloc'ed string.
        let schema = unsafe { pg_sys::get_namespace_name(self.class().relnamespace) };
        let relation = self.class().relname.data.as_ptr();
        // SAFETY: strings that end with a zero byte; without a schema it gives the name alone.
        let name = unsafe { pg_sys::quote_qualified_identifier(schema, relation) };
        // SAFETY: palloc'ed just now, ends with a zero byte.
        let name = unsafe { core::ffi::CStr::from_ptr(name) };
        name.to_string_lossy().into_owned()
    }

    /// The file.
    pub fn locator(&self) -> Locator {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        {
            let node = self.data().rd_node;
            Locator {
                tablespace: node.spcNode,
                database: node.dbNode,
                number: node.relNode,
            }
        }
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        {
            let locator = self.data().rd_locator;
            Locator {
                tablespace: locator.spcOid,
                database: locator.dbOid,
                number: locator.relNumber,
            }
        }
    }

    /// The number of blocks of the main fork: a system call.
    pub fn blocks(&self) -> u32 {
        // SAFETY: an open relation with storage.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.as_ptr(), pg_sys::ForkNumber::MAIN_FORKNUM) }
    }

    /// Whether the relation is temporary: its pages are in this backend's own buffers.
    pub fn is_temporary(&self) -> bool {
        self.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP
    }

    /// Whether the relation is temporary and belongs to another session, whose buffers this one cannot see.
    pub fn is_temporary_of_other_session(&self) -> bool {
        // SAFETY: plain globals of the backend.
        self.is_temporary() && !unsafe { pg_sys::isTempOrTempToastNamespace(self.class().relnamespace) }
    }

    /// Whether the server's recovery leaves the relation out: it cannot be read on a standby.
    pub fn is_unlogged(&self) -> bool {
        self.class().relpersistence as u8 == pg_sys::RELPERSISTENCE_UNLOGGED
    }

    /// Whether the relation has pages at all; partitioned ones have none.
    pub fn has_storage(&self) -> bool {
        self.class().relkind as u8 != pg_sys::RELKIND_PARTITIONED_INDEX
    }

    /// Whether changes are written to the WAL (RelationNeedsWAL of rel.h).
    pub fn needs_wal(&self) -> bool {
        if self.class().relpersistence as u8 != pg_sys::RELPERSISTENCE_PERMANENT {
            return false;
        }
        // SAFETY: a plain global, set at server start.
        let wal_for_everything = unsafe { pg_sys::wal_level } >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32;
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let first_subtransaction = self.data().rd_firstRelfilenodeSubid;
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let first_subtransaction = self.data().rd_firstRelfilelocatorSubid;
        wal_for_everything
            || (self.data().rd_createSubid == NO_SUBTRANSACTION && first_subtransaction == NO_SUBTRANSACTION)
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        usize::try_from(self.class().relnatts).unwrap_or(0)
    }

    /// Columns of an index that are searched by: all but those of INCLUDE.
    pub fn key_columns(&self) -> usize {
        // SAFETY: an open index has its pg_index row; other relations have none.
        let index = unsafe { self.data().rd_index.as_ref() };
        index.map_or(0, |index| usize::try_from(index.indnkeyatts).unwrap_or(0))
    }

    /// The name of a column (from 0).
    pub fn column_name(&self, column: usize) -> String {
        // SAFETY: an open relation has a tuple descriptor.
        let attributes = unsafe { pgrx::PgTupleDesc::from_pg_unchecked(self.data().rd_att) };
        attributes
            .get(column)
            .map_or_else(String::new, |column| column.name().to_owned())
    }

    /// The type of a column (from 0).
    pub fn column_type(&self, column: usize) -> pg_sys::Oid {
        // SAFETY: an open relation has a tuple descriptor.
        let attributes = unsafe { pgrx::PgTupleDesc::from_pg_unchecked(self.data().rd_att) };
        attributes
            .get(column)
            .map_or(pg_sys::InvalidOid, |column| column.atttypid)
    }

    /// The description of the first column's type: (type, typmod).
    pub fn first_column_type(&self) -> (pg_sys::Oid, i32) {
        // SAFETY: an open relation has a tuple descriptor; an index has at least one column.
        let attributes = unsafe { pgrx::PgTupleDesc::from_pg_unchecked(self.data().rd_att) };
        match attributes.get(0) {
            Some(column) => (column.atttypid, column.atttypmod),
            None => (pg_sys::InvalidOid, -1),
        }
    }

    /// The parsed WITH options, of the layout that the access method's amoptions function made.
    ///
    /// # Safety
    /// `T` must be that layout.
    pub unsafe fn options<T>(&self) -> Option<&T> {
        // SAFETY: the caller's promise.
        unsafe { self.data().rd_options.cast::<T>().as_ref() }
    }
}

/// A table and, if it is partitioned, its partitions, locked as a query that reads them does until the transaction ends.
pub struct OpenTables(Vec<pg_sys::Relation>);

impl OpenTables {
    /// Locks a table. A table that does not exist raises an ERROR.
    pub fn lock(table: pg_sys::Oid, is_partitioned: bool) -> Self {
        let tables = if is_partitioned {
            super::catalog::lock_with_partitions(table)
        } else {
            vec![table]
        };
        // SAFETY: opens by number; closed when the result goes.
        let open = |table| unsafe { pg_sys::table_open(table, pg_sys::AccessShareLock as i32) };
        Self(tables.into_iter().map(open).collect())
    }

    /// The table and its partitions, as long as they are open.
    pub fn relations(&self) -> impl Iterator<Item = Relation> {
        // SAFETY: open until the result of `lock` goes.
        self.0.iter().map(|&table| unsafe { Relation::from_raw(table) })
    }

    /// Whether this transaction may have changed one of the tables: whoever writes holds a lock for it until the end, or until what
    /// was written is rolled back.
    pub fn are_written_by_us(&self) -> bool {
        let written = |&table: &pg_sys::Relation| {
            // SAFETY: an open relation; looks through this process's own locks.
            unsafe { pg_sys::CheckRelationLockedByMe(table, pg_sys::RowExclusiveLock as i32, true) }
        };
        self.0.iter().any(written)
    }

    /// Whether policies of the table itself hide rows from the current role; those of its partitions do not count for who reads through
    /// it. They do not from owners and superusers, unless told to.
    pub fn has_row_security(&self) -> bool {
        let hides = |&table: &pg_sys::Relation| {
            // SAFETY: an open relation; asks without raising an error for row_security = off.
            let state = unsafe { pg_sys::check_enable_rls((*table).rd_id, pg_sys::InvalidOid, true) };
            state == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
        };
        self.0.first().is_some_and(hides)
    }

    /// Bytes that change with the tables' columns, their files and their indexes, and with the partitions that there are.
    pub fn shape(&self) -> Vec<u8> {
        let mut shape = Vec::new();
        for &table in &self.0 {
            add_shape(table, &mut shape);
        }
        shape
    }
}

fn add_shape(table: pg_sys::Relation, shape: &mut Vec<u8>) {
    // SAFETY: an open relation and its descriptor.
    let (number, descriptor, file) =
        unsafe { ((*table).rd_id, (*table).rd_att, (*(*table).rd_rel).relfilenode) };
    shape.extend_from_slice(&number.to_u32().to_le_bytes());
    shape.extend_from_slice(&file.to_u32().to_le_bytes());
    // SAFETY: a descriptor, of which a copy is made.
    let columns = unsafe { pgrx::PgTupleDesc::from_pg_copy(descriptor) };
    for column in columns.iter() {
        shape.extend_from_slice(&column.atttypid.to_u32().to_le_bytes());
        shape.extend_from_slice(&column.atttypmod.to_le_bytes());
        shape.push(u8::from(column.attisdropped));
        // SAFETY: a name ends with a zero byte.
        let name = unsafe { core::ffi::CStr::from_ptr(column.attname.data.as_ptr()) };
        shape.extend_from_slice(name.to_bytes_with_nul());
    }
    // SAFETY: an open relation; the list is the caller's.
    let indexes = unsafe { pg_sys::RelationGetIndexList(table) };
    // SAFETY: a list of numbers, or null for an empty one.
    let indexes = unsafe { pgrx::PgList::<pg_sys::Oid>::from_pg(indexes) };
    for index in indexes.iter_oid() {
        shape.extend_from_slice(&index.to_u32().to_le_bytes());
    }
}

impl Drop for OpenTables {
    fn drop(&mut self) {
        // An abort closes them by itself.
        if !std::thread::panicking() {
            for &table in &self.0 {
                // SAFETY: opened in `lock`; the lock stays until the transaction ends.
                unsafe { pg_sys::table_close(table, pg_sys::NoLock as i32) };
            }
        }
    }
}

/// Blocks of a relation's main fork now; `None` if somebody holds it locked against readers, or it is gone: nobody waits here. `None` too
/// for an unlogged relation of a standby, which has no such fork.
pub fn blocks_without_waiting(relation: pg_sys::Oid) -> Option<u32> {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: takes a lock by number or not; there need be no such relation.
    if !unsafe { pg_sys::ConditionalLockRelationOid(relation, lock) } {
        return None;
    }
    // SAFETY: locked above; gives null for a relation that is gone.
    let opened = unsafe { pg_sys::try_relation_open(relation, pg_sys::NoLock as pg_sys::LOCKMODE) };
    let blocks = NonNull::new(opened).and_then(|opened| {
        let relation = Relation(opened);
        let blocks = (!relation.is_unlogged() || !in_recovery()).then(|| relation.blocks());
        // SAFETY: opened above.
        unsafe { pg_sys::relation_close(opened.as_ptr(), pg_sys::NoLock as pg_sys::LOCKMODE) };
        blocks
    });
    // SAFETY: gives back the lock taken above.
    unsafe { pg_sys::UnlockRelationOid(relation, lock) };
    blocks
}
