//! From the rows of `castmatch.metrics()` to Prometheus metric families. Nothing that comes from the database
//! is trusted: a row that would make the exposition invalid (bad name, bad labels, second row of the same
//! series, conflicting kind) is left out and counted, and the rest is served.
//!
//! `sample` checks single rows, `histogram` puts bucket, sum and count rows together, `families` is the
//! whole. `openmetrics` writes families in the format of OpenMetrics; the text format is the library's.

mod families;
mod histogram;
mod openmetrics;
mod sample;

use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

pub use families::{Exposition, convert};
pub use openmetrics::{END, openmetrics};
pub use sample::{MAX_SAMPLES, MAX_TEXT_CHARS, Sample};

/// A family with one sample and no labels.
pub(crate) fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut sample = Gauge::default();
    sample.set_value(value);
    family(name, help, MetricType::GAUGE, Metric::from_gauge(sample))
}

/// As [`gauge`], for what only grows.
pub(crate) fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut sample = Counter::default();
    sample.set_value(value);
    let mut metric = Metric::default();
    metric.set_counter(sample);
    family(name, help, MetricType::COUNTER, metric)
}

fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}
