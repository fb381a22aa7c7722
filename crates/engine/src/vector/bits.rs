//! Distances of bit strings, behind the operators `<~>` and `<%>` of PostgreSQL's type `bit`.
//!
//! A bit string is a slice of bytes whose last one is filled up with zeros, as PostgreSQL stores it.

use super::VectorError;
use crate::kernels::bits::bit_kernels;

/// Checks that two bit strings have as many bits.
///
/// # Errors
/// `BitLengthMismatch`.
pub fn check_lengths(left: usize, right: usize) -> Result<(), VectorError> {
    if left == right {
        Ok(())
    } else {
        Err(VectorError::BitLengthMismatch { left, right })
    }
}

/// The Hamming distance: the number of bits that differ. Of slices of different lengths the shorter counts.
#[must_use]
pub fn hamming(a: &[u8], b: &[u8]) -> u64 {
    bit_kernels().differing(a, b)
}

/// The Jaccard distance: 1 less the share of the bits set in both among those set in either; 1 where no bit is set in both. Of
/// slices of different lengths the shorter counts.
#[must_use]
pub fn jaccard(a: &[u8], b: &[u8]) -> f64 {
    let overlap = bit_kernels().overlap(a, b);
    if overlap.both == 0 {
        return 1.0;
    }
    1.0 - overlap.both as f64 / overlap.either as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn distances_are_those_of_pgvector() {
        assert_eq!(hamming(&[0b1110_0000], &[0b1110_0000]), 0);
        assert_eq!(hamming(&[0b1110_0000], &[0b0000_0000]), 3);
        assert_eq!(hamming(&[], &[]), 0);
        assert_eq!(jaccard(&[0b1111_0000], &[0b1111_0000]), 0.0);
        assert_eq!(jaccard(&[0b1111_0000], &[0b1110_0000]), 0.25);
        assert_eq!(jaccard(&[0b1111_0000], &[0b0000_0000]), 1.0);
        assert_eq!(jaccard(&[0], &[0]), 1.0);
        assert_eq!(jaccard(&[], &[]), 1.0);
    }

    #[test]
    fn different_lengths_are_refused() {
        assert_eq!(check_lengths(3, 3), Ok(()));
        let error = check_lengths(3, 4).unwrap_err();
        assert_eq!(
            (error.sqlstate(), error.to_string().as_str()),
            ("22000", "different bit lengths 3 and 4")
        );
    }
}
