//! What an AFTER … FOR EACH ROW trigger knows about its row.

use crate::pg::value::to_portable_text;
use crate::pg::varlena;
use core::ffi::CStr;
use pgrx::pg_sys;

/// The table whose trigger called the function, if a trigger did.
pub fn table_of_call(fcinfo: pg_sys::FunctionCallInfo) -> Option<pg_sys::Oid> {
    // SAFETY: the server passes a valid call; the check tells whether its context is TriggerData.
    if !unsafe { pgrx::trigger_support::called_as_trigger(fcinfo) } {
        return None;
    }
    // SAFETY: checked above; the relation is open during the call.
    Some(unsafe { (*(*(*fcinfo).context.cast::<pg_sys::TriggerData>()).tg_relation).rd_id })
}

/// The call of a row trigger after an INSERT or UPDATE.
pub struct RowTrigger {
    data: *mut pg_sys::TriggerData,
}

impl RowTrigger {
    /// The trigger's data, if the function was called by such a trigger.
    pub fn from_call(fcinfo: pg_sys::FunctionCallInfo) -> Option<Self> {
        // SAFETY: the server passes a valid call; the check tells whether its context is TriggerData.
        if !unsafe { pgrx::trigger_support::called_as_trigger(fcinfo) } {
            return None;
        }
        // SAFETY: checked above.
        let data = unsafe { (*fcinfo).context }.cast::<pg_sys::TriggerData>();
        // SAFETY: as above.
        let event = unsafe { (*data).tg_event };
        let fits = pgrx::trigger_support::trigger_fired_for_row(event)
            && pgrx::trigger_support::trigger_fired_after(event)
            && (pgrx::trigger_support::trigger_fired_by_insert(event)
                || pgrx::trigger_support::trigger_fired_by_update(event));
        fits.then_some(Self { data })
    }

    /// Whether a row was changed, not inserted.
    pub fn is_update(&self) -> bool {
        // SAFETY: valid for the call (type invariant).
        pgrx::trigger_support::trigger_fired_by_update(unsafe { (*self.data).tg_event })
    }

    /// The table.
    pub fn relation(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open during the call.
        unsafe { (*(*self.data).tg_relation).rd_id }
    }

    /// The trigger's arguments.
    pub fn arguments(&self) -> Vec<String> {
        // SAFETY: the trigger's description is valid during the call.
        let trigger = unsafe { &*(*self.data).tg_trigger };
        (0..usize::try_from(trigger.tgnargs).unwrap_or(0))
            .map(|index| {
                // SAFETY: tgargs has tgnargs NUL-terminated strings.
                unsafe { CStr::from_ptr(*trigger.tgargs.add(index)) }
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }

    /// The number of a column.
    pub fn column(&self, name: &str) -> Option<i32> {
        let name = std::ffi::CString::new(name).ok()?;
        // SAFETY: the descriptor is valid during the call, the name is NUL-terminated.
        let number = unsafe { pg_sys::SPI_fnumber(self.descriptor(), name.as_ptr()) };
        (number > 0).then_some(number)
    }

    /// Text form of a column of the new row; `None` for NULL.
    pub fn new_text(&self, column: i32) -> Option<String> {
        self.text(self.new_row(), column)
    }

    /// Text form of a column of the old row; `None` for NULL.
    pub fn old_text(&self, column: i32) -> Option<String> {
        self.text(self.old_row(), column)
    }

    /// Whether a column of a varlena type differs between the old and the new row.
    pub fn differs(&self, column: i32) -> bool {
        match (
            self.value(self.old_row(), column),
            self.value(self.new_row(), column),
        ) {
            // SAFETY: content columns have string types, which are varlenas (checked by attach).
            (Some(old), Some(new)) => !unsafe { varlena::equal(old, new) },
            (None, None) => false,
            _ => true,
        }
    }

    fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: the relation is open during the call.
        unsafe { (*(*self.data).tg_relation).rd_att }
    }

    fn old_row(&self) -> pg_sys::HeapTuple {
        // SAFETY: set for row triggers; the old row of an UPDATE.
        unsafe { (*self.data).tg_trigtuple }
    }

    fn new_row(&self) -> pg_sys::HeapTuple {
        // SAFETY: set for row triggers.
        let (inserted, updated) = unsafe { ((*self.data).tg_trigtuple, (*self.data).tg_newtuple) };
        if self.is_update() { updated } else { inserted }
    }

    fn value(&self, row: pg_sys::HeapTuple, column: i32) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: row and descriptor belong to the same relation; an unknown column number gives null.
        let datum = unsafe { pg_sys::SPI_getbinval(row, self.descriptor(), column, &mut is_null) };
        (!is_null).then_some(datum)
    }

    fn text(&self, row: pg_sys::HeapTuple, column: i32) -> Option<String> {
        let datum = self.value(row, column)?;
        // SAFETY: the descriptor is valid; the column number came from `column`.
        let type_oid = unsafe { pg_sys::SPI_gettypeid(self.descriptor(), column) };
        Some(to_portable_text(type_oid, datum))
    }
}

/// What an AFTER trigger function returns; nobody looks at it.
pub struct TriggerResult;

pgrx::impl_sql_translatable!(TriggerResult, "trigger");

// SAFETY: a null pointer without the null flag is what a trigger function may always return.
unsafe impl pgrx::callconv::BoxRet for TriggerResult {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut pgrx::callconv::FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(pg_sys::Datum::null()) }
    }
}
