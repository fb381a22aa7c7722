//! Figures for people who run a server: quantiles, ratios, recall, estimates of rows, and what the system says of a process.

pub mod estimate;
pub mod excerpt;
pub mod process;
pub mod quantile;
pub mod recall;

/// The share that a part is of a whole, 0 to 1; `None` of nothing.
#[allow(clippy::cast_precision_loss)] // A share for people to read.
#[must_use]
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_of_nothing_is_unknown() {
        assert_eq!(share(0, 0), None);
        assert_eq!(share(1, 4), Some(0.25));
        assert_eq!(share(4, 4), Some(1.0));
    }
}
