//! One row and its checks. Limits are generous for an exporter and small enough that a broken function cannot
//! make the companion hold more than ~160 MB of text.

use prometheus::proto::LabelPair;

/// Rows accepted from one read; Prometheus itself is usually told to refuse such a target.
pub const MAX_SAMPLES: usize = 10_000;

/// Characters accepted in each text column.
pub const MAX_TEXT_CHARS: usize = 1_024;

/// One row of `castmatch.metrics()`, as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Sample name; of a histogram with the suffix `_bucket`, `_sum` or `_count`.
    pub name: Option<String>,
    /// `counter`, `gauge` or `histogram`.
    pub kind: Option<String>,
    /// One line for the reader.
    pub help: Option<String>,
    /// A flat JSON object of strings, as text.
    pub labels: Option<String>,
    /// The number; base units (seconds, bytes).
    pub value: Option<f64>,
}

/// The kinds that the contract knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Sorted by name, without duplicates: two equal sets are the same series.
pub(super) type Labels = Vec<(String, String)>;

/// A row that passed the checks of its own.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    pub name: &'a str,
    pub kind: Kind,
    pub help: &'a str,
    pub labels: Labels,
    pub value: f64,
}

/// `None` for a row that cannot be served.
pub(super) fn check(sample: &Sample) -> Option<Checked<'_>> {
    let name = sample
        .name
        .as_deref()
        .filter(|name| fits(name) && is_metric_name(name))?;
    let kind = match sample.kind.as_deref()? {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        _ => return None,
    };
    let help = sample.help.as_deref().unwrap_or_default();
    let labels = parse_labels(sample.labels.as_deref())?;
    let value = sample.value?;
    // A gauge may say "no value" by NaN; a counter that is not a non-negative number breaks every rate() over
    // it.
    if kind == Kind::Counter && !(value.is_finite() && value >= 0.0) {
        return None;
    }
    if !fits(help) {
        return None;
    }
    Some(Checked {
        name,
        kind,
        help,
        labels,
        value,
    })
}

fn fits(text: &str) -> bool {
    text.len() <= MAX_TEXT_CHARS || text.chars().nth(MAX_TEXT_CHARS).is_none()
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
fn is_metric_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

/// As a metric name but without colons; names that begin with two underscores belong to Prometheus.
fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.contains(':') && !name.starts_with("__")
}

fn parse_labels(text: Option<&str>) -> Option<Labels> {
    let Some(text) = text else {
        return Some(Vec::new());
    };
    if !fits(text) {
        return None;
    }
    let fields = match serde_json::from_str(text).ok()? {
        serde_json::Value::Null => return Some(Vec::new()),
        serde_json::Value::Object(fields) => fields,
        _ => return None,
    };
    let mut labels = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let serde_json::Value::String(value) = value else {
            return None;
        };
        if !is_label_name(&name) {
            return None;
        }
        // For Prometheus an empty value is the same as no label, so it must not make a second series.
        if !value.is_empty() {
            labels.push((name, value));
        }
    }
    labels.sort();
    Some(labels)
}

/// The same labels in the library's form.
pub(super) fn label_pairs(labels: Labels) -> Vec<LabelPair> {
    labels
        .into_iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name);
            pair.set_value(value);
            pair
        })
        .collect()
}
