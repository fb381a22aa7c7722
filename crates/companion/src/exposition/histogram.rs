//! One histogram series, put together from its `_bucket`, `_sum` and `_count` rows.
//!
//! The counters behind the rows are read without a lock, so `_count` may be ahead of or behind the buckets;
//! the `+Inf` bucket belongs to the same cumulative sum as the others and wins. Structural damage (a missing
//! part, a falling cumulative count, a bound that is no number) leaves the series out.

use prometheus::proto::{Bucket, Histogram};

/// The largest count that an f64 holds exactly.
const MAX_EXACT_COUNT: f64 = 9_007_199_254_740_992.0;

/// The rows of one series so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    buckets: Vec<(f64, u64)>,
    sum: Option<f64>,
    count: Option<u64>,
    rows: usize,
    damaged: bool,
}

/// Which of the three kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Bucket,
    Sum,
    Count,
}

/// Splits `base_bucket`, `base_sum`, `base_count`.
pub(super) fn split_name(name: &str) -> Option<(&str, Part)> {
    [
        ("_bucket", Part::Bucket),
        ("_sum", Part::Sum),
        ("_count", Part::Count),
    ]
    .into_iter()
    .find_map(|(suffix, part)| {
        name.strip_suffix(suffix)
            .filter(|base| !base.is_empty())
            .map(|base| (base, part))
    })
}

impl Parts {
    /// Adds a row; `le` is the bucket's upper bound as text.
    pub(super) fn add(&mut self, part: Part, le: Option<&str>, value: f64) {
        self.rows += 1;
        let added = match part {
            Part::Bucket => self.add_bucket(le, value),
            Part::Sum if self.sum.is_none() => {
                self.sum = Some(value);
                Some(())
            }
            Part::Count if self.count.is_none() => exact_count(value).map(|count| self.count = Some(count)),
            // A second sum or count: which one is right, nobody can tell.
            Part::Sum | Part::Count => None,
        };
        self.damaged |= added.is_none();
    }

    fn add_bucket(&mut self, le: Option<&str>, value: f64) -> Option<()> {
        let bound = le?.parse::<f64>().ok().filter(|bound| !bound.is_nan())?;
        self.buckets.push((bound, exact_count(value)?));
        Some(())
    }

    /// The rows taken up so far, to be counted when the series is left out.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The histogram, or `None` when it does not hold together.
    pub(super) fn finish(mut self) -> Option<Histogram> {
        let (sum, count) = (self.sum?, self.count?);
        if self.damaged {
            return None;
        }
        self.buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        let rising = self.buckets.windows(2).all(|pair| match pair {
            [(lower, fewer), (upper, more)] => lower < upper && fewer <= more,
            _ => false,
        });
        if !rising {
            return None;
        }
        // The encoder writes +Inf from the sample count, and would spell an infinite bound of ours "inf".
        let count = match self.buckets.pop_if(|(bound, _)| *bound == f64::INFINITY) {
            Some((_, total)) => total,
            None => count,
        };
        if self.buckets.last().is_some_and(|(_, below)| *below > count) {
            return None;
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(self.buckets.into_iter().map(bucket).collect());
        histogram.set_sample_sum(sum);
        histogram.set_sample_count(count);
        Some(histogram)
    }
}

fn bucket((bound, count): (f64, u64)) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(bound);
    bucket.set_cumulative_count(count);
    bucket
}

fn exact_count(value: f64) -> Option<u64> {
    // The range is checked, so the conversion is exact.
    (value.fract() == 0.0 && (0.0..=MAX_EXACT_COUNT).contains(&value)).then_some(value as u64)
}
