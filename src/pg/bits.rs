//! PostgreSQL's `bit varying` as a return value.

use crate::pg::array::ReportError;
use crate::pg::varlena;
use pgrx::callconv::{BoxRet, FcInfo};

/// A bit string to return: most significant bit of the first byte first.
pub struct BitString {
    /// The bits, padded with zeros to whole bytes.
    pub bytes: Vec<u8>,
    /// Number of bits.
    pub bits: usize,
}

pgrx::impl_sql_translatable!(BitString, "bit");

/// Bytes of the bit count before the bits.
const COUNT_BYTES: usize = 4;

// SAFETY: builds a VarBit: the number of bits as int32, then the bits.
unsafe impl BoxRet for BitString {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        let built = varlena::build(COUNT_BYTES + self.bytes.len(), |payload| {
            let (count, bits) = payload.split_at_mut(COUNT_BYTES);
            count.copy_from_slice(&(self.bits as i32).to_ne_bytes());
            bits.copy_from_slice(&self.bytes);
        });
        match built {
            // SAFETY: the datum was built for this call and has the declared type.
            Ok(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            Err(report) => report.report_error(),
        }
    }
}
