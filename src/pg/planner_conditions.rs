//! Conditions that older planners keep from an index, although it can test them.
//!
//! Before PostgreSQL 17 an array on any but the first column (`column = ANY (array)`) is taken for something that destroys the order of
//! an index, which is true of a btree (build_index_paths of indxpath.c, `found_lower_saop_clause`). Before 16 a condition that is a
//! boolean column itself is offered to the built-in operator families only (`IsBooleanOpfamily`). Both would be left to the executor.

use super::planner::conditions;
use pgrx::pg_sys;

/// Adds such conditions to an ordered path.
///
/// amcostestimate is the first that an access method sees of a path, and nothing has read its conditions yet but the estimate of what
/// remains for the executor.
///
/// # Safety
/// What the server gives to amcostestimate.
pub unsafe fn add(root: *mut pg_sys::PlannerInfo, path: *mut pg_sys::IndexPath) {
    // SAFETY: the caller's promise; lists of the planner hold nodes of the types they are read as.
    unsafe {
        if (*path).indexorderbys.is_null() {
            return;
        }
        let info = (*path).indexinfo;
        let known: Vec<_> = conditions(path)
            .iter()
            .map(|&condition| (*condition).rinfo)
            .collect();
        let restrictions = pgrx::PgList::<pg_sys::RestrictInfo>::from_pg((*info).indrestrictinfo);
        let mut clauses: Vec<_> = conditions(path);
        for restriction in restrictions.iter_ptr() {
            if known.contains(&restriction)
                || (*restriction).pseudoconstant
                || !pg_sys::restriction_is_securely_promotable(restriction, (*info).rel)
            {
                continue;
            }
            let Some((column, tested)) = (1..(*info).nkeycolumns)
                .find_map(|column| Some((column, match_column(root, info, column, restriction)?)))
            else {
                continue;
            };
            let mut clause = pgrx::PgBox::<pg_sys::IndexClause>::alloc_node(pg_sys::NodeTag::T_IndexClause);
            clause.rinfo = restriction;
            clause.indexquals = pg_sys::lappend(core::ptr::null_mut(), tested.cast());
            clause.indexcol = column as pg_sys::AttrNumber;
            clauses.push(clause.into_pg());
        }
        if clauses.len() == known.len() {
            return;
        }
        // The list is in the order of the index's columns. Other paths share the old one.
        clauses.sort_by_key(|&clause| (*clause).indexcol);
        (*path).indexclauses = clauses.iter().fold(core::ptr::null_mut(), |list, &clause| {
            pg_sys::lappend(list, clause.cast())
        });
    }
}

/// What the index tests for a restriction, if that is one on this column (from 0).
///
/// # Safety
/// What the server gives to amcostestimate, a key column of the index, and a restriction of its table.
unsafe fn match_column(
    root: *mut pg_sys::PlannerInfo,
    info: *mut pg_sys::IndexOptInfo,
    column: i32,
    restriction: *mut pg_sys::RestrictInfo,
) -> Option<*mut pg_sys::RestrictInfo> {
    // SAFETY: the caller's promise.
    unsafe {
        if matches_array(root, info, column, (*restriction).clause.cast()) {
            return Some(restriction);
        }
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        return boolean::matched(root, info, column, (*restriction).clause.cast());
        #[cfg(feature = "pg16")]
        None
    }
}

/// Whether a clause compares the column with an array, as match_saopclause_to_indexcol of indxpath.c has it.
///
/// # Safety
/// What the server gives to amcostestimate, a key column of the index, and a clause of a restriction of its table.
unsafe fn matches_array(
    root: *mut pg_sys::PlannerInfo,
    info: *mut pg_sys::IndexOptInfo,
    column: i32,
    clause: *mut pg_sys::Node,
) -> bool {
    // SAFETY: the caller's promise; the node's tag says what it is, and the operator has two arguments.
    unsafe {
        if (*clause).type_ != pg_sys::NodeTag::T_ScalarArrayOpExpr {
            return false;
        }
        let clause = clause.cast::<pg_sys::ScalarArrayOpExpr>();
        let left = pg_sys::list_nth((*clause).args, 0).cast::<pg_sys::Node>();
        let right = pg_sys::list_nth((*clause).args, 1).cast::<pg_sys::Node>();
        let (Ok(table), Ok(place)) = (i32::try_from((*(*info).rel).relid), usize::try_from(column)) else {
            return false;
        };
        let collation = *(*info).indexcollations.add(place);
        (*clause).useOr
            && pg_sys::match_index_to_operand(left, column, info)
            && (collation == pg_sys::InvalidOid || collation == (*clause).inputcollid)
            && pg_sys::op_in_opfamily((*clause).opno, *(*info).opfamily.add(place))
            && !pg_sys::bms_is_member(table, pg_sys::pull_varnos(root, right))
            && !pg_sys::contain_volatile_functions(right)
    }
}

#[cfg(any(feature = "pg14", feature = "pg15"))]
mod boolean {
    //! match_boolean_index_clause of indxpath.c, for operator families that are not built in.

    use pgrx::pg_sys;

    /// boolean = boolean: BooleanEqualOperator of pg_operator.dat.
    const BOOLEAN_EQUAL: u32 = 91;

    /// `column = true` or `column = false` for a clause that says so without an operator.
    ///
    /// # Safety
    /// What the server gives to amcostestimate, a key column of the index, and a clause of a restriction of its table.
    pub unsafe fn matched(
        root: *mut pg_sys::PlannerInfo,
        info: *mut pg_sys::IndexOptInfo,
        column: i32,
        clause: *mut pg_sys::Node,
    ) -> Option<*mut pg_sys::RestrictInfo> {
        let place = usize::try_from(column).ok()?;
        let equal = pg_sys::Oid::from(BOOLEAN_EQUAL);
        // SAFETY: the caller's promise.
        unsafe {
            if !pg_sys::op_in_opfamily(equal, *(*info).opfamily.add(place)) {
                return None;
            }
            let (operand, value) = operand(clause);
            if !pg_sys::match_index_to_operand(operand, column, info) {
                return None;
            }
            let clause = pg_sys::make_opclause(
                equal,
                pg_sys::BOOLOID,
                false,
                operand.cast(),
                pg_sys::makeBoolConst(value, false).cast(),
                pg_sys::InvalidOid,
                pg_sys::InvalidOid,
            );
            let none = core::ptr::null_mut;
            Some(pg_sys::make_restrictinfo(
                root,
                clause,
                true,
                false,
                false,
                0,
                none(),
                none(),
                none(),
            ))
        }
    }

    /// What a boolean clause looks at, and which value it wants.
    ///
    /// # Safety
    /// A clause of the planner.
    unsafe fn operand(clause: *mut pg_sys::Node) -> (*mut pg_sys::Node, bool) {
        // SAFETY: the node's tag says what it is; NOT has one argument.
        unsafe {
            match (*clause).type_ {
                pg_sys::NodeTag::T_BoolExpr => {
                    let not = clause.cast::<pg_sys::BoolExpr>();
                    if (*not).boolop == pg_sys::BoolExprType::NOT_EXPR {
                        return (pg_sys::list_nth((*not).args, 0).cast(), false);
                    }
                }
                pg_sys::NodeTag::T_BooleanTest => {
                    let test = clause.cast::<pg_sys::BooleanTest>();
                    match (*test).booltesttype {
                        pg_sys::BoolTestType::IS_TRUE => return ((*test).arg.cast(), true),
                        pg_sys::BoolTestType::IS_FALSE => return ((*test).arg.cast(), false),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        (clause, true)
    }
}
