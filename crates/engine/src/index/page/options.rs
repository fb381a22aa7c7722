//! The ranges of the options of an index.

/// The fewest neighbours a list may have.
pub const M_MIN: u16 = 2;
/// The most neighbours a list may have (twice as many at level 0).
pub const M_MAX: u16 = 100;
/// The least number of candidates of an insertion.
pub const EF_CONSTRUCTION_MIN: u16 = 4;
/// The largest number of candidates of an insertion.
pub const EF_CONSTRUCTION_MAX: u16 = 1000;

/// An option outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// The option `m`.
    #[error("m must be between {M_MIN} and {M_MAX}, not {value}")]
    M {
        /// The value given.
        value: i64,
    },
    /// The option `ef_construction`.
    #[error("ef_construction must be between {EF_CONSTRUCTION_MIN} and {EF_CONSTRUCTION_MAX}, not {value}")]
    EfConstruction {
        /// The value given.
        value: i64,
    },
    /// `ef_construction` is below twice `m`: the lists of level 0 could not be filled.
    #[error("ef_construction must be at least twice m, here {least}, not {value}")]
    EfConstructionBelowM {
        /// The value given.
        value: u16,
        /// Twice `m`.
        least: u16,
    },
}

/// The option `m`, if it is in its range.
///
/// # Errors
/// [`OptionError::M`].
pub fn check_m(value: i64) -> Result<u16, OptionError> {
    u16::try_from(value)
        .ok()
        .filter(|m| (M_MIN..=M_MAX).contains(m))
        .ok_or(OptionError::M { value })
}

/// The option `ef_construction`, if it is in its range and at least twice `m`.
///
/// # Errors
/// [`OptionError::EfConstruction`] and [`OptionError::EfConstructionBelowM`].
pub fn check_ef_construction(value: i64, m: u16) -> Result<u16, OptionError> {
    let ef = u16::try_from(value)
        .ok()
        .filter(|ef| (EF_CONSTRUCTION_MIN..=EF_CONSTRUCTION_MAX).contains(ef))
        .ok_or(OptionError::EfConstruction { value })?;
    let least = m.saturating_mul(2);
    if ef < least {
        Err(OptionError::EfConstructionBelowM { value: ef, least })
    } else {
        Ok(ef)
    }
}
