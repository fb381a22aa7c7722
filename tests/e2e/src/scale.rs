//! How much a test does: little on every commit, far more in the long form that `make test-long` runs.

/// Whether `CASTMATCH_TEST_LONG` asks for the long form.
#[must_use]
pub fn is_long() -> bool {
    std::env::var("CASTMATCH_TEST_LONG").is_ok_and(|value| !value.is_empty() && value != "0")
}

/// The first in the short form, the second in the long one.
pub fn scaled<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}
