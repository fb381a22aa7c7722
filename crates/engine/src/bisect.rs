//! Bisection.

/// The largest number below `too_many` that fits, if all smaller ones do; 0 if none does.
pub fn largest_fitting(too_many: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let (mut most, mut too_many) = (0, too_many.max(1));
    while too_many - most > 1 {
        let middle = most + (too_many - most) / 2;
        if fits(middle) {
            most = middle
        } else {
            too_many = middle
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::largest_fitting;

    #[test]
    fn finds_the_last_that_fits() {
        for last in [0, 1, 2, 17, 998, 999] {
            assert_eq!(largest_fitting(1_000, |number| number <= last), last);
        }
        assert_eq!(largest_fitting(1_000, |_| true), 999);
        assert_eq!(largest_fitting(0, |_| true), 0);
        assert_eq!(largest_fitting(u32::MAX, |_| true), u32::MAX - 1);
    }
}
