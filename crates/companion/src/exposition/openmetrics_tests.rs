#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::exposition::{Sample, convert};

fn row(name: &str, kind: &str, help: &str, labels: &str, value: f64) -> Sample {
    Sample {
        name: Some(name.to_owned()),
        kind: Some(kind.to_owned()),
        help: Some(help.to_owned()),
        labels: Some(labels.to_owned()),
        value: Some(value),
    }
}

fn text(rows: &[Sample]) -> String {
    openmetrics(&convert(rows, |_| false).families)
}

#[test]
fn counters_lose_total_in_the_name_of_the_family_only() {
    let rows = [
        row("hits_total", "counter", "Hits.", r#"{"a":"q\"b\\c\nd"}"#, 7.0),
        row("cpu_seconds_total", "counter", "CPU \"time\".", "{}", 0.25),
        row("odd", "counter", "", "{}", 1.0),
    ];
    let expected = "\
# TYPE cpu_seconds counter
# UNIT cpu_seconds seconds
# HELP cpu_seconds CPU \\\"time\\\".
cpu_seconds_total 0.25
# TYPE hits counter
# HELP hits Hits.
hits_total{a=\"q\\\"b\\\\c\\nd\"} 7.0
# TYPE odd unknown
odd 1.0
";
    assert_eq!(text(&rows), expected);
}

#[test]
fn histogram_has_canonical_bounds_and_its_unit() {
    let name = "wait_seconds";
    let part = |suffix: &str, labels: &str, value: f64| {
        row(&format!("{name}{suffix}"), "histogram", "Wait.", labels, value)
    };
    let rows = [
        part("_bucket", r#"{"le":"0.00025"}"#, 1.0),
        part("_bucket", r#"{"le":"1"}"#, 2.0),
        part("_bucket", r#"{"le":"+Inf"}"#, 3.0),
        part("_sum", "{}", 4.5),
        part("_count", "{}", 3.0),
    ];
    let expected = "\
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
# HELP wait_seconds Wait.
wait_seconds_bucket{le=\"0.00025\"} 1.0
wait_seconds_bucket{le=\"1.0\"} 2.0
wait_seconds_bucket{le=\"+Inf\"} 3.0
wait_seconds_count 3.0
wait_seconds_sum 4.5
";
    assert_eq!(text(&rows), expected);
}

#[test]
fn names_that_would_clash_give_way() {
    let rows = [
        row("a", "gauge", "", "{}", 1.0),
        row("a_total", "counter", "", "{}", 2.0),
        row("b_total", "counter", "", "{}", 3.0),
        row("b_created", "gauge", "", "{}", 4.0),
    ];
    let expected = "\
# TYPE a gauge
a 1.0
# TYPE a_total unknown
a_total 2.0
# TYPE b counter
b_total 3.0
";
    assert_eq!(text(&rows), expected);
}

#[test]
fn numbers_are_canonical() {
    let cases = [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (0.0001, "0.0001"),
        (0.00005, "5e-05"),
        (123_456.0, "123456.0"),
        (1e6, "1e+06"),
        (1_234_567.5, "1.2345675e+06"),
        (1e21, "1e+21"),
        (-2.5, "-2.5"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ];
    for (value, expected) in cases {
        assert_eq!(number(value), expected);
    }
}
