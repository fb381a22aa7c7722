//! The scan kernels for AVX2 and AVX-512.
//!
//! Each function has the features of its module, so that the intrinsics in it are safe; only loads and stores are not, and these take
//! references that prove how many bytes may be accessed.
//!
//! A register has a 16-byte lane for each of several groups of dimensions, so the tables of these are looked up by one shuffle. Bytes
//! are summed as 16-bit numbers: one register sums them in pairs as they are, another the second bytes of the pairs alone, shifted
//! down; 256 times the latter taken from the former, modulo 2^16, leaves the sums of the first bytes.

pub(super) mod avx2;
pub(super) mod avx512;
