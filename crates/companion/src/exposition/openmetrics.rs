//! The exposition format of OpenMetrics 1.0: as the text format, but a counter's family is named without
//! `_total`, families say their unit, bounds are written canonically, and the whole ends in [`END`].
//!
//! The specification: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::collections::BTreeSet;
use std::fmt::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Ends an exposition.
pub const END: &str = "# EOF\n";

/// Units that names of castmatch's metrics end in.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// The families without [`END`], so that several texts can follow one another.
#[must_use]
pub fn openmetrics(families: &[MetricFamily]) -> String {
    let names: BTreeSet<&str> = families.iter().map(MetricFamily::name).collect();
    let mut text = String::new();
    for family in families {
        if !is_shadowed(family, &names, families) {
            write_family(&mut text, family, &names);
        }
    }
    text
}

/// `h_created` belongs to the counter or histogram `h`, so nothing else may have that name.
fn is_shadowed(family: &MetricFamily, names: &BTreeSet<&str>, families: &[MetricFamily]) -> bool {
    let Some(base) = family.name().strip_suffix("_created") else {
        return false;
    };
    names.contains(format!("{base}_total").as_str())
        || families
            .iter()
            .any(|other| other.name() == base && other.get_field_type() == MetricType::HISTOGRAM)
}

fn write_family(text: &mut String, family: &MetricFamily, names: &BTreeSet<&str>) {
    let name = family.name();
    let (base, kind) = match family.get_field_type() {
        // A counter's samples must end in _total, and its family's name must be free.
        MetricType::COUNTER => match name.strip_suffix("_total") {
            Some(base) if !base.is_empty() && !names.contains(base) => (base, "counter"),
            _ => (name, "unknown"),
        },
        MetricType::GAUGE => (name, "gauge"),
        MetricType::HISTOGRAM => (name, "histogram"),
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    // Writing to a String does not fail.
    let _ = writeln!(text, "# TYPE {base} {kind}");
    if let Some(unit) = unit(base) {
        let _ = writeln!(text, "# UNIT {base} {unit}");
    }
    if !family.help().is_empty() {
        let _ = writeln!(text, "# HELP {base} {}", escaped(family.help()));
    }
    for metric in family.get_metric() {
        match family.get_field_type() {
            MetricType::HISTOGRAM => write_histogram(text, name, metric),
            MetricType::COUNTER => write_sample(text, name, metric, None, metric.get_counter().get_value()),
            _ => write_sample(text, name, metric, None, metric.get_gauge().get_value()),
        }
    }
}

fn unit(base: &str) -> Option<&'static str> {
    let (rest, last) = base.rsplit_once('_')?;
    UNITS.into_iter().find(|unit| *unit == last && !rest.is_empty())
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric) {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count() as f64;
    let bucket = format!("{name}_bucket");
    let finite = histogram
        .get_bucket()
        .iter()
        .filter(|bucket| bucket.upper_bound().is_finite());
    for counted in finite {
        let bound = number(counted.upper_bound());
        write_sample(
            text,
            &bucket,
            metric,
            Some(&bound),
            counted.cumulative_count() as f64,
        );
    }
    write_sample(text, &bucket, metric, Some("+Inf"), count);
    write_sample(text, &format!("{name}_count"), metric, None, count);
    write_sample(
        text,
        &format!("{name}_sum"),
        metric,
        None,
        histogram.get_sample_sum(),
    );
}

fn write_sample(text: &mut String, name: &str, metric: &Metric, bound: Option<&str>, value: f64) {
    text.push_str(name);
    let mut labels: Vec<String> = metric.get_label().iter().map(label).collect();
    labels.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    if !labels.is_empty() {
        let _ = write!(text, "{{{}}}", labels.join(","));
    }
    let _ = writeln!(text, " {}", number(value));
}

fn label(pair: &LabelPair) -> String {
    format!("{}=\"{}\"", pair.name(), escaped(pair.value()))
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

/// As Go and Python write it: `1.0`, `0.00025`, `1e+06`, `2.5e-05`.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
#[path = "openmetrics_tests.rs"]
mod tests;
