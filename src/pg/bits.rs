//! PostgreSQL's `bit` and `bit varying` as datums, which share one form.
//!
//! ```text
//! offset  bytes  what
//! 0       4      varlena header (the whole length in bytes)
//! 4       4      number of bits
//! 8       n      the bits, most significant bit of the first byte first, filled up with zeros to whole bytes
//! ```

use crate::error::Result;
use crate::pg::array::ReportError;
use crate::pg::varlena::{self, Varlena};
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::pg_sys;

/// Bytes of the bit count before the bits.
const COUNT_BYTES: usize = 4;

/// A bit string argument: the detoasted value, checked once, its bytes borrowed from it.
pub struct BitArg {
    value: Varlena,
    bits: usize,
}

impl BitArg {
    /// Reads a datum of type `bit` or `bit varying`.
    ///
    /// # Errors
    /// XX001 if the bytes are not a bit string.
    ///
    /// # Safety
    /// The datum must be a non-NULL value of type `bit` or `bit varying`, alive as long as the result is used.
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> Result<Self> {
        // SAFETY: the caller's promise.
        let value = unsafe { Varlena::from_datum(datum) };
        let Some(value) = value else {
            return Err(varlena::corrupted("bit", 0));
        };
        let payload = value.payload();
        let bits = payload
            .first_chunk::<COUNT_BYTES>()
            .and_then(|count| usize::try_from(i32::from_ne_bytes(*count)).ok());
        match bits {
            Some(bits) if payload.len() == COUNT_BYTES + bits.div_ceil(8) => Ok(Self { value, bits }),
            _ => Err(varlena::corrupted("bit", payload.len())),
        }
    }

    /// How many bits there are.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// The bits, most significant bit of the first byte first.
    pub fn bytes(&self) -> &[u8] {
        self.value.payload().get(COUNT_BYTES..).unwrap_or_default()
    }
}

pgrx::impl_sql_translatable!(BitArg, "bit");

// SAFETY: the SQL declarations give this type to arguments of type bit only; the value is checked.
unsafe impl<'fcx> ArgAbi<'fcx> for BitArg {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller guarantees a non-NULL argument.
        let datum = unsafe { arg.unbox_arg_using_from_datum::<pg_sys::Datum>() };
        // SAFETY: a non-NULL bit string, per the SQL declaration.
        match unsafe { Self::from_datum(datum.unwrap_or(pg_sys::Datum::null())) } {
            Ok(value) => value,
            Err(report) => report.report_error(),
        }
    }
}

/// A bit string to return: most significant bit of the first byte first.
pub struct BitString {
    /// The bits, padded with zeros to whole bytes.
    pub bytes: Vec<u8>,
    /// Number of bits.
    pub bits: usize,
}

pgrx::impl_sql_translatable!(BitString, "bit");

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
