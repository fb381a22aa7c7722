//! Samples: what `castmatch.metrics()` returns.

use serde_json::{Value, json};

/// Series that a name has at most, besides the buckets of a histogram.
pub(super) const MOST_SERIES: usize = 50;

/// One sample: name, kind, help, labels, value.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: Value,
    pub(super) value: f64,
}

impl Sample {
    /// A sample with labels.
    pub(super) fn labelled(
        name: &str,
        kind: &'static str,
        help: &'static str,
        labels: Value,
        value: f64,
    ) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            help,
            labels,
            value,
        }
    }

    /// A sample without labels.
    pub(super) fn plain(name: &str, kind: &'static str, help: &'static str, value: f64) -> Self {
        Self::labelled(name, kind, help, json!({}), value)
    }

    /// What goes up and down.
    pub(super) fn gauge(name: &str, help: &'static str, value: f64) -> Self {
        Self::plain(name, "gauge", help, value)
    }

    /// What only grows.
    pub(super) fn counter(name: &str, help: &'static str, value: u64) -> Self {
        Self::plain(name, "counter", help, value as f64)
    }
}

/// A histogram's numbers, in parts of a second.
pub(super) struct Buckets<'a> {
    pub(super) bounds: &'a [u64],
    /// One more than there are bounds.
    pub(super) counts: &'a [u64],
    pub(super) sum: u64,
    pub(super) per_second: f64,
}

/// The samples of a histogram: its buckets, each with all below it, sum and count.
pub(super) fn histogram_samples(
    samples: &mut Vec<Sample>,
    (name, help): (&str, &'static str),
    labels: &Value,
    buckets: &Buckets,
) {
    let mut sample = |suffix: &str, labels: Value, value: f64| {
        samples.push(Sample::labelled(
            &format!("{name}{suffix}"),
            "histogram",
            help,
            labels,
            value,
        ));
    };
    let seconds = |parts: u64| parts as f64 / buckets.per_second;
    let bounds = buckets.bounds.iter().map(|&bound| seconds(bound).to_string());
    let mut count = 0;
    for (bound, bucket) in bounds
        .chain(std::iter::once("+Inf".to_owned()))
        .zip(buckets.counts)
    {
        count += bucket;
        let mut labels = labels.clone();
        if let Value::Object(labels) = &mut labels {
            labels.insert("le".to_owned(), Value::String(bound));
        }
        sample("_bucket", labels, count as f64);
    }
    sample("_sum", labels.clone(), seconds(buckets.sum));
    sample("_count", labels.clone(), count as f64);
}
