//! All rows of one read to metric families, sorted by name. One name has one kind and one help text, those of
//! its first row; a series that appears twice keeps its first value.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

use super::histogram::{Part, Parts, split_name};
use super::sample::{Checked, Kind, Labels, MAX_SAMPLES, Sample, check, label_pairs};

/// What one read of `castmatch.metrics()` gives to serve.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Sorted by name; none is empty.
    pub families: Vec<MetricFamily>,
    /// Rows left out, because they or their series cannot be served.
    pub dropped_rows: u64,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: String,
    series: BTreeMap<Labels, Series>,
}

#[derive(Debug)]
enum Series {
    Value(f64),
    Histogram(Parts),
}

/// Converts the rows. `is_reserved` says which family names are the caller's own.
#[must_use]
pub fn convert(samples: &[Sample], is_reserved: impl Fn(&str) -> bool) -> Exposition {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut dropped = samples.len().saturating_sub(MAX_SAMPLES);
    for sample in samples.iter().take(MAX_SAMPLES) {
        let added = check(sample).and_then(|row| add(&mut families, row, &is_reserved));
        dropped += usize::from(added.is_none());
    }
    dropped += remove_shadowed(&mut families);
    let mut exposition = Exposition::default();
    for (name, family) in families {
        let (metrics, lost) = metrics(family.kind, family.series);
        dropped += lost;
        if metrics.is_empty() {
            continue;
        }
        let mut out = MetricFamily::default();
        out.set_name(name);
        out.set_help(family.help);
        out.set_field_type(match family.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        out.set_metric(metrics);
        exposition.families.push(out);
    }
    exposition.dropped_rows = dropped as u64;
    exposition
}

/// `None` when the row does not fit to what is there.
fn add(
    families: &mut BTreeMap<String, Family>,
    mut row: Checked<'_>,
    is_reserved: impl Fn(&str) -> bool,
) -> Option<()> {
    let (name, part) = match row.kind {
        Kind::Histogram => split_name(row.name).map(|(base, part)| (base, Some(part)))?,
        Kind::Counter | Kind::Gauge => (row.name, None),
    };
    if is_reserved(name) {
        return None;
    }
    let le = row
        .labels
        .iter()
        .position(|(label, _)| label == "le")
        .map(|at| row.labels.remove(at).1);
    // The bound belongs to buckets, and elsewhere it would pass for one.
    if le.is_some() != (part == Some(Part::Bucket)) {
        return None;
    }
    let family = families.entry(name.to_owned()).or_insert_with(|| Family {
        kind: row.kind,
        help: row.help.to_owned(),
        series: BTreeMap::new(),
    });
    if family.kind != row.kind {
        return None;
    }
    match (family.series.entry(row.labels), part) {
        (Entry::Vacant(place), None) => {
            place.insert(Series::Value(row.value));
        }
        (Entry::Vacant(place), Some(part)) => {
            let mut parts = Parts::default();
            parts.add(part, le.as_deref(), row.value);
            place.insert(Series::Histogram(parts));
        }
        (Entry::Occupied(mut place), Some(part)) => match place.get_mut() {
            Series::Histogram(parts) => parts.add(part, le.as_deref(), row.value),
            Series::Value(_) => return None,
        },
        (Entry::Occupied(_), None) => return None,
    }
    Some(())
}

/// A histogram `h` also exposes `h_bucket`, `h_sum` and `h_count`; families of these names would be
/// duplicates.
fn remove_shadowed(families: &mut BTreeMap<String, Family>) -> usize {
    let shadowed: Vec<String> = families
        .keys()
        .filter(|name| {
            split_name(name).is_some_and(|(base, _)| {
                families
                    .get(base)
                    .is_some_and(|family| family.kind == Kind::Histogram)
            })
        })
        .cloned()
        .collect();
    shadowed
        .iter()
        .filter_map(|name| families.remove(name))
        .map(|family| rows(&family))
        .sum()
}

fn rows(family: &Family) -> usize {
    family
        .series
        .values()
        .map(|series| match series {
            Series::Value(_) => 1,
            Series::Histogram(parts) => parts.rows(),
        })
        .sum()
}

fn metrics(kind: Kind, series: BTreeMap<Labels, Series>) -> (Vec<Metric>, usize) {
    let mut lost = 0;
    let mut metrics = Vec::with_capacity(series.len());
    for (labels, series) in series {
        let mut metric = Metric::from_label(label_pairs(labels));
        match series {
            Series::Value(value) if kind == Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Series::Value(value) => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            Series::Histogram(parts) => {
                let rows = parts.rows();
                let Some(histogram) = parts.finish() else {
                    lost += rows;
                    continue;
                };
                metric.set_histogram(histogram);
            }
        }
        metrics.push(metric);
    }
    (metrics, lost)
}

#[cfg(test)]
#[path = "families_tests.rs"]
mod tests;
