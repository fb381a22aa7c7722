//! Places of rows, as PostgreSQL writes them.

use super::array;
use super::spi::Rows;
use super::value::Value;
use crate::error::{Result, internal};
use pgrx::pg_sys;

/// The server's form of (block, line pointer).
pub fn item_pointer(block: u32, offset: u16) -> pg_sys::ItemPointerData {
    pg_sys::ItemPointerData {
        ip_blkid: pg_sys::BlockIdData {
            bi_hi: (block >> 16) as u16,
            bi_lo: (block & 0xffff) as u16,
        },
        ip_posid: offset,
    }
}

/// (Block, line pointer) of the server's form.
pub fn parts(tid: pg_sys::ItemPointerData) -> (u32, u16) {
    (
        (u32::from(tid.ip_blkid.bi_hi) << 16) | u32::from(tid.ip_blkid.bi_lo),
        tid.ip_posid,
    )
}

/// Places as a parameter of type `tid[]`.
///
/// # Errors
/// 54000 for more than an array holds.
pub fn array(places: impl Iterator<Item = (u32, u16)>) -> Result<Value> {
    let places: Vec<pg_sys::ItemPointerData> = places
        .map(|(block, offset)| item_pointer(block, offset))
        .collect();
    // The array copies them.
    let elements: Vec<Option<pg_sys::Datum>> = places
        .iter()
        .map(|place| Some(pg_sys::Datum::from(core::ptr::from_ref(place))))
        .collect();
    let array = array::build(pg_sys::TIDOID, &elements)?;
    Ok(Value::datum(pg_sys::TIDARRAYOID, Some(array)))
}

/// The place in `row` (from 0) and `column` (from 1), which has type `tid` and is not NULL.
///
/// # Errors
/// XX000 if it is not so.
pub fn cell(rows: &Rows, row: usize, column: usize) -> Result<(u32, u16)> {
    let (type_oid, datum) = rows.cell(row, column)?;
    match datum {
        Some(datum) if type_oid == pg_sys::TIDOID => {
            // SAFETY: a value of type tid is a pointer to one of these, alive as long as the rows.
            Ok(parts(unsafe { *datum.cast_mut_ptr::<pg_sys::ItemPointerData>() }))
        }
        _ => Err(internal(format!("column {column} holds no place of a row"))),
    }
}
