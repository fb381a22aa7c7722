//! Inner products of codes with queries and with codes.

use crate::kernels::code::{LINE, Line};

pub(in crate::kernels::code) fn dot_u4_i8(code: &[u8], query: &[Line]) -> i32 {
    let mut total = 0;
    for (code, [Line(low), Line(high)]) in code.chunks(LINE).zip(query.as_chunks::<2>().0) {
        for ((byte, low), high) in code.iter().zip(low).zip(high) {
            total += i32::from(byte & 15) * i32::from(*low) + i32::from(byte >> 4) * i32::from(*high);
        }
    }
    total
}

pub(in crate::kernels::code) fn dot_u8_i8(code: &[u8], query: &[Line]) -> i32 {
    let mut total = 0;
    for (code, Line(query)) in code.chunks(LINE).zip(query) {
        for (byte, query) in code.iter().zip(query) {
            total += i32::from(*byte) * i32::from(*query);
        }
    }
    total
}

pub(in crate::kernels::code) fn dot_u4_u4(a: &[u8], b: &[u8]) -> i32 {
    let products = a
        .iter()
        .zip(b)
        .map(|(a, b)| i32::from((a & 15) * (b & 15)) + i32::from((a >> 4) * (b >> 4)));
    products.sum()
}

pub(in crate::kernels::code) fn dot_u8_u8(a: &[u8], b: &[u8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}
