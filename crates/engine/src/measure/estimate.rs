//! How many rows a table or index has, without counting them.

/// What the server notes about a relation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noted {
    /// Rows when VACUUM or ANALYZE last looked, or at the end of a build; below 0 if none of them ever did.
    pub rows_then: f64,
    /// Blocks at that time.
    pub blocks_then: u32,
    /// Blocks now.
    pub blocks: u32,
    /// Rows by the server's running statistics, which a crash sets to zero and a standby does not keep.
    pub live: u64,
    /// Dead ones by the same.
    pub dead: u64,
    /// Whether those statistics have seen a VACUUM or ANALYZE.
    pub is_calibrated: bool,
}

/// The rows now: the running statistics where they hold, else the last count at the density that it had. `None` if nobody has counted.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Not below 0; saturates.
#[must_use]
pub fn rows(noted: &Noted, in_recovery: bool) -> Option<u64> {
    let never_counted = noted.rows_then < 0.0;
    if !in_recovery && (noted.is_calibrated || never_counted) {
        return Some(noted.live);
    }
    (!never_counted).then(|| {
        let growth = if noted.blocks_then == 0 {
            1.0
        } else {
            f64::from(noted.blocks) / f64::from(noted.blocks_then)
        };
        (noted.rows_then * growth).round() as u64
    })
}

/// The rows of an index now: those that it was built or vacuumed with at the density of then. `None` if nobody has counted; an index that
/// was empty then says nothing of what came later.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Above 0; saturates.
#[must_use]
pub fn index_rows(noted: &Noted, table_rows: Option<u64>) -> Option<u64> {
    if noted.rows_then > 0.0 && noted.blocks_then > 0 {
        let growth = f64::from(noted.blocks) / f64::from(noted.blocks_then);
        return Some((noted.rows_then * growth).round() as u64);
    }
    table_rows
}

/// The share of dead rows, 0 to 1. `None` where the statistics do not hold, or know of no row.
#[must_use]
pub fn dead_share(noted: &Noted, in_recovery: bool) -> Option<f64> {
    if in_recovery {
        return None;
    }
    super::share(noted.dead, noted.live.saturating_add(noted.dead))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTED: Noted = Noted {
        rows_then: 1000.0,
        blocks_then: 10,
        blocks: 20,
        live: 1500,
        dead: 500,
        is_calibrated: true,
    };

    #[test]
    fn running_statistics_count_where_they_have_seen_the_table() {
        assert_eq!(rows(&NOTED, false), Some(1500));
        assert_eq!(dead_share(&NOTED, false), Some(0.25));
    }

    #[test]
    fn after_a_crash_and_on_a_standby_the_density_counts() {
        let reset = Noted {
            live: 3,
            is_calibrated: false,
            ..NOTED
        };
        assert_eq!(rows(&reset, false), Some(2000));
        assert_eq!(rows(&NOTED, true), Some(2000));
        assert_eq!(dead_share(&NOTED, true), None);
    }

    #[test]
    fn a_new_table_has_the_rows_that_were_inserted() {
        let new = Noted {
            rows_then: -1.0,
            blocks_then: 0,
            blocks: 1,
            live: 7,
            dead: 0,
            is_calibrated: false,
        };
        assert_eq!(rows(&new, false), Some(7));
        assert_eq!(rows(&new, true), None);
        assert_eq!(dead_share(&new, false), Some(0.0));
        assert_eq!(dead_share(&Noted::default(), false), None);
    }

    #[test]
    fn an_index_that_was_built_empty_has_the_rows_of_its_table() {
        assert_eq!(index_rows(&NOTED, Some(9)), Some(2000));
        let empty = Noted {
            rows_then: 0.0,
            ..NOTED
        };
        assert_eq!(index_rows(&empty, Some(9)), Some(9));
        assert_eq!(index_rows(&empty, None), None);
    }
}
