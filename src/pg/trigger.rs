//! What a FOR EACH ROW trigger knows about its row, and what it may do to it.

use crate::pg::value::to_portable_text;
use crate::pg::varlena;
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

/// The call of a row trigger.
pub struct RowTrigger {
    data: *mut pg_sys::TriggerData,
}

/// When a row trigger is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Before the row is written.
    Before,
    /// When it was.
    After,
}

impl RowTrigger {
    /// The trigger's data, if the function was called by a row trigger of that timing.
    pub fn from_call(fcinfo: pg_sys::FunctionCallInfo, timing: Timing) -> Option<Self> {
        // SAFETY: the server passes a valid call; the check tells whether its context is TriggerData.
        if !unsafe { pgrx::trigger_support::called_as_trigger(fcinfo) } {
            return None;
        }
        // SAFETY: checked above.
        let data = unsafe { (*fcinfo).context }.cast::<pg_sys::TriggerData>();
        // SAFETY: as above.
        let event = unsafe { (*data).tg_event };
        let in_time = match timing {
            Timing::Before => pgrx::trigger_support::trigger_fired_before(event),
            Timing::After => pgrx::trigger_support::trigger_fired_after(event),
        };
        (in_time && pgrx::trigger_support::trigger_fired_for_row(event)).then_some(Self { data })
    }

    fn event(&self) -> pg_sys::TriggerEvent {
        // SAFETY: valid for the call (type invariant).
        unsafe { (*self.data).tg_event }
    }

    /// Whether a row was changed, not inserted or deleted.
    pub fn is_update(&self) -> bool {
        pgrx::trigger_support::trigger_fired_by_update(self.event())
    }

    /// Whether a row was deleted.
    pub fn is_delete(&self) -> bool {
        pgrx::trigger_support::trigger_fired_by_delete(self.event())
    }

    /// The table.
    pub fn relation(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open during the call.
        unsafe { (*(*self.data).tg_relation).rd_id }
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

    /// The row to be written with some columns changed: what a BEFORE trigger returns. The values have the columns' types.
    pub fn with_columns(&self, changes: &[(i32, Option<pg_sys::Datum>)]) -> TriggerResult {
        let mut columns: Vec<i32> = changes.iter().map(|&(column, _)| column).collect();
        let mut values: Vec<pg_sys::Datum> = changes
            .iter()
            .map(|(_, value)| value.unwrap_or(pg_sys::Datum::null()))
            .collect();
        let mut nulls: Vec<bool> = changes.iter().map(|(_, value)| value.is_none()).collect();
        // SAFETY: the row belongs to the descriptor, the column numbers came from `column`, each array has one entry for each of them.
        let row = unsafe {
            pg_sys::heap_modify_tuple_by_cols(
                self.new_row(),
                self.descriptor(),
                changes.len() as i32,
                columns.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            )
        };
        TriggerResult(row)
    }

    /// The row to be written as it is.
    pub fn unchanged(&self) -> TriggerResult {
        TriggerResult(self.new_row())
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

    /// The old row of an UPDATE or DELETE; the new one of an INSERT.
    fn old_row(&self) -> pg_sys::HeapTuple {
        // SAFETY: set for row triggers.
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

/// The objects that the rows of a row trigger's call name in a column, which has a type like `oid`.
pub fn oids_of_rows(fcinfo: pg_sys::FunctionCallInfo, column: &str) -> Vec<pg_sys::Oid> {
    let Some(trigger) = RowTrigger::from_call(fcinfo, Timing::After) else {
        return Vec::new();
    };
    let Some(column) = trigger.column(column) else {
        return Vec::new();
    };
    let rows = if trigger.is_update() {
        vec![trigger.old_row(), trigger.new_row()]
    } else {
        vec![trigger.old_row()]
    };
    let values = rows.into_iter().filter_map(|row| trigger.value(row, column));
    values
        .map(|value| pg_sys::Oid::from(value.value() as u32))
        .collect()
}

/// What a trigger function returns: the row to go on with, or null from an AFTER trigger, where nobody looks at it.
pub struct TriggerResult(pg_sys::HeapTuple);

impl TriggerResult {
    /// The result of an AFTER trigger.
    pub const NONE: Self = Self(core::ptr::null_mut());
}

pgrx::impl_sql_translatable!(TriggerResult, "trigger");

// SAFETY: a pointer to a row, or null, without the null flag is what a trigger function returns.
unsafe impl pgrx::callconv::BoxRet for TriggerResult {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut pgrx::callconv::FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(pg_sys::Datum::from(self.0)) }
    }
}
