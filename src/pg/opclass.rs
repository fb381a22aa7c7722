//! What the catalogs say of an operator class, for amvalidate.

use pgrx::pg_sys;

/// An operator of a family.
pub struct OperatorMember {
    /// Its strategy number.
    pub strategy: i16,
    /// Whether it is for ORDER BY.
    pub orders: bool,
}

/// A support function of a family.
pub struct FunctionMember {
    /// Its support number.
    pub number: i16,
    /// Whether it returns integer.
    pub returns_integer: bool,
}

/// An operator class.
pub struct OperatorClass {
    family: pg_sys::Oid,
    input_type: pg_sys::Oid,
}

impl OperatorClass {
    /// Looks a class up; raises XX000 if it does not exist.
    pub fn look_up(class: pg_sys::Oid) -> Self {
        // SAFETY: a look-up in the catalogs; raises an ERROR for an unknown class.
        let (family, input_type) = unsafe {
            (
                pg_sys::get_opclass_family(class),
                pg_sys::get_opclass_input_type(class),
            )
        };
        Self { family, input_type }
    }

    /// What support function 1 of the class returns, a function without arguments that returns integer; `None` if it has none.
    pub fn support_number(&self) -> Option<i32> {
        // SAFETY: look-ups in the catalogs, then a call as the access method makes it.
        unsafe {
            let function = pg_sys::get_opfamily_proc(self.family, self.input_type, self.input_type, 1);
            if function == pg_sys::InvalidOid || pg_sys::get_func_nargs(function) != 0 {
                return None;
            }
            Some(pg_sys::OidFunctionCall0Coll(function, pg_sys::InvalidOid).value() as i32)
        }
    }

    /// The name of the family.
    pub fn family_name(&self) -> String {
        // SAFETY: the tuple is released before the function returns.
        unsafe {
            let tuple = pg_sys::SearchSysCache1(
                pg_sys::SysCacheIdentifier::OPFAMILYOID as i32,
                pg_sys::Datum::from(self.family),
            );
            if tuple.is_null() {
                return String::from("?");
            }
            let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_opfamily>();
            let name = core::ffi::CStr::from_ptr((*row).opfname.data.as_ptr())
                .to_string_lossy()
                .into_owned();
            pg_sys::ReleaseSysCache(tuple);
            name
        }
    }

    /// The operators of the family.
    pub fn operators(&self) -> Vec<OperatorMember> {
        self.members(pg_sys::SysCacheIdentifier::AMOPSTRATEGY as i32, |tuple| {
            // SAFETY: a row of pg_amop.
            let row = unsafe { &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_amop>() };
            OperatorMember {
                strategy: row.amopstrategy,
                orders: row.amoppurpose as u8 == pg_sys::AMOP_ORDER,
            }
        })
    }

    /// The support functions of the family.
    pub fn functions(&self) -> Vec<FunctionMember> {
        self.members(pg_sys::SysCacheIdentifier::AMPROCNUM as i32, |tuple| {
            // SAFETY: a row of pg_amproc; then a look-up of the function's result type.
            let (number, result) = unsafe {
                let row = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_amproc>();
                (row.amprocnum, pg_sys::get_func_rettype(row.amproc))
            };
            FunctionMember {
                number,
                returns_integer: result == pg_sys::INT4OID,
            }
        })
    }

    fn members<T>(&self, cache: i32, read: impl Fn(pg_sys::HeapTuple) -> T) -> Vec<T> {
        // SAFETY: a search of the family's rows; the list is released after the last row was read.
        unsafe {
            let list = pg_sys::SearchSysCacheList(
                cache,
                1,
                pg_sys::Datum::from(self.family),
                pg_sys::Datum::null(),
                pg_sys::Datum::null(),
            );
            let count = usize::try_from((*list).n_members).unwrap_or(0);
            let members = (*list).members.as_slice(count);
            let result = members
                .iter()
                .map(|&member| read(&raw mut (*member).tuple))
                .collect();
            pg_sys::ReleaseCatCacheList(list);
            result
        }
    }
}
