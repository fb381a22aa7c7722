//! Acting as another role for a while.

use crate::pg::setting::{set_for_now, without_lasting_settings};
use core::ffi::CStr;
use pgrx::pg_sys;

/// What the role switch allows to the code that runs under it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Restriction {
    /// Only the user id changes (SQL that castmatch wrote itself, on its own tables).
    LocalChange,
    /// As VACUUM and REINDEX do for foreign code: no change of role, no temporary objects left behind.
    Restricted,
}

/// What names mean while another role acts: those of the server only, whatever the caller's search_path says. An operator of the
/// caller's would run with the rights of the role.
const SEARCH_PATH: (&CStr, &CStr) = (c"search_path", c"pg_catalog, pg_temp");

/// Runs `f` as `role`, with a search_path that nobody else has a say in; settings that code of others changes meanwhile are as before
/// afterwards. An ERROR inside restores role and settings by the abort of the (sub)transaction.
pub fn act_as<R>(role: pg_sys::Oid, restriction: Restriction, f: impl FnOnce() -> R) -> R {
    let mut previous = pg_sys::InvalidOid;
    let mut context = 0;
    // SAFETY: both pointers are valid for the call.
    unsafe { pg_sys::GetUserIdAndSecContext(&mut previous, &mut context) };
    let flag = match restriction {
        Restriction::LocalChange => pg_sys::SECURITY_LOCAL_USERID_CHANGE,
        Restriction::Restricted => pg_sys::SECURITY_RESTRICTED_OPERATION,
    };
    // SAFETY: switching is legal at any time in a transaction; it is undone below or by abort.
    unsafe { pg_sys::SetUserIdAndSecContext(role, context | flag as i32) };
    let result = without_lasting_settings(|| {
        set_for_now(SEARCH_PATH.0, SEARCH_PATH.1);
        f()
    });
    // SAFETY: restores what was read above.
    unsafe { pg_sys::SetUserIdAndSecContext(previous, context) };
    result
}

/// The role that privileges are checked against now.
pub fn current() -> pg_sys::Oid {
    // SAFETY: a plain read of backend state.
    unsafe { pg_sys::GetUserId() }
}

/// Whether the current role is a superuser.
pub fn is_superuser() -> bool {
    // SAFETY: a look-up in the catalogs.
    unsafe { pg_sys::superuser() }
}

/// Whether the current role has the rights of another: it is that one or a member that inherits.
pub fn has_privileges_of(role: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the catalogs; an unknown role has no members.
    unsafe { pg_sys::has_privs_of_role(current(), role) }
}

/// Whether the current role may read all columns of a table, those of the system among them.
pub fn may_select_all(table: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the catalogs.
    let result = unsafe { pg_sys::pg_class_aclcheck(table, current(), SELECT) };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// Whether the current role may read any column of a table.
pub fn may_select_some(table: pg_sys::Oid) -> bool {
    let any = pg_sys::AclMaskHow::ACLMASK_ANY;
    // SAFETY: a look-up in the catalogs.
    let of_columns = || unsafe { pg_sys::pg_attribute_aclcheck_all(table, current(), SELECT, any) };
    may_select_all(table) || of_columns() == pg_sys::AclResult::ACLCHECK_OK
}

/// Whether the current role may name the tables of a table's schema.
pub fn may_use_schema_of(table: pg_sys::Oid) -> bool {
    let usage = pg_sys::ACL_USAGE as pg_sys::AclMode;
    // SAFETY: a look-up in the catalogs.
    let schema = unsafe { pg_sys::get_rel_namespace(table) };
    #[cfg(any(feature = "pg14", feature = "pg15"))]
    // SAFETY: as above.
    let result = unsafe { pg_sys::pg_namespace_aclcheck(schema, current(), usage) };
    #[cfg(not(any(feature = "pg14", feature = "pg15")))]
    // SAFETY: as above.
    let result = unsafe { pg_sys::object_aclcheck(pg_sys::NamespaceRelationId, schema, current(), usage) };
    result == pg_sys::AclResult::ACLCHECK_OK
}

const SELECT: pg_sys::AclMode = pg_sys::ACL_SELECT as pg_sys::AclMode;
