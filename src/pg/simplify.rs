//! Calls that the planner can leave out: the check of a type modifier that the value is known to have already.
//!
//! `ALTER TABLE … ALTER COLUMN … TYPE vector(384)` reads no row, let alone writes one, where the column was pgvector's vector(384) before.

use crate::pg::catalog;
use core::ffi::CStr;
use pgrx::PgList;
use pgrx::pg_sys;

/// The extension whose types of the same names have the same type modifiers: numbers of dimensions, which their own casts have checked.
const PGVECTOR: &CStr = c"vector";

/// What a support function answers to the planner about a call `f(value, type modifier, …)` that returns the value if it fits the modifier
/// and fails otherwise: the value alone, or null where the call must stay.
///
/// # Safety
/// What the server gives to a support function.
pub unsafe fn without_needless_check(request: *mut pg_sys::Node) -> *mut pg_sys::Node {
    let stay = core::ptr::null_mut();
    // SAFETY: the caller's promise; the node's tag says what it is.
    let call = unsafe {
        if (*request).type_ != pg_sys::NodeTag::T_SupportRequestSimplify {
            return stay;
        }
        &*(*request.cast::<pg_sys::SupportRequestSimplify>()).fcall
    };
    // SAFETY: the arguments of a call are a list of nodes.
    let arguments = unsafe { PgList::<pg_sys::Node>::from_pg(call.args) };
    let (Some(value), Some(modifier)) = (arguments.get_ptr(0), arguments.get_ptr(1)) else {
        return stay;
    };
    // SAFETY: nodes of the call; the tag says what the second is.
    unsafe {
        let Some(wanted) = integer(modifier) else {
            return stay;
        };
        if wanted >= 0 && modifier_of(value, call.funcresulttype) != wanted {
            return stay;
        }
        pg_sys::relabel_to_typmod(value, wanted)
    }
}

/// The value of an integer constant that is not null.
///
/// # Safety
/// A node of an expression.
unsafe fn integer(node: *mut pg_sys::Node) -> Option<i32> {
    // SAFETY: the caller's promise; the tag says what the node is.
    unsafe {
        if (*node).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let constant = &*node.cast::<pg_sys::Const>();
        (!constant.constisnull && constant.consttype == pg_sys::INT4OID)
            .then_some(constant.constvalue.value() as i32)
    }
}

/// The type modifier that a value is known to have; -1 for none. A value of pgvector's type that is only called one of `own` keeps its own.
///
/// # Safety
/// A node of an expression.
unsafe fn modifier_of(value: *mut pg_sys::Node, own: pg_sys::Oid) -> i32 {
    // SAFETY: the caller's promise; the tag says what the node is.
    unsafe {
        let known = pg_sys::exprTypmod(value);
        if known >= 0 || (*value).type_ != pg_sys::NodeTag::T_RelabelType {
            return known;
        }
        let inner = (*value.cast::<pg_sys::RelabelType>()).arg.cast::<pg_sys::Node>();
        if is_namesake(pg_sys::exprType(inner), own) {
            pg_sys::exprTypmod(inner)
        } else {
            -1
        }
    }
}

/// Whether a type is pgvector's of the same name.
fn is_namesake(type_oid: pg_sys::Oid, own: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the catalogs; an unknown extension has no name.
    let is_pgvectors = unsafe {
        let extension = pg_sys::getExtensionOfObject(pg_sys::TypeRelationId, type_oid);
        let name = pg_sys::get_extension_name(extension);
        !name.is_null() && CStr::from_ptr(name) == PGVECTOR
    };
    let name = catalog::type_name(type_oid);
    is_pgvectors && name.is_some() && name == catalog::type_name(own)
}
